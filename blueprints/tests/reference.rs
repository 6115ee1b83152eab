//! The reference in docs/ is what the types say.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tributary_blueprints::reference::pages;

#[test]
fn the_reference_is_what_the_types_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/reference");
    for (name, text) in pages() {
        let there = fs::read_to_string(dir.join(&name)).unwrap_or_default();
        assert!(there == text, "docs/reference/{name} is not what the types say; run `cargo xtask docs`");
    }
}

#[test]
fn every_field_has_words() {
    for (name, text) in pages() {
        for row in text.lines().filter(|l| l.contains("`spec.") && l.starts_with('|')) {
            let words = row.split('|').nth(3).unwrap_or_default().trim();
            assert!(!words.is_empty(), "{name}: {row}");
        }
    }
}
