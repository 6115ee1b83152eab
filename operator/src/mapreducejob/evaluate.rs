//! The decision about a MapReduceJob: what to create, change and say.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    plan::{Action, Plan, events_of_change},
};
use tributary_crds::{ConditionType, JobPhase, MapReduceJobStatus, Reason, Timestamp, Wanted, conditions_with, names};

use super::{
    children::{self, Role},
    outcome::{Outcome, PATIENCE, deadline_at, finished, outcome},
    status::words,
    world::{Kinship, World},
};
use crate::controller::Decision;

/// How long the pods of a job that has ended may take to end by themselves.
const GRACE: Duration = Duration::from_secs(15);

/// Something to do that is no write of an object that is known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make the job's Secret, with a random key.
    MakeSecret,
}

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Decision<Effect> {
    let job = &world.job;
    let other = job.spec.managed_by.as_deref().is_some_and(|m| m != names::MANAGER);
    if other || job.metadata.deletion_timestamp.is_some() {
        return Plan::default().into();
    }
    let before = job.status.clone().unwrap_or_default();
    match outcome(world, now) {
        Some(outcome) => ended(world, &before, &outcome, now).into(),
        None if job.spec.suspend => suspended(world, &before, now).into(),
        None => under_way(world, &before, now),
    }
}

fn ended(world: &World, before: &MapReduceJobStatus, outcome: &Outcome, now: Timestamp) -> Plan {
    let (type_, reason) = match outcome.succeeded {
        true => (ConditionType::Complete, Reason::Succeeded),
        false => (ConditionType::Failed, Reason::TaskFailed),
    };
    let mut conditions = conditions_with(
        &before.conditions,
        &[Wanted::yes(type_, reason, &outcome.message)],
        world.job.metadata.generation,
        now,
    );
    for condition in &mut conditions {
        // the engine's reasons are its own
        condition.reason.clone_from(&outcome.reason);
    }
    let engine = before.engine.as_ref();
    let of_engine = engine.filter(|_| outcome.by_engine).and_then(|e| e.completion_time.clone());
    let completion = before.completion_time.clone().or(of_engine).unwrap_or_else(|| now.to_string());
    let ended_at = completion.parse().unwrap_or(now);
    let after = MapReduceJobStatus {
        phase: outcome.phase(),
        message: outcome.message.clone(),
        conditions,
        completion_time: Some(completion),
        ..carried(world, before)
    };
    let mut plan = with_status(before, after);
    let grace = if outcome.by_engine { GRACE } else { Duration::ZERO };
    let stop = stop(world);
    match remaining(ended_at, grace, now) {
        None => plan.actions.extend(stop),
        left if !stop.is_empty() => plan.requeue = left,
        _ => {}
    }
    if let Some(seconds) = world.job.spec.ttl_seconds_after_finished {
        match remaining(ended_at, Duration::from_secs(u64::try_from(seconds).unwrap_or_default()), now) {
            None => plan.actions = vec![delete_itself(world)],
            left => plan.requeue = plan.requeue.into_iter().chain(left).min(),
        }
    }
    plan
}

fn suspended(world: &World, before: &MapReduceJobStatus, now: Timestamp) -> Plan {
    let wanted = Wanted::yes(ConditionType::Suspended, Reason::SuspendedBySpec, "suspended by spec.suspend");
    let after = MapReduceJobStatus {
        phase: JobPhase::Suspended,
        message: wanted.message.clone(),
        conditions: conditions_with(&before.conditions, &[wanted], world.job.metadata.generation, now),
        // the deadline counts from the resumption, as a Job's does
        start_time: None,
        ..carried(world, before)
    };
    let mut plan = with_status(before, after);
    plan.actions = stop(world);
    plan
}

fn under_way(world: &World, before: &MapReduceJobStatus, now: Timestamp) -> Decision<Effect> {
    let Making { actions, effects, obstacle } = make(world, now);
    let words = words(world, obstacle);
    let running = words.running || before.phase == JobPhase::Running;
    let after = MapReduceJobStatus {
        phase: if running { JobPhase::Running } else { JobPhase::Pending },
        message: words.message,
        conditions: conditions_with(&before.conditions, &words.conditions, world.job.metadata.generation, now),
        start_time: before.start_time.clone().or_else(|| Some(now.to_string())),
        ..carried(world, before)
    };
    let mut plan = with_status(before, after);
    plan.actions = actions;
    let deadline = deadline_at(world).and_then(|at| remaining(at, Duration::ZERO, now));
    let ended = [Role::Coordinator, Role::Worker].into_iter().filter_map(|role| finished(world.own_job(role)?));
    plan.requeue = ended.filter_map(|(_, at)| remaining(at, PATIENCE, now)).chain(deadline).min();
    Decision { effects, plan }
}

/// What stays of the status from one decision to the next.
fn carried(world: &World, before: &MapReduceJobStatus) -> MapReduceJobStatus {
    MapReduceJobStatus {
        observed_generation: world.job.metadata.generation,
        start_time: before.start_time.clone(),
        ..MapReduceJobStatus::default()
    }
}

/// A plan that writes `after`, where it differs, and tells what has changed. The engine's own part is left out.
fn with_status(before: &MapReduceJobStatus, after: MapReduceJobStatus) -> Plan {
    let known = MapReduceJobStatus { engine: None, ..before.clone() };
    if known == after {
        return Plan::default();
    }
    let phase =
        |p: JobPhase| serde_json::to_value(p).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let events = events_of_change(
        &phase(before.phase),
        &phase(after.phase),
        &after.message,
        &before.conditions,
        &after.conditions,
    );
    Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }
}

/// Time until `at + after`; `None` once it has come.
fn remaining(at: Timestamp, after: Duration, now: Timestamp) -> Option<Duration> {
    let due = at.checked_add(after).ok()?;
    Duration::try_from(due.duration_since(now)).ok().filter(|left| !left.is_zero())
}

struct Making {
    actions: Vec<Action>,
    effects: Vec<Effect>,
    /// What keeps the children from being made.
    obstacle: Option<(Reason, String)>,
}

/// What is missing is made, the pods last; what has changed is changed.
fn make(world: &World, now: Timestamp) -> Making {
    let (job, children) = (&world.job, &world.children);
    let mut making = Making { actions: Vec::new(), effects: Vec::new(), obstacle: None };
    let parts = [
        (children.service_account.as_ref(), children::service_account(job)),
        (children.role.as_ref(), children::role(job)),
        (children.role_binding.as_ref(), children::role_binding(job)),
        (children.service.as_ref(), children::service(job)),
    ];
    for (there, object) in parts {
        making.child(world, there, &object);
    }
    if !world.secret_made {
        making.effects.push(Effect::MakeSecret);
    }
    // a Job without what its pods need would only fail; one that was refused itself is tried again
    let incomplete = making.obstacle.is_some() || world.refusals.iter().any(|r| r.key.kind != "Job");
    if making.obstacle.is_none()
        && let Some(refusal) = world.refusals.first()
    {
        making.obstacle = Some((refusal.reason, refusal.message.clone()));
    }
    for role in [Role::Coordinator, Role::Worker] {
        let object = match role {
            Role::Coordinator => children::coordinator(job, &world.settings),
            Role::Worker => children::worker(job, &world.settings),
        };
        let there = world.batch_job(role);
        match there.filter(|there| world.kinship(Some(&there.metadata)) == Kinship::Ours) {
            Some(there) => making.actions.extend(change(world, there, role, now)),
            None if incomplete => {}
            None => making.child(world, there.map(|j| &j.metadata), &object),
        }
    }
    making
}

impl Making {
    fn child(&mut self, world: &World, there: Option<&ObjectMeta>, object: &DynamicObject) {
        let kind = object.types.as_ref().map_or("", |t| t.kind.as_str());
        let name = object.metadata.name.as_deref().unwrap_or_default();
        match world.kinship(there) {
            Kinship::Missing => self.actions.push(Action::Create(Box::new(object.clone()))),
            Kinship::Ours => {}
            Kinship::Dying | Kinship::Stale => {
                let message = format!("waits for the {kind} {name} of before to be gone");
                self.obstacle.get_or_insert((Reason::WaitingForChildren, message));
            }
            Kinship::Foreign => {
                let message = format!("{kind} {name} exists and belongs to somebody else: rename the job or delete it");
                self.obstacle.get_or_insert((Reason::NameTaken, message));
            }
        }
    }
}

/// What an existing batch Job needs.
fn change(world: &World, there: &Job, role: Role, now: Timestamp) -> Option<Action> {
    let hash = there.metadata.annotations.as_ref().and_then(|a| a.get(names::TEMPLATE_HASH));
    let replaced = hash.is_some_and(|h| *h != children::template_hash(&world.job, role));
    // workers that ended before the job did: another coordinator may need them
    let spent = role == Role::Worker && finished(there).is_some_and(|(_, at)| remaining(at, PATIENCE, now).is_none());
    if replaced || spent {
        return delete(there);
    }
    let spec = there.spec.as_ref()?;
    let replicas = i32::try_from(world.job.spec.workers.replicas).unwrap_or(i32::MAX);
    let scaled = role == Role::Worker && spec.parallelism != Some(replicas);
    let held = spec.suspend.unwrap_or_default();
    (finished(there).is_none() && (held || scaled)).then(|| apply(world, there, role, false))
}

/// Ends the pods of the Jobs that have not ended: a suspended Job keeps no pod that runs.
fn stop(world: &World) -> Vec<Action> {
    let roles = [Role::Worker, Role::Coordinator].into_iter();
    let jobs = roles.filter_map(|role| Some((role, world.own_job(role)?)));
    let running = jobs
        .filter(|(_, job)| finished(job).is_none() && !job.spec.as_ref().and_then(|s| s.suspend).unwrap_or_default());
    running.map(|(role, job)| apply(world, job, role, true)).collect()
}

fn apply(world: &World, there: &Job, role: Role, suspend: bool) -> Action {
    let mut spec = json!({"suspend": suspend});
    if role == Role::Worker {
        spec["parallelism"] = json!(world.job.spec.workers.replicas);
    }
    let metadata = ObjectMeta {
        name: there.metadata.name.clone(),
        namespace: there.metadata.namespace.clone(),
        uid: there.metadata.uid.clone(),
        ..ObjectMeta::default()
    };
    let types = Some(TypeMeta { api_version: "batch/v1".into(), kind: "Job".into() });
    Action::Apply { object: Box::new(DynamicObject { types, metadata, data: json!({"spec": spec}) }) }
}

fn delete(there: &Job) -> Option<Action> {
    let gvk = Gvk::new("batch", "v1", "Job");
    let (namespace, name) = (there.metadata.namespace.as_deref()?, there.metadata.name.as_deref()?);
    let (key, uid) = (ObjectKey::new(&gvk, namespace, name), there.metadata.uid.clone()?);
    Some(Action::Delete { gvk, key, uid, resource_version: None })
}

fn delete_itself(world: &World) -> Action {
    let metadata = &world.job.metadata;
    let gvk = crate::caches::PrimaryKind::MapReduceJob.gvk();
    let text = |v: &Option<String>| v.clone().unwrap_or_default();
    let key = ObjectKey::new(&gvk, &text(&metadata.namespace), &text(&metadata.name));
    Action::Delete { gvk, key, uid: text(&metadata.uid), resource_version: metadata.resource_version.clone() }
}
