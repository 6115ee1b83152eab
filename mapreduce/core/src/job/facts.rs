//! What the journal says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ids::{AttemptId, Millis, TaskId, TaskKind};
use crate::commit::{Batch, Counters, Entry, Manifest, OutputPart, Row, Segment};
use crate::split::MapInput;

/// Failed attempts that are kept to be shown.
const FAILURES: usize = 10;
/// Bytes of a message that are kept.
pub(super) const MESSAGE: usize = 1_024;

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: AttemptId,
    /// Its worker.
    pub worker: String,
    /// Its error, cut at 1,024 bytes.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub attempt: AttemptId,
    pub segment: Segment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reduced {
    pub attempt: AttemptId,
    pub output: Option<OutputPart>,
    pub rows: Vec<Row>,
    counters: Counters,
}

/// The state that a new coordinator gets from the journal. It changes by [`apply`](Self::apply) alone, in a running
/// coordinator too, and so is the same in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// How many batches there are.
    pub batches: u64,
    pub epoch: u32,
    pub opened: Option<Millis>,
    pub start: Option<BTreeMap<i32, i64>>,
    pub inputs: Option<Vec<MapInput>>,
    pub maps: Vec<Option<Mapped>>,
    pub reduces: Vec<Option<Reduced>>,
    pub maps_done: u32,
    pub reduces_done: u32,
    /// Attempts that failed, by task; those that do not count against the limit are not here.
    pub failed: BTreeMap<TaskId, u32>,
    pub failed_attempts: BTreeSet<AttemptId>,
    pub failures: VecDeque<Failure>,
    /// How often a map task's output was lost.
    pub lost_segments: BTreeMap<u32, u32>,
    /// How many winners of reduce tasks were lost.
    pub lost_outputs: u32,
    /// Map tasks that are in `read`. A task that runs again reads the same again.
    counted: Vec<bool>,
    pub read: Counters,
    pub written: Counters,
    pub first_task: Option<Millis>,
    pub failure: Option<(String, String)>,
}

impl Facts {
    pub fn new(partitions: u32) -> Self {
        Self { reduces: vec![None; partitions as usize], ..Self::default() }
    }

    pub fn apply(&mut self, batch: &Batch) {
        self.batches += 1;
        for entry in &batch.entries {
            self.entry(batch.epoch, entry);
        }
    }

    fn entry(&mut self, epoch: u32, entry: &Entry) {
        match entry {
            Entry::Opened { at } => {
                self.epoch = epoch;
                self.opened.get_or_insert(*at);
            }
            Entry::Start { offsets } => self.start = Some(offsets.clone()),
            Entry::Planned { inputs } => {
                if self.inputs.is_none() {
                    self.maps = vec![None; inputs.len()];
                    self.counted = vec![false; inputs.len()];
                    self.inputs = Some(inputs.clone());
                }
            }
            Entry::MapFinished { task, attempt, segment, counters, started } => {
                let Some(slot @ None) = self.maps.get_mut(*task as usize) else { return };
                *slot = Some(Mapped { attempt: *attempt, segment: segment.clone() });
                self.maps_done += 1;
                if let Some(counted @ false) = self.counted.get_mut(*task as usize) {
                    *counted = true;
                    self.read = self.read.plus(*counters);
                }
                self.first_task = Some(self.first_task.map_or(*started, |first| first.min(*started)));
            }
            Entry::MapLost { task, attempt } => {
                let Some(slot) = self.maps.get_mut(*task as usize) else { return };
                if slot.take_if(|done| done.attempt == *attempt).is_none() {
                    return;
                }
                self.maps_done -= 1;
                *self.lost_segments.entry(*task).or_default() += 1;
            }
            Entry::ReduceFinished { task, attempt, output, rows, counters } => {
                let Some(slot @ None) = self.reduces.get_mut(*task as usize) else { return };
                let (output, rows) = (output.clone(), rows.clone());
                *slot = Some(Reduced { attempt: *attempt, output, rows, counters: *counters });
                self.reduces_done += 1;
                self.written = self.written.plus(*counters);
            }
            Entry::ReduceLost { task, attempt } => {
                let Some(slot) = self.reduces.get_mut(*task as usize) else { return };
                let Some(lost) = slot.take_if(|done| done.attempt == *attempt) else { return };
                self.reduces_done -= 1;
                self.written = self.written.minus(lost.counters);
                self.lost_outputs += 1;
            }
            Entry::AttemptFailed { task, attempt, worker, message } => {
                if self.failed_attempts.insert(*attempt) {
                    *self.failed.entry(*task).or_default() += 1;
                    let (worker, message) = (worker.clone(), cut(message, MESSAGE).to_owned());
                    self.failures.push_back(Failure { task: *task, attempt: *attempt, worker, message });
                    if self.failures.len() > FAILURES {
                        self.failures.pop_front();
                    }
                }
            }
            Entry::Failed { reason, message } => {
                self.failure.get_or_insert_with(|| (reason.clone(), message.clone()));
            }
        }
    }

    /// The attempt whose output is a task's.
    pub fn winner(&self, task: TaskId) -> Option<AttemptId> {
        let at = task.index as usize;
        match task.kind {
            TaskKind::Map => self.maps.get(at)?.as_ref().map(|done| done.attempt),
            TaskKind::Reduce => self.reduces.get(at)?.as_ref().map(|done| done.attempt),
        }
    }

    pub fn total(&self, kind: TaskKind) -> u32 {
        let tasks = match kind {
            TaskKind::Map => self.maps.len(),
            TaskKind::Reduce => self.reduces.len(),
        };
        u32::try_from(tasks).unwrap_or(u32::MAX)
    }

    pub fn done(&self, kind: TaskKind) -> u32 {
        match kind {
            TaskKind::Map => self.maps_done,
            TaskKind::Reduce => self.reduces_done,
        }
    }

    /// The input of map tasks together with the output of reduce tasks.
    pub fn counters(&self) -> Counters {
        Counters {
            records_in: self.read.records_in,
            bytes_in: self.read.bytes_in,
            records_out: self.written.records_out,
            bytes_out: self.written.bytes_out,
            skipped: self.read.skipped.saturating_add(self.written.skipped),
        }
    }

    /// The manifest of the winners that there are. The same from every coordinator that has all of them.
    pub fn manifest(&self, job: &str) -> Manifest {
        Manifest {
            job: job.to_owned(),
            number: self.lost_outputs + 1,
            outputs: self.reduces.iter().flatten().filter_map(|done| done.output.clone()).collect(),
            counters: self.counters(),
        }
    }
}

/// The text, cut at a character's end to so many bytes at most.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}
