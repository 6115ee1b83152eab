//! A corpus of blueprints: broken ones, each with the codes and paths that must be found and no others, and good ones.
//!
//! A broken file begins with lines `# expect: CODE path`, and ` -> word` behind where a suggestion must be made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tributary_blueprints::{Code, Problem, verify};
use tributary_crds::{Blueprint, Pipeline};

fn files(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(dir);
    let mut all: Vec<PathBuf> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    assert!(!all.is_empty());
    all
}

/// The problems of a file: of its Pipeline with the Blueprint beside it, or of its Blueprint alone.
fn problems(path: &Path) -> Vec<Problem> {
    let text = fs::read_to_string(path).unwrap();
    let (mut pipeline, mut blueprint) = (None, None);
    for document in text.split("\n---\n") {
        let name = path.display();
        if document.contains("\nkind: Pipeline\n") {
            pipeline = Some(serde_yaml::from_str::<Pipeline>(document).unwrap_or_else(|e| panic!("{name}: {e}")));
        } else {
            blueprint = Some(serde_yaml::from_str::<Blueprint>(document).unwrap_or_else(|e| panic!("{name}: {e}")));
        }
    }
    match (pipeline, blueprint) {
        (Some(pipeline), blueprint) => {
            let spec = pipeline.spec.blueprint.clone().or(blueprint.map(|b| b.spec)).expect("a blueprint");
            verify::pipeline(&pipeline, &spec, None)
        }
        (None, Some(blueprint)) => verify::blueprint(&blueprint.spec, None),
        (None, None) => panic!("{} holds neither Pipeline nor Blueprint", path.display()),
    }
}

#[test]
fn every_broken_blueprint_has_its_problems_and_no_others() {
    let mut faults = Vec::new();
    for path in files("broken") {
        let text = fs::read_to_string(&path).unwrap();
        let expected: BTreeSet<String> =
            text.lines().filter_map(|l| l.strip_prefix("# expect: ")).map(str::to_owned).collect();
        assert!(!expected.is_empty(), "{} expects nothing", path.display());
        let found = problems(&path);
        let shown = |p: &Problem, with: bool| match p.suggestion.as_ref().filter(|_| with) {
            Some(s) => format!("{} {} -> {s}", p.code, p.path),
            None => format!("{} {}", p.code, p.path),
        };
        // a suggestion counts only where one is expected
        let found_set: BTreeSet<String> = found
            .iter()
            .map(|p| if expected.contains(&shown(p, true)) { shown(p, true) } else { shown(p, false) })
            .collect();
        if found_set != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let all: Vec<String> = found.iter().map(|p| format!("{} {p}", p.code)).collect();
            faults.push(format!("{name}: expected {expected:#?}, found {all:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_good_blueprint_has_a_problem() {
    for path in files("good") {
        let found = problems(&path);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

#[test]
fn every_code_has_a_blueprint_that_breaks_it() {
    // these need more than a file can say
    let apart = [Code::TooLarge];
    let broken: BTreeSet<Code> = files("broken").iter().flat_map(|p| problems(p)).map(|p| p.code).collect();
    let missing: Vec<&Code> = Code::ALL.iter().filter(|c| !broken.contains(c) && !apart.contains(c)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
