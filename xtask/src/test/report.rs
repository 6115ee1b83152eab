//! How the parts of a test run ended.

use super::libtest::Counts;
use anyhow::Result;
use std::time::{Duration, Instant};

/// The parts that have run.
#[derive(Default)]
pub struct Report {
    parts: Vec<Part>,
}

struct Part {
    name: String,
    outcome: Result<Option<Counts>>,
    time: Duration,
}

impl Report {
    /// Runs a part that is no test itself; `None` if it fails.
    pub fn part<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let mut value = None;
        self.add(name, || {
            value = Some(work()?);
            Ok(None)
        });
        value
    }

    /// Runs a part that runs tests.
    pub fn tests(&mut self, name: &str, work: impl FnOnce() -> Result<Counts>) {
        self.add(name, || work().map(Some));
    }

    fn add(&mut self, name: &str, work: impl FnOnce() -> Result<Option<Counts>>) {
        println!("\n== {name}");
        let begin = Instant::now();
        let outcome = work();
        if let Err(e) = &outcome {
            println!("{name} failed: {e:#}");
        }
        self.parts.push(Part { name: name.into(), outcome, time: begin.elapsed() });
    }

    /// Adds the parts of another, which have run beside these.
    pub fn append(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// Whether any part or test failed.
    pub fn failed(&self) -> bool {
        self.total().failed > 0
    }

    /// All counts; a part that failed otherwise than by its tests counts as one.
    fn total(&self) -> Counts {
        let mut total = Counts::default();
        for part in &self.parts {
            total += match part.outcome {
                Ok(counts) => counts.unwrap_or_default(),
                Err(_) => Counts { failed: 1, ..Counts::default() },
            };
        }
        total
    }

    /// Prints a line for each part, and the counts on the last.
    pub fn print(&self) {
        println!("\n{:<16} {:<7} {:>7} {:>7} {:>8} {:>9}", "part", "result", "passed", "failed", "skipped", "time");
        for Part { name, outcome, time } in &self.parts {
            let counts = outcome.as_ref().ok().copied().flatten();
            let good = outcome.is_ok() && counts.is_none_or(|c| c.failed == 0);
            let columns = match counts {
                Some(c) => format!("{:>7} {:>7} {:>8}", c.passed, c.failed, c.ignored + c.filtered),
                None => format!("{:>7} {:>7} {:>8}", "", "", ""),
            };
            let result = if good { "ok" } else { "FAILED" };
            println!("{name:<16} {result:<7} {columns} {:>7.1} s", time.as_secs_f64());
        }
        let total = self.total();
        println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.ignored + total.filtered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_failed_part_does_not_hide_others_and_is_counted() {
        let mut report = Report::default();
        assert_eq!(report.part("one", || Ok(7)), Some(7));
        assert!(!report.failed());
        assert_eq!(report.part("two", || Err::<(), _>(anyhow!("no"))), None);
        let mut other = Report::default();
        other.part("beside", || Ok(()));
        report.append(other);
        report.tests("three", || Ok(Counts { passed: 5, failed: 2, ignored: 1, filtered: 3 }));
        assert!(report.failed());
        assert_eq!(report.total(), Counts { passed: 5, failed: 3, ignored: 1, filtered: 3 });
    }
}
