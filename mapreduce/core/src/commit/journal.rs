//! The journal: facts of a job in the order in which they became true.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Counters, OutputPart, Row, Segment};
use crate::job::{AttemptId, Millis, TaskId};
use crate::split::MapInput;

/// An object of the journal: what one coordinator wrote at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// The coordinator's epoch.
    pub epoch: u32,
    /// The coordinator, unlike any other process.
    pub holder: String,
    /// The facts.
    pub entries: Vec<Entry>,
}

/// A fact. What is in no entry is forgotten when the coordinator dies, and found out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Entry {
    /// The batch's coordinator has taken over.
    Opened {
        /// When.
        at: Millis,
    },
    /// Where the job begins to read its topic: the first offset by partition.
    Start {
        /// The offsets.
        offsets: BTreeMap<i32, i64>,
    },
    /// The map tasks are these.
    Planned {
        /// What each reads.
        inputs: Vec<MapInput>,
    },
    /// A map task has a winner.
    MapFinished {
        /// The task's index.
        task: u32,
        /// The winner.
        attempt: AttemptId,
        /// Its output.
        segment: Segment,
        /// What it read.
        counters: Counters,
        /// When it began.
        started: Millis,
    },
    /// The winner's output is gone or damaged: the task has none any more.
    MapLost {
        /// The task's index.
        task: u32,
        /// The winner that was.
        attempt: AttemptId,
    },
    /// A reduce task has a winner.
    ReduceFinished {
        /// The task's index.
        task: u32,
        /// The winner.
        attempt: AttemptId,
        /// Its output, where it goes to a store.
        output: Option<OutputPart>,
        /// Its first rows, where they are asked for.
        rows: Vec<Row>,
        /// What it wrote.
        counters: Counters,
    },
    /// The upload that a manifest names is gone: the task has no winner any more.
    ReduceLost {
        /// The task's index.
        task: u32,
        /// The winner that was.
        attempt: AttemptId,
    },
    /// An attempt failed.
    AttemptFailed {
        /// Its task.
        task: TaskId,
        /// The attempt.
        attempt: AttemptId,
        /// Its worker.
        worker: String,
        /// Its error.
        message: String,
    },
    /// The job failed.
    Failed {
        /// A word for a condition.
        reason: String,
        /// The reason, for people.
        message: String,
    },
}
