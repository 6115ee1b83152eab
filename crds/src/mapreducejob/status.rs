//! What is observed of a MapReduceJob.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// What is observed of a MapReduceJob.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MapReduceJobStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the job is.
    #[serde(default)]
    pub phase: JobPhase,
    /// The phase's reason, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Conditions: CoordinatorReady, WorkersReady, Complete, Failed, Suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the first pod was asked for (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When the job ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// What the job's coordinator says; nobody else writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineStatus>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobPhase {
    /// Nothing runs yet.
    #[default]
    Pending,
    /// Pods are up or coming up.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Stopped by `spec.suspend`.
    Suspended,
}

/// Where the engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnginePhase {
    /// Lists the input, or waits for it.
    #[default]
    Planning,
    /// Map tasks run.
    Mapping,
    /// Reduce tasks run.
    Reducing,
    /// The output is being committed.
    Committing,
    /// The output is there.
    Succeeded,
    /// It is not going to be.
    Failed,
}

/// What a job's coordinator says. Bounded whatever the number of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineStatus {
    /// Where the engine is.
    pub phase: EnginePhase,
    /// Why, for people: what it waits for, or the error that ended it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A word for `message` that a condition can carry, such as `TaskFailed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How many coordinators have served this job.
    pub epoch: u32,
    /// The map tasks.
    pub map: TaskCounts,
    /// The reduce tasks.
    pub reduce: TaskCounts,
    /// Records read by finished map tasks.
    pub records_read: i64,
    /// Bytes read by finished map tasks.
    pub bytes_read: i64,
    /// Records in the output.
    pub records_written: i64,
    /// Bytes in the output.
    pub bytes_written: i64,
    /// Bad records skipped.
    pub records_skipped: i64,
    /// Workers that have a lease.
    pub workers: u32,
    /// When the first map task began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_task_time: Option<String>,
    /// When the engine ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Up to 10 failed attempts, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<AttemptFailure>,
    /// The manifest's key, once it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The first rows, where `output.results` asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<KeyValue>,
}

/// Counts of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskCounts {
    /// `finished/all`.
    pub done: String,
    /// All.
    pub total: u32,
    /// Finished.
    pub finished: u32,
    /// With an attempt under way.
    pub running: u32,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Attempts that were lost with their worker.
    pub lost_attempts: u32,
}

impl TaskCounts {
    /// The counts, `done` made from them.
    pub fn new(total: u32, finished: u32, running: u32, failed_attempts: u32, lost_attempts: u32) -> Self {
        Self { done: format!("{finished}/{total}"), total, finished, running, failed_attempts, lost_attempts }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptFailure {
    /// The task, such as `map-3`.
    pub task: String,
    /// The attempt, such as `1-7`: the coordinator's epoch and a number.
    pub attempt: String,
    /// The worker.
    pub worker: String,
    /// The error, cut at 1,024 bytes.
    pub message: String,
}

/// A row of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyValue {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// The value, likewise.
    pub value: String,
}
