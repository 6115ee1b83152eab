//! How a job ended, if it has.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use tributary_crds::{ConditionType, EnginePhase, JobPhase, MapReduceJobStatus, Reason, Timestamp};
use tributary_flows::pods;

use super::{
    children::Role,
    unsupported::unsupported,
    world::{Kinship, World},
};

/// How long the outcome of a coordinator that ended well may take to reach the cache.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Well or badly.
    pub succeeded: bool,
    /// For a condition.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The engine ended it by itself, and its pods go by themselves.
    pub by_engine: bool,
}

impl Outcome {
    fn failed(reason: Reason, message: impl Into<String>) -> Self {
        Self { succeeded: false, reason: reason.as_str().into(), message: message.into(), by_engine: false }
    }

    /// The job's phase.
    pub fn phase(&self) -> JobPhase {
        if self.succeeded { JobPhase::Succeeded } else { JobPhase::Failed }
    }
}

/// How the job ended; `None` while it goes on.
pub fn outcome(world: &World, now: Timestamp) -> Option<Outcome> {
    let status = world.job.status.as_ref();
    if let Some(latched) = status.and_then(latched) {
        return Some(latched);
    }
    if let Some(problem) = unsupported(&world.job.spec) {
        return Some(Outcome::failed(Reason::InvalidSpec, problem));
    }
    of_engine(status).or_else(|| deadline(world, now)).or_else(|| of_coordinator(world, now))
}

/// What was once said to be the end stays the end, except that an edit may right the spec.
fn latched(status: &MapReduceJobStatus) -> Option<Outcome> {
    if !matches!(status.phase, JobPhase::Succeeded | JobPhase::Failed) {
        return None;
    }
    let wanted = [ConditionType::Complete.as_str(), ConditionType::Failed.as_str()];
    let condition = status.conditions.iter().find(|c| wanted.contains(&c.type_.as_str()) && c.status == "True")?;
    let by_engine = of_engine(Some(status)).is_some();
    (condition.reason != Reason::InvalidSpec.as_str()).then(|| Outcome {
        succeeded: status.phase == JobPhase::Succeeded,
        reason: condition.reason.clone(),
        message: status.message.clone(),
        by_engine,
    })
}

fn of_engine(status: Option<&MapReduceJobStatus>) -> Option<Outcome> {
    let engine = status?.engine.as_ref()?;
    let or = |given: &str, default: Reason| if given.is_empty() { default.as_str().into() } else { given.to_owned() };
    match engine.phase {
        EnginePhase::Succeeded => Some(Outcome {
            succeeded: true,
            reason: Reason::Succeeded.as_str().into(),
            message: engine.message.clone(),
            by_engine: true,
        }),
        EnginePhase::Failed => Some(Outcome {
            succeeded: false,
            reason: or(&engine.reason, Reason::TaskFailed),
            message: or(&engine.message, Reason::TaskFailed),
            by_engine: true,
        }),
        _ => None,
    }
}

/// When the job has to have ended.
pub fn deadline_at(world: &World) -> Option<Timestamp> {
    let seconds = u64::try_from(world.job.spec.active_deadline_seconds?).ok()?;
    let start: Timestamp = world.job.status.as_ref()?.start_time.as_ref()?.parse().ok()?;
    start.checked_add(Duration::from_secs(seconds)).ok()
}

fn deadline(world: &World, now: Timestamp) -> Option<Outcome> {
    let passed = !world.job.spec.suspend && deadline_at(world)? <= now;
    let seconds = world.job.spec.active_deadline_seconds.unwrap_or_default();
    passed.then(|| Outcome::failed(Reason::DeadlineExceeded, format!("it has not ended within {seconds} seconds")))
}

/// The coordinator ended for good, and the engine said nothing.
fn of_coordinator(world: &World, now: Timestamp) -> Option<Outcome> {
    let job = world.children.coordinator.as_ref().filter(|j| world.kinship(Some(&j.metadata)) == Kinship::Ours)?;
    let (ended, at) = finished(job)?;
    if ended == "Failed" {
        let words = pods::report(world.pods(Role::Coordinator)).last_failure;
        let words = words.unwrap_or_else(|| "its pods ended without a word".into());
        return Some(Outcome::failed(Reason::CoordinatorFailed, format!("the coordinator failed for good: {words}")));
    }
    let waited = at.checked_add(PATIENCE).is_ok_and(|limit| limit <= now);
    waited.then(|| Outcome::failed(Reason::OutcomeLost, "the coordinator ended without saying how the job did"))
}

/// `Complete` or `Failed`, and since when, of a batch Job that has ended.
pub fn finished(job: &Job) -> Option<(&str, Timestamp)> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ended = conditions.iter().find(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")?;
    Some((&ended.type_, ended.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0)))
}
