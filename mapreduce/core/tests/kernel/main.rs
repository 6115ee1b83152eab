//! The kernel against a reference, over random inputs, splits, partitions and memory limits.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod errors;
mod job;
mod operators;
mod splits;

use std::collections::BTreeMap;

use proptest::prelude::*;
use tributary_mapreduce_core::kernel::{MapStep, Program, ReduceStep, partition};

use job::Job;

fn compile(map: MapStep, reduce: ReduceStep, combine: bool) -> Program {
    Program::compile(&map, Some(reduce), combine).unwrap()
}

/// The words and their counts as lines, by partition.
fn counted(text: &[u8], partitions: u32) -> Vec<Vec<u8>> {
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for word in text.split(|b| matches!(b, 9..=13 | 32)).filter(|w| !w.is_empty()) {
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

/// Text of few and of many distinct words, short and long, with all kinds of white space and bytes beyond ASCII.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => "[a-c]{1,3}".prop_map(String::into_bytes),
        4 => "[a-z]{1,20}".prop_map(String::into_bytes),
        1 => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), 33..127u8], 1..40),
        1 => "[a-b]{7,18}".prop_map(String::into_bytes),
        1 => "[a-b]{26,31}".prop_map(String::into_bytes),
    ];
    let space = prop::sample::select(vec![&b" "[..], b"\n", b"\t", b"  ", b"\r\n", b"\n\n", b"\x0b\x0c", b" \n "]);
    prop::collection::vec((word, space), 0..400)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, space)| [word, space.to_vec()].concat()).collect())
}

fn cuts() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn words_are_counted(
        text in text(), cuts in cuts(), chunk in 1..300usize, partitions in 1..6u32, combine: bool, count: bool,
        memory in prop::sample::select(vec![0, 1 << 24]),
    ) {
        let step = if count { ReduceStep::Count } else { ReduceStep::Sum };
        let program = compile(MapStep::Words, step, combine);
        let job = Job { cuts, chunk, partitions, memory, ..Job::new(program, &text) };
        let maps = job.map();
        prop_assert_eq!(maps.iter().map(|m| m.output.stats.bytes_read).sum::<u64>(), text.len() as u64);
        let lines = splits::lines(&text).len() as u64;
        prop_assert_eq!(maps.iter().map(|m| m.output.stats.records_read).sum::<u64>(), lines);
        prop_assert_eq!(job.run(), counted(&text, partitions));
    }
}

/// Text with far more distinct words than fit into the least memory.
fn large_text() -> Vec<u8> {
    let mut state = 7u64;
    let mut text = Vec::new();
    while text.len() < 600_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = format!("{:x}", (state >> 33) % 40_000);
        let word = if state >> 60 == 0 { word.repeat(9) } else { word };
        text.extend_from_slice(word.as_bytes());
        text.push(if state >> 62 == 0 { b'\n' } else { b' ' });
    }
    text
}

/// Runs beyond those that are merged at once, and the same bytes as without a spill.
#[test]
fn spills_change_nothing() {
    let text = large_text();
    for (step, combine) in [(ReduceStep::Sum, true), (ReduceStep::Sum, false), (ReduceStep::Identity, true)] {
        let program = compile(MapStep::Words, step, combine);
        let roomy = Job { partitions: 3, memory: 1 << 28, chunk: 1 << 16, ..Job::new(program, &text) };
        let tight = Job { memory: 0, ..roomy.clone() };
        let (roomy_maps, tight_maps) = (roomy.map(), tight.map());
        assert_eq!(roomy_maps[0].output.stats.spills, 0);
        assert!(tight_maps[0].output.stats.spills > 16, "{:?}", tight_maps[0].output.stats);
        assert!(roomy_maps[0].segment == tight_maps[0].segment, "{step:?} {combine}");
        if step == ReduceStep::Sum {
            assert_eq!(tight.run(), counted(&text, 3));
        }
    }
}
