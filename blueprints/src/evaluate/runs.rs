//! Runs: by `spec.run`, by the schedule, and failed components once more.

use std::time::Duration;

use tributary_crds::{Pipeline, PipelinePhase, PipelineStatus, RunStatus, Timestamp, names};

use super::Draft;
use super::pass::Pass;
use super::summary::rfc3339;
use super::waits::has_ended;
use crate::plan::Event;
use crate::schedule::Schedule;

/// Finished runs that are kept where the spec does not say.
const HISTORY_LIMIT: usize = 3;

impl Pass<'_> {
    /// A greater run than the last one begins, or the first; with a schedule, that one is the schedule's to begin.
    pub(super) fn begin_run(&mut self) {
        let spec = &self.world.pipeline.spec;
        self.awaits_first_run = spec.schedule.is_some() && spec.run.is_none() && self.old.run.is_none();
        if !self.awaits_first_run {
            begin(&mut self.status, self.old, &self.world.pipeline, self.resolved.run);
        }
        let asked = self.world.pipeline.metadata.annotations.as_ref().and_then(|a| a.get(names::RETRY));
        let asked = asked.map(String::as_str).unwrap_or_default();
        self.retry = !asked.is_empty() && asked != self.old.retry;
        self.status.retry = asked.to_owned();
    }
}

impl Draft<'_> {
    /// Sees to the schedule; gives whether a run begins, which is all that this pass then does: that a run has begun must
    /// be known before its children are created. A time that comes while a run goes on waits for its end, and several that
    /// were missed are one.
    pub(super) fn run_is_due(&mut self) -> bool {
        let pipeline = &self.world.pipeline;
        let parsed = |text: &String| Schedule::parse(text, pipeline.spec.time_zone.as_deref()).ok();
        let next = pipeline.spec.schedule.as_ref().and_then(parsed).and_then(|s| Some((self.next(&s)?, s)));
        let Some((next, schedule)) = next else {
            self.status.next_run_time = None;
            return false;
        };
        self.status.next_run_time = Some(rfc3339(next));
        if next > self.now {
            let left = Duration::try_from(next.duration_since(self.now)).unwrap_or_default();
            self.plan.requeue = Some(self.plan.requeue.map_or(left, |r| r.min(left)));
            return false;
        }
        if pipeline.spec.suspend || !has_run_ended(&self.old) {
            return false;
        }
        let run = self.old.run.map_or(1, |run| run + 1).max(pipeline.spec.run.unwrap_or(1));
        begin(&mut self.status, &self.old, pipeline, run);
        self.status.next_run_time = schedule.next(self.now).map(rfc3339);
        self.status.phase = PipelinePhase::Progressing;
        self.status.message = format!("run {run} begins, as scheduled");
        self.plan.events.push(Event { warning: false, reason: "RunStarted".into(), note: self.status.message.clone() });
        true
    }

    /// When the next run is due: as the status says, unless the schedule has been edited since.
    fn next(&self, schedule: &Schedule) -> Option<Timestamp> {
        let pipeline = &self.world.pipeline;
        let second = Duration::from_secs(1);
        let told: Option<Timestamp> = self.old.next_run_time.as_ref().and_then(|t| t.parse().ok());
        let told = told.filter(|t| schedule.next(*t - second) == Some(*t));
        let edited = self.old.observed_generation != pipeline.metadata.generation;
        match told {
            Some(told) if edited => Some(schedule.next(self.now).map_or(told, |next| next.min(told))),
            Some(told) => Some(told),
            None if pipeline.status.is_none() => {
                schedule.next(pipeline.metadata.creation_timestamp.as_ref().map_or(self.now, |t| t.0))
            }
            None => schedule.next(self.now),
        }
    }
}

/// Begins a run: the last one goes into the history.
fn begin(status: &mut PipelineStatus, old: &PipelineStatus, pipeline: &Pipeline, run: i64) {
    if let Some(last) = old.run.filter(|last| *last < run) {
        let ended = RunStatus {
            run: last,
            phase: old.phase,
            start_time: old.start_time.clone(),
            completion_time: old.completion_time.clone(),
            message: old.message.clone(),
        };
        let limit = pipeline.spec.history_limit.and_then(|n| usize::try_from(n).ok());
        status.history.insert(0, ended);
        status.history.truncate(limit.unwrap_or(HISTORY_LIMIT));
        status.start_time = None;
        status.completion_time = None;
    }
    status.run = Some(run);
}

/// Whether the run in the status has ended; before the first one, none goes on.
fn has_run_ended(old: &PipelineStatus) -> bool {
    let mut batch = old.components.iter().filter(|c| c.run.is_some());
    old.run.is_none() || (!old.components.is_empty() && batch.all(|c| c.run == old.run && has_ended(c)))
}
