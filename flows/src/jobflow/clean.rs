//! What goes: Jobs whose outcome is latched and whose time has come, old runs, and in the end the flow itself.

use std::{collections::BTreeMap, time::Duration};

use tributary_blueprints::plan::{Action, Plan};
use tributary_crds::{JobFlowStatus, Timestamp, names as keys};

use super::{frozen::Frozen, is_under_way, scope::byte, world::World};
use crate::{
    job::{self, Kinship},
    revision,
};

/// Objects that one plan deletes at most.
const MOST_DELETED: usize = 50;

/// The deletions of Jobs and revisions, and when the next one is due. Only what the *written* status has latched goes.
pub(super) fn jobs(
    world: &World,
    frozen: &Frozen,
    after: &JobFlowStatus,
    now: Timestamp,
) -> (Vec<Action>, Option<Duration>) {
    let written = &world.status;
    let kept = |run: i64| Some(run) == after.run || after.history.iter().any(|h| h.run == run);
    let is_past = |run: i64| written.run.is_some_and(|current| run < current) && !kept(run);
    let (mut actions, mut next) = (Vec::new(), None::<Duration>);
    let mut ends: BTreeMap<&str, u8> = BTreeMap::new();
    if frozen.has_ttl && frozen.steps.len() == written.steps.len() {
        let bytes = frozen.steps.iter().zip(written.steps.bytes());
        ends.extend(bytes.filter(|(_, b)| byte::is_end(*b)).map(|(s, b)| (s.name.as_str(), b)));
    }
    // of a first run without TTLs no Job goes: a large flow has thousands
    let may_go = frozen.has_ttl || written.run.is_some_and(|run| run > 1);
    for object in world.jobs.iter().filter(|_| may_go) {
        let metadata = &object.metadata;
        let ours = job::kinship(metadata, &world.metadata, "JobFlow") == Kinship::Ours;
        let Some(run) = job::run_of(metadata).filter(|_| ours && metadata.deletion_timestamp.is_none()) else {
            continue;
        };
        if is_past(run) {
            actions.extend(job::delete(job::gvk(), metadata));
            continue;
        }
        let step = job::label(metadata, keys::STEP).unwrap_or_default();
        let latched = Some(run) == written.run && ends.contains_key(step);
        let ttl = frozen.index.get(step).and_then(|i| frozen.steps[*i].ttl).filter(|_| latched);
        let Some((ttl, end)) = ttl.and_then(|ttl| Some((ttl, job::end(object)?))) else { continue };
        let ttl = Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
        match end.at.and_then(|at| at.checked_add(ttl).ok()).and_then(|due| job::until(due, now)) {
            Some(left) => next = Some(next.map_or(left, |n| n.min(left))),
            None => actions.extend(job::delete(job::gvk(), metadata)),
        }
    }
    for (run, revision) in &world.revisions {
        if is_past(*run) && revision.metadata.deletion_timestamp.is_none() {
            actions.extend(job::delete(revision::gvk(), &revision.metadata));
        }
    }
    if actions.len() > MOST_DELETED {
        actions.truncate(MOST_DELETED);
        next = Some(Duration::ZERO);
    }
    (actions, next)
}

/// The flow itself goes when its TTL has passed, unless a schedule will start it again.
pub(super) fn itself(mut plan: Plan, world: &World, now: Timestamp) -> Plan {
    let status = &world.status;
    let ttl = world.spec.ttl_seconds_after_finished.filter(|_| world.spec.schedule.is_none());
    let ended = status.completion_time.as_ref().and_then(|t| t.parse::<Timestamp>().ok());
    let (Some(ttl), Some(ended), false) = (ttl, ended, is_under_way(status)) else { return plan };
    let due = ended.checked_add(Duration::from_secs(u64::try_from(ttl).unwrap_or(0))).unwrap_or(ended);
    match job::until(due, now) {
        Some(left) => plan.requeue = Some(plan.requeue.map_or(left, |r| r.min(left))),
        None => plan.actions = job::delete_itself("JobFlow", &world.metadata).into_iter().collect(),
    }
    plan
}
