//! When a run begins, and what it begins with.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::json;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    plan::{Action, Plan},
};
use tributary_crds::{FlowRun, JobFlowSpec, JobFlowStatus, Reason, Rerun, Timestamp, names as keys};

use super::{
    frozen::{Frozen, Part},
    pass::refused,
    scope::byte,
    status,
    world::World,
};
use crate::{
    job::{self, Kinship},
    names, revision,
    run::{Next, Runs},
    template::{self, Making},
};

/// Finished runs that are kept where the spec is silent.
const HISTORY: usize = 3;

/// What came of the beginning.
pub(super) enum Begun {
    /// The status that the run begins with, and what must be done first.
    Run(Box<JobFlowStatus>, Vec<Action>),
    /// It cannot begin yet.
    Waits(Box<Plan>),
}

/// The next run, after the one that the status is about.
pub(super) fn next(world: &World, status: &JobFlowStatus, now: Timestamp) -> Next {
    let spec = &world.spec;
    let runs = Runs {
        last: status.run,
        begun: status.start_time.as_ref().and_then(|t| t.parse().ok()),
        created: world.metadata.creation_timestamp.as_ref().map(|t| t.0),
        revisions: &world.revisions,
        held: spec.suspend || spec.stop,
        asked: spec.run,
        schedule: spec.schedule.as_deref(),
        zone: spec.time_zone.as_deref(),
    };
    runs.next(now)
}

/// Begins a run, if nothing is in its way.
pub(super) fn begin(world: &World, run: i64, now: Timestamp) -> Begun {
    let begun = world.revisions.get(&run).and_then(|r| r.frozen.clone());
    let adopted = begun.is_some();
    let frozen = match begun.map_or_else(|| ready(world), Ok) {
        Ok(frozen) => frozen,
        Err(plan) => return Begun::Waits(Box::new(plan(world, now))),
    };
    let mut actions = Vec::new();
    if let Some(mutex) = &world.spec.mutex
        && !adopted
    {
        match &world.lease {
            Some(lease) if is_ours(lease, world) && lease.deletion_timestamp.is_none() => {}
            Some(lease) => {
                let holder = job::label(lease, keys::FLOW).unwrap_or("another");
                let message = format!("JobFlow {holder} has the mutex {mutex}");
                return Begun::Waits(Box::new(status::waits(world, Reason::WaitingForMutex, message, now)));
            }
            None => {
                let mut plan = status::waits(world, Reason::WaitingForMutex, format!("takes the mutex {mutex}"), now);
                plan.actions = vec![Action::Create(Box::new(lease(world, mutex)))];
                return Begun::Waits(Box::new(plan));
            }
        }
    }
    if !adopted {
        let object = revision_of(world, &frozen, run);
        let refusal = ObjectKey::of(&object).and_then(|key| refused(&world.refusals, &key)).cloned();
        actions.push(Action::Create(Box::new(object)));
        if let Some(refusal) = refusal {
            let mut plan = status::waits(world, refusal.reason, refusal.message, now);
            plan.actions = actions;
            return Begun::Waits(Box::new(plan));
        }
    }
    Begun::Run(Box::new(fresh(world, &frozen, run, now)), actions)
}

/// The spec as it would be frozen now, or how to say why it cannot be.
#[allow(clippy::type_complexity)]
fn ready(world: &World) -> Result<Arc<Frozen>, Box<dyn Fn(&World, Timestamp) -> Plan>> {
    let missing: Vec<&str> =
        Frozen::references(&world.spec).filter(|name| !world.templates.contains_key(*name)).collect();
    let mut missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
    missing.sort();
    missing.dedup();
    match Frozen::new(world.name(), frozen_spec(&world.spec), world.templates.clone()) {
        // what does not depend on the missing templates is told even so
        Err(problems) => Err(Box::new(move |world, now| status::invalid(world, &problems, now))),
        Ok(_) if !missing.is_empty() => Err(Box::new(move |world, now| {
            let message = format!("waits for the JobTemplates that do not exist: {}", missing.join(", "));
            status::waits(world, Reason::TemplateNotFound, message, now)
        })),
        Ok(frozen) => Ok(Arc::new(frozen)),
    }
}

/// The part of a spec that a run goes by. The rest takes effect at once.
pub(super) fn frozen_spec(spec: &JobFlowSpec) -> JobFlowSpec {
    JobFlowSpec {
        suspend: false,
        stop: false,
        managed_by: None,
        run: None,
        active_deadline_seconds: None,
        ttl_seconds_after_finished: None,
        mutex: None,
        schedule: None,
        time_zone: None,
        concurrency_policy: Default::default(),
        history_limit: None,
        rerun: Rerun::All,
        ..spec.clone()
    }
}

/// A run whose revision is gone is frozen again from the spec, if that can be.
pub(super) fn freeze(world: &World, run: i64, mut actions: Vec<Action>) -> Option<(Arc<Frozen>, Vec<Action>)> {
    let frozen = ready(world).ok()?;
    let object = revision_of(world, &frozen, run);
    let there = |a: &Action| matches!(a, Action::Create(o) if o.metadata.name == object.metadata.name);
    if !actions.iter().any(there) && !world.revisions.contains_key(&run) {
        actions.push(Action::Create(Box::new(object)));
    }
    Some((frozen, actions))
}

fn fresh(world: &World, frozen: &Frozen, run: i64, now: Timestamp) -> JobFlowStatus {
    let before = &world.status;
    let mut history = before.history.clone();
    if let Some(last) = before.run {
        history.insert(
            0,
            FlowRun {
                run: last,
                state: before.state,
                start_time: before.start_time.clone(),
                completion_time: before.completion_time.clone(),
                steps: before.steps.clone(),
            },
        );
    }
    history.truncate(history_limit(&world.spec));
    let kept = kept(world, frozen);
    let steps = kept.iter().map(|k| char::from(if *k { byte::SUCCEEDED } else { byte::PENDING })).collect();
    let outputs = before.outputs.iter().filter(|(name, _)| frozen.index.get(*name).is_some_and(|i| kept[*i]));
    JobFlowStatus {
        run: Some(run),
        start_time: Some(now.to_string()),
        revision: Some(names::revision(world.name(), run)),
        steps,
        outputs: outputs.map(|(k, v)| (k.clone(), v.clone())).collect(),
        conditions: before.conditions.clone(),
        state: before.state,
        observed_generation: before.observed_generation,
        history,
        ..JobFlowStatus::default()
    }
}

pub(super) fn history_limit(spec: &JobFlowSpec) -> usize {
    spec.history_limit.map_or(HISTORY, |n| usize::try_from(n).unwrap_or(0))
}

/// Which steps a run takes over from the last one: those that succeeded, are made as they were, and wait for such only.
fn kept(world: &World, frozen: &Frozen) -> Vec<bool> {
    let mut kept = vec![false; frozen.steps.len()];
    let last = world.status.run.and_then(|run| world.revisions.get(&run)?.frozen.clone());
    let (Rerun::Failed, Some(last)) = (world.spec.rerun, last) else { return kept };
    for &i in &frozen.order {
        let step = &frozen.steps[i];
        let of_last = last.index.get(&step.name).copied();
        let was_good = of_last.is_some_and(|l| {
            last.steps[l].hash == step.hash && world.status.steps.as_bytes().get(l) == Some(&byte::SUCCEEDED)
        });
        kept[i] = step.part == Part::Flow && was_good && step.dependencies.iter().chain(&step.named).all(|d| kept[*d]);
    }
    kept
}

fn revision_of(world: &World, frozen: &Frozen, run: i64) -> DynamicObject {
    let making = Making {
        owner: template::owner_of("JobFlow", &world.metadata),
        namespace: world.namespace(),
        name: names::revision(world.name(), run),
        labels: BTreeMap::from([
            (keys::FLOW.to_owned(), world.name().to_owned()),
            (keys::RUN.to_owned(), run.to_string()),
        ]),
        ..Making::default()
    };
    revision::freeze(&frozen.spec, &frozen.templates, run, &making)
}

/// coordination.k8s.io/v1 Lease.
pub(super) fn lease_gvk() -> Gvk {
    Gvk::new("coordination.k8s.io", "v1", "Lease")
}

fn lease(world: &World, mutex: &str) -> DynamicObject {
    let making = Making {
        owner: template::owner_of("JobFlow", &world.metadata),
        namespace: world.namespace(),
        name: names::mutex(mutex),
        labels: BTreeMap::from([(keys::FLOW.to_owned(), world.name().to_owned())]),
        ..Making::default()
    };
    let holder = world.metadata.uid.clone().unwrap_or_default();
    template::object("coordination.k8s.io/v1", "Lease", &making, json!({"spec": {"holderIdentity": holder}}))
}

/// Whether the flow has the mutex.
pub(super) fn is_ours(lease: &ObjectMeta, world: &World) -> bool {
    job::kinship(lease, &world.metadata, "JobFlow") == Kinship::Ours
}
