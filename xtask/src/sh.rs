//! Child processes, with errors that show what was run and what it said.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A command line as a user would type it.
pub fn show(cmd: &Command) -> String {
    let words = std::iter::once(cmd.get_program()).chain(cmd.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Cargo, without what it told this process of xtask's own package: build scripts look at these variables, and would have
/// everything after them built anew whenever the checkout is elsewhere, or cargo is called without xtask.
pub fn cargo() -> Command {
    let mut cmd = Command::new("cargo");
    forget_package(&mut cmd);
    cmd
}

/// Leaves out what Cargo told this process of its own package.
pub fn forget_package(cmd: &mut Command) {
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        cmd.env_remove(name);
    }
}

/// Runs with this process's standard streams.
pub fn run(cmd: &mut Command) -> Result<()> {
    let status = cmd.status().with_context(|| format!("cannot start: {}", show(cmd)))?;
    if !status.success() {
        bail!("{status}: {}", show(cmd));
    }
    Ok(())
}

/// Runs and returns what was written to standard output.
pub fn output(cmd: &mut Command) -> Result<String> {
    let out = cmd.stdin(Stdio::null()).output().with_context(|| format!("cannot start: {}", show(cmd)))?;
    check(cmd, out)
}

/// Runs with `input` on standard input and returns what was written to standard output.
pub fn pipe(cmd: &mut Command, input: &[u8]) -> Result<String> {
    cmd.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cmd.spawn().with_context(|| format!("cannot start: {}", show(cmd)))?;
    let stdin = child.stdin.take();
    let out = std::thread::scope(|s| {
        // A child that ends without reading all of it says why on standard error.
        s.spawn(move || stdin.map(|mut i| i.write_all(input)));
        child.wait_with_output()
    })?;
    check(cmd, out)
}

/// Whether it ran and succeeded, its output thrown away.
pub fn succeeds(cmd: &mut Command) -> bool {
    cmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn check(cmd: &Command, out: Output) -> Result<String> {
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        let said = format!("{text}{}", String::from_utf8_lossy(&out.stderr));
        bail!("{}: {}\n{}", out.status, show(cmd), tail(&said, 20));
    }
    Ok(text)
}

/// The last `lines` of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Holds an exclusive lock on `path` until dropped, saying so when it has to wait.
pub fn lock(path: &Path, what: &str) -> Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let file = File::create(path).with_context(|| path.display().to_string())?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another process that holds {what} ({})", path.display());
        file.lock().with_context(|| format!("lock {}", path.display()))?;
    }
    Ok(file)
}
