//! The examples: every one is verified, and what needs no cluster is run.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tributary(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(args).current_dir(root()).stdin(Stdio::null()).output().unwrap()
}

fn succeeded(args: &[&str]) -> String {
    let out = tributary(args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(out.status.code(), Some(0), "{args:?}\n{}\n{}", text(&out.stdout), text(&out.stderr));
    text(&out.stdout)
}

const TEXTS: &str = "text=examples/wordcount/texts/licenses";

#[test]
fn every_example_is_right_and_can_be_drawn() {
    let mut seen = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let dir = entry.unwrap().path();
        let path = dir.strip_prefix(root()).unwrap().to_str().unwrap();
        // flows and daemon jobs by themselves are for a cluster
        let ours = fs::read_dir(&dir).unwrap().any(|f| {
            let text = fs::read_to_string(f.unwrap().path()).unwrap_or_default();
            text.contains("kind: Pipeline\n") || text.contains("kind: Blueprint\n")
        });
        if !ours {
            continue;
        }
        assert!(succeeded(&["verify", path]).contains("verified"), "{path}");
        let pipelines: Vec<String> = succeeded(&["verify", path])
            .lines()
            .filter_map(|l| Some(l.strip_prefix("Pipeline ")?.strip_suffix(" verified")?.to_owned()))
            .collect();
        for pipeline in &pipelines {
            for format in ["text", "ascii", "mermaid", "dot", "svg"] {
                let drawn = succeeded(&["graph", path, "--pipeline", pipeline, "-o", format]);
                assert!(drawn.lines().count() > 2, "{path} as {format}: {drawn}");
            }
            let plan = succeeded(&["plan", path, "--pipeline", pipeline, "--from", path]);
            assert_eq!(plan.lines().last().unwrap().split(' ').nth(1), Some("unchanged"), "{path}: {plan}");
        }
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

fn rows(out: &Path, location: &str) -> Vec<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(out.join(location)).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.file_name().unwrap().to_str().unwrap().starts_with("part-"));
    files.sort();
    files.iter().flat_map(|f| fs::read_to_string(f).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn the_fan_out_finds_each_phrase() {
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().to_str().unwrap();
    succeeded(&["run", "examples/phrases", "--dataset", TEXTS, "--out", dir]);
    let texts: Vec<String> = fs::read_dir(root().join("examples/wordcount/texts/licenses"))
        .unwrap()
        .map(|e| String::from_utf8_lossy(&fs::read(e.unwrap().path()).unwrap()).to_lowercase())
        .collect();
    let lines = |word: &str| {
        let mut all: Vec<&str> = texts.iter().flat_map(|t| t.lines()).filter(|l| l.contains(word)).collect();
        all.sort_unstable();
        all.dedup();
        all.len()
    };
    let found = rows(out.path(), "results/phrases");
    assert_eq!(found.len(), 3, "{found:?}");
    for (name, word) in [("patent", "patent"), ("source", "source code")] {
        let told = found.iter().find(|l| l.starts_with(&format!("phrases-find-{name} lines "))).unwrap();
        let n: usize = told.rsplit(' ').next().unwrap().trim().parse().unwrap();
        // lines that differ only in case are two rows there, and one here
        assert!(n >= lines(word) && lines(word) > 10, "{told}: {}", lines(word));
    }
}

#[test]
fn one_blueprint_runs_in_two_environments() {
    for environment in ["dev", "prod"] {
        let out = tempfile::tempdir().unwrap();
        let (dir, name) = (out.path().to_str().unwrap(), format!("popular-words-{environment}"));
        let args =
            ["run", "examples/environments", "--pipeline", &name, "--skip", "publish", "-d", TEXTS, "--out", dir];
        succeeded(&args);
        let top = rows(out.path(), &format!("results/{environment}/top"));
        assert_eq!(top.len(), if environment == "dev" { 10 } else { 100 });
        assert!(rows(out.path(), &format!("results/{environment}/words")).len() > 1_000);
    }
}

#[test]
fn what_is_scheduled_runs_at_once_by_hand() {
    let out = tempfile::tempdir().unwrap();
    let told = succeeded(&["run", "examples/nightly", "--dataset", TEXTS, "--out", out.path().to_str().unwrap()]);
    assert!(told.contains("run 1 of nightly has ended"), "{told}");
    assert!(rows(out.path(), "results/nightly/1").len() > 1_000);
}
