//! docs/guide.md: every step is run, and must say what the guide says that it says.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a command prints: of a run the report, of others all of it. Times differ from run to run.
fn said(dir: &Path, command: &str) -> String {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("tributary"), "{command}");
    let mut tributary = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let out = tributary.args(words).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    let stderr =
        if command.starts_with("tributary run") { String::new() } else { String::from_utf8(out.stderr).unwrap() };
    timeless(&format!("{}{stderr}", String::from_utf8(out.stdout).unwrap()))
}

/// Seconds as `0.0 s`, and no blanks at the ends of lines.
fn timeless(text: &str) -> String {
    let number = |c: char| c.is_ascii_digit() || c == '.';
    let line = |line: &str| match line.trim_end().strip_suffix(" s").filter(|rest| rest.ends_with(number)) {
        Some(rest) => format!("{} 0.0 s", rest.trim_end_matches(number).trim_end()),
        None => line.trim_end().to_owned(),
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_step_of_the_guide_does_what_it_says() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/guide.md");
    let text = fs::read_to_string(guide).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut lines, mut steps) = (text.lines(), 0);
    while let Some(line) = lines.next() {
        let Some(fence) = line.strip_prefix("```").filter(|f| !f.is_empty()) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        match fence.split_once(' ') {
            Some((_, name)) => {
                let file = dir.path().join(name);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, format!("{}\n", body.join("\n"))).unwrap();
            }
            None => {
                let command = body[0].strip_prefix("$ ").unwrap();
                assert_eq!(said(dir.path(), command), timeless(&body[1..].join("\n")), "{command}");
                steps += 1;
            }
        }
    }
    assert!(steps >= 6, "{steps}");
}
