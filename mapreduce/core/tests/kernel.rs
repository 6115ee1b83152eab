//! Map, spill, merge and reduce against a reference, over random inputs, splits and limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;
use tributary_mapreduce_core::kernel::{
    Chunks, Feed, Framing, MapConfig, MapOutput, MapStep, MapTask, MemoryScratch, OutputFormat, OutputOptions, Program,
    ReduceInput, ReduceStep, SegmentIndex, Split, partition, reduce,
};

/// One run of map tasks over an object cut into splits, and of the reduce tasks.
struct Job<'a> {
    program: Program,
    framing: Framing,
    object: &'a [u8],
    /// Where splits begin, besides 0.
    cuts: Vec<u64>,
    chunk: usize,
    partitions: u32,
    memory: usize,
}

impl Job<'_> {
    fn map(&self) -> Vec<(Vec<u8>, MapOutput)> {
        let size = self.object.len() as u64;
        let mut bounds: Vec<u64> = self.cuts.iter().map(|c| c % (size + 1)).chain([0, size]).collect();
        bounds.sort_unstable();
        let splits = bounds.windows(2).map(|w| Split { start: w[0], end: w[1] });
        splits.map(|split| self.map_split(split)).collect()
    }

    fn map_split(&self, split: Split) -> (Vec<u8>, MapOutput) {
        let config = MapConfig {
            framing: self.framing,
            partitions: self.program.partitions(self.partitions),
            memory: self.memory,
            skip_bad_records: 0,
        };
        let mut task = MapTask::new(&self.program, &config, Box::new(MemoryScratch::default()));
        let mut state = task.begin("object", split).unwrap();
        let start = (self.framing.read_from(split) as usize).min(self.object.len());
        for chunk in self.object[start..].chunks(self.chunk) {
            if state == Feed::Done {
                break;
            }
            state = task.feed(chunk).unwrap();
        }
        task.end().unwrap();
        let mut segment = Vec::new();
        let output = task.finish(&mut segment).unwrap();
        (segment, output)
    }

    fn reduce(&self, maps: &[(Vec<u8>, MapOutput)], format: OutputFormat) -> Vec<Vec<u8>> {
        let partitions = self.program.partitions(self.partitions);
        let of_partition = |p: u32| {
            let inputs = maps.iter().map(|(segment, _)| {
                let tail = &segment[segment.len() - SegmentIndex::tail_len(partitions) as usize..];
                let index = SegmentIndex::decode(tail, partitions, segment.len() as u64).unwrap();
                let range = index.partitions[p as usize];
                let bytes = &segment[range.offset as usize..][..range.length as usize];
                ReduceInput { source: Chunks(bytes.chunks(777).map(Bytes::copy_from_slice).collect()), range }
            });
            let mut out = Vec::new();
            let options = OutputOptions { format, first_rows: 3 };
            let output = reduce(&self.program, inputs.collect(), &options, &mut out).unwrap();
            assert_eq!(output.bytes_written, out.len() as u64);
            assert_eq!(output.records_written, out.split(|&b| b == b'\n').count() as u64 - 1);
            out
        };
        (0..partitions).map(of_partition).collect()
    }

    fn run(&self) -> Vec<Vec<u8>> {
        self.reduce(&self.map(), OutputFormat::Lines)
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| matches!(b, 9..=13 | 32)).filter(|w| !w.is_empty())
}

fn counted(text: &[u8], partitions: u32) -> Vec<Vec<u8>> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for word in words(text) {
        *counts.entry(word).or_default() += 1;
    }
    let mut outputs = vec![Vec::new(); partitions as usize];
    for (word, count) in counts {
        let out = &mut outputs[partition(word, partitions) as usize];
        out.extend_from_slice(word);
        out.extend_from_slice(format!("\t{count}\n").as_bytes());
    }
    outputs
}

/// Text of few and of many distinct words, short and long, with all kinds of white space and with bytes beyond ASCII.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => "[a-c]{1,3}".prop_map(String::into_bytes),
        4 => "[a-z]{1,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), 33..127u8], 1..40),
        1 => "[a-b]{7,18}".prop_map(String::into_bytes),
    ];
    let space = prop::sample::select(vec![&b" "[..], b"\n", b"\t", b"  ", b"\r\n", b"\n\n", b"\x0b\x0c", b" \n "]);
    prop::collection::vec((word, space), 0..400)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, space)| [word, space.to_vec()].concat()).collect())
}

fn cuts() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..6)
}

fn lines(object: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = object.split(|&b| b == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn words_are_counted(
        text in text(), cuts in cuts(), chunk in 1..300usize, partitions in 1..6u32, combine: bool, count: bool,
    ) {
        let step = if count { ReduceStep::Count } else { ReduceStep::Sum };
        let program = Program::compile(&MapStep::Words, Some(step), combine).unwrap();
        let job = Job { program, framing: Framing::Lines, object: &text, cuts, chunk, partitions, memory: 0 };
        let maps = job.map();
        prop_assert_eq!(maps.iter().map(|(_, out)| out.stats.bytes_read).sum::<u64>(), text.len() as u64);
        prop_assert_eq!(maps.iter().map(|(_, out)| out.stats.records_read).sum::<u64>(), lines(&text).len() as u64);
        prop_assert_eq!(job.reduce(&maps, OutputFormat::Lines), counted(&text, partitions));
    }

    #[test]
    fn every_line_is_read_once_and_in_order(
        object in prop::collection::vec(prop_oneof![3 => Just(b'a'), 2 => Just(b'\n'), 1 => any::<u8>()], 0..200),
        cuts in cuts(), chunk in 1..40usize,
    ) {
        let program = Program::compile(&MapStep::Identity, None, true).unwrap();
        let job = Job { program, framing: Framing::Lines, object: &object, cuts, chunk, partitions: 1, memory: 0 };
        let mut expected = lines(&object);
        // Pairs are ordered by key: what is before the first TAB; equal ones stay in order.
        expected.sort_by_key(|line| line.split(|&b| b == b'\t').next());
        let mut expected: Vec<u8> = expected.into_iter().flat_map(|line| [line, b"\n"].concat()).collect();
        // A key with an empty value loses its TAB.
        let out = job.run().concat();
        if expected != out {
            expected = expected.split_inclusive(|&b| b == b'\n').flat_map(|line| match line.strip_suffix(b"\t\n") {
                Some(key) if !key.contains(&b'\t') => [key, b"\n"].concat(),
                _ => line.to_vec(),
            }).collect();
        }
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn every_fixed_length_record_is_read_once(
        records in 0..50usize, length in 1..9usize, cuts in cuts(), chunk in 1..40usize, seed: u8,
    ) {
        let object: Vec<u8> = (0..records * length).map(|i| b'a' + ((i * 7 + i / 5) as u8 ^ seed) % 26).collect();
        let program = Program::compile(&MapStep::Identity, None, true).unwrap();
        let framing = Framing::FixedLength(NonZeroU32::new(length as u32).unwrap());
        let job = Job { program, framing, object: &object, cuts, chunk, partitions: 1, memory: 0 };
        let mut expected: Vec<_> = object.chunks(length).collect();
        expected.sort_unstable();
        let expected: Vec<u8> = expected.into_iter().flat_map(|record| [record, b"\n"].concat()).collect();
        prop_assert_eq!(job.run().concat(), expected);
    }
}
