//! `tributary graph`
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::process::Command;

const PIPELINE: &str = "\
apiVersion: tributary.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  stores: {data: {}}
  kafka: {clusters: {main: {bootstrapServers: 'kafka:9092'}}}
  blueprint:
    topics:
      - name: lines
    datasets:
      - {name: counts, location: results/counts}
    components:
      - name: tell
        after: [count]
        template: {apiVersion: batch/v1, kind: Job, spec: {template: {spec: {containers: [{name: c, image: i}]}}}}
      - name: count
        reads: {input: lines}
        writes: {output: counts}
        template:
          apiVersion: tributary.dev/v1alpha1
          kind: MapReduceJob
          spec: {input: {kafka: {end: {highWatermark: true}}}, map: {operator: Words}, reduce: {operator: Sum}}
";

fn graph(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.yaml"), PIPELINE).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let out = command.args(["graph", "p.yaml"]).args(args).current_dir(dir.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn components_are_listed_after_those_they_wait_for() {
    let expected = "\
count: tributary.dev/v1alpha1 MapReduceJob
  reads   input   topic lines: default.p.lines
  writes  output  dataset counts: s3://results/counts

tell: batch/v1 Job
  waits for  count  to have succeeded (after)
";
    assert_eq!(graph(&[]), expected);
}

#[test]
fn mermaid_draws_data_and_waiting() {
    let expected = "\
flowchart LR
  n0[\"count<br/>MapReduceJob\"]
  n1[\"tell<br/>Job\"]
  n2([\"lines\"])
  n3[(\"counts\")]
  n0 -.-> n1
  n0 --> n3
  n2 --> n0
";
    assert_eq!(graph(&["-o", "mermaid"]), expected);
}
