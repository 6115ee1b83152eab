//! Answers to workers. All of an answer follows from the poll and the state, so that a poll or an answer that is lost
//! costs nothing: the next one brings it right.

use super::facts::{MESSAGE, cut};
use super::ids::{AttemptId, TaskId, TaskKind};
use super::message::{Acknowledged, Assignment, Effect, Outcome, Poll, ReduceInput, Reply, Report, Running, Work};
use super::tasks::{Attempt, Worker};
use super::{Job, State};
use crate::commit::Entry;

/// Attempts of a task at once.
const MAX_RUNNING: usize = 2;

impl Job {
    pub(super) fn poll(&mut self, poll: Poll, effects: &mut Vec<Effect>) {
        let newer = poll.running.iter().map(|r| r.attempt).chain(poll.reports.iter().map(|r| r.attempt));
        if newer.map(|a| a.epoch).any(|epoch| epoch > self.facts.epoch) && self.state != State::Opening && !self.ended()
        {
            // only a later coordinator can have handed that out
            self.state = State::Fenced;
            effects.push(Effect::Fenced { holder: "a later coordinator".to_owned() });
        }
        let (worker, seq) = (poll.worker.clone(), poll.seq);
        let reply = match self.state {
            State::Opening | State::Fenced => Reply::default(),
            State::Succeeded | State::Failed => Reply { done: true, ..Reply::default() },
            _ => self.answer(poll),
        };
        effects.push(Effect::Reply { worker, seq, reply });
    }

    fn answer(&mut self, poll: Poll) -> Reply {
        let name = poll.worker.name.clone();
        if !self.hear(&poll) {
            return Reply::default();
        }
        let mut reply = Reply::default();
        for report in &poll.reports {
            reply.acknowledged.extend(self.report(&name, report));
        }
        self.forget_unstarted(&name, &poll);
        for running in &poll.running {
            if !self.may_run(&name, *running) {
                reply.cancel.push(running.attempt);
            }
        }
        if poll.leaving {
            self.release(&name);
            return reply;
        }
        self.assign(&name, &poll, &mut reply);
        reply
    }

    /// Renews the worker's lease; false for a poll that is older than one that was heard, or of a process that is dead.
    fn hear(&mut self, poll: &Poll) -> bool {
        let name = &poll.worker.name;
        let mut before = Vec::new();
        if let Some(known) = self.tasks.workers.get(name).filter(|known| known.id != poll.worker) {
            if known.before.contains(&poll.worker.incarnation) {
                return false;
            }
            // the process was started anew: what ran in the old one is gone
            before.clone_from(&known.before);
            before.push(known.id.incarnation.clone());
            self.lose(name);
        }
        let (id, heard) = (poll.worker.clone(), self.now);
        let fresh = || Worker { id, before, heard, seq: 0, attempts: Default::default() };
        let known = self.tasks.workers.entry(name.clone()).or_insert_with(fresh);
        if poll.seq < known.seq {
            return false;
        }
        known.heard = heard;
        known.seq = poll.seq;
        true
    }

    /// What a report leads to; acknowledged once that cannot be lost.
    fn report(&mut self, worker: &str, report: &Report) -> Option<Acknowledged> {
        let (id, attempt) = (report.task, report.attempt);
        let heard = |kept| Some(Acknowledged { attempt, kept });
        let ran = self.tasks.detach(attempt);
        let Some(accepted) = self.tasks.get(id).map(|task| task.accepted) else { return heard(false) };
        let winner = self.facts.winner(id);
        if winner.is_some() {
            return heard(winner == Some(attempt));
        }
        if accepted.is_some() {
            return if accepted == Some(attempt) { None } else { heard(false) };
        }
        match &report.outcome {
            Outcome::Failed { message, fatal } => self.attempt_failed(worker, report, message, *fatal),
            Outcome::SegmentLost { map, attempt: source, .. } => {
                self.segment_lost(*map, *source);
                self.requeue(id);
                heard(false)
            }
            outcome => match self.entry(report, outcome, ran.as_ref()) {
                Some(entry) => {
                    self.accept(id, attempt, ran, entry);
                    None
                }
                None => {
                    let message = "the worker reported an outcome that is not of this task: another version?";
                    self.attempt_failed(worker, report, message, false)
                }
            },
        }
    }

    /// The journal's entry for a task that is finished; none where the outcome does not fit the task.
    fn entry(&self, report: &Report, outcome: &Outcome, ran: Option<&Attempt>) -> Option<Entry> {
        let (task, attempt) = (report.task.index, report.attempt);
        match (report.task.kind, outcome.clone()) {
            (TaskKind::Map, Outcome::Mapped { segment, counters }) => {
                let fits = segment.is_valid(self.config.partitions);
                let started = ran.map_or(self.now, |ran| ran.started);
                fits.then_some(Entry::MapFinished { task, attempt, segment, counters, started })
            }
            (TaskKind::Reduce, Outcome::Reduced { output, mut rows, counters }) => {
                rows.truncate(self.config.rows as usize);
                Some(Entry::ReduceFinished { task, attempt, output, rows, counters })
            }
            _ => None,
        }
    }

    fn accept(&mut self, id: TaskId, attempt: AttemptId, ran: Option<Attempt>, entry: Entry) {
        if let Some(ran) = ran {
            self.tasks.took(id.kind, self.now - ran.started);
        }
        if let Some(task) = self.tasks.get_mut(id) {
            task.accepted = Some(attempt);
        }
        self.tasks.unqueue(id);
        self.queue.push(entry);
    }

    fn attempt_failed(&mut self, worker: &str, report: &Report, message: &str, fatal: bool) -> Option<Acknowledged> {
        let (task, attempt) = (report.task, report.attempt);
        if self.facts.failed_attempts.contains(&attempt) {
            self.requeue(task);
            return Some(Acknowledged { attempt, kept: false });
        }
        let same = |entry: &Entry| matches!(entry, Entry::AttemptFailed { attempt: other, .. } if *other == attempt);
        if !self.is_queued(same) {
            let message = cut(message, MESSAGE).to_owned();
            self.queue.push(Entry::AttemptFailed {
                task,
                attempt,
                worker: worker.to_owned(),
                message: message.clone(),
            });
            if fatal {
                self.fail("TaskFailed", format!("{task} failed on {worker}: {message}"));
            }
        }
        None
    }

    fn segment_lost(&mut self, map: u32, attempt: AttemptId) {
        let same = |entry: &Entry| matches!(entry, Entry::MapLost { task, .. } if *task == map);
        if self.facts.winner(TaskId::map(map)) == Some(attempt) && !self.is_queued(same) {
            self.queue.push(Entry::MapLost { task: map, attempt });
        }
    }

    /// Frees the attempts that were given to the worker in an answer that it did not get.
    fn forget_unstarted(&mut self, name: &str, poll: &Poll) {
        let Some(worker) = self.tasks.workers.get(name) else { return };
        let told = |id: &AttemptId| poll.running.iter().any(|running| running.attempt == *id);
        let sent = |id: &AttemptId| self.tasks.attempts.get(id).is_some_and(|attempt| attempt.seq < poll.seq);
        let gone: Vec<AttemptId> = worker.attempts.iter().copied().filter(|id| !told(id) && sent(id)).collect();
        for id in gone {
            if let Some(attempt) = self.tasks.detach(id) {
                self.requeue(attempt.task);
            }
        }
    }

    /// A worker goes away in good order: what it ran waits for another, and no limit counts it.
    fn release(&mut self, name: &str) {
        let Some(worker) = self.tasks.workers.remove(name) else { return };
        for attempt in worker.attempts {
            if let Some(attempt) = self.tasks.detach(attempt) {
                self.requeue(attempt.task);
            }
        }
    }

    /// Whether an attempt that a worker runs should go on; one that is new to this coordinator is taken up.
    fn may_run(&mut self, name: &str, running: Running) -> bool {
        let Some(task) = self.tasks.get(running.task) else { return false };
        let won = task.accepted.is_some() || self.facts.winner(running.task).is_some();
        let failed = self.facts.failed_attempts.contains(&running.attempt);
        if won || failed {
            self.tasks.detach(running.attempt);
            self.requeue(running.task);
            return false;
        }
        if self.tasks.attempts.contains_key(&running.attempt) {
            return true;
        }
        if task.running.len() >= MAX_RUNNING {
            return false;
        }
        self.tasks.unqueue(running.task);
        let attempt = Attempt { task: running.task, worker: name.to_owned(), started: self.now, seq: 0 };
        self.tasks.attach(running.attempt, attempt);
        true
    }

    /// Gives the worker as many tasks as it asks for.
    fn assign(&mut self, name: &str, poll: &Poll, reply: &mut Reply) {
        let kind = match self.state {
            State::Mapping => TaskKind::Map,
            // where a segment is lost, reduce tasks wait for another one
            State::Reducing if !self.is_queued(|entry| matches!(entry, Entry::MapLost { .. })) => TaskKind::Reduce,
            _ => return,
        };
        if self.is_queued(|entry| matches!(entry, Entry::Failed { .. })) {
            return;
        }
        self.repeat(name, poll, reply);
        while reply.assign.len() < poll.free as usize {
            let Some(task) = self.tasks.next(kind, name, self.now) else { break };
            let Some(work) = self.work(task) else { continue };
            self.attempts += 1;
            let attempt = AttemptId { epoch: self.facts.epoch, number: self.attempts };
            if kind == TaskKind::Map {
                self.first_task.get_or_insert(self.now);
            }
            let started = Attempt { task, worker: name.to_owned(), started: self.now, seq: poll.seq };
            self.tasks.attach(attempt, started);
            reply.assign.push(Assignment { task, attempt, work });
        }
    }

    /// Gives again what was given to this very poll, if it is put twice.
    fn repeat(&self, name: &str, poll: &Poll, reply: &mut Reply) {
        let Some(worker) = self.tasks.workers.get(name) else { return };
        for &attempt in &worker.attempts {
            let given = self.tasks.attempts.get(&attempt).filter(|given| given.seq == poll.seq);
            let told = poll.running.iter().any(|running| running.attempt == attempt);
            if let Some(task) = given.filter(|_| !told).map(|given| given.task)
                && let Some(work) = self.work(task)
            {
                reply.assign.push(Assignment { task, attempt, work });
            }
        }
    }

    fn work(&self, id: TaskId) -> Option<Work> {
        match id.kind {
            TaskKind::Map => {
                let input = self.facts.inputs.as_ref()?.get(id.index as usize)?.clone();
                Some(Work::Map { input })
            }
            TaskKind::Reduce => {
                let mut inputs = Vec::new();
                for (map, done) in (0..).zip(&self.facts.maps) {
                    let done = done.as_ref()?;
                    let (range, records) = done.segment.partition(id.index);
                    if !range.is_empty() {
                        let (attempt, segment) = (done.attempt, done.segment.name.clone());
                        inputs.push(ReduceInput { map, attempt, segment, start: range.start, end: range.end, records });
                    }
                }
                Some(Work::Reduce { inputs })
            }
        }
    }
}
