//! What follows from the mere passing of time: leases, deadlines, second attempts.

use super::ids::{Millis, TaskKind};
use super::tasks::{Task, Worker};
use super::{Job, State, times};

/// An attempt is not slow before.
const SLOW: Millis = Millis::seconds(5);

impl Job {
    pub(super) fn tick(&mut self) {
        if self.ended() || self.state == State::Opening {
            return;
        }
        self.expire();
        while let Some(id) = self.tasks.wake(self.now) {
            self.requeue(id);
        }
        self.find_slow();
        let deadline = self.config.deadline.zip(self.facts.opened);
        if let Some((limit, _)) = deadline.filter(|&(limit, at)| self.now > at + limit)
            && self.state != State::Committing
        {
            let message = format!("the job has not ended within {} s (activeDeadlineSeconds)", limit.0 / 1_000);
            self.fail("DeadlineExceeded", message);
        }
    }

    /// Takes the attempts away from workers that have not been heard of.
    fn expire(&mut self) {
        let dead = |worker: &&Worker| self.now - worker.heard > self.config.lease;
        let dead: Vec<String> = self.tasks.workers.values().filter(dead).map(|w| w.id.name.clone()).collect();
        for name in dead {
            self.lose(&name);
        }
    }

    /// A worker is dead: its attempts are lost.
    pub(super) fn lose(&mut self, name: &str) {
        let Some(worker) = self.tasks.workers.remove(name) else { return };
        for attempt in worker.attempts {
            let Some(attempt) = self.tasks.detach(attempt) else { continue };
            let unfinished = self.facts.winner(attempt.task).is_none();
            let Some(task) = self.tasks.get_mut(attempt.task).filter(|t| unfinished && t.accepted.is_none()) else {
                continue;
            };
            task.lost += 1;
            if task.lost > self.config.max_lost {
                let (task, lost) = (attempt.task, times(task.lost));
                let message =
                    format!("{task} was lost with its worker {lost}, the last time with {name}: out of memory?");
                self.fail("TaskLost", message);
            }
            self.requeue(attempt.task);
        }
    }

    /// Finds the tasks that take much longer than the others, once most are done and nothing else waits.
    fn find_slow(&mut self) {
        let kind = match self.state {
            State::Mapping => TaskKind::Map,
            State::Reducing => TaskKind::Reduce,
            _ => return,
        };
        let (total, done) = (u64::from(self.facts.total(kind)), u64::from(self.facts.done(kind)));
        let most = done * 4 >= total * 3 || (done > 0 && total - done == 1);
        if !self.config.speculation || !most || self.tasks.waiting(kind) {
            return;
        }
        let Some(median) = self.tasks.median(kind) else { return };
        let limit = SLOW.max(Millis(median.0.saturating_mul(2)));
        for attempt in self.tasks.attempts.values() {
            let lonely = |task: &Task| task.running.len() == 1 && task.accepted.is_none();
            if attempt.task.kind == kind
                && self.now - attempt.started > limit
                && self.tasks.get(attempt.task).is_some_and(lonely)
                && self.facts.winner(attempt.task).is_none()
            {
                self.tasks.slow.insert(attempt.task);
            }
        }
    }
}
