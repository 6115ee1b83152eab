//! One thing to be done by a Job and, where that fails, by further ones: a step, an item of a step, or a node.

use std::{sync::Arc, time::Duration};

use kube::core::{DynamicObject, ObjectMeta};
use tributary_crds::{Reason, Timestamp};

use crate::{
    family::{Jobs, Pods},
    job::{self, Kinship},
    jobflow::Pauses,
};

/// How long a Job that was created may be missing from the cache: after a change of leader one watch may be behind
/// another.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a decision looks at.
pub(crate) struct View<'a> {
    pub(crate) jobs: &'a Jobs,
    pub(crate) pods: &'a Pods,
    /// The owner and its kind.
    pub(crate) owner: &'a ObjectMeta,
    pub(crate) kind: &'static str,
    pub(crate) now: Timestamp,
}

/// Which unit.
pub(crate) struct Ask<'a> {
    /// The name of the Job of a try.
    pub(crate) name: &'a dyn Fn(u32) -> String,
    /// Whether an object of ours is the Job of this try, and not one of another run.
    pub(crate) is: &'a dyn Fn(&ObjectMeta, u32) -> bool,
    /// The try that the status knows of.
    pub(crate) recorded: u32,
    /// The status knows that its first Job was created.
    pub(crate) begun: bool,
    /// Since when the status knows that its Job is missing.
    pub(crate) missing_since: Option<Timestamp>,
    pub(crate) retry: Pauses,
    /// A Job that took too long is not tried again.
    pub(crate) deadline_is_final: bool,
}

/// Where a unit is.
#[derive(Debug)]
pub(crate) enum Is {
    /// Not begun.
    Absent,
    /// To be tried again from a time on.
    Again { attempt: u32, due: Timestamp, failed: Failure },
    /// Waits for what has its name to go.
    Waiting(String),
    /// A Job of an earlier run has its name.
    InTheWay(Arc<DynamicObject>),
    /// Its Job was created and is not to be seen.
    Missing { attempt: u32, since: Timestamp },
    /// Its Job runs, or will.
    Living { attempt: u32, job: Arc<DynamicObject> },
    /// It ended well.
    Succeeded { job: Arc<DynamicObject> },
    /// It ended badly for good.
    Failed { attempt: u32, failed: Failure },
}

/// How a Job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}

impl View<'_> {
    /// Where the unit is.
    pub(crate) fn see(&self, ask: &Ask<'_>) -> Is {
        let ours = |attempt: u32| {
            let job = self.jobs.get(&(ask.name)(attempt))?;
            (self.kinship(&job) == Kinship::Ours && (ask.is)(&job.metadata, attempt)).then_some(job)
        };
        let mut attempt = ask.recorded;
        // a try that began and was not recorded
        while attempt < ask.retry.limit && ours(attempt + 1).is_some() {
            attempt += 1;
        }
        let name = (ask.name)(attempt);
        let Some(job) = self.jobs.get(&name) else {
            if !ask.begun && attempt == 0 {
                return Is::Absent;
            }
            let since = ask.missing_since.unwrap_or(self.now);
            return match since.checked_add(PATIENCE) {
                Ok(end) if end <= self.now => {
                    let message = format!("Job {name} is gone, and nobody knows what came of it");
                    self.failed(ask, attempt, Failure::new(Reason::OutcomeLost.as_str(), message), self.now)
                }
                _ => Is::Missing { attempt, since },
            };
        };
        match self.kinship(&job) {
            Kinship::Stale => {
                return Is::Waiting(format!("waits for the Job {name} of a former {} to be gone", self.kind));
            }
            Kinship::Foreign => {
                let message = format!("Job {name} exists and belongs to somebody else: rename or delete it");
                return Is::Failed { attempt, failed: Failure::new(Reason::NameTaken.as_str(), message) };
            }
            Kinship::Ours if (ask.is)(&job.metadata, attempt) => {}
            Kinship::Ours => return Is::InTheWay(job),
        }
        let pods = self.pods.of(&job);
        match job::end(&job) {
            Some(end) if end.succeeded => Is::Succeeded { job },
            Some(end) => {
                let words = job::words(&pods).failure;
                let message = if words.is_empty() { end.message } else { words };
                self.failed(ask, attempt, Failure::new(end.reason, message), end.at.unwrap_or(self.now))
            }
            None if job::is_sure_to_complete(&job, &pods) => Is::Succeeded { job },
            None => Is::Living { attempt, job },
        }
    }

    fn kinship(&self, job: &DynamicObject) -> Kinship {
        job::kinship(&job.metadata, self.owner, self.kind)
    }

    fn failed(&self, ask: &Ask<'_>, attempt: u32, failed: Failure, at: Timestamp) -> Is {
        let is_final = ask.deadline_is_final && failed.reason == Reason::DeadlineExceeded.as_str();
        if attempt >= ask.retry.limit || is_final {
            return Is::Failed { attempt, failed };
        }
        let due = at.checked_add(ask.retry.after(attempt)).unwrap_or(at);
        Is::Again { attempt: attempt + 1, due, failed }
    }
}
