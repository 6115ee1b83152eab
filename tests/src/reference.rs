//! What the output must be, by the tools that everybody has.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::ensure;

/// `word TAB count` lines, ordered by bytes: `tr -s '[:space:]' '\n' | sort | uniq -c` of the text.
pub fn word_counts(text: &[u8]) -> anyhow::Result<Vec<String>> {
    let script =
        r"tr -s '[:space:]' '\n' | sed '/^$/d' | LC_ALL=C sort | uniq -c | sed -E 's/^ *([0-9]+) (.*)$/\2\t\1/'";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut pipe = child.stdin.take();
    let text = text.to_vec();
    let writer = std::thread::spawn(move || pipe.as_mut().map(|p| p.write_all(&text)).transpose());
    let out = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    ensure!(out.status.success(), "the reference failed");
    Ok(String::from_utf8(out.stdout)?.lines().map(str::to_owned).collect())
}

/// The files of a directory, in the order of their names: name and bytes.
pub fn files(dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}
