//! What goes wrong is named, and nothing panics.

use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use tributary_mapreduce_core::kernel::{
    BlockSource, BoxError, Chunks, Error, Framing, MapStep, OutputOptions, Program, ReduceInput, ReduceStep, Scratch,
    SegmentIndex, Split, reduce,
};

use crate::compile;
use crate::job::{Job, Mapped};

fn feed(job: &Job<'_>) -> Result<Mapped, Error> {
    let mut task = job.task();
    task.begin("s3://b/o", Split::WHOLE)?;
    task.feed(job.object)?;
    task.end()?;
    Ok(Mapped::of(task))
}

#[test]
fn a_bad_value_is_named_or_skipped() {
    let program = compile(MapStep::Identity, ReduceStep::Sum, true);
    let job = Job::new(program, b"a\t1\nb\tx\na\t2\nc\n");
    assert_eq!(
        feed(&job).err().unwrap().to_string(),
        r#"bad record in s3://b/o at byte 4: the value "x" of key "b" is not a 64-bit integer"#
    );
    let one = Job { skip_bad_records: 1, ..job.clone() };
    assert_eq!(
        feed(&one).err().unwrap().to_string(),
        "bad record in s3://b/o at byte 12: the value \"\" of key \"c\" is not a 64-bit integer \
         (failure.skipBadRecords: 1 are skipped already)"
    );
    let two = Job { skip_bad_records: 2, ..job };
    let map = feed(&two).unwrap();
    assert_eq!((map.output.stats.records_read, map.output.stats.records_skipped), (4, 2));
    assert_eq!(map.output.bad_records[0].value, b"b\tx");
    assert_eq!(map.output.bad_records[1].place, "s3://b/o at byte 12");
    assert_eq!(two.reduce(&[map], &OutputOptions::default())[0].0, b"a\t3\n");
}

#[test]
fn a_cut_record_is_bad() {
    let framing = Framing::FixedLength(NonZeroU32::new(4).unwrap());
    let program = compile(MapStep::Identity, ReduceStep::Identity, true);
    let job = Job { framing, ..Job::new(program, b"aaaabb") };
    let message = "bad record in s3://b/o at byte 4: the object ends after 2 bytes of it";
    assert_eq!(feed(&job).err().unwrap().to_string(), message);
    let map = feed(&Job { skip_bad_records: 1, ..job }).unwrap();
    assert_eq!((map.output.stats.bytes_read, map.output.stats.records_skipped), (6, 1));
}

#[test]
fn an_overflow_names_the_key() {
    let object = format!("a\t1\nb\t{}\nb\t1\n", i64::MAX);
    let message = r#"reduce operator Sum: the values of key "b" exceed a 64-bit integer"#;
    let job = Job::new(compile(MapStep::Identity, ReduceStep::Sum, true), object.as_bytes());
    assert_eq!(feed(&job).err().unwrap().to_string(), message);
    // Without combining it is found in the reduce task.
    let job = Job::new(compile(MapStep::Identity, ReduceStep::Sum, false), object.as_bytes());
    let input = feed(&job).unwrap().input(0, 1);
    let error = reduce(&job.program, vec![input], &OutputOptions::default(), &mut Vec::new());
    assert_eq!(error.err().unwrap().to_string(), message);
}

#[test]
fn steps_that_are_not_available_say_so() {
    let message = |map, reduce| Program::compile(&map, Some(reduce), true).err().unwrap().to_string();
    assert_eq!(message(MapStep::Command, ReduceStep::Sum), "map.command is not available yet: use map.operator");
    assert_eq!(message(MapStep::Cel, ReduceStep::Sum), "map.cel is not available yet: use map.operator");
    assert_eq!(message(MapStep::Function, ReduceStep::Sum), "map.function is not available yet: use map.operator");
    let reduce = "reduce.command is not available yet: use reduce.operator";
    assert_eq!(message(MapStep::Words, ReduceStep::Command), reduce);
    assert_eq!(message(MapStep::Words, ReduceStep::Top { limit: 0 }), "reduce.limit must be at least 1");
    assert!(message(MapStep::Grep { pattern: "(".into() }, ReduceStep::Sum).starts_with("map.pattern: "));
}

/// Three records in three segments of two partitions.
fn segments() -> (Program, Vec<Mapped>) {
    let object: String = (0..2_000).map(|i| format!("{}\t{i}\n", i * 7919 % 1000)).collect();
    let program = compile(MapStep::Identity, ReduceStep::Sum, true);
    let job = Job { partitions: 2, cuts: vec![3_000, 9_000], ..Job::new(program, object.as_bytes()) };
    let maps = job.map();
    assert_eq!(maps.len(), 3);
    (job.program, maps)
}

/// Reduces partition 0 with the bytes of the second input replaced.
fn reduce_with(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
    let (program, maps) = segments();
    let mut inputs: Vec<ReduceInput<Chunks>> = maps.iter().map(|map| map.input(0, 2)).collect();
    let mut bytes = inputs[1].source.0.iter().flatten().copied().collect();
    change(&mut bytes);
    inputs[1].source = Chunks::from(Bytes::from(bytes));
    reduce(&program, inputs, &OutputOptions::default(), &mut Vec::new()).map(|_| ())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_found_and_its_input_named(at: prop::sample::Index, change in 1..=255u8, cut: bool) {
        let result = reduce_with(|bytes| {
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= change }
        });
        prop_assert!(matches!(result, Err(Error::Segment { input: 1, .. })), "{result:?}");
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(SegmentIndex::decode(&bytes, 2, bytes.len() as u64).is_err());
        let result = reduce_with(|range| *range = bytes);
        prop_assert!(matches!(result, Err(Error::Segment { input: 1, .. })), "{result:?}");
    }

    #[test]
    fn a_damaged_index_is_refused(at: prop::sample::Index, change in 1..=255u8) {
        let (_, maps) = segments();
        let segment = &maps[0].segment;
        let mut tail = segment[segment.len() - SegmentIndex::tail_len(2) as usize..].to_vec();
        prop_assert!(SegmentIndex::decode(&tail, 2, segment.len() as u64).is_ok());
        prop_assert!(SegmentIndex::decode(&tail, 2, segment.len() as u64 + 1).is_err());
        prop_assert!(SegmentIndex::decode(&tail, 3, segment.len() as u64).is_err());
        prop_assert!(SegmentIndex::decode(&tail[1..], 2, segment.len() as u64).is_err());
        let at = at.index(tail.len());
        tail[at] ^= change;
        prop_assert!(SegmentIndex::decode(&tail, 2, segment.len() as u64).is_err());
    }
}

struct Failing;

impl BlockSource for Failing {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        Err("NoSuchKey".into())
    }
}

impl Scratch for Failing {
    fn append(&self, _: &[u8]) -> Result<(), BoxError> {
        Err("no space left".into())
    }

    fn read_exact_at(&self, _: u64, _: &mut [u8]) -> Result<(), BoxError> {
        Err("no space left".into())
    }
}

#[test]
fn errors_of_the_caller_are_passed_on() {
    let (program, maps) = segments();
    let range = maps[0].output.index.partitions[0];
    let inputs = vec![ReduceInput { source: Failing, range }];
    let error = reduce(&program, inputs, &OutputOptions::default(), &mut Vec::new()).err().unwrap();
    assert_eq!(error.to_string(), "reading map output 0: NoSuchKey");

    let mut full = |_: &[u8]| -> Result<(), BoxError> { Err("disk full".into()) };
    let error = reduce(&program, vec![maps[0].input(0, 2)], &OutputOptions::default(), &mut full).err().unwrap();
    assert_eq!(error.to_string(), "writing output: disk full");

    let text: String = (0..100_000).map(|i| format!("{i} ")).collect();
    let program = compile(MapStep::Words, ReduceStep::Sum, true);
    let config = tributary_mapreduce_core::kernel::MapConfig {
        framing: Framing::Lines,
        partitions: 1,
        memory: 0,
        skip_bad_records: 9,
    };
    let mut task = tributary_mapreduce_core::kernel::MapTask::new(&program, &config, Box::new(Failing));
    task.begin("o", Split::WHOLE).unwrap();
    task.feed(text.as_bytes()).unwrap();
    assert_eq!(task.end().err().unwrap().to_string(), "scratch space: no space left");
}
