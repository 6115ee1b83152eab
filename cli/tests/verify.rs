//! `tributary verify`: every problem, at its place.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const BLUEPRINT: &str = "\
apiVersion: tributary.dev/v1alpha1
kind: Blueprint
metadata: {name: b}
spec:
  parameters:
    n: {type: integer, default: 1}
  datasets:
    - {name: text, location: texts/b}
  components:
    - name: count
      reads:
        input: txet
      template:
        apiVersion: tributary.dev/v1alpha1
        kind: MapReduceJob
        spec:
          map: {operator: Words}
          partitions: ${parameters.m}
          output: {results: {}}
    - name: other
      template:
        apiVersion: tributary.dev/v1alpha1
        kind: MapReduceJob
        spec:
          input: {strings: [a]}
          map: {operator: words}
          output: {results: {}}
";

const PIPELINE: &str = "\
apiVersion: tributary.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  blueprintRef: {name: b}
  parameters: {n: x}
  stores: {data: {}}
";

fn verify(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.arg("verify").args(args).arg(".").current_dir(dir).output().unwrap()
}

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn every_problem_of_both_files_is_said_in_one_pass_with_its_place() {
    let dir = dir(&[("b.yaml", BLUEPRINT), ("p.yaml", PIPELINE)]);
    let out = verify(dir.path(), &[]);
    assert_eq!(out.status.code(), Some(1));
    let stderr = String::from_utf8(out.stderr).unwrap();
    for (place, reason) in [
        ("b.yaml:12:9: Blueprint b: spec.components[0].reads.input", "did you mean `text`?"),
        ("b.yaml:26:17: Blueprint b: spec.components[1].template.spec.map.operator", "did you mean `Words`?"),
        ("b.yaml:18:11: Blueprint b: spec.components[0].template.spec.partitions", "there is no parameter `m`"),
        ("p.yaml:6:16: Pipeline p: spec.parameters.n", "integer"),
    ] {
        let line = stderr.lines().find(|l| l.contains(place));
        assert!(line.is_some_and(|l| l.contains(reason)), "{place} ... {reason}:\n{stderr}");
    }
    let files: Vec<_> = stderr.lines().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(files, ["b.yaml", "b.yaml", "b.yaml", "p.yaml"], "{stderr}");
}

#[test]
fn problems_are_there_for_programs_too() {
    let dir = dir(&[("b.yaml", BLUEPRINT), ("p.yaml", PIPELINE)]);
    let out = verify(dir.path(), &["-o", "json"]);
    assert_eq!(out.status.code(), Some(1));
    let problems: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(problems.len(), 4);
    let first = problems.iter().find(|p| p["path"] == "spec.components[0].reads.input").unwrap();
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(12), Some(9)));
    assert_eq!(first["suggestion"], "text");
    assert!(first["code"].as_str().is_some_and(|c| !c.is_empty()));
}

#[test]
fn what_is_right_is_said_too() {
    let good = BLUEPRINT.replace("txet", "text").replace(": words", ": Words").replace(".m}", ".n}");
    let dir = dir(&[("b.yaml", &good), ("p.yaml", &PIPELINE.replace("n: x", "n: 2"))]);
    let out = verify(dir.path(), &[]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(String::from_utf8(out.stdout).unwrap(), "Blueprint b verified\nPipeline p verified\n");
    let out = verify(dir.path(), &["-o", "json"]);
    assert_eq!(out.stdout, b"[]\n");
}

#[test]
fn a_blueprint_alone_is_verified_for_itself() {
    let dir = dir(&[("b.yaml", BLUEPRINT)]);
    let stderr = String::from_utf8(verify(dir.path(), &[]).stderr).unwrap();
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
}

#[test]
fn a_blueprint_that_is_not_there_is_said_at_its_reference() {
    let dir = dir(&[("b.yaml", BLUEPRINT), ("p.yaml", &PIPELINE.replace("{name: b}", "{name: bb}"))]);
    let stderr = String::from_utf8(verify(dir.path(), &[]).stderr).unwrap();
    assert!(stderr.contains("p.yaml:5:18: Pipeline p: spec.blueprintRef.name: no Blueprint `bb`"), "{stderr}");
}

#[test]
fn a_pipeline_without_any_blueprint_is_a_problem() {
    let dir = dir(&[("p.yaml", &PIPELINE.replace("{name: b}", "").replace("  parameters: {n: x}\n", ""))]);
    let out = verify(dir.path(), &[]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(stderr.starts_with("p.yaml:4:1: Pipeline p: spec: "), "{stderr}");
}

#[test]
fn files_without_anything_of_ours_are_an_error() {
    let dir = dir(&[("s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n")]);
    let out = verify(dir.path(), &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().contains("there is no Pipeline and no Blueprint"));
}
