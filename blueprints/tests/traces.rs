//! What each driver reads, from data: `traces/<kind>/states.yaml` has a row for every state that the kind's own controller
//! shows; the other files are traces, what a child of a Pipeline goes through step by step, with what the Pipeline makes of
//! it. A trace's steps may come in orders that no sound controller shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "traces/pipeline.rs"]
mod pipeline;
#[path = "traces/states.rs"]
mod states;

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tributary_blueprints::drivers;

/// The files of all kinds, states or traces.
fn files(states: bool) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let kinds = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    let all = kinds.flat_map(|kind| fs::read_dir(kind).unwrap().map(|e| e.unwrap().path()));
    let mut found: Vec<PathBuf> = all.filter(|p| (p.file_name().unwrap() == "states.yaml") == states).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn every_state_has_its_reading() {
    let faults: Vec<String> = files(true).iter().flat_map(|path| states::faults(path)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The states that the kinds' own controllers can show, from their sources.
#[test]
fn every_state_that_a_controller_shows_is_in_the_table() {
    let tables: Vec<states::Table> = files(true).iter().map(|path| read(path)).collect();
    for driver in drivers::ALL {
        let of = |t: &&states::Table| t.is_of(driver.group(), driver.kind());
        let table = tables.iter().find(of).unwrap_or_else(|| panic!("{} has no states.yaml", driver.kind()));
        let known = states::KNOWN.iter().find(|(group, kind, _)| (*group, *kind) == (driver.group(), driver.kind()));
        for state in known.iter().flat_map(|(_, _, states)| states.iter()) {
            assert!(table.has(state), "{} of {}: no row for `{state}`", driver.kind(), driver.group());
        }
    }
}

#[test]
fn every_trace_goes_as_it_must() {
    let faults: Vec<String> = files(false).iter().flat_map(|path| pipeline::faults(path)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
