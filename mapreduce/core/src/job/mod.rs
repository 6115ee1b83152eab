//! A job, as its coordinator sees it: a state machine that is told what happened and says what to do.
//!
//! ```text
//!            Open              inputs              every map            every reduce
//! [Opening] ──────> [Planning] ──────> [Mapping] ──────────> [Reducing] ────────────> [Committing]
//!                                          ^ <──────────────     ^   <────────────────     │
//!                                            a segment is lost        an output is lost    │ Committed
//!                                                                                          v
//!  any but the last ── Fail, attempts spent, too many bad records ──> [Failed]        [Succeeded]
//!  any ── another coordinator has taken over ──> [Fenced]
//! ```
//!
//! Facts are written to the journal before anybody is told of them, and change the state once they are there; a
//! coordinator that replays the journal has the same facts. All else (who runs what) the workers tell again in their
//! polls: an attempt that a coordinator has not heard of goes on under the next one.
//!
//! Of several attempts of a task the first whose report is journaled wins. Nothing depends on an attempt having
//! stopped: what it writes is its own until the journal names it.

mod facts;
mod ids;
mod message;
mod poll;
mod progress;
mod tasks;
mod time;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use facts::Facts;
use tasks::Tasks;

use crate::commit::{Batch, Entry, Manifest, Segment};
use crate::split::MapInput;

pub use facts::Failure;
pub use ids::{AttemptId, BadId, Millis, TaskId, TaskKind, WorkerId};
pub use message::{Acknowledged, Assignment, Effect, Event, Outcome, Poll, ReduceInput, Reply, Report, Running, Work};
pub use progress::{Counts, Progress};

/// What of a job's spec its coordination depends on.
#[derive(Clone, Debug)]
pub struct Config {
    /// The job's UID.
    pub job: String,
    /// Reduce tasks.
    pub partitions: u32,
    /// Attempts of a task that may fail.
    pub max_attempts: u32,
    /// Attempts of a task, and outputs of a map task, that may be lost.
    pub max_lost: u32,
    /// How long after its last poll a worker is taken for dead.
    pub lease: Millis,
    /// Whether slow tasks get a second attempt.
    pub speculation: bool,
    /// Bad records that may be skipped in all.
    pub skip_bad_records: u64,
    /// Rows that are kept for the status.
    pub rows: u32,
    /// How long after its first coordinator's start the job fails.
    pub deadline: Option<Millis>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The coordinator is about to take over.
    Opening,
    /// It finds out what there is to read.
    Planning,
    /// Map tasks run.
    Mapping,
    /// Reduce tasks run.
    Reducing,
    /// Every reduce task has a winner; the output is being made visible.
    Committing,
    /// The output is there.
    Succeeded,
    /// There is not going to be one.
    Failed,
    /// Another coordinator has taken over.
    Fenced,
}

/// How long a failed task waits, doubled with each failure.
const BACKOFF: Millis = Millis(250);

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct Job {
    config: Config,
    facts: Facts,
    state: State,
    tasks: Tasks,
    now: Millis,
    holder: String,
    /// The last attempt's number.
    attempts: u32,
    /// Entries for the next batch.
    queue: Vec<Entry>,
    /// The batch that is being written.
    writing: Option<Batch>,
    waiting: String,
    /// When the first map task began, as far as this coordinator saw.
    first_task: Option<Millis>,
    /// The manifest that is stored.
    manifest: Option<Manifest>,
}

impl Job {
    /// A job that nothing is known of yet: replay its journal, then put [`Event::Open`].
    pub fn new(config: Config) -> Self {
        Self {
            facts: Facts::new(config.partitions),
            config,
            state: State::Opening,
            tasks: Tasks::default(),
            now: Millis::default(),
            holder: String::new(),
            attempts: 0,
            queue: Vec::new(),
            writing: None,
            waiting: String::new(),
            first_task: None,
            manifest: None,
        }
    }

    /// Takes the journal's next batch.
    pub fn replay(&mut self, batch: &Batch) {
        self.facts.apply(batch);
    }

    /// The number of the journal's next batch, from 1.
    pub fn next_batch(&self) -> u64 {
        self.facts.batches + 1
    }

    /// Where the job is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Takes what happened and says what to do, in this order. Total: an event that makes no sense is ignored.
    pub fn on(&mut self, event: Event, now: Millis) -> Vec<Effect> {
        self.now = self.now.max(now);
        let mut effects = Vec::new();
        match event {
            Event::Open { holder } if self.state == State::Opening => self.open(holder, &mut effects),
            Event::JournalWritten { number } => self.written(number, &mut effects),
            Event::JournalTaken { number, found } => self.taken(number, found, &mut effects),
            Event::Poll(poll) => self.poll(poll, &mut effects),
            Event::Tick => self.tick(),
            Event::Started { offsets } if self.state == State::Planning => self.queue.push(Entry::Start { offsets }),
            Event::Waiting { message } if self.state == State::Planning => self.waiting = message,
            Event::Planned { inputs } if self.state == State::Planning => self.planned(inputs),
            Event::Fail { reason, message } => self.fail(&reason, message),
            Event::ManifestWritten { manifest } if self.state == State::Committing => {
                self.manifest = Some(manifest.clone());
                effects.push(Effect::Complete(manifest));
            }
            Event::OutputLost { partition } if self.state == State::Committing => self.output_lost(partition),
            Event::Committed if self.state == State::Committing => {
                self.state = State::Succeeded;
                effects.push(Effect::Finish);
            }
            _ => {}
        }
        self.flush(&mut effects);
        effects
    }

    fn ended(&self) -> bool {
        matches!(self.state, State::Succeeded | State::Failed | State::Fenced)
    }

    /// Opens the next epoch.
    fn open(&mut self, holder: String, effects: &mut Vec<Effect>) {
        let epoch = self.facts.epoch.saturating_add(1);
        self.holder = holder;
        let entries = vec![Entry::Opened { at: self.now }];
        let batch = Batch { epoch, holder: self.holder.clone(), entries };
        self.writing = Some(batch.clone());
        effects.push(Effect::Journal { number: self.next_batch(), batch });
    }

    fn written(&mut self, number: u64, effects: &mut Vec<Effect>) {
        if number != self.next_batch() || self.state == State::Fenced {
            return;
        }
        let Some(batch) = self.writing.take() else { return };
        self.facts.apply(&batch);
        if self.state == State::Opening {
            self.take_over();
        }
        for entry in &batch.entries {
            self.settle(entry);
        }
        self.advance(effects);
    }

    fn planned(&mut self, inputs: Vec<MapInput>) {
        if !self.is_queued(|entry| matches!(entry, Entry::Planned { .. })) {
            self.queue.push(Entry::Planned { inputs });
        }
    }

    fn output_lost(&mut self, partition: u32) {
        let same = |entry: &Entry| matches!(entry, Entry::ReduceLost { task, .. } if *task == partition);
        if let Some(attempt) = self.facts.winner(TaskId::reduce(partition))
            && !self.is_queued(same)
        {
            self.queue.push(Entry::ReduceLost { task: partition, attempt });
        }
    }

    /// Another write came first: of another coordinator, or our own whose reply was lost.
    fn taken(&mut self, number: u64, found: Batch, effects: &mut Vec<Effect>) {
        if number != self.next_batch() || self.state == State::Fenced {
        } else if self.writing.as_ref() == Some(&found) {
            self.written(number, effects);
        } else if self.state == State::Opening {
            self.facts.apply(&found);
            self.open(self.holder.clone(), effects);
        } else {
            self.state = State::Fenced;
            effects.push(Effect::Fenced { holder: found.holder });
        }
    }

    /// Sets up the tasks from the facts that other coordinators left.
    fn take_over(&mut self) {
        self.tasks = Tasks::new(self.facts.maps.len(), self.facts.reduces.len());
        self.weigh_maps();
        let maps = (0..self.facts.total(TaskKind::Map)).map(TaskId::map);
        let reduces = (0..self.facts.total(TaskKind::Reduce)).map(TaskId::reduce);
        for id in maps.chain(reduces) {
            self.requeue(id);
        }
    }

    fn weigh_maps(&mut self) {
        for (index, input) in (0..).zip(self.facts.inputs.iter().flatten()) {
            self.tasks.weigh(TaskId::map(index), input.weight());
        }
    }

    /// A reduce task weighs what it reads.
    fn weigh_reduces(&mut self) {
        for partition in 0..self.config.partitions {
            let bytes = |segment: &Segment| {
                let (range, _) = segment.partition(partition);
                range.end - range.start
            };
            let total = self.facts.maps.iter().flatten().map(|map| bytes(&map.segment)).sum();
            self.tasks.weigh(TaskId::reduce(partition), total);
        }
    }

    /// What a new fact changes for the tasks.
    fn settle(&mut self, entry: &Entry) {
        match entry {
            Entry::Planned { .. } => self.take_over_plan(),
            Entry::MapFinished { task, .. } => self.finished(TaskId::map(*task)),
            Entry::ReduceFinished { task, .. } => self.finished(TaskId::reduce(*task)),
            Entry::MapLost { task, .. } => {
                self.requeue(TaskId::map(*task));
                let lost = self.facts.lost_segments.get(task).copied().unwrap_or(0);
                if lost > self.config.max_lost {
                    self.fail("MapOutputLost", format!("the output of map-{task} was lost {}", times(lost)));
                }
            }
            Entry::ReduceLost { task, .. } => self.requeue(TaskId::reduce(*task)),
            Entry::AttemptFailed { task, worker, message, .. } => self.failed(*task, worker, message),
            Entry::Opened { .. } | Entry::Start { .. } | Entry::Failed { .. } => {}
        }
    }

    fn take_over_plan(&mut self) {
        let workers = std::mem::take(&mut self.tasks.workers);
        self.take_over();
        self.tasks.workers = workers;
        self.waiting.clear();
    }

    fn finished(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.accepted = None;
        }
        self.tasks.unqueue(id);
        self.tasks.slow.remove(&id);
        let (skipped, limit) = (self.facts.counters().skipped, self.config.skip_bad_records);
        if skipped > limit {
            let message = format!("{skipped} bad records were skipped; failure.skipBadRecords allows {limit}");
            self.fail("TooManyBadRecords", message);
        }
    }

    fn failed(&mut self, id: TaskId, worker: &str, message: &str) {
        let failures = self.facts.failed.get(&id).copied().unwrap_or(0);
        if failures >= self.config.max_attempts {
            self.fail("TaskFailed", format!("{id} failed {}, the last time on {worker}: {message}", times(failures)));
        } else if self.is_idle(id) {
            let pause = Millis(BACKOFF.0 << failures.saturating_sub(1).min(7));
            self.tasks.delay(id, self.now + pause, worker.to_owned(), self.now + pause + self.config.lease);
        }
    }

    /// Whether a task has neither a winner nor an attempt.
    fn is_idle(&self, id: TaskId) -> bool {
        let idle = |task: &tasks::Task| task.accepted.is_none() && task.running.is_empty();
        self.facts.winner(id).is_none() && self.tasks.get(id).is_some_and(idle)
    }

    /// Lets a task wait for a worker, if it has neither a winner nor an attempt.
    fn requeue(&mut self, id: TaskId) {
        if self.is_idle(id) {
            self.tasks.queue(id);
        }
    }

    /// Moves on as far as the facts allow.
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        if self.ended() {
            return;
        }
        let maps_done = self.facts.inputs.is_some() && self.facts.maps_done == self.facts.total(TaskKind::Map);
        let next = if self.facts.failure.is_some() {
            State::Failed
        } else if self.facts.inputs.is_none() {
            State::Planning
        } else if self.facts.reduces_done == self.facts.total(TaskKind::Reduce) {
            State::Committing
        } else if maps_done {
            State::Reducing
        } else {
            State::Mapping
        };
        let before = std::mem::replace(&mut self.state, next);
        if before == next {
            return;
        }
        match next {
            State::Failed => effects.push(Effect::Finish),
            State::Planning => effects.push(Effect::Plan { start: self.facts.start.clone() }),
            State::Reducing => self.weigh_reduces(),
            State::Committing => effects.push(Effect::WriteManifest(self.facts.manifest(&self.config.job))),
            _ => {}
        }
    }

    /// Lets the job fail, once.
    fn fail(&mut self, reason: &str, message: String) {
        if !self.ended() && !self.is_queued(|entry| matches!(entry, Entry::Failed { .. })) {
            let message = facts::cut(&message, 4 * facts::MESSAGE).to_owned();
            self.queue.push(Entry::Failed { reason: reason.to_owned(), message });
        }
    }

    /// Whether an entry is on its way into the journal.
    fn is_queued(&self, wanted: impl Fn(&Entry) -> bool) -> bool {
        self.queue.iter().chain(self.writing.iter().flat_map(|batch| &batch.entries)).any(wanted)
    }

    /// Writes the entries that have come together, one batch at a time.
    fn flush(&mut self, effects: &mut Vec<Effect>) {
        if self.writing.is_some() || self.queue.is_empty() || self.ended() || self.state == State::Opening {
            return;
        }
        let entries = std::mem::take(&mut self.queue);
        let batch = Batch { epoch: self.facts.epoch, holder: self.holder.clone(), entries };
        self.writing = Some(batch.clone());
        effects.push(Effect::Journal { number: self.next_batch(), batch });
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}
