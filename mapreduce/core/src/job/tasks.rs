//! Which tasks wait, which run and where: what a coordinator knows without the journal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::ids::{AttemptId, Millis, TaskId, TaskKind, WorkerId};

/// A task, as far as it is not finished by the journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    /// How much work it is, compared with others of its kind.
    pub weight: u64,
    /// The winner that is on its way into the journal.
    pub accepted: Option<AttemptId>,
    pub running: Vec<AttemptId>,
    /// How many attempts were lost with their worker.
    pub lost: u32,
    /// Until then, another worker is preferred to this one, where it failed.
    avoid: Option<(String, Millis)>,
}

/// An attempt that runs, as far as is known.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub task: TaskId,
    pub worker: String,
    pub started: Millis,
    /// The poll to which it was given as an answer; 0 where the worker itself told of it.
    pub seq: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub id: WorkerId,
    /// Incarnations of the same name that are dead.
    pub before: Vec<String>,
    pub heard: Millis,
    pub seq: u64,
    pub attempts: BTreeSet<AttemptId>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tasks {
    maps: Vec<Task>,
    reduces: Vec<Task>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    pub workers: BTreeMap<String, Worker>,
    /// The heaviest first.
    pending: BTreeSet<(TaskKind, Reverse<u64>, u32)>,
    delayed: BTreeSet<(Millis, TaskId)>,
    /// Tasks worth a second attempt.
    pub slow: BTreeSet<TaskId>,
    /// How long attempts took, by kind.
    took: BTreeMap<TaskKind, Vec<u64>>,
}

impl Tasks {
    pub fn new(maps: usize, reduces: usize) -> Self {
        Self { maps: vec![Task::default(); maps], reduces: vec![Task::default(); reduces], ..Self::default() }
    }

    pub fn get(&self, id: TaskId) -> Option<&Task> {
        match id.kind {
            TaskKind::Map => self.maps.get(id.index as usize),
            TaskKind::Reduce => self.reduces.get(id.index as usize),
        }
    }

    pub fn get_mut(&mut self, id: TaskId) -> Option<&mut Task> {
        match id.kind {
            TaskKind::Map => self.maps.get_mut(id.index as usize),
            TaskKind::Reduce => self.reduces.get_mut(id.index as usize),
        }
    }

    /// Sets a task's weight; it keeps its place among those that wait.
    pub fn weigh(&mut self, id: TaskId, weight: u64) {
        let waits = self.pending.remove(&self.place(id));
        if let Some(task) = self.get_mut(id) {
            task.weight = weight;
        }
        if waits {
            self.pending.insert(self.place(id));
        }
    }

    fn place(&self, id: TaskId) -> (TaskKind, Reverse<u64>, u32) {
        (id.kind, Reverse(self.get(id).map_or(0, |task| task.weight)), id.index)
    }

    /// Lets a task wait for a worker, unless it waits for its time.
    pub fn queue(&mut self, id: TaskId) {
        if self.get(id).is_some() && self.delayed.iter().all(|&(_, delayed)| delayed != id) {
            self.pending.insert(self.place(id));
        }
    }

    /// Lets a task wait for a worker, but not before `at`, and rather not for the one named.
    pub fn delay(&mut self, id: TaskId, at: Millis, avoid: String, until: Millis) {
        self.unqueue(id);
        if let Some(task) = self.get_mut(id) {
            task.avoid = Some((avoid, until));
            self.delayed.insert((at, id));
        }
    }

    /// Lets a task wait no more.
    pub fn unqueue(&mut self, id: TaskId) {
        self.pending.remove(&self.place(id));
        self.delayed.retain(|&(_, delayed)| delayed != id);
    }

    /// Takes a task whose time has come.
    pub fn wake(&mut self, now: Millis) -> Option<TaskId> {
        self.delayed.first().filter(|(at, _)| *at <= now)?;
        self.delayed.pop_first().map(|(_, id)| id)
    }

    pub fn waiting(&self, kind: TaskKind) -> bool {
        self.of_kind(kind).next().is_some()
    }

    fn of_kind(&self, kind: TaskKind) -> impl Iterator<Item = TaskId> {
        let from = (kind, Reverse(u64::MAX), 0);
        let to = (kind, Reverse(0), u32::MAX);
        self.pending.range(from..=to).map(move |&(_, _, index)| TaskId { kind, index })
    }

    /// The task that a worker gets next: one that waits, else a second attempt of one that is slow elsewhere.
    pub fn next(&mut self, kind: TaskKind, worker: &str, now: Millis) -> Option<TaskId> {
        let alone = self.workers.len() <= 1;
        let fits = |id: &TaskId| {
            let avoid = self.get(*id).and_then(|task| task.avoid.as_ref());
            alone || avoid.is_none_or(|(other, until)| other != worker || *until <= now)
        };
        let waiting = self.of_kind(kind).find(fits);
        if let Some(id) = waiting {
            self.unqueue(id);
            return Some(id);
        }
        let elsewhere = |id: &TaskId| {
            let running = self.get(*id).map_or(&[][..], |task| &task.running);
            id.kind == kind && running.iter().all(|a| self.attempts.get(a).is_some_and(|a| a.worker != worker))
        };
        let id = self.slow.iter().copied().find(elsewhere)?;
        self.slow.remove(&id);
        Some(id)
    }

    /// Notes that an attempt runs.
    pub fn attach(&mut self, id: AttemptId, attempt: Attempt) {
        if let Some(worker) = self.workers.get_mut(&attempt.worker) {
            worker.attempts.insert(id);
        }
        if let Some(task) = self.get_mut(attempt.task) {
            task.running.push(id);
        }
        self.attempts.insert(id, attempt);
    }

    /// Notes that an attempt does not run any more.
    pub fn detach(&mut self, id: AttemptId) -> Option<Attempt> {
        let attempt = self.attempts.remove(&id)?;
        if let Some(worker) = self.workers.get_mut(&attempt.worker) {
            worker.attempts.remove(&id);
        }
        if let Some(task) = self.get_mut(attempt.task) {
            task.running.retain(|&running| running != id);
        }
        self.slow.remove(&attempt.task);
        Some(attempt)
    }

    pub fn took(&mut self, kind: TaskKind, time: Millis) {
        self.took.entry(kind).or_default().push(time.0);
    }

    /// The median of the times that attempts of a kind took.
    pub fn median(&self, kind: TaskKind) -> Option<Millis> {
        let mut times = self.took.get(&kind)?.clone();
        let middle = times.len() / 2;
        (!times.is_empty()).then(|| Millis(*times.select_nth_unstable(middle).1))
    }

    /// Tasks of a kind with an attempt under way.
    pub fn running(&self, kind: TaskKind) -> u32 {
        let tasks: BTreeSet<TaskId> = self.attempts.values().map(|a| a.task).filter(|id| id.kind == kind).collect();
        u32::try_from(tasks.len()).unwrap_or(u32::MAX)
    }

    /// Attempts of a kind that were lost with their worker.
    pub fn lost(&self, kind: TaskKind) -> u32 {
        let tasks = if kind == TaskKind::Map { &self.maps } else { &self.reduces };
        tasks.iter().map(|task| task.lost).sum()
    }
}
