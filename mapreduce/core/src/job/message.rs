//! What goes in and out of a [`Job`](super::Job).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{AttemptId, TaskId, WorkerId};
use crate::commit::{Batch, Counters, Manifest, OutputPart, Row, Segment};
use crate::split::MapInput;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The whole journal has been replayed: take over.
    Open {
        /// The coordinator, unlike any other process.
        holder: String,
    },
    /// The batch of [`Effect::Journal`] is stored.
    JournalWritten {
        /// Its number.
        number: u64,
    },
    /// There is a batch of that number already.
    JournalTaken {
        /// The number.
        number: u64,
        /// What is stored.
        found: Batch,
    },
    /// The job begins to read its topic here.
    Started {
        /// The first offset by partition.
        offsets: BTreeMap<i32, i64>,
    },
    /// What planning waits for, for people.
    Waiting {
        /// A sentence, or nothing.
        message: String,
    },
    /// What the map tasks read.
    Planned {
        /// An entry a task.
        inputs: Vec<MapInput>,
    },
    /// The job cannot go on.
    Fail {
        /// A word for a condition.
        reason: String,
        /// The reason, for people.
        message: String,
    },
    /// A worker speaks; answered by one [`Effect::Reply`]. The same poll may be put again later, for a better answer.
    Poll(Poll),
    /// Time has passed. Put a few times a second.
    Tick,
    /// The manifest is stored, or one of its number was before.
    ManifestWritten {
        /// The one that is stored.
        manifest: Manifest,
    },
    /// The manifest names an upload that is gone, and there is no such object.
    OutputLost {
        /// The partition.
        partition: u32,
    },
    /// The output is complete, `_SUCCESS` included.
    Committed,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Poll {
    /// The worker.
    pub worker: WorkerId,
    /// Ascending; a worker acts on the reply to its newest poll only.
    pub seq: u64,
    /// How many more tasks it could run.
    pub free: u32,
    /// The attempts that it runs.
    pub running: Vec<Running>,
    /// What became of others, said again until it is acknowledged.
    pub reports: Vec<Report>,
    /// It is going away; what it does not report is not going to be done.
    #[serde(default)]
    pub leaving: bool,
}

/// An attempt that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// The output of a map task is stored.
    Mapped {
        /// Its output.
        segment: Segment,
        /// What it read.
        counters: Counters,
    },
    /// The output of a reduce task is uploaded, not completed.
    Reduced {
        /// Its output, where it goes to a store.
        output: Option<OutputPart>,
        /// Its first rows, where they are asked for.
        rows: Vec<Row>,
        /// What it wrote.
        counters: Counters,
    },
    /// It failed.
    Failed {
        /// Its error.
        message: String,
        /// Another attempt would fail likewise.
        fatal: bool,
    },
    /// A map task's output, that a reduce task needs, is gone or damaged.
    SegmentLost {
        /// The map task.
        map: u32,
        /// The attempt whose output it is.
        attempt: AttemptId,
        /// What was seen.
        message: String,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store a batch, unless one of its number is there; [`Event::JournalWritten`] or [`Event::JournalTaken`].
    Journal {
        /// Its number.
        number: u64,
        /// The batch.
        batch: Batch,
    },
    /// Find out what there is to read: [`Event::Planned`] or [`Event::Fail`], before it perhaps [`Event::Started`].
    Plan {
        /// Where the job begins to read its topic, if that is known.
        start: Option<BTreeMap<i32, i64>>,
    },
    /// Answer a worker; where nothing is in the reply, its poll may be kept and put again.
    Reply {
        /// The worker.
        worker: WorkerId,
        /// Its poll.
        seq: u64,
        /// The answer.
        reply: Reply,
    },
    /// Store the manifest, unless one of its number is there; [`Event::ManifestWritten`].
    WriteManifest(Manifest),
    /// Complete the uploads that the manifest names, and then what else belongs to the output: [`Event::Committed`] or
    /// [`Event::OutputLost`].
    Complete(Manifest),
    /// The job has ended, as its state says: abort uploads, publish the status, clean the workspace.
    Finish,
    /// Another coordinator has taken over: stop, touch nothing.
    Fenced {
        /// The other one.
        holder: String,
    },
}

/// The answer to a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reply {
    /// Attempts to start, at most as many as were asked for.
    pub assign: Vec<Assignment>,
    /// Attempts to stop.
    pub cancel: Vec<AttemptId>,
    /// Reports that need not be said again.
    pub acknowledged: Vec<Acknowledged>,
    /// The job has ended: leave.
    pub done: bool,
}

/// A report that need not be said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its output is the task's; else nobody needs it.
    pub kept: bool,
}

/// An attempt to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// What to do.
    pub work: Work,
}

/// What a task does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Work {
    /// Map this input.
    Map {
        /// The input.
        input: MapInput,
    },
    /// Reduce a partition.
    Reduce {
        /// What it reads, in the order of the map tasks; those that have nothing for the partition are left out.
        inputs: Vec<ReduceInput>,
    },
}

/// A partition's range of a map task's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReduceInput {
    /// The map task.
    pub map: u32,
    /// The attempt whose output it is.
    pub attempt: AttemptId,
    /// The segment's name in the workspace.
    pub segment: String,
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
    /// The records in them.
    pub records: u64,
}

impl Reply {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.assign.is_empty() && self.cancel.is_empty() && self.acknowledged.is_empty() && !self.done
    }
}
