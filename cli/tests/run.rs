//! `tributary run`: the examples, and what goes wrong, by the binary itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn tributary(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// `tributary run` of an example or manifest, its output in a directory of its own.
struct Ran {
    output: Output,
    out: TempDir,
}

impl Ran {
    fn new(args: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let output = tributary(&["run", "--out", out.path().to_str().unwrap()]).args(args).output().unwrap();
        Self { output, out }
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    fn succeeded(self) -> Self {
        assert_eq!(self.output.status.code(), Some(0), "{}\n{}", self.stdout(), self.stderr());
        self
    }

    fn failed(self, code: i32, reasons: &[&str]) -> Self {
        assert_eq!(self.output.status.code(), Some(code), "{}\n{}", self.stdout(), self.stderr());
        for reason in reasons {
            assert!(self.stderr().contains(reason), "{reason}: {}", self.stderr());
        }
        self
    }

    /// The lines of a result, ordered by bytes; and how many parts it has.
    fn rows(&self, location: &str) -> (Vec<String>, usize) {
        rows(&self.out.path().join(location))
    }
}

fn rows(dir: &Path) -> (Vec<String>, usize) {
    assert!(dir.join("_SUCCESS").exists(), "{} is not committed", dir.display());
    let mut rows = Vec::new();
    let mut parts = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("part-r-") {
            parts += 1;
            rows.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
        }
    }
    rows.sort();
    (rows, parts)
}

/// `word TAB count` lines of files, by the tools that everybody has.
fn reference(files: &str) -> Vec<String> {
    let script = format!(
        r"for f in {files}; do cat $f; echo; done | tr -s '[:space:]' '\n' | sed '/^$/d' | sort | uniq -c \
          | sed -E 's/^ *([0-9]+) (.*)$/\2\t\1/'"
    );
    let out = Command::new("sh").args(["-c", &script]).env("LC_ALL", "C").current_dir(root()).output().unwrap();
    assert!(out.status.success() && !out.stdout.is_empty());
    let mut rows: Vec<String> = String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

/// A manifest with an inline blueprint.
fn pipeline(dir: &Path, blueprint: &str, rest: &str) -> String {
    let indented: String = blueprint.lines().map(|l| format!("    {l}\n")).collect();
    let text = format!(
        "apiVersion: tributary.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: p}}\nspec:\n  blueprint:\n{indented}\
         \u{20} stores: {{data: {{}}}}\n{rest}"
    );
    let file = dir.join("p.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

const JOB: &str = "apiVersion: tributary.dev/v1alpha1, kind: MapReduceJob";

#[test]
fn wordcount_equals_sort_and_uniq() {
    let ran = Ran::new(&["examples/wordcount"]).succeeded();
    let (rows, parts) = ran.rows("results/wordcount");
    assert_eq!(rows, reference("examples/wordcount/texts/licenses/*"));
    assert_eq!(parts, 3);
    let words = format!("{} rows", tributary_grouped(rows.len()));
    assert!(ran.stdout().contains(&words), "{}", ran.stdout());
    assert!(ran.stderr().lines().any(|l| l == "count: succeeded"), "{}", ran.stderr());
    let left: Vec<_> = fs::read_dir(ran.out.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["results"], "nothing but the result is left");
    let left = fs::read_dir(ran.out.path().join("results/wordcount")).unwrap().count();
    assert_eq!(left, 4, "three parts and _SUCCESS");
}

fn tributary_grouped(n: usize) -> String {
    assert!((1_000..1_000_000).contains(&n));
    format!("{},{:03}", n / 1_000, n % 1_000)
}

#[test]
fn the_report_has_the_status_and_the_plan() {
    let ran = Ran::new(&["examples/wordcount", "-o", "json", "--param", "partitions=5"]).succeeded();
    let report: Value = serde_json::from_slice(&ran.output.stdout).unwrap();
    assert_eq!(report["status"]["phase"], "Succeeded");
    assert_eq!(report["status"]["components"][0]["health"], "Succeeded");
    let engine = &report["engines"]["wordcount-count"];
    assert!(engine["map"]["total"].as_u64().unwrap() >= 4, "{engine}");
    assert_eq!(engine["reduce"]["done"], "5/5");
    let created = report["created"].as_array().unwrap();
    assert_eq!(created.len(), 1);
    assert_eq!(created[0]["kind"], "MapReduceJob");
    assert_eq!(created[0]["spec"]["partitions"], 5);
    assert_eq!(created[0]["spec"]["input"]["s3"]["uri"], "s3://texts/licenses");
    assert_eq!(created[0]["spec"]["input"]["s3"]["endpoint"], "http://s3.backing:9000");
    assert_eq!(ran.rows("results/wordcount").1, 5);
}

#[test]
fn wordcount_takes_any_directory_and_runs_again() {
    let text = tempfile::tempdir().unwrap();
    fs::create_dir_all(text.path().join("deep/er")).unwrap();
    fs::write(text.path().join("a b.txt"), "one two\ttwo\r\nthree").unwrap();
    fs::write(text.path().join("deep/er/c"), "two").unwrap();
    fs::write(text.path().join(".hidden"), "never").unwrap();
    fs::write(text.path().join("empty"), "").unwrap();
    let dataset = format!("text={}", text.path().display());
    let ran = Ran::new(&["examples/wordcount", "--dataset", &dataset]).succeeded();
    assert_eq!(ran.rows("results/wordcount").0, ["one\t1", "three\t1", "two\t3"]);
    assert!(ran.stdout().contains("  three  1"), "{}", ran.stdout());

    fs::write(text.path().join("a b.txt"), "four").unwrap();
    let out = ran.out.path().to_str().unwrap();
    let again = tributary(&["run", "examples/wordcount", "-d", &dataset, "--out", out]).output().unwrap();
    assert!(again.status.success());
    assert_eq!(ran.rows("results/wordcount").0, ["four\t1", "two\t1"], "the example says ifExists: Replace");
}

#[test]
fn topic_wordcount_counts_the_lines_of_a_file_or_of_the_standard_input() {
    let lines = "lines=examples/topic-wordcount/lines.txt";
    let ran = Ran::new(&["examples/topic-wordcount", "--topic", lines]).succeeded();
    assert_eq!(ran.rows("results/topic-wordcount"), (reference("examples/topic-wordcount/lines.txt"), 3));

    let out = tempfile::tempdir().unwrap();
    let args = ["run", "examples/topic-wordcount", "-t", "lines=-", "-p", "records=3", "--out"];
    let mut child = tributary(&args).arg(out.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a\nb\nb\nmore\nthan\nthree").unwrap();
    assert!(child.wait().unwrap().success());
    let (rows, _) = rows(&out.path().join("results/topic-wordcount"));
    let total: usize = rows.iter().map(|r| r.split('\t').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(total, 3, "of six records, a word each: {rows:?}");
}

#[test]
fn a_topic_that_nobody_fills_is_named_with_the_flag() {
    let ran = Ran::new(&["examples/topic-wordcount"]).failed(1, &["400 records of topic lines", "--topic lines=FILE"]);
    assert!(!ran.out.path().join("results").exists());
    let lines = "lines=examples/topic-wordcount/lines.txt";
    Ran::new(&["examples/topic-wordcount", "-t", lines, "-p", "records=401"]).failed(1, &["which has 400"]);
}

#[test]
fn a_missing_dataset_is_named_with_its_path_and_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["blueprint.yaml", "pipeline.yaml"] {
        fs::copy(root().join("examples/wordcount").join(file), dir.path().join(file)).unwrap();
    }
    let path = dir.path().to_str().unwrap();
    let tried = dir.path().join("texts/licenses");
    Ran::new(&[path]).failed(1, &["dataset text", tried.to_str().unwrap(), "--dataset text=DIR", "--store data=DIR"]);
    let store = format!("data={}", root().join("examples/wordcount").display());
    let ran = Ran::new(&[path, "--store", &store, "--dataset", "counts=/proc/none"]).failed(1, &["/proc/none"]);
    assert!(ran.stderr().contains("count"), "{}", ran.stderr());
}

#[test]
fn a_result_never_takes_the_place_of_other_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    let dataset = format!("counts={}", dir.path().display());
    Ran::new(&["examples/wordcount", "-d", &dataset])
        .failed(1, &["dataset counts", "is not empty", "--dataset counts=DIR"]);
    assert_eq!(fs::read_to_string(dir.path().join("thesis.txt")).unwrap(), "years of work");
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_there_is() {
    for (args, reasons) in [
        (
            &["examples/wordcount", "--dataset", "txet=/x"][..],
            &["there is no dataset `txet` (did you mean `text`?)"][..],
        ),
        (&["examples/wordcount", "--store", "x=/x"], &["no store `x`", "there is: data"]),
        (&["examples/wordcount", "--topic", "lines=/x"], &["no topic `lines`", "there is none"]),
        (&["examples/wordcount", "--skip", "cuont"], &["did you mean `count`?"]),
        (&["examples/wordcount", "--pipeline", "wordcuont"], &["did you mean `wordcount`?"]),
        (&["examples/wordcount", "--param", "partitions"], &["NAME=VALUE"]),
        (&["examples/wordcount", "--param", "partitions=[1"], &["--param partitions=[1"]),
        (
            &["examples/wordcount", "examples/topic-wordcount"],
            &["choose one with --pipeline: wordcount, topic-wordcount"],
        ),
        (&["examples/wordcount", "--nothing"], &["unexpected argument '--nothing'"]),
        (&[], &["Usage:"]),
    ] {
        Ran::new(args).failed(2, reasons);
    }
}

#[test]
fn a_wrong_parameter_is_a_problem_of_the_pipeline() {
    Ran::new(&["examples/wordcount", "-p", "partitions=many"]).failed(1, &["spec.parameters.partitions", "integer"]);
    Ran::new(&["examples/wordcount", "-p", "partitoins=2"]).failed(1, &["did you mean `partitions`?"]);
}

#[test]
fn two_jobs_run_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("docs/text")).unwrap();
    fs::write(dir.path().join("docs/text/a"), "b a c\nb\nb c\n").unwrap();
    let blueprint = format!(
        "datasets:
- {{name: text, location: docs/text}}
- {{name: counts, location: made/counts}}
- {{name: numbers, location: made/numbers}}
components:
- name: spread
  reads: {{input: counts}}
  writes: {{output: numbers}}
  template: {{{JOB}, spec: {{map: {{operator: Identity}}, reduce: {{operator: Sum}}}}}}
- name: count
  reads: {{input: text}}
  writes: {{output: counts}}
  template: {{{JOB}, spec: {{map: {{operator: Words}}, reduce: {{operator: Sum}}}}}}"
    );
    let file = pipeline(dir.path(), &blueprint, "");
    let ran = Ran::new(&[&file]).succeeded();
    assert_eq!(ran.rows("made/numbers").0, ["a\t1", "b\t3", "c\t2"]);
    assert!(ran.stderr().contains("spread: pending: waits for"), "{}", ran.stderr());

    // by default, what is there is not overwritten
    let out = ran.out.path().to_str().unwrap();
    let again = tributary(&["run", &file, "--out", out]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let stderr = String::from_utf8(again.stderr).unwrap();
    assert!(stderr.contains("component `count`") && stderr.contains("ifExists: Replace"), "{stderr}");
}

#[test]
fn a_failed_component_is_shown_with_its_own_words() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("docs/text")).unwrap();
    fs::write(dir.path().join("docs/text/a"), "x\tnot-a-number\n").unwrap();
    let blueprint = format!(
        "datasets:
- {{name: text, location: docs/text}}
- {{name: sums, location: made/sums}}
components:
- name: add
  reads: {{input: text}}
  writes: {{output: sums}}
  template: {{{JOB}, spec: {{map: {{operator: Identity}}, reduce: {{operator: Sum}}}}}}
- name: late
  after: [add]
  template: {{{JOB}, spec: {{input: {{strings: [a]}}, map: {{operator: Words}}, output: {{results: {{}}}}}}}}"
    );
    let ran = Ran::new(&[&pipeline(dir.path(), &blueprint, "")]).failed(1, &["add", "not-a-number"]);
    assert!(!ran.out.path().join("made/sums/_SUCCESS").exists());
    assert!(ran.stdout().contains("late") && !ran.stdout().contains("Succeeded"), "{}", ran.stdout());
}

#[test]
fn kinds_that_need_a_cluster_are_named_and_may_be_skipped() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("docs/text")).unwrap();
    fs::write(dir.path().join("docs/text/a"), "b a b\n").unwrap();
    let blueprint = format!(
        "datasets:
- {{name: text, location: docs/text}}
- {{name: counts, location: made/counts}}
components:
- name: fetch
  writes: {{text: text}}
  template:
    apiVersion: batch/v1
    kind: Job
    spec: {{template: {{spec: {{containers: [{{name: c, image: curl}}], restartPolicy: Never}}}}}}
- name: count
  reads: {{input: text}}
  writes: {{output: counts}}
  template: {{{JOB}, spec: {{map: {{operator: Words}}, reduce: {{operator: Sum}}}}}}"
    );
    let file = pipeline(dir.path(), &blueprint, "");
    Ran::new(&[&file]).failed(1, &["fetch (batch/v1 Job)", "--skip fetch"]);
    let ran = Ran::new(&[&file, "--skip", "fetch"]).succeeded();
    assert_eq!(ran.rows("made/counts").0, ["a\t1", "b\t2"]);
    assert!(ran.stdout().contains("Skipped"), "{}", ran.stdout());
}

#[test]
fn a_result_that_goes_nowhere_else_is_shown_from_the_status() {
    let dir = tempfile::tempdir().unwrap();
    let blueprint = format!(
        "components:
- name: greet
  template: {{{JOB}, spec: {{input: {{strings: [hello world, hello]}}, map: {{operator: Words}}, reduce: {{operator: Sum}}, \
         output: {{results: {{limit: 10}}}}}}}}"
    );
    let ran = Ran::new(&[&pipeline(dir.path(), &blueprint, "")]).succeeded();
    assert!(ran.stdout().contains("  hello  2\n  world  1\n"), "{}", ran.stdout());
}

#[test]
fn a_suspended_pipeline_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let blueprint = format!(
        "components:
- name: greet
  template: {{{JOB}, spec: {{input: {{strings: [a]}}, map: {{operator: Words}}, output: {{results: {{}}}}}}}}"
    );
    Ran::new(&[&pipeline(dir.path(), &blueprint, "  suspend: true\n")]).failed(1, &["spec.suspend is true"]);
}

#[test]
fn an_interrupt_stops_the_run_and_leaves_no_result() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("docs/text")).unwrap();
    // enough that the run cannot be over before the signal comes
    let words: String = (0..400_000_u64).map(|i| format!("word{} ", i * 7_919 % 400_000)).collect();
    for i in 0..20 {
        fs::write(dir.path().join(format!("docs/text/{i}")), &words).unwrap();
    }
    let blueprint = format!(
        "datasets:
- {{name: text, location: docs/text}}
- {{name: counts, location: made/counts}}
components:
- name: count
  reads: {{input: text}}
  writes: {{output: counts}}
  template: {{{JOB}, spec: {{map: {{operator: Words}}, reduce: {{operator: Sum}}}}}}"
    );
    let file = pipeline(dir.path(), &blueprint, "");
    let out = dir.path().join("out");
    let mut child = tributary(&["run", &file, "--threads", "1", "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("mapping") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it was mapping");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("interrupted\n"), "{rest}");
    assert!(!out.join("made/counts/_SUCCESS").exists());
    assert!(!out.join(".workspace").exists(), "the workspace is cleared away");
}
