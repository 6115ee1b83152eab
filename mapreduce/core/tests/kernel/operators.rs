//! The reduce operators against a reference.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tributary_mapreduce_core::kernel::{MapStep, OutputFormat, OutputOptions, ReduceStep, partition};

use crate::job::{Job, Mapped};
use crate::{compile, cuts};

type Groups = BTreeMap<String, Vec<i64>>;

/// What an operator makes of the pairs, by partition.
fn expected(step: ReduceStep, groups: &Groups, partitions: u32) -> Vec<String> {
    let mut outputs = vec![String::new(); partitions as usize];
    for (key, values) in groups {
        let out = &mut outputs[partition(key.as_bytes(), partitions) as usize];
        let row = |value: String| format!("{key}\t{value}\n");
        match step {
            ReduceStep::Sum => *out += &row(values.iter().sum::<i64>().to_string()),
            ReduceStep::Count => *out += &row(values.len().to_string()),
            ReduceStep::Min => *out += &row(values.iter().min().unwrap().to_string()),
            ReduceStep::Max => *out += &row(values.iter().max().unwrap().to_string()),
            ReduceStep::Distinct => *out += &format!("{key}\n"),
            ReduceStep::Identity => values.iter().for_each(|value| *out += &row(value.to_string())),
            _ => unreachable!(),
        }
    }
    outputs
}

fn groups(pairs: &[(String, i64)]) -> Groups {
    let mut groups = Groups::new();
    for (key, value) in pairs {
        groups.entry(key.clone()).or_default().push(*value);
    }
    groups
}

fn lines(pairs: &[(String, i64)]) -> Vec<u8> {
    pairs.iter().flat_map(|(key, value)| format!("{key}\t{value}\n").into_bytes()).collect()
}

fn pairs() -> impl Strategy<Value = Vec<(String, i64)>> {
    prop::collection::vec(("[a-e]{0,2}|[a-b]{8,40}", -1_000_000_000..1_000_000_000i64), 0..300)
}

fn step() -> impl Strategy<Value = ReduceStep> {
    use ReduceStep::{Count, Distinct, Identity, Max, Min, Sum};
    prop::sample::select(vec![Sum, Count, Min, Max, Distinct, Identity])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn each_key_is_reduced(
        pairs in pairs(), step in step(), combine: bool, cuts in cuts(), partitions in 1..5u32,
        memory in prop::sample::select(vec![0, 1 << 24]),
    ) {
        let object = lines(&pairs);
        let program = compile(MapStep::Identity, step, combine);
        let job = Job { cuts, partitions, memory, ..Job::new(program, &object) };
        let out: Vec<String> = job.run().into_iter().map(|out| String::from_utf8(out).unwrap()).collect();
        prop_assert_eq!(out, expected(step, &groups(&pairs), partitions));
    }

    #[test]
    fn the_greatest_sums_are_kept(pairs in pairs(), limit in 1..20u32, combine: bool, cuts in cuts()) {
        let object = lines(&pairs);
        let program = compile(MapStep::Identity, ReduceStep::Top { limit }, combine);
        prop_assert_eq!(program.partitions(7), 1);
        let job = Job { cuts, partitions: 7, ..Job::new(program, &object) };
        let mut sums: Vec<(i64, String)> =
            groups(&pairs).into_iter().map(|(key, values)| (-values.iter().sum::<i64>(), key)).collect();
        sums.sort();
        let rows = sums.iter().take(limit as usize).map(|(sum, key)| format!("{key}\t{}\n", -sum));
        prop_assert_eq!(String::from_utf8(job.run().concat()).unwrap(), rows.collect::<String>());
    }

    #[test]
    fn a_mean_is_exact_whatever_the_order(values in prop::collection::vec(-1_000_000..1_000_000i64, 1..100), cut: u64) {
        // Values of three digits after the point; the mean has nine.
        let text = |v: &i64| format!("k\t{}{}.{:03}\n", if *v < 0 { "-" } else { "" }, v.abs() / 1000, v.abs() % 1000);
        let object: String = values.iter().map(text).collect();
        let program = compile(MapStep::Identity, ReduceStep::Mean, true);
        let job = Job { cuts: vec![cut], ..Job::new(program, object.as_bytes()) };
        let out = String::from_utf8(job.run().concat()).unwrap();
        let mean: f64 = out.strip_prefix("k\t").unwrap().trim_end().parse().unwrap();
        let exact = values.iter().sum::<i64>() as f64 / values.len() as f64 / 1000.0;
        prop_assert!((mean - exact).abs() < 1e-9 * exact.abs().max(1.0), "{mean} {exact}");
        let backwards: String = values.iter().rev().map(text).collect();
        let again = Job { object: backwards.as_bytes(), ..job };
        prop_assert_eq!(again.run().concat(), out.into_bytes());
    }
}

#[test]
fn words_go_with_every_operator() {
    use ReduceStep::{Count, Distinct, Identity, Max, Mean, Min, Sum, Top};
    let rows = [
        (Sum, "a\t2\nb\t1\n"),
        (Count, "a\t2\nb\t1\n"),
        (Min, "a\t1\nb\t1\n"),
        (Max, "a\t1\nb\t1\n"),
        (Mean, "a\t1\nb\t1\n"),
        (Distinct, "a\nb\n"),
        (Top { limit: 1 }, "a\t2\n"),
        (Identity, "a\t1\na\t1\nb\t1\n"),
    ];
    for (step, expected) in rows {
        for combine in [true, false] {
            let job = Job { cuts: vec![3], ..Job::new(compile(MapStep::Words, step, combine), b"a b\na\n") };
            assert_eq!(String::from_utf8(job.run().concat()).unwrap(), expected, "{step:?} {combine}");
        }
    }
}

#[test]
fn a_kafka_record_keeps_its_key() {
    let job = Job::new(compile(MapStep::Identity, ReduceStep::Identity, true), b"");
    let mut task = job.task();
    task.record(Some(b"k"), b"v\tw", &"offset 0").unwrap();
    task.record(None, b"a\tb", &"offset 1").unwrap();
    task.record(None, b"c", &"offset 2").unwrap();
    assert_eq!(task.stats().bytes_read, 8);
    let map = Mapped::of(task);
    assert_eq!(job.reduce(&[map], &OutputOptions::default())[0].0, b"a\tb\nc\nk\tv\tw\n");

    let job = Job::new(compile(MapStep::Words, ReduceStep::Count, true), b"");
    let mut task = job.task();
    task.record(Some(b"k"), b"v w v", &"offset 0").unwrap();
    assert_eq!(job.reduce(&[Mapped::of(task)], &OutputOptions::default())[0].0, b"v\t2\nw\t1\n");
}

#[test]
fn rows_are_json_too() {
    let object = b"a\"\xff\t1\na\"\xff\t2\nb\t\n";
    let json = |step| {
        let job = Job::new(compile(MapStep::Identity, step, true), object);
        let options = OutputOptions { format: OutputFormat::JsonLines, first_rows: 2 };
        let (out, output) = job.reduce(&job.map(), &options).remove(0);
        (String::from_utf8(out).unwrap(), output)
    };
    let (out, output) = json(ReduceStep::Identity);
    let rows =
        [r#"{"key":"a\"\ufffd","value":"1"}"#, r#"{"key":"a\"\ufffd","value":"2"}"#, r#"{"key":"b","value":""}"#];
    assert_eq!(out.replace('\u{fffd}', r"\ufffd"), rows.map(|row| row.to_owned() + "\n").concat());
    assert_eq!((output.records_read, output.records_written), (3, 3));
    assert_eq!(output.first_rows, [(b"a\"\xff".to_vec(), b"1".to_vec()), (b"a\"\xff".to_vec(), b"2".to_vec())]);
    assert_eq!(json(ReduceStep::Count).0.lines().last(), Some(r#"{"key":"b","value":1}"#));
    assert_eq!(json(ReduceStep::Distinct).0.lines().last(), Some(r#"{"key":"b","value":null}"#));
}

/// Blocks, chunks and the arena grow with a record.
#[test]
fn large_records_pass() {
    let large: String = (0..400_000u64).map(|i| char::from(b'a' + (i * i / 7 % 26) as u8)).collect();
    let object = format!("b\tx\n{large}\t{large}\na\t1\n");
    let program = compile(MapStep::Identity, ReduceStep::Identity, true);
    let job = Job { memory: 0, cuts: vec![2, 1000, 500_000], ..Job::new(program, object.as_bytes()) };
    let out = String::from_utf8(job.run().concat()).unwrap();
    let mut expected: Vec<&str> = object.lines().collect();
    expected.sort_by_key(|line| line.split('\t').next());
    assert!(out.lines().eq(expected));
}
