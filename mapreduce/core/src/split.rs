//! Cutting the input into map tasks.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What a map task reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MapInput {
    /// In this order.
    pub pieces: Vec<Piece>,
}

/// A part of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Piece {
    /// Bytes `start` to `end` of an object; all of it where it is compressed.
    Object {
        /// The key in its store.
        key: String,
        /// The object's version when it was listed.
        etag: String,
        /// Bytes of the object.
        size: u64,
        /// The first byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// How the object is compressed.
        #[serde(default, skip_serializing_if = "Codec::is_none")]
        codec: Codec,
    },
    /// Records of a topic.
    Topic {
        /// The partition.
        partition: i32,
        /// The first offset.
        start: i64,
        /// The offset after the last.
        end: i64,
    },
    /// Strings of the job's spec.
    Strings {
        /// Index of the first.
        start: u32,
        /// Index after the last.
        end: u32,
    },
}

/// How an object is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// By the ending of an object's name.
    pub fn of_name(name: &str) -> Self {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl MapInput {
    /// How much there is to read, to compare tasks by: bytes, or else records.
    pub fn weight(&self) -> u64 {
        self.pieces.iter().map(Piece::weight).sum()
    }
}

impl Piece {
    fn weight(&self) -> u64 {
        match *self {
            Self::Object { start, end, .. } => end.saturating_sub(start),
            Self::Topic { start, end, .. } => u64::try_from(end.saturating_sub(start)).unwrap_or(0),
            Self::Strings { start, end } => u64::from(end.saturating_sub(start)),
        }
    }
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key in its store.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The version.
    pub etag: String,
}

/// How objects are cut.
#[derive(Clone, Copy, Debug)]
pub struct ObjectSplits {
    /// Whether a record can be found from the middle of an object.
    pub splittable: bool,
    /// How objects are compressed; `None` goes by their names.
    pub codec: Option<Codec>,
    /// Bytes of a task at most, where the user says so.
    pub size: Option<u64>,
    /// Tasks that can run at once.
    pub slots: u32,
}

/// The most map tasks a job has; splits are larger where there would be more.
pub const MAX_TASKS: u64 = 100_000;
/// The most objects in one task.
const MAX_PIECES: usize = 1_000;
/// Waves of tasks: more even out the load, fewer cost less.
const WAVES: u64 = 4;
const SMALLEST_SPLIT: u64 = 8 << 20;
const LARGEST_SPLIT: u64 = 64 << 20;
const FEWEST_RECORDS: u64 = 10_000;
const MOST_RECORDS: u64 = 4_000_000;

/// Whether an object is input: no part of its name below `prefix` begins with `_` or `.`.
pub fn is_input(key: &str, prefix: &str) -> bool {
    let name = key.strip_prefix(prefix).unwrap_or(key);
    !name.is_empty() && !name.ends_with('/') && name.split('/').all(|part| !part.starts_with(['_', '.']))
}

/// The map tasks over a listing, in its order: large objects are cut, small ones put together, empty ones left out.
pub fn objects(listing: &[Listed], splits: ObjectSplits) -> Vec<MapInput> {
    let total: u64 = listing.iter().map(|o| o.size).sum();
    let waves = u64::from(splits.slots.max(1)) * WAVES;
    let size = splits.size.unwrap_or_else(|| (total / waves).clamp(SMALLEST_SPLIT, LARGEST_SPLIT));
    let size = size.max(total / MAX_TASKS).max(1);
    let mut tasks = Vec::new();
    let mut open = MapInput::default();
    let mut room = size;
    for object in listing.iter().filter(|o| o.size > 0) {
        let codec = splits.codec.unwrap_or_else(|| Codec::of_name(&object.key));
        let step = if splits.splittable && codec == Codec::None { size } else { object.size };
        // cuts of equal length, so that no task gets a tiny rest
        let cuts = object.size.div_ceil(step);
        let step = object.size.div_ceil(cuts);
        for start in (0..object.size).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let end = (start + step).min(object.size);
            if end - start > room || open.pieces.len() >= MAX_PIECES {
                close(&mut open, &mut tasks);
                room = size;
            }
            room = room.saturating_sub(end - start);
            let (key, etag) = (object.key.clone(), object.etag.clone());
            open.pieces.push(Piece::Object { key, etag, size: object.size, start, end, codec });
        }
    }
    close(&mut open, &mut tasks);
    tasks
}

/// The map tasks over ranges of a topic's partitions, each of at most `records` offsets. A task reads one partition.
pub fn topic(ranges: &BTreeMap<i32, Range<i64>>, records: Option<u64>, slots: u32) -> Vec<MapInput> {
    let length = |range: &Range<i64>| u64::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
    let total: u64 = ranges.values().map(length).sum();
    let waves = u64::from(slots.max(1)) * WAVES;
    let most = records.unwrap_or_else(|| (total / waves).clamp(FEWEST_RECORDS, MOST_RECORDS));
    let most = most.max(total / MAX_TASKS).max(1);
    let mut tasks = Vec::new();
    for (&partition, range) in ranges.iter().filter(|(_, range)| length(range) > 0) {
        let cuts = length(range).div_ceil(most);
        let step = i64::try_from(length(range).div_ceil(cuts)).unwrap_or(i64::MAX);
        let mut start = range.start;
        while start < range.end {
            let end = start.saturating_add(step).min(range.end);
            tasks.push(MapInput { pieces: vec![Piece::Topic { partition, start, end }] });
            start = end;
        }
    }
    tasks
}

/// The map tasks over the strings of a spec.
pub fn strings(count: u32, slots: u32) -> Vec<MapInput> {
    let step = count.div_ceil(slots.max(1).saturating_mul(WAVES as u32)).max(1);
    let starts = (0..count).step_by(step as usize);
    let piece = |start: u32| Piece::Strings { start, end: start.saturating_add(step).min(count) };
    starts.map(|start| MapInput { pieces: vec![piece(start)] }).collect()
}

fn close(open: &mut MapInput, tasks: &mut Vec<MapInput>) {
    if !open.pieces.is_empty() {
        tasks.push(std::mem::take(open));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(sizes: &[u64]) -> Vec<Listed> {
        let named = |(i, &size): (usize, &u64)| Listed { key: format!("in/{i:04}.txt"), size, etag: format!("v{i}") };
        sizes.iter().enumerate().map(named).collect()
    }

    const LINES: ObjectSplits = ObjectSplits { splittable: true, codec: None, size: None, slots: 4 };

    #[test]
    fn hidden_names_are_no_input() {
        for (key, yes) in [
            ("in/a.txt", true),
            ("in/b/c", true),
            ("in/_SUCCESS", false),
            ("in/.tributary/x/journal/1", false),
            ("in/a/_b/c", false),
            ("in/", false),
            ("in/b/", false),
        ] {
            assert_eq!(is_input(key, "in/"), yes, "{key}");
        }
        // the prefix is the user's own word
        assert!(is_input("_raw/a", "_raw/"));
    }

    #[test]
    fn small_objects_share_a_task_and_large_ones_are_cut() {
        assert_eq!(objects(&[], LINES), []);
        assert_eq!(objects(&listed(&[0, 0]), LINES), []);
        assert_eq!(objects(&listed(&[10, 0, 20]), LINES).len(), 1);
        // 1 GiB over 16 slots in waves: 64 MiB each
        assert_eq!(objects(&listed(&[1 << 30]), LINES).len(), 16);
        let zipped = ObjectSplits { codec: Some(Codec::Gzip), ..LINES };
        assert_eq!(objects(&listed(&[1 << 30, 5]), zipped).len(), 2);
        let whole = ObjectSplits { splittable: false, ..LINES };
        assert_eq!(objects(&listed(&[1 << 30]), whole).len(), 1);
        assert_eq!(Codec::of_name("a/b.txt.gz"), Codec::Gzip);
        assert_eq!(Codec::of_name("a/b.zst"), Codec::Zstd);
        assert_eq!(Codec::of_name("a.gz/b"), Codec::None);
    }

    #[test]
    fn strings_are_spread() {
        assert_eq!(strings(0, 4), []);
        assert_eq!(strings(3, 4).len(), 3);
        assert_eq!(strings(10_000, 4).len(), 16);
    }

    proptest! {
        #[test]
        fn every_byte_is_read_once(sizes in prop::collection::vec(0u64..5_000, 0..40), split in 1u64..3_000, slots in 1u32..20) {
            let listing = listed(&sizes);
            let tasks = objects(&listing, ObjectSplits { size: Some(split), slots, ..LINES });
            let mut at: BTreeMap<&str, u64> = BTreeMap::new();
            for piece in tasks.iter().flat_map(|t| &t.pieces) {
                let Piece::Object { key, start, end, .. } = piece else { unreachable!() };
                prop_assert!(start < end);
                prop_assert_eq!(at.insert(key, *end).unwrap_or(0), *start);
            }
            for object in &listing {
                prop_assert_eq!(at.get(object.key.as_str()).copied().unwrap_or(0), object.size);
            }
            prop_assert!(tasks.iter().all(|t| (1..=split).contains(&t.weight())));
        }

        #[test]
        fn every_offset_is_read_once(
            ranges in prop::collection::btree_map(0i32..9, (0i64..500, 0i64..500), 0..9), most in prop::option::of(1u64..200),
        ) {
            let ranges: BTreeMap<i32, Range<i64>> = ranges.into_iter().map(|(p, (s, n))| (p, s..s + n)).collect();
            let mut at: BTreeMap<i32, i64> = ranges.iter().map(|(&p, r)| (p, r.start)).collect();
            for task in topic(&ranges, most, 3) {
                prop_assert!(most.is_none_or(|most| task.weight() <= most));
                for piece in task.pieces {
                    let Piece::Topic { partition, start, end } = piece else { unreachable!() };
                    prop_assert!(start < end);
                    prop_assert_eq!(at.insert(partition, end), Some(start));
                }
            }
            prop_assert!(ranges.iter().all(|(p, r)| at[p] == r.end));
        }

        #[test]
        fn every_string_is_read_once(count in 0u32..2_000, slots in 0u32..9) {
            let mut at = 0;
            for task in strings(count, slots) {
                for piece in task.pieces {
                    let Piece::Strings { start, end } = piece else { unreachable!() };
                    prop_assert_eq!(start, at);
                    prop_assert!(start < end);
                    at = end;
                }
            }
            prop_assert_eq!(at, count);
        }
    }
}
