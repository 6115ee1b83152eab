//! Names of objects in a job's workspace and in its output.

use crate::job::{AttemptId, TaskId};

/// The last object of an output; its content is a [`Success`](super::Success).
pub const SUCCESS: &str = "_SUCCESS";
/// Where the workspaces of jobs are, below the place that they write to, unless the job says otherwise.
pub const WORKSPACES: &str = ".tributary";
/// Where the journal is in the workspace.
pub const JOURNAL: &str = "journal/";
/// Where the map tasks' output is in the workspace.
pub const MAP: &str = "map/";
/// Where bad records are in the workspace.
pub const DEAD_LETTER: &str = "dead-letter/";
/// Where the workspace names the uploads that attempts have begun.
pub const UPLOADS: &str = "uploads/";
/// The object by which a store is probed for conditional writes.
pub const PROBE: &str = "probe";

/// The journal's batch of this number, from 1.
pub fn journal(number: u64) -> String {
    format!("{JOURNAL}{number:08}")
}

/// The manifest of this number, from 1.
pub fn manifest(number: u32) -> String {
    format!("manifest-{number:08}.json")
}

/// The segment of a map attempt.
pub fn segment(task: TaskId, attempt: AttemptId) -> String {
    format!("{MAP}{:05}/{attempt}", task.index)
}

/// The bad records of an attempt.
pub fn dead_letter(task: TaskId, attempt: AttemptId) -> String {
    format!("{DEAD_LETTER}{task}/{attempt}")
}

/// Names the upload of an attempt; its content is an [`UploadNote`](super::UploadNote).
pub fn upload_note(task: TaskId, attempt: AttemptId) -> String {
    format!("{UPLOADS}{task}/{attempt}")
}

/// The output object of a partition.
pub fn part(partition: u32) -> String {
    format!("part-r-{partition:05}")
}

/// The tag of an attempt's upload, by which the object that it made is known.
pub fn tag(job: &str, attempt: AttemptId) -> String {
    format!("{job}/{attempt}")
}
