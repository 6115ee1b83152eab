//! The decision about a JobFlow.

mod begin;
mod clean;
mod frozen;
mod outputs;
mod pass;
mod ready;
mod scope;
mod status;
mod verify;
mod world;

use kube::core::ObjectMeta;
use tributary_blueprints::plan::{Action, Plan};
use tributary_crds::{ConcurrencyPolicy, JobFlowStatus, Reason, Timestamp, names};

pub use frozen::Frozen;
pub(crate) use frozen::Pauses;
pub(crate) use pass::refused;
pub(crate) use status::word;
pub use verify::problems;
pub(crate) use verify::template_problems;
pub use world::World;

use crate::{job, names as children, run::Next, unit::Failure};
use begin::Begun;
use pass::{Mode, Pass};

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Plan {
    let before = &world.status;
    if world.spec.managed_by.as_deref().is_some_and(|m| m != names::MANAGER) {
        return Plan::default();
    }
    if world.metadata.deletion_timestamp.is_some() {
        return status::terminating(world, now);
    }
    if is_under_way(before) {
        return under_way(world, before, Vec::new(), now);
    }
    match begin::next(world, before, now) {
        Next::Run(run) => match begin::begin(world, run, now) {
            Begun::Run(status, actions) => under_way(world, &status, actions, now),
            Begun::Waits(plan) => with_cleaning(*plan, world, now),
        },
        Next::At(due) => with_cleaning(status::waits_until(world, due, now), world, now),
        Next::Never if before.run.is_some() => {
            clean::itself(with_cleaning(status::ended(world, now), world, now), world, now)
        }
        Next::Never => status::idle(world, now),
    }
}

/// Whether a run has begun that has not ended.
pub fn is_under_way(status: &JobFlowStatus) -> bool {
    status.run.is_some() && status.completion_time.is_none()
}

/// The run that a ControllerRevision is of.
pub fn run_of(revision: &ObjectMeta) -> Option<i64> {
    job::run_of(revision)
}

/// A run that goes on. `before` is the status as it begins from, which may not be written yet.
fn under_way(world: &World, before: &JobFlowStatus, actions: Vec<Action>, now: Timestamp) -> Plan {
    let run = before.run.unwrap_or(1);
    let thawed = world.revisions.get(&run).and_then(|r| r.frozen.clone());
    let (frozen, mut actions) = match thawed {
        Some(frozen) => (frozen, actions),
        None => match begin::freeze(world, run, actions) {
            Some(found) => found,
            None => return status::lost(world, now),
        },
    };
    if !before.steps.is_empty() && before.steps.len() != frozen.steps.len() {
        return status::lost(world, now);
    }
    let mut pass = Pass::new(world, &frozen, before, mode(world, before, now), now);
    pass.go();
    actions.append(&mut pass.actions);
    let lease = world.lease.as_ref().filter(|_| pass.lives.iter().all(scope::Live::has_ended));
    actions.extend(lease.filter(|l| begin::is_ours(l, world)).and_then(|l| job::delete(begin::lease_gvk(), l)));
    let (mut plan, after) = status::of_pass(world, before, pass, now);
    plan.actions = actions;
    let (deletions, next) = clean::jobs(world, &frozen, &after, now);
    plan.actions.extend(deletions);
    let times = [next, time_left(world, before, now)].into_iter().flatten();
    plan.requeue = plan.requeue.into_iter().chain(times).min();
    plan
}

fn with_cleaning(mut plan: Plan, world: &World, now: Timestamp) -> Plan {
    let last = world.status.run.and_then(|run| world.revisions.get(&run)?.frozen.clone());
    if let Some(frozen) = last {
        let (deletions, next) = clean::jobs(world, &frozen, &world.status, now);
        plan.actions.extend(deletions);
        plan.requeue = plan.requeue.into_iter().chain(next).min();
    }
    if plan.actions.is_empty() {
        let lease = world.lease.as_ref().filter(|l| begin::is_ours(l, world));
        plan.actions.extend(lease.and_then(|l| job::delete(begin::lease_gvk(), l)));
    }
    plan
}

/// How the run goes on.
fn mode(world: &World, before: &JobFlowStatus, now: Timestamp) -> Mode {
    if world.spec.stop {
        return Mode::Ending(Failure::new(Reason::Stopped.as_str(), "stopped by spec.stop"));
    }
    if world.spec.suspend {
        return Mode::Held;
    }
    if let Some(deadline) = deadline(world, before, now)
        && deadline <= now
    {
        let seconds = world.spec.active_deadline_seconds.unwrap_or_default();
        let message = format!("the run has not ended within {seconds} seconds");
        return Mode::Ending(Failure::new(Reason::DeadlineExceeded.as_str(), message));
    }
    let replaced = world.spec.concurrency_policy == ConcurrencyPolicy::Replace
        && matches!(begin::next(world, before, now), Next::Run(_));
    if replaced {
        return Mode::Ending(Failure::new(
            Reason::Replaced.as_str(),
            "a new run is due, and concurrencyPolicy is Replace",
        ));
    }
    Mode::Going
}

/// When the run must have ended. As for a Job, the time counts anew from a resumption.
fn deadline(world: &World, before: &JobFlowStatus, now: Timestamp) -> Option<Timestamp> {
    let seconds = u64::try_from(world.spec.active_deadline_seconds?).ok()?;
    let start: Timestamp = before.start_time.as_ref()?.parse().ok()?;
    let resumed = status::resumed_at(before, now).unwrap_or(start);
    start.max(resumed).checked_add(std::time::Duration::from_secs(seconds)).ok()
}

/// Time until the next event that nobody tells: the deadline, or a run that replaces this one.
fn time_left(world: &World, before: &JobFlowStatus, now: Timestamp) -> Option<std::time::Duration> {
    let due = match begin::next(world, before, now) {
        Next::At(due) if world.spec.concurrency_policy == ConcurrencyPolicy::Replace => Some(due),
        _ => None,
    };
    let deadline = deadline(world, before, now).filter(|_| !world.spec.suspend);
    [due, deadline].into_iter().flatten().filter_map(|at| job::until(at, now)).min()
}

/// The name of the revision of a run.
pub fn revision_name(flow: &str, run: i64) -> String {
    children::revision(flow, run)
}
