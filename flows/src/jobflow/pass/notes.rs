//! What is said of steps that are under way or have failed.

use tributary_crds::{Reason, StepStatus, Timestamp, condition::truncated};

use kube::core::DynamicObject;

use super::{LONGEST_MESSAGE, MISSING, Mode, Pass};
use crate::{job, jobflow::scope::byte, unit::Failure};

impl Pass<'_> {
    pub(super) fn again(&mut self, key: &str, attempt: u32, due: Timestamp, failed: Failure) {
        let before = attempt - 1;
        if before > 0 {
            self.tries.insert(key.to_owned(), before);
        }
        let message = format!("try {attempt} failed, the next one is at {due}: {}", failed.message);
        let retries = (before > 0).then_some(before);
        self.failed_note(key, Failure { message, ..failed }, retries);
    }

    pub(super) fn missing(&mut self, key: &str, attempt: u32, since: Timestamp) {
        let end = since.checked_add(crate::unit::PATIENCE).unwrap_or(since);
        self.later(job::until(end, self.now).unwrap_or_default());
        let status = StepStatus {
            reason: MISSING.into(),
            message: "its Job was created and is not to be seen".into(),
            since: since.to_string(),
            retries: (attempt > 0).then_some(attempt),
            ..StepStatus::default()
        };
        self.note(key, true, status);
    }

    pub(super) fn is_living(&mut self, key: &str, attempt: u32, job: &DynamicObject) {
        let hold = self.mode == Mode::Held;
        if job::is_held(job) != hold && job.metadata.deletion_timestamp.is_none() {
            self.actions.push(job::hold(job, hold));
        }
        if attempt > 0 {
            self.tries.insert(key.to_owned(), attempt);
        }
        let words = match hold {
            true => job::Words::default(),
            false => job::words(&self.world.pods.of(job)),
        };
        let reason = if words.blocked.is_empty() { "" } else { Reason::PodsBlocked.as_str() };
        let status = StepStatus {
            uid: job.metadata.uid.clone().unwrap_or_default(),
            retries: (attempt > 0).then_some(attempt),
            reason: reason.into(),
            message: words.blocked,
            ..StepStatus::default()
        };
        self.note(key, false, status);
    }

    pub(super) fn fail(&mut self, i: usize, failed: Failure) {
        self.failed_note(&self.frozen.steps[i].name.clone(), failed, None);
        self.ended(i, byte::FAILED, None);
    }

    pub(super) fn failed_note(&mut self, key: &str, failed: Failure, retries: Option<u32>) {
        let Failure { reason, message } = failed;
        self.note(key, true, StepStatus { reason, message, retries, ..StepStatus::default() });
    }

    pub(super) fn note(&mut self, key: &str, failing: bool, status: StepStatus) {
        let message = truncated(&status.message, LONGEST_MESSAGE);
        self.notes.insert(key.to_owned(), (failing, StepStatus { name: key.to_owned(), message, ..status }));
    }

    /// What was said of a step that has failed stays, since its Job may be gone.
    pub(super) fn keep_note(&mut self, key: &str) {
        if let Some(known) = self.known.get(key).filter(|s| s.uid.is_empty() && !s.reason.is_empty()) {
            self.notes.insert(key.to_owned(), (true, (*known).clone()));
        }
    }
}
