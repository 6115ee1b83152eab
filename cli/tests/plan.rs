//! `tributary plan`, and what `verify` says of definitions and of several Pipelines.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PIPELINE: &str = "\
apiVersion: tributary.dev/v1alpha1
kind: Pipeline
metadata: {name: p}
spec:
  stores: {data: {}}
  kafka: {clusters: {main: {bootstrapServers: 'kafka:9092'}}}
  blueprint:
    parameters: {size: {type: integer, default: 1}}
    topics:
      - {name: events, topicName: events, partitions: 4}
    components:
      - name: thing
        reads: {in: events}
        template: {apiVersion: example.com/v1, kind: Thing, spec: {size: '${parameters.size}'}}
";

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {sizes: {type: string}}}}}}
";

fn tributary(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tributary")).args(args).current_dir(dir).output().unwrap()
}

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn stdout(out: &Output) -> String {
    String::from_utf8(out.stdout.clone()).unwrap()
}

#[test]
fn a_plan_is_there_for_programs() {
    let dir = dir(&[("old.yaml", PIPELINE), ("new.yaml", &PIPELINE.replace("default: 1", "default: 2"))]);
    let out = tributary(dir.path(), &["plan", "new.yaml", "--from", "old.yaml", "-o", "json"]);
    assert_eq!(out.status.code(), Some(0));
    let steps: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap();
    let thing = steps.iter().find(|s| s["name"] == "thing").unwrap();
    assert_eq!((&thing["effect"], &thing["fields"][0]), (&"inPlace".into(), &"spec.size".into()));
    let told = stdout(&tributary(dir.path(), &["plan", "old.yaml", "--from", "old.yaml", "-p", "size=3"]));
    assert!(told.contains("in place") && told.contains("fields: spec.size"), "{told}");
    let told = stdout(&tributary(dir.path(), &["plan", "old.yaml"]));
    assert!(told.ends_with("2 create\n"), "{told}");
}

#[test]
fn a_plan_that_cannot_be_carried_out_fails() {
    let dir = dir(&[("old.yaml", PIPELINE), ("new.yaml", &PIPELINE.replace("partitions: 4", "partitions: 2"))]);
    let out = tributary(dir.path(), &["plan", "new.yaml", "--from", "old.yaml"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(stdout(&out).contains("Kafka cannot take partitions away: it has 4, not 2"), "{}", stdout(&out));
}

#[test]
fn definitions_in_files_say_what_a_kind_has() {
    let dir = dir(&[("p.yaml", PIPELINE), ("crds/thing.yaml", DEFINITION)]);
    assert_eq!(tributary(dir.path(), &["verify", "p.yaml"]).status.code(), Some(0));
    let out = tributary(dir.path(), &["verify", "p.yaml", "--crds", "crds"]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains(
            "p.yaml:14:66: Pipeline p: spec.blueprint.components[0].template.spec.size: there is no field `size`"
        ),
        "{stderr}"
    );
    assert!(stderr.contains("did you mean `sizes`?"), "{stderr}");
}

#[test]
fn github_shows_problems_beside_their_lines() {
    let dir = dir(&[("p.yaml", &PIPELINE.replace("in: events", "in: event"))]);
    let out = tributary(dir.path(), &["verify", "p.yaml", "--format", "github"]);
    assert_eq!(out.status.code(), Some(1));
    let expected = "::error file=p.yaml,line=13,col=17,title=UnknownTarget%3A Pipeline p::spec.blueprint.components[0].reads.in: \
        there is no topic or dataset `event`; there is only `events` (did you mean `events`?)\n";
    assert_eq!(stdout(&out), expected);
}

#[test]
fn two_pipelines_that_own_one_topic_are_both_told() {
    let other = PIPELINE.replace("{name: p}", "{name: q}");
    let dir = dir(&[("p.yaml", PIPELINE), ("q.yaml", &other)]);
    let out = tributary(dir.path(), &["verify", "."]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), stderr.lines().count()), (Some(1), 2), "{stderr}");
    for (file, name) in [("p.yaml", "q"), ("q.yaml", "p")] {
        let told = format!("Pipeline default/{name} owns topic \"events\"");
        assert!(stderr.lines().any(|l| l.starts_with(file) && l.contains(&told)), "{stderr}");
    }
}
