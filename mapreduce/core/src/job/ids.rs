//! Names of tasks, attempts and workers.

use std::fmt;
use std::num::ParseIntError;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, as the caller's clock has them; within one process it never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// A length of time.
    pub const fn seconds(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// The time since another one; none where that is later.
impl Sub for Millis {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// The two kinds of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// Reads a part of the input.
    Map,
    /// Reads a partition of every map task's output.
    Reduce,
}

/// A task; `map-3` when written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    /// Its kind.
    pub kind: TaskKind,
    /// From 0, of its kind.
    pub index: u32,
}

impl TaskId {
    /// A map task.
    pub const fn map(index: u32) -> Self {
        Self { kind: TaskKind::Map, index }
    }

    /// A reduce task.
    pub const fn reduce(index: u32) -> Self {
        Self { kind: TaskKind::Reduce, index }
    }
}

/// A try at a task; `1-7` when written. Unique in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptId {
    /// The epoch of the coordinator that handed it out.
    pub epoch: u32,
    /// From 1, in that epoch.
    pub number: u32,
}

/// A process that does tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// The pod's name.
    pub name: String,
    /// Drawn at the process's start: of two processes of one name, the one heard of last is alive.
    pub incarnation: String,
}

/// Not the name of a task or an attempt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {1}")]
pub struct BadId(String, &'static str);

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "map",
            Self::Reduce => "reduce",
        })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind, self.index)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for TaskId {
    type Err = BadId;

    fn from_str(s: &str) -> Result<Self, BadId> {
        let bad = || BadId(s.to_owned(), "a task such as map-3");
        let (kind, index) = s.split_once('-').ok_or_else(bad)?;
        let kind = match kind {
            "map" => TaskKind::Map,
            "reduce" => TaskKind::Reduce,
            _ => return Err(bad()),
        };
        Ok(Self { kind, index: index.parse().map_err(|_| bad())? })
    }
}

impl FromStr for AttemptId {
    type Err = BadId;

    fn from_str(s: &str) -> Result<Self, BadId> {
        let parse = |(epoch, number): (&str, &str)| -> Result<Self, ParseIntError> {
            Ok(Self { epoch: epoch.parse()?, number: number.parse()? })
        };
        s.split_once('-').and_then(|both| parse(both).ok()).ok_or_else(|| BadId(s.to_owned(), "an attempt such as 1-7"))
    }
}

impl TryFrom<String> for TaskId {
    type Error = BadId;

    fn try_from(s: String) -> Result<Self, BadId> {
        s.parse()
    }
}

impl TryFrom<String> for AttemptId {
    type Error = BadId;

    fn try_from(s: String) -> Result<Self, BadId> {
        s.parse()
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

impl From<AttemptId> for String {
    fn from(id: AttemptId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for id in [TaskId::map(0), TaskId::reduce(u32::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(serde_json::from_str::<TaskId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        }
        let attempt = AttemptId { epoch: 2, number: 17 };
        assert_eq!(attempt.to_string(), "2-17");
        assert_eq!("2-17".parse(), Ok(attempt));
        for wrong in ["", "map", "map-", "map--1", "mop-1", "map-4294967296"] {
            assert!(wrong.parse::<TaskId>().is_err(), "{wrong}");
        }
        for wrong in ["", "1", "1-", "-1", "1-x"] {
            assert!(wrong.parse::<AttemptId>().is_err(), "{wrong}");
        }
    }
}
