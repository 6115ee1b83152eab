//! When a run begins: by hand, by a schedule, or because one has begun already and was not recorded.

use std::collections::BTreeMap;

use tributary_blueprints::schedule::Schedule;
use tributary_crds::Timestamp;

use crate::revision::Revisions;

/// What is next, after the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This run, now.
    Run(i64),
    /// A run, then.
    At(Timestamp),
    /// Nothing.
    Never,
}

/// What decides about runs.
pub(crate) struct Runs<'a, F> {
    /// The last run.
    pub(crate) last: Option<i64>,
    /// When it began.
    pub(crate) begun: Option<Timestamp>,
    /// When the owner was created.
    pub(crate) created: Option<Timestamp>,
    pub(crate) revisions: &'a Revisions<F>,
    /// No run may begin.
    pub(crate) held: bool,
    /// `spec.run`.
    pub(crate) asked: Option<i64>,
    pub(crate) schedule: Option<&'a str>,
    pub(crate) zone: Option<&'a str>,
}

impl<F> Runs<'_, F> {
    /// The next run.
    pub(crate) fn next(&self, now: Timestamp) -> Next {
        let last = self.last;
        let unrecorded = |revisions: &BTreeMap<i64, _>| {
            revisions.last_key_value().map(|(run, _)| *run).filter(|run| last.is_none_or(|last| *run > last))
        };
        if let Some(run) = unrecorded(self.revisions) {
            return Next::Run(run);
        }
        if self.held {
            return Next::Never;
        }
        let wanted = match last {
            Some(last) => self.asked.filter(|wanted| *wanted > last),
            None if self.schedule.is_none() => Some(self.asked.unwrap_or(1)),
            None => self.asked,
        };
        if let Some(run) = wanted {
            return Next::Run(run);
        }
        match self.due() {
            Some(due) if due <= now => Next::Run(last.map_or(1, |last| last + 1)),
            Some(due) => Next::At(due),
            None => Next::Never,
        }
    }

    /// When the schedule says: the first time after the last run began. Times that were missed are one run.
    fn due(&self) -> Option<Timestamp> {
        let schedule = Schedule::parse(self.schedule?, self.zone).ok()?;
        schedule.next(self.begun.or(self.created)?)
    }
}
