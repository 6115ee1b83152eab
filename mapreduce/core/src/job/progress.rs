//! What can be seen of a job.

use super::facts::Failure;
use super::ids::{Millis, TaskKind};
use super::{Job, State};
use crate::commit::{Counters, Row, names};

/// Bytes of rows that are kept in all.
const ROWS: usize = 64 << 10;

/// What can be seen of a job. Its size does not depend on the number of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it is.
    pub state: State,
    /// A word for a condition; of a job that has failed.
    pub reason: String,
    /// What it waits for, or why it failed, for people.
    pub message: String,
    /// How many coordinators it has had.
    pub epoch: u32,
    /// The map tasks.
    pub map: Counts,
    /// The reduce tasks.
    pub reduce: Counts,
    /// What finished tasks read and wrote.
    pub counters: Counters,
    /// Workers that have a lease.
    pub workers: u32,
    /// When the first map task began.
    pub first_task: Option<Millis>,
    /// The last attempts that failed, the newest last.
    pub failures: Vec<Failure>,
    /// The name of the manifest, once it is stored.
    pub manifest: Option<String>,
    /// The first rows of the result, once there is one.
    pub rows: Vec<Row>,
}

/// Counts of tasks of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: u32,
    /// With a winner.
    pub finished: u32,
    /// With an attempt under way.
    pub running: u32,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Attempts that were lost with their worker.
    pub lost_attempts: u32,
}

impl Job {
    /// What can be seen of the job now.
    pub fn progress(&self) -> Progress {
        let (reason, message) = match (&self.facts.failure, self.state) {
            (Some((reason, message)), State::Failed) => (reason.clone(), message.clone()),
            (_, State::Planning) => (String::new(), self.waiting.clone()),
            (_, State::Mapping | State::Reducing) if self.tasks.workers.is_empty() => {
                (String::new(), "waiting for workers".to_owned())
            }
            _ => Default::default(),
        };
        let journaled = self.facts.first_task;
        Progress {
            state: self.state,
            reason,
            message,
            epoch: self.facts.epoch,
            map: self.counts(TaskKind::Map),
            reduce: self.counts(TaskKind::Reduce),
            counters: self.facts.counters(),
            workers: u32::try_from(self.tasks.workers.len()).unwrap_or(u32::MAX),
            first_task: [journaled, self.first_task].into_iter().flatten().min(),
            failures: self.facts.failures.iter().cloned().collect(),
            manifest: self.manifest.as_ref().map(|manifest| names::manifest(manifest.number)),
            rows: if self.state == State::Succeeded { self.rows() } else { Vec::new() },
        }
    }

    fn counts(&self, kind: TaskKind) -> Counts {
        let failed = self.facts.failed.iter().filter(|(id, _)| id.kind == kind).map(|(_, n)| n).sum();
        Counts {
            total: self.facts.total(kind),
            finished: self.facts.done(kind),
            running: if self.ended() { 0 } else { self.tasks.running(kind) },
            failed_attempts: failed,
            lost_attempts: self.tasks.lost(kind),
        }
    }

    /// The first rows of all partitions. Within one they keep their order; of several they are ordered by key.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<&Row> = self.facts.reduces.iter().flatten().flat_map(|done| &done.rows).collect();
        if self.facts.reduces.len() > 1 {
            rows.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let mut room = ROWS;
        let fits = |row: &&Row| {
            let size = row.key.len() + row.value.len();
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        };
        rows.into_iter().take(self.config.rows as usize).take_while(fits).cloned().collect()
    }
}
