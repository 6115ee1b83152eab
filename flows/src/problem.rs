//! What is wrong with a spec.

use std::fmt;

/// One problem, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON path, such as `spec.flows[3].dependencies[0]`.
    pub path: String,
    /// What is wrong, why, and the way out.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Problems that a message names.
const MOST_NAMED: usize = 3;

/// The first problems, a line each.
pub(crate) fn listed(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if problems.len() > MOST_NAMED {
        lines.push(format!("and {} more problems", problems.len() - MOST_NAMED));
    }
    lines.join("\n")
}
