//! Loading manifests: what is right is taken, what is wrong is said with file, line, column and reason.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;

use tributary_cli::manifest::load;

/// The complaints about one file's text, without the directory that it stands in.
fn complaints(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.yaml");
    fs::write(&file, text).unwrap();
    let prefix = format!("{}/", dir.path().display());
    load(&[file]).1.iter().map(|c| c.to_string().replace(&prefix, "")).collect()
}

fn pipeline(spec: &str) -> String {
    format!("apiVersion: tributary.dev/v1alpha1\nkind: Pipeline\nmetadata:\n  name: p\nspec:\n{spec}")
}

#[test]
fn a_misspelled_field_is_said_once_with_what_was_meant() {
    let text = pipeline(
        "  blueprint:\n    components:\n      - name: count\n        templte: {kind: MapReduceJob}\n  stors: {data: {}}\n",
    );
    assert_eq!(
        complaints(&text),
        [
            "x.yaml:9:9: Pipeline p: spec.blueprint.components[0].templte: there is no field `templte` here (did you mean `template`?)",
            "x.yaml:10:3: Pipeline p: spec.stors: there is no field `stors` here (did you mean `stores`?)",
        ]
    );
}

#[test]
fn types_enumerations_patterns_and_limits_are_checked() {
    let cases = [
        ("  suspend: maybe\n  blueprintRef: {name: b}\n", "6:3", "must be of type boolean, not a string"),
        ("  updatePolicy: automatic\n  blueprintRef: {name: b}\n", "6:3", "(did you mean `Automatic`?)"),
        ("  revision: 0\n  blueprintRef: {name: b}\n", "6:3", "must be 1 or more, but is 0"),
        ("  revision: 1.5\n  blueprintRef: {name: b}\n", "6:3", "must be of type integer, not a number"),
        ("  blueprintRef: 5\n", "6:3", "must be of type object, not an integer"),
        ("  blueprintRef: {name: \"\"}\n", "6:18", "must have at least 1 characters, but has 0"),
        ("  blueprintRef: {}\n", "6:3", "spec.blueprintRef.name: is required"),
        ("  blueprint: {components: []}\n", "6:15", "must have at least 1 elements, but has 0"),
        ("  blueprint:\n    components: [{name: A_b, template: {}}]\n", "7:19", "\"A_b\" does not match"),
        (
            "  blueprint:\n    components:\n      - {name: a, template: {}}\n      - {name: a, template: {}}\n",
            "9:10",
            "`a` stands there twice: spec.blueprint.components[0] has it already",
        ),
    ];
    for (spec, place, reason) in cases {
        let found = complaints(&pipeline(spec));
        assert_eq!(found.len(), 1, "{spec}: {found:#?}");
        assert!(found[0].starts_with(&format!("x.yaml:{place}: ")), "{place}: {found:#?}");
        assert!(found[0].contains(reason), "{reason}: {found:#?}");
    }
}

#[test]
fn the_cel_rules_of_the_kinds_are_checked() {
    let cases = [
        ("  suspend: true\n", "exactly one of blueprintRef and blueprint must be set"),
        (
            "  blueprintRef: {name: b}\n  kafka: {clusters: {c: {bootstrapServers: x}}, topics: {provider: Strimzi}}\n",
            "provider Strimzi needs cluster",
        ),
        ("  blueprintRef: {name: b}\n  timeZone: Europe/Zurich\n", "timeZone goes with schedule"),
    ];
    for (spec, reason) in cases {
        let found = complaints(&pipeline(spec));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains(reason), "{found:#?}");
    }
    let name = "n".repeat(41);
    let text = pipeline("  blueprintRef: {name: b}\n").replace("name: p", &format!("name: {name}"));
    assert!(complaints(&text)[0].contains("at most 40 characters"), "{:#?}", complaints(&text));
}

#[test]
fn names_kinds_and_versions_are_checked() {
    let good = pipeline("  blueprintRef: {name: b}\n");
    assert_eq!(complaints(&good), [""; 0]);
    assert_eq!(complaints(&format!("{good}  suspend:\n  stores: {{}}\nstatus:\n")), [""; 0]);
    let cases = [
        (good.replace("kind: Pipeline", "kind: Pipline"), "2:1", "has no kind `Pipline` (did you mean `Pipeline`?)"),
        (
            good.replace("v1alpha1", "v1"),
            "1:1",
            "no version `tributary.dev/v1` (did you mean `tributary.dev/v1alpha1`?)",
        ),
        (good.replace("kind: Pipeline\n", ""), "1:1", "the field `kind` is missing"),
        (good.replace("name: p", "name: P_1"), "4:3", "`P_1` is no name"),
        (good.replace("name: p", "nmae: p"), "4:3", "there is no field `nmae` here (did you mean `name`?)"),
        (good.replace("name: p", "{name: p, labels: {a: 1}}"), "4:22", "must be of type string, not an integer"),
        ("a: b: c\n".to_owned(), "1:", "mapping values"),
        ("just text\n".to_owned(), "1:1", "the field `apiVersion` is missing"),
    ];
    for (text, place, reason) in cases {
        let found = complaints(&text);
        assert!(found[0].starts_with(&format!("x.yaml:{place}")) && found[0].contains(reason), "{reason}: {found:#?}");
    }
}

#[test]
fn other_kinds_are_left_alone_and_lists_are_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: s}, anything: [1]}\n\
                - {apiVersion: tributary.dev/v1alpha1, kind: Pipeline, metadata: {name: p}, spec: {blueprintRef: {name: b}}}\n";
    fs::write(dir.path().join("a.yaml"), list).unwrap();
    fs::write(dir.path().join("b.json"), r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}"#)
        .unwrap();
    fs::write(dir.path().join("c.txt"), "not: [yaml").unwrap();
    let (manifests, complaints) = load(&[dir.path().to_owned()]);
    assert_eq!(complaints, []);
    assert_eq!(manifests.pipelines[0].object.metadata.name.as_deref(), Some("p"));
    let others: Vec<_> = manifests.others.iter().map(|o| format!("{} {}", o.kind, o.name)).collect();
    assert_eq!(others, ["Secret s", "ConfigMap c"]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let found = load(&[dir.path().to_owned(), PathBuf::from("/nowhere/x.yaml")]).1;
    assert_eq!(found.len(), 2);
    assert!(found[0].message.contains("no .yaml, .yml or .json file"), "{}", found[0]);
    assert_eq!(found[1].to_string(), "/nowhere/x.yaml:1:1: no such file or directory");
    fs::write(dir.path().join("x.yaml"), b"a: 1\nb: \xff\n").unwrap();
    let found = load(&[dir.path().join("x.yaml")]).1;
    assert_eq!((found[0].line, found[0].message.as_str()), (2, "is not UTF-8 text"));
}

#[test]
fn what_is_right_is_there_beside_what_is_wrong() {
    let text = format!(
        "{}---\n{}",
        pipeline("  blueprintRef: {name: b}\n"),
        pipeline("  nothing: here\n").replace("name: p", "name: q")
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.yaml"), text).unwrap();
    let (manifests, complaints) = load(&[dir.path().to_owned()]);
    assert_eq!(manifests.pipelines.len(), 1);
    assert!(complaints[0].to_string().contains("Pipeline q: spec.nothing: there is no field"), "{}", complaints[0]);
}

#[test]
fn the_examples_are_right() {
    let examples = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples"));
    let mut count = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let (manifests, complaints) = load(&[entry.unwrap().path()]);
        assert_eq!(complaints, []);
        count += manifests.pipelines.len();
    }
    assert!(count >= 2);
}
