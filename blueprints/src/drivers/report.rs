//! What a driver says of a child.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tributary_crds::{Health, Timestamp};

use super::Lifetime;
use crate::duration;

/// How a child is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Health.
    pub health: Health,
    /// The child's own reason.
    pub reason: String,
    /// The child's own message.
    pub message: String,
    /// From 0 to 100, where the kind tells.
    pub percent: Option<i32>,
    /// Values for expressions.
    pub outputs: BTreeMap<String, Value>,
    /// The outcome is final: it will not change by itself.
    pub finished: bool,
    /// When it ended, where the child tells.
    pub finished_at: Option<Timestamp>,
    /// How long this may last before it counts as a failure: for a state that nobody else may ever end.
    pub patience: Option<Duration>,
}

impl Report {
    /// A health with the child's words.
    pub fn new(health: Health, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { health, reason: reason.into(), message: message.into(), ..Self::default() }
    }

    /// A final outcome with the child's words.
    pub fn finished(health: Health, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { finished: true, ..Self::new(health, reason, message) }
    }

    /// A state that may last only so long.
    pub(super) fn at_most(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// The reading as it counts for a component of this lifetime: what ends by itself is on its way until it has ended,
    /// even while all of it is up.
    pub(crate) fn of(mut self, lifetime: Lifetime) -> Self {
        if self.health == Health::Ready && lifetime == Lifetime::Batch {
            self.health = Health::Progressing;
        }
        self
    }

    /// How long this may last: as the component says of waiting, else as the driver knows.
    pub(crate) fn limit(&self, said: Option<Duration>) -> Option<Duration> {
        let waits = !self.finished && matches!(self.health, Health::Pending | Health::Unknown);
        match self.patience {
            Some(patience) => Some(said.unwrap_or(patience)),
            None => said.filter(|_| waits),
        }
    }

    /// The reading once it has lasted too long, since `since`. It is final only where the child is `given_up`: otherwise
    /// it may get on after all, and is then read as it is.
    pub(crate) fn overdue(self, since: Timestamp, limit: Duration, given_up: bool) -> Self {
        let state = if self.reason.is_empty() { format!("{:?}", self.health) } else { self.reason };
        let words = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        Self {
            health: Health::Failed,
            reason: "DeadlineExceeded".into(),
            message: format!("{state} for more than {}{words}", duration::show(limit)),
            finished: given_up,
            finished_at: since.checked_add(limit).ok(),
            patience: None,
            ..self
        }
    }
}
