//! The decision about a DaemonJob.

mod pass;
mod record;
mod world;

use std::{collections::BTreeMap, sync::Arc};

use kube::core::DynamicObject;
use tributary_blueprints::{
    object::ObjectKey,
    plan::{Action, Event, Plan, events_of_change},
};
use tributary_crds::{
    ConcurrencyPolicy, ConditionType, DaemonJobStatus, FlowState, NodeStatus, Reason, Timestamp, Wanted,
    conditions_with, names as keys,
};

pub use world::{Frozen, World, problems};

use crate::{
    job,
    jobflow::{refused, word},
    names, pace,
    problem::listed,
    revision,
    run::{Next, Runs},
    template::{self, Making},
};
use pass::Pass;
use world::frozen_spec;

/// Nodes that the status names.
const MOST_ACTIVE: usize = 100;

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Plan {
    let before = &world.status;
    if world.spec.managed_by.as_deref().is_some_and(|m| m != keys::MANAGER) {
        return Plan::default();
    }
    if world.metadata.deletion_timestamp.is_some() {
        let wanted = Wanted::yes(ConditionType::Deleting, Reason::WaitingForChildren, "is being deleted");
        let after =
            DaemonJobStatus { state: FlowState::Terminating, message: wanted.message.clone(), ..before.clone() };
        return written(world, after, &[wanted], now);
    }
    let next = next(world, now);
    match (next, before.run) {
        (Next::Run(run), None) => begin(world, run, now),
        (Next::Run(run), Some(_)) if before.completion_time.is_some() || world.revisions.contains_key(&run) => {
            begin(world, run, now)
        }
        (Next::Run(run), Some(_)) if world.spec.concurrency_policy == ConcurrencyPolicy::Replace => {
            begin(world, run, now)
        }
        (_, Some(run)) => on_nodes(world, run, Vec::new(), next, now),
        (Next::At(due), None) => {
            let mut plan = waits(world, Reason::WaitingForSchedule, format!("the first run is due at {due}"), now);
            plan.requeue = job::until(due, now);
            plan
        }
        (Next::Never, None) if world.spec.suspend => {
            waits(world, Reason::SuspendedBySpec, "suspended by spec.suspend".into(), now)
        }
        (Next::Never, None) => waits(world, Reason::WaitingForSchedule, "the schedule has no further time".into(), now),
    }
}

fn next(world: &World, now: Timestamp) -> Next {
    let (spec, status) = (&world.spec, &world.status);
    let runs = Runs {
        last: status.run,
        begun: status.start_time.as_ref().and_then(|t| t.parse().ok()),
        created: world.metadata.creation_timestamp.as_ref().map(|t| t.0),
        revisions: &world.revisions,
        held: spec.suspend,
        asked: spec.run,
        schedule: spec.schedule.as_deref(),
        zone: spec.time_zone.as_deref(),
    };
    runs.next(now)
}

/// Begins a run.
fn begin(world: &World, run: i64, now: Timestamp) -> Plan {
    if world.revisions.get(&run).is_some_and(|r| r.frozen.is_some()) {
        return on_nodes(world, run, Vec::new(), Next::Never, now);
    }
    let frozen = match Frozen::new(frozen_spec(&world.spec)) {
        Ok(frozen) => frozen,
        Err(problems) => {
            let message = listed(&problems);
            let wanted = Wanted::yes(ConditionType::Failed, Reason::InvalidSpec, &message);
            let after = DaemonJobStatus { state: FlowState::Failed, message, ..world.status.clone() };
            return written(world, after, &[wanted], now);
        }
    };
    let object = revision_of(world, &frozen, run);
    let refusal = ObjectKey::of(&object).and_then(|key| refused(&world.refusals, &key)).cloned();
    let create = vec![Action::Create(Box::new(object))];
    match refusal {
        Some(refusal) => Plan { actions: create, ..waits(world, refusal.reason, refusal.message, now) },
        None => on_nodes(world, run, create, Next::Never, now),
    }
}

fn revision_of(world: &World, frozen: &Frozen, run: i64) -> DynamicObject {
    let making = Making {
        owner: template::owner_of("DaemonJob", &world.metadata),
        namespace: world.namespace(),
        name: names::revision(world.name(), run),
        labels: BTreeMap::from([
            (keys::DAEMON_JOB.to_owned(), world.name().to_owned()),
            (keys::RUN.to_owned(), run.to_string()),
        ]),
        ..Making::default()
    };
    revision::freeze(&frozen.spec, &BTreeMap::new(), run, &making)
}

/// A run, on the nodes that there are.
fn on_nodes(world: &World, run: i64, mut actions: Vec<Action>, next: Next, now: Timestamp) -> Plan {
    let thawed = world.revisions.get(&run).and_then(|r| r.frozen.clone());
    let Some(frozen) = thawed.or_else(|| Frozen::new(frozen_spec(&world.spec)).ok().map(Arc::new)) else {
        let message = "the ControllerRevision of the run is gone, and the spec has problems".to_owned();
        return waits(world, Reason::InvalidSpec, message, now);
    };
    if actions.is_empty() && !world.revisions.contains_key(&run) {
        actions.push(Action::Create(Box::new(revision_of(world, &frozen, run))));
    }
    let mut pass = Pass::new(world, &frozen, run, now);
    pass.go();
    actions.append(&mut pass.actions);
    let (mut plan, is_progress) = told(world, &frozen, run, &pass, now);
    match world.pace.wait(pass.nodes, pace::NODES).filter(|_| is_progress && plan.status.is_some()) {
        Some(left) => plan = Plan { requeue: Some(left), ..Plan::default() },
        None => actions.extend(pass.record.write(world)),
    }
    let keep = i64::from(world.spec.history_limit.unwrap_or(0));
    for (old, revision) in world.revisions.range(..run.min(run - keep)) {
        if world.status.run == Some(run) && *old < run && revision.metadata.deletion_timestamp.is_none() {
            actions.extend(job::delete(revision::gvk(), &revision.metadata));
        }
    }
    plan.actions = actions;
    let due = if let Next::At(due) = next { job::until(due, now) } else { None };
    plan.requeue = [plan.requeue, pass.requeue, due].into_iter().flatten().min();
    plan
}

/// The status of a run; with it, whether it is no more than progress.
fn told(world: &World, frozen: &Frozen, run: i64, pass: &Pass<'_>, now: Timestamp) -> (Plan, bool) {
    let before = &world.status;
    let is_new = before.run != Some(run);
    let ended = pass.succeeded + pass.failed;
    let state = match (ended == pass.nodes, pass.failed) {
        (true, 0) => FlowState::Succeed,
        (true, _) => FlowState::Failed,
        (false, _) if world.spec.suspend => FlowState::Suspended,
        (false, _) if pass.living > 0 || ended > 0 => FlowState::Running,
        (false, _) => FlowState::Pending,
    };
    let failing: Vec<&NodeStatus> = pass.notes.values().filter(|(failing, _)| *failing).map(|(_, n)| n).collect();
    let running = pass.notes.values().filter(|(failing, _)| !*failing).map(|(_, n)| n);
    let message = message(pass, &failing, state);
    let mut wanted = vec![Wanted::yes(ConditionType::Verified, Reason::AsExpected, said_of_spec(world, frozen))];
    wanted.push(match state {
        FlowState::Succeed => Wanted::yes(ConditionType::Complete, Reason::Succeeded, &message),
        FlowState::Failed => Wanted::yes(ConditionType::Failed, Reason::NodeFailed, &message),
        FlowState::Suspended => Wanted::yes(ConditionType::Suspended, Reason::SuspendedBySpec, &message),
        _ => Wanted::yes(ConditionType::Progressing, Reason::NodesRunning, &message),
    });
    let has_ended = matches!(state, FlowState::Succeed | FlowState::Failed);
    let completion = before.completion_time.clone().filter(|_| !is_new);
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let after = DaemonJobStatus {
        state,
        message,
        done: format!("{ended}/{}", pass.nodes),
        run: Some(run),
        revision: Some(names::revision(world.name(), run)),
        nodes: count(pass.nodes),
        running: count(pass.living),
        succeeded: count(pass.succeeded),
        failed: count(pass.failed),
        active: failing.into_iter().chain(running).take(MOST_ACTIVE).cloned().collect(),
        outcomes: vec![names::outcomes(world.name())],
        start_time: before.start_time.clone().filter(|_| !is_new).or_else(|| Some(now.to_string())),
        completion_time: has_ended.then(|| completion.unwrap_or_else(|| now.to_string())),
        ..DaemonJobStatus::default()
    };
    let is_progress = !is_new && before.state == after.state && before.observed_generation == world.metadata.generation;
    let mut plan = written(world, after, &wanted, now);
    if is_new && let Some(policy) = template::ignored_restart_policy(&frozen.job) {
        let note =
            format!("restartPolicy {policy} has no effect: it is Never, and retry says how often a node is tried");
        plan.events.push(Event { warning: true, reason: "RestartPolicyForced".into(), note });
    }
    (plan, is_progress)
}

fn message(pass: &Pass<'_>, failing: &[&NodeStatus], state: FlowState) -> String {
    if let Some(first) = failing.first() {
        let more = if failing.len() > 1 { format!(" (and {} more nodes)", failing.len() - 1) } else { String::new() };
        let words = [first.reason.as_str(), first.message.as_str()].into_iter().filter(|w| !w.is_empty());
        return format!("node {}: {}{more}", first.node, words.collect::<Vec<_>>().join(": "));
    }
    let blocked = pass.notes.values().map(|(_, n)| n).find(|n| !n.message.is_empty());
    match (state, blocked) {
        (FlowState::Suspended, _) => "suspended by spec.suspend".into(),
        (FlowState::Succeed, _) if pass.nodes == 0 => "no node matches".into(),
        (FlowState::Succeed, _) => format!("{} nodes succeeded", pass.succeeded),
        (FlowState::Failed, _) => format!("the Jobs of {} nodes failed", pass.failed),
        (_, Some(n)) => format!("node {}: {}", n.node, n.message),
        _ => String::new(),
    }
}

fn said_of_spec(world: &World, frozen: &Frozen) -> String {
    let mut said = Vec::new();
    if let Some(policy) = template::ignored_restart_policy(&frozen.job) {
        said.push(format!("restartPolicy {policy} has no effect: it is Never"));
    }
    if frozen_spec(&world.spec) != frozen.spec {
        said.push("the spec has changed since the run began: that applies to the next run".into());
    }
    said.join("\n")
}

fn waits(world: &World, reason: Reason, message: String, now: Timestamp) -> Plan {
    let wanted = match reason {
        Reason::SuspendedBySpec => Wanted::yes(ConditionType::Suspended, reason, &message),
        _ => Wanted::no(ConditionType::Progressing, reason, &message),
    };
    let state = match world.status.run {
        Some(_) => world.status.state,
        None if reason == Reason::SuspendedBySpec => FlowState::Suspended,
        None => FlowState::Pending,
    };
    written(world, DaemonJobStatus { state, message, ..world.status.clone() }, &[wanted], now)
}

fn written(world: &World, mut after: DaemonJobStatus, wanted: &[Wanted], now: Timestamp) -> Plan {
    let before = &world.status;
    after.observed_generation = world.metadata.generation;
    after.conditions = conditions_with(&before.conditions, wanted, world.metadata.generation, now);
    if after == *before {
        return Plan::default();
    }
    let (old, new) = (word(before.state), word(after.state));
    let events = events_of_change(&old, &new, &after.message, &before.conditions, &after.conditions);
    Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }
}
