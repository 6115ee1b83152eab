//! A map task: pieces of the input into one segment of the workspace.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde_json::json;
use tokio::sync::Semaphore;
use tributary_mapreduce_core::commit::{Counters, Segment, UploadPlace, names};
use tributary_mapreduce_core::job::Outcome;
use tributary_mapreduce_core::kernel::{BadRecord, Feed, Framing, MapConfig, MapTask, SegmentIndex, Split};
use tributary_mapreduce_core::split::{Codec, MapInput, Piece};

use super::fetch::{Fetch, Reader, Want, chunks};
use super::scratch::FileScratch;
use super::upload::Upload;
use super::zstd::Zstd;
use super::{Stop, Task};
use crate::input::TopicRecord;
use crate::spec::InputSpec;
use crate::store::{Place, StoreError};

/// Bytes of a request for input: S3 serves ranges of this size best, aligned to it.
const CHUNK: u64 = 8 << 20;
/// Requests of a task at once.
const REQUESTS: usize = 3;
/// Bytes that are read past a split's end with its last range: most last lines end there.
const SLACK: u64 = 64 << 10;
/// Records of a topic between two looks at whether the attempt is cancelled.
const RECORDS: u64 = 1 << 10;
/// Bytes of a decompressed chunk.
const PLAIN: usize = 256 << 10;

/// The part of an object that a piece names.
struct Object<'a> {
    key: &'a str,
    etag: &'a str,
    size: u64,
    split: Split,
    codec: Codec,
    /// Where reading begins.
    from: u64,
    /// The end of what is fetched whether the last record needs it or not.
    to: u64,
}

impl<'a> Object<'a> {
    fn new(piece: &'a Piece, framing: Framing) -> Option<Self> {
        let Piece::Object { key, etag, size, start, end, codec } = piece else { return None };
        let (split, slack) = match codec {
            Codec::None => (Split { start: *start, end: *end }, SLACK),
            Codec::Gzip | Codec::Zstd => (Split::WHOLE, 0),
        };
        let to = end.saturating_add(slack).min(*size);
        let from = framing.read_from(split).min(to);
        Some(Self { key, etag, size: *size, split, codec: *codec, from, to })
    }

    fn want(&self, range: std::ops::Range<u64>) -> Want {
        let etag = (!self.etag.is_empty()).then(|| self.etag.into());
        Want { key: self.key.into(), etag, range }
    }
}

impl Task<'_> {
    pub(super) fn map(&self, input: &MapInput) -> Result<Outcome, Stop> {
        let spec = &self.context.spec;
        let config = MapConfig {
            framing: spec.framing(),
            partitions: spec.config.partitions,
            memory: spec.sort_memory,
            skip_bad_records: spec.config.skip_bad_records,
        };
        let scratch = Box::new(FileScratch::new(self.context.scratch.clone()));
        let mut task = MapTask::new(&spec.program, &config, scratch);
        let stored = self.objects(&mut task, input)?;
        for piece in &input.pieces {
            match *piece {
                Piece::Object { .. } => {}
                Piece::Topic { partition, start, end } => self.topic(&mut task, partition, start..end)?,
                Piece::Strings { start, end } => self.strings(&mut task, start, end)?,
            }
        }
        self.check()?;
        let name = names::segment(self.assignment.task, self.assignment.attempt);
        let mut upload = Upload::new(self, (UploadPlace::Workspace, &self.context.workspace), &name);
        let output = task.finish(&mut upload)?;
        upload.finish()?;
        self.dead_letters(&output.bad_records)?;
        let counters = Counters {
            records_in: output.stats.records_read,
            bytes_in: if stored > 0 { stored } else { output.stats.bytes_read },
            records_out: output.index.records(),
            bytes_out: output.index.segment_len(),
            skipped: output.stats.records_skipped,
        };
        Ok(Outcome::Mapped { segment: segment(name, &output.index), counters })
    }

    /// Feeds the objects' pieces; the ranges of the later ones are fetched while the first are worked on. The bytes of
    /// the store that they are.
    fn objects(&self, task: &mut MapTask, input: &MapInput) -> Result<u64, Stop> {
        let Some(place) = &self.context.input else { return Ok(0) };
        let framing = self.context.spec.framing();
        let objects: Vec<Object<'_>> = input.pieces.iter().filter_map(|piece| Object::new(piece, framing)).collect();
        let wants: Vec<Want> =
            objects.iter().flat_map(|o| chunks(o.from..o.to, CHUNK).map(|range| o.want(range))).collect();
        let permits = Arc::new(Semaphore::new(REQUESTS));
        let mut fetch = Fetch::start(self.runtime, place.store.clone(), wants.into_iter(), REQUESTS, permits);
        for object in &objects {
            let name = place.store.place(object.key);
            match object.codec {
                Codec::None => self.plain(task, place, object, &name, &mut fetch)?,
                codec => self.compressed(task, object, codec, &name, &mut fetch)?,
            }
        }
        Ok(input.weight())
    }

    fn plain(
        &self,
        task: &mut MapTask,
        place: &Place,
        object: &Object<'_>,
        name: &str,
        fetch: &mut Fetch,
    ) -> Result<(), Stop> {
        let mut state = task.begin(name, object.split)?;
        for _ in chunks(object.from..object.to, CHUNK) {
            self.check()?;
            let chunk = fetch.next()?.unwrap_or_default();
            if state == Feed::More {
                state = task.feed(&chunk)?;
            }
        }
        // a last record that is longer than most
        let (mut at, mut length) = (object.to, SLACK);
        while state == Feed::More && at < object.size {
            self.check()?;
            length = (length * 2).min(CHUNK);
            let end = (at + length).min(object.size);
            let Want { key, range, etag } = object.want(at..end);
            let chunk = self.runtime.block_on(place.store.get(&key, Some(range), etag.as_deref()))?;
            if chunk.len() as u64 != end - at {
                return Err(StoreError::Changed { place: name.to_owned() }.into());
            }
            state = task.feed(&chunk)?;
            at = end;
        }
        Ok(task.end()?)
    }

    fn compressed(
        &self,
        task: &mut MapTask,
        object: &Object<'_>,
        codec: Codec,
        name: &str,
        fetch: &mut Fetch,
    ) -> Result<(), Stop> {
        task.begin(name, object.split)?;
        let mut reader = Reader::new(fetch, chunks(object.from..object.to, CHUNK).count());
        let fed = match codec {
            Codec::Zstd => self.decoded(task, &mut Zstd::new(&mut reader), name),
            Codec::None | Codec::Gzip => self.decoded(task, &mut MultiGzDecoder::new(&mut reader), name),
        };
        // what no decoder wanted stands before the next object's ranges
        let rest = std::io::copy(&mut reader, &mut std::io::sink());
        // a fetch that failed looks like a damaged object to the decoder
        if let Some(error) = reader.failed.take() {
            return Err(error.into());
        }
        fed?;
        rest.map_err(|e| Stop::Decompress { place: name.to_owned(), message: e.to_string() })?;
        Ok(task.end()?)
    }

    fn decoded(&self, task: &mut MapTask, decoder: &mut dyn Read, place: &str) -> Result<(), Stop> {
        let mut buffer = vec![0; PLAIN];
        loop {
            self.check()?;
            let damaged = |e: std::io::Error| Stop::Decompress { place: place.to_owned(), message: e.to_string() };
            let n = decoder.read(&mut buffer).map_err(damaged)?;
            if n == 0 {
                return Ok(());
            }
            task.feed(&buffer[..n])?;
        }
    }

    fn topic(&self, task: &mut MapTask, partition: i32, range: std::ops::Range<i64>) -> Result<(), Stop> {
        let InputSpec::Topic(input) = &self.context.spec.input else { return Ok(()) };
        let (mut stop, mut seen) = (None, 0_u64);
        let mut each = |record: TopicRecord<'_>| {
            seen += 1;
            let place = format_args!("topic {}, partition {partition}, offset {}", input.topic, record.offset);
            let mut taken = task.record(record.key, record.value, &place).map_err(Stop::from);
            if seen.is_multiple_of(RECORDS) && taken.is_ok() {
                taken = self.check();
            }
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    stop = Some(e);
                    ControlFlow::Break(())
                }
            }
        };
        self.context.topics.read(&input.topic, partition, range, &mut each)?;
        stop.map_or(Ok(()), Err)
    }

    fn strings(&self, task: &mut MapTask, start: u32, end: u32) -> Result<(), Stop> {
        let InputSpec::Strings(strings) = &self.context.spec.input else { return Ok(()) };
        for (index, string) in strings.iter().enumerate().take(end as usize).skip(start as usize) {
            task.record(None, string.as_bytes(), &format_args!("spec.input.strings[{index}]"))?;
        }
        Ok(())
    }

    /// Keeps the records that were skipped: a JSON object a line.
    fn dead_letters(&self, records: &[BadRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let line = |r: &BadRecord| {
            let value = String::from_utf8_lossy(&r.value);
            format!("{}\n", json!({"place": r.place, "reason": r.reason, "value": value}))
        };
        let lines: String = records.iter().map(line).collect();
        let workspace = &self.context.workspace;
        let name = names::dead_letter(self.assignment.task, self.assignment.attempt);
        self.runtime.block_on(workspace.store.put(&workspace.key(&name), lines.into()))
    }
}

fn segment(name: String, index: &SegmentIndex) -> Segment {
    let ranges = &index.partitions;
    let end = ranges.last().map_or(0, |last| last.offset + last.length);
    Segment {
        name,
        offsets: ranges.iter().map(|r| r.offset).chain([end]).collect(),
        records: ranges.iter().map(|r| r.records).collect(),
    }
}
