//! Every cutting of an object into splits reads every record once.

use std::num::NonZeroU32;

use proptest::prelude::*;
use tributary_mapreduce_core::kernel::{Error, Feed, Framing, MapStep, ReduceStep, Split};

use crate::job::{Job, Mapped};
use crate::{compile, cuts};

pub fn lines(object: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = object.split(|&b| b == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

/// What Identity writes of lines: ordered by what is before the first TAB, equal ones in order; an empty value goes
/// with its TAB.
fn ordered(mut lines: Vec<&[u8]>) -> Vec<u8> {
    let key = |line: &[u8]| line.split(|&b| b == b'\t').next().map(<[u8]>::to_vec);
    lines.sort_by_key(|line| key(line));
    let mut out = Vec::new();
    for line in lines {
        let empty = line.strip_suffix(b"\t").filter(|key| !key.contains(&b'\t'));
        out.extend_from_slice(empty.unwrap_or(line));
        out.push(b'\n');
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_read_once_and_in_order(
        object in prop::collection::vec(
            prop_oneof![4 => Just(b'a'), 3 => Just(b'\n'), 1 => Just(b'\t'), 1 => any::<u8>()], 0..200),
        cuts in cuts(), chunk in 1..40usize,
    ) {
        let program = compile(MapStep::Identity, ReduceStep::Identity, true);
        let job = Job { cuts, chunk, ..Job::new(program, &object) };
        prop_assert_eq!(job.run().concat(), ordered(lines(&object)));
    }

    #[test]
    fn every_fixed_length_record_is_read_once(
        records in 0..50usize, length in 1..9usize, cuts in cuts(), chunk in 1..40usize, seed: u8,
    ) {
        let object: Vec<u8> = (0..records * length).map(|i| b'a' + ((i * 7 + i / 5) as u8 ^ seed) % 26).collect();
        let framing = Framing::FixedLength(NonZeroU32::new(length as u32).unwrap());
        let program = compile(MapStep::Identity, ReduceStep::Identity, true);
        let job = Job { framing, cuts, chunk, ..Job::new(program, &object) };
        prop_assert_eq!(job.run().concat(), ordered(object.chunks(length).collect()));
    }

    #[test]
    fn matching_lines_are_kept(object in "([a-c]{0,3}[\n\t])*", cuts in cuts(), chunk in 1..40usize) {
        let program = compile(MapStep::Grep { pattern: "^a.*c".into() }, ReduceStep::Identity, true);
        let job = Job { cuts, chunk, ..Job::new(program, object.as_bytes()) };
        let matches = |line: &&[u8]| line.first() == Some(&b'a') && line.contains(&b'c');
        let kept = lines(object.as_bytes()).into_iter().filter(matches).collect();
        prop_assert_eq!(job.run().concat(), ordered(kept));
    }
}

#[test]
fn many_objects_make_one_task() {
    let program = compile(MapStep::Words, ReduceStep::Sum, true);
    let job = Job::new(program, b"");
    let mut task = job.task();
    for object in [&b"a b"[..], b"c a\n", b""] {
        task.begin("object", Split::WHOLE).unwrap();
        task.feed(object).unwrap();
        task.end().unwrap();
    }
    let options = Default::default();
    assert_eq!(job.reduce(&[Mapped::of(task)], &options)[0].0, b"a\t2\nb\t1\nc\t1\n");
}

#[test]
fn a_whole_object_is_a_record_with_its_name() {
    let program = compile(MapStep::Identity, ReduceStep::Identity, true);
    let job = Job { framing: Framing::WholeObject, chunk: 2, ..Job::new(program, b"some\nbytes") };
    assert_eq!(job.run().concat(), b"object\tsome\nbytes\n");
}

#[test]
fn a_split_without_a_record_is_done_at_once() {
    let program = compile(MapStep::Identity, ReduceStep::Identity, true);
    let framing = Framing::FixedLength(NonZeroU32::new(10).unwrap());
    let mut task = Job { framing, ..Job::new(program, b"") }.task();
    assert_eq!(task.begin("object", Split { start: 11, end: 19 }).unwrap(), Feed::Done);
    task.end().unwrap();
    assert_eq!(framing.read_from(Split { start: 11, end: 29 }), 20);
    assert!(matches!(task.feed(b"x"), Err(Error::Misuse(_))));
}
