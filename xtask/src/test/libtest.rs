//! What Rust's test harness prints.

use crate::sh;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ran and held.
    pub passed: usize,
    /// Ran and did not hold.
    pub failed: usize,
    /// Marked as ignored.
    pub ignored: usize,
    /// Left out by the command line.
    pub filtered: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.filtered += other.filtered;
    }
}

/// Runs a command that runs tests, passing its output on as it comes. That it fails without saying so counts as one failed test.
pub fn run(cmd: &mut Command) -> Result<Counts> {
    run_to(cmd, &mut std::io::stdout())
}

fn run_to(cmd: &mut Command, to: &mut impl Write) -> Result<Counts> {
    let mut child = cmd.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start: {}", sh::show(cmd)))?;
    let mut out = BufReader::new(child.stdout.take().context("no pipe")?);
    let (mut counts, mut line) = (Counts::default(), Vec::new());
    while out.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        counts += parse(&String::from_utf8_lossy(&line)).unwrap_or_default();
        line.clear();
    }
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        writeln!(to, "{status}: {}", sh::show(cmd))?;
        counts.failed = 1;
    }
    Ok(counts)
}

/// The counts of a line `test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.1s`.
fn parse(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |label: &str| {
        let part = rest.split("; ").find(|p| p.trim_end().ends_with(label))?;
        part.split_whitespace().next()?.parse().ok()
    };
    Some(Counts {
        passed: number(" passed")?,
        failed: number(" failed")?,
        ignored: number(" ignored")?,
        filtered: number(" filtered out")?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 5 filtered out; finished in 0.10s\n";
        assert_eq!(parse(line), Some(Counts { passed: 12, failed: 3, ignored: 4, filtered: 5 }));
        assert_eq!(
            parse("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out").unwrap().passed,
            1
        );
        assert_eq!(parse("test a::b ... ok\n"), None);
        assert_eq!(parse("running 3 tests\n"), None);
    }

    #[test]
    fn counts_come_from_the_output_and_a_silent_failure_is_one() {
        let sh = |script: &str| run_to(Command::new("sh").args(["-c", script]), &mut std::io::sink()).unwrap();
        let line = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        let two = Counts { passed: 2, ignored: 1, ..Counts::default() };
        assert_eq!(sh(&format!("echo; echo '{line}'")), two);
        assert_eq!(sh(&format!("echo '{line}'; exit 101")), Counts { failed: 1, ..two });
        assert_eq!(sh("kill -9 $$"), Counts { failed: 1, ..Counts::default() });
    }
}
