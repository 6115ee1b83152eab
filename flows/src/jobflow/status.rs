//! What is said of a flow.

use tributary_blueprints::plan::{Event, Plan, events_of_change};
use tributary_crds::{ConditionType, FlowState, JobFlowStatus, Reason, StepStatus, Timestamp, Wanted, conditions_with};

use super::{
    frozen::{Frozen, Part},
    pass::{Mode, Pass},
    scope::byte,
    world::World,
};
use crate::{Problem, job, pace, problem::listed};

/// Steps that the status names.
const MOST_ACTIVE: usize = 100;
/// Steps that a message names.
const MOST_NAMED: usize = 3;

/// The state as it stands in the status.
pub(crate) fn word(state: FlowState) -> String {
    serde_json::to_value(state).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// When the run was resumed, if it ever was held; now, where the status does not know of it yet.
pub(super) fn resumed_at(status: &JobFlowStatus, now: Timestamp) -> Option<Timestamp> {
    let held = status.conditions.iter().find(|c| c.type_ == ConditionType::Suspended.as_str())?;
    Some(if held.status == "False" { held.last_transition_time.0 } else { now })
}

/// A plan that writes `after` with these conditions, where it differs, and tells what has changed.
fn written(world: &World, mut after: JobFlowStatus, wanted: &[Wanted], now: Timestamp) -> (Plan, JobFlowStatus) {
    let before = &world.status;
    after.observed_generation = world.metadata.generation;
    after.conditions = conditions_with(&before.conditions, wanted, world.metadata.generation, now);
    if after == *before {
        return (Plan::default(), after);
    }
    let events = events_of_change(
        &word(before.state),
        &word(after.state),
        &after.message,
        &before.conditions,
        &after.conditions,
    );
    (Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }, after)
}

/// Being deleted.
pub(super) fn terminating(world: &World, now: Timestamp) -> Plan {
    let message = "is being deleted".to_owned();
    let after = JobFlowStatus { state: FlowState::Terminating, message: message.clone(), ..world.status.clone() };
    written(world, after, &[Wanted::yes(ConditionType::Deleting, Reason::WaitingForChildren, message)], now).0
}

/// A run cannot begin yet.
pub(super) fn waits(world: &World, reason: Reason, message: String, now: Timestamp) -> Plan {
    let wanted = Wanted::no(ConditionType::Progressing, reason, &message);
    waiting(world, FlowState::Pending, message, wanted, now)
}

/// The schedule says later.
pub(super) fn waits_until(world: &World, due: Timestamp, now: Timestamp) -> Plan {
    let mut plan = waits(world, Reason::WaitingForSchedule, format!("the next run is due at {due}"), now);
    plan.requeue = job::until(due, now);
    plan
}

/// Held or stopped before the first run.
pub(super) fn idle(world: &World, now: Timestamp) -> Plan {
    let (state, type_, reason, message) = match world.spec.stop {
        true => (FlowState::Pending, ConditionType::Progressing, Reason::Stopped, "stopped by spec.stop"),
        false if world.spec.suspend => {
            (FlowState::Suspended, ConditionType::Suspended, Reason::SuspendedBySpec, "suspended by spec.suspend")
        }
        false => (
            FlowState::Pending,
            ConditionType::Progressing,
            Reason::WaitingForSchedule,
            "the schedule has no further time",
        ),
    };
    let wanted = match type_ {
        ConditionType::Suspended => Wanted::yes(type_, reason, message),
        _ => Wanted::no(type_, reason, message),
    };
    waiting(world, state, message.into(), wanted, now)
}

/// The spec has problems: nothing of it runs before they are mended.
pub(super) fn invalid(world: &World, problems: &[Problem], now: Timestamp) -> Plan {
    let message = listed(problems);
    let after = JobFlowStatus { state: FlowState::Failed, message: message.clone(), ..world.status.clone() };
    let wanted = [
        Wanted::no(ConditionType::Verified, Reason::InvalidSpec, &message),
        Wanted::yes(ConditionType::Failed, Reason::InvalidSpec, &message),
    ];
    written(world, after, &wanted, now).0
}

/// Between runs the state of the last one stays.
fn waiting(world: &World, state: FlowState, message: String, wanted: Wanted, now: Timestamp) -> Plan {
    let before = &world.status;
    let state = if before.run.is_some() { ended_state(before) } else { state };
    let done = match before.run {
        Some(_) => before.done.clone(),
        None => format!("0/{}", world.spec.flows.len() + world.spec.finally.len()),
    };
    let mut all = outcome(before).into_iter().collect::<Vec<_>>();
    all.push(wanted);
    written(world, JobFlowStatus { state, message, done, ..before.clone() }, &all, now).0
}

/// How the last run ended; a spec that was wrong in between has not changed that.
fn ended_state(status: &JobFlowStatus) -> FlowState {
    let failed = status.steps.bytes().any(|b| b == byte::FAILED);
    match status.state {
        FlowState::Failed | FlowState::Succeed => status.state,
        _ if failed => FlowState::Failed,
        _ => FlowState::Succeed,
    }
}

/// The condition that says how the last run ended.
fn outcome(status: &JobFlowStatus) -> Option<Wanted> {
    let of = |type_: ConditionType| status.conditions.iter().find(|c| c.type_ == type_.as_str() && c.status == "True");
    let reasons =
        [Reason::Stopped, Reason::Replaced, Reason::DeadlineExceeded, Reason::OutcomeLost, Reason::InvalidSpec];
    if let Some(c) = of(ConditionType::Failed) {
        let reason = reasons.into_iter().find(|r| r.as_str() == c.reason).unwrap_or(Reason::StepFailed);
        return (reason != Reason::InvalidSpec).then(|| Wanted::yes(ConditionType::Failed, reason, &c.message));
    }
    of(ConditionType::Complete).map(|c| Wanted::yes(ConditionType::Complete, Reason::Succeeded, &c.message))
}

/// A run that has ended, and nothing is to follow.
pub(super) fn ended(world: &World, now: Timestamp) -> Plan {
    let before = &world.status;
    let frozen = before.run.and_then(|run| world.revisions.get(&run)?.frozen.clone());
    let said = frozen.map(|f| said_of_spec(world, &f)).unwrap_or_default();
    let mut wanted = vec![Wanted::yes(ConditionType::Verified, Reason::AsExpected, said)];
    wanted.extend(outcome(before));
    let message = outcome(before).map(|w| w.message).unwrap_or_else(|| before.message.clone());
    written(world, JobFlowStatus { state: ended_state(before), message, ..before.clone() }, &wanted, now).0
}

/// The run's spec is gone, and the one that is there is another.
pub(super) fn lost(world: &World, now: Timestamp) -> Plan {
    let message =
        "the ControllerRevision of the run is gone, and the spec has changed since: start a new run by spec.run";
    let after = JobFlowStatus {
        state: FlowState::Failed,
        message: message.into(),
        completion_time: Some(now.to_string()),
        ..world.status.clone()
    };
    written(world, after, &[Wanted::yes(ConditionType::Failed, Reason::OutcomeLost, message)], now).0
}

/// What a pass has found.
pub(super) fn of_pass(world: &World, before: &JobFlowStatus, pass: Pass<'_>, now: Timestamp) -> (Plan, JobFlowStatus) {
    let has_ended = pass.lives.iter().all(super::scope::Live::has_ended);
    let state = state_of(&pass, has_ended);
    let message = message(&pass, state);
    let mut wanted = vec![Wanted::yes(ConditionType::Verified, Reason::AsExpected, said_of_spec(world, pass.frozen))];
    wanted.push(match (state, &pass.mode) {
        (FlowState::Succeed, _) => Wanted::yes(ConditionType::Complete, Reason::Succeeded, &message),
        (FlowState::Failed, mode) => Wanted::yes(ConditionType::Failed, reason_of(mode), &message),
        _ => Wanted::yes(ConditionType::Progressing, Reason::StepsRunning, &message),
    });
    if state == FlowState::Suspended {
        wanted.push(Wanted::yes(ConditionType::Suspended, Reason::SuspendedBySpec, "suspended by spec.suspend"));
    } else if before.conditions.iter().any(|c| c.type_ == ConditionType::Suspended.as_str()) && !has_ended {
        // the deadline counts from here
        wanted.push(Wanted::no(ConditionType::Suspended, Reason::AsExpected, "resumed"));
    }
    let mut after = JobFlowStatus {
        state,
        message,
        done: done(&pass),
        completion_time: has_ended.then(|| now.to_string()),
        steps: pass.bytes(),
        outputs: pass.outputs(),
        active: active(&pass),
        ..before.clone()
    };
    let requeue = pass.requeue;
    after.items = pass.items.into_iter().filter(|(_, bytes)| bytes.bytes().any(|b| b != byte::PENDING)).collect();
    after.tries = pass.tries;
    let (mut plan, after) = written(world, after, &wanted, now);
    plan.requeue = requeue;
    if plan.status.is_some() && world.status.run != after.run {
        let forced = pass.frozen.forced.clone();
        plan.events.extend(forced.map(|note| Event { warning: true, reason: "RestartPolicyForced".into(), note }));
    }
    (coalesced(world, plan, &after), after)
}

/// Leaves mere progress unwritten for now where it may wait.
fn coalesced(world: &World, mut plan: Plan, after: &JobFlowStatus) -> Plan {
    let before = &world.status;
    let is_progress = before.state == after.state
        && before.run == after.run
        && before.completion_time == after.completion_time
        && before.observed_generation == after.observed_generation
        // these are read off pods and Jobs that may go
        && before.outputs == after.outputs
        && before.tries == after.tries
        // a step that was refused has no Job to be read again
        && failures(before) == failures(after);
    plan.is_progress = is_progress && plan.status.is_some();
    if plan.is_progress
        && let Some(left) = world.pace.wait(after.steps.len(), pace::STEPS)
    {
        plan.drop_status();
        plan.requeue = Some(plan.requeue.map_or(left, |r| r.min(left)));
    }
    plan
}

/// Steps and items that failed.
fn failures(status: &JobFlowStatus) -> usize {
    let all = status.items.values().chain([&status.steps]);
    all.map(|bytes| bytes.bytes().filter(|byte| *byte == byte::FAILED).count()).sum()
}

fn state_of(pass: &Pass<'_>, has_ended: bool) -> FlowState {
    let of = |b: u8| pass.lives.iter().any(|l| l.byte.get() == b);
    let is_ending = matches!(pass.mode, Mode::Ending(_));
    if has_ended {
        let cut_short = is_ending && pass.frozen.parts(Part::Flow).any(|i| pass.lives[i].byte.get() != byte::SUCCEEDED);
        return if cut_short || of(byte::FAILED) { FlowState::Failed } else { FlowState::Succeed };
    }
    match pass.mode {
        Mode::Ending(_) => FlowState::Terminating,
        Mode::Held => FlowState::Suspended,
        Mode::Going if pass.lives.iter().any(|l| l.byte.get() != byte::PENDING) => FlowState::Running,
        Mode::Going => FlowState::Pending,
    }
}

fn reason_of(mode: &Mode) -> Reason {
    let known = [Reason::Stopped, Reason::Replaced, Reason::DeadlineExceeded];
    match mode {
        Mode::Ending(why) => known.into_iter().find(|r| r.as_str() == why.reason).unwrap_or(Reason::StepFailed),
        _ => Reason::StepFailed,
    }
}

/// `ended/all`; the errorHandler counts where it runs.
fn done(pass: &Pass<'_>) -> String {
    let counts = |i: &usize| {
        let byte = pass.lives[*i].byte.get();
        pass.frozen.steps[*i].part != Part::ErrorHandler || !matches!(byte, byte::PENDING | byte::SKIPPED)
    };
    let all = (0..pass.lives.len()).filter(counts);
    let ended = all.clone().filter(|i| pass.lives[*i].has_ended()).count();
    format!("{ended}/{}", all.count())
}

fn active(pass: &Pass<'_>) -> Vec<StepStatus> {
    let (failing, running): (Vec<_>, Vec<_>) = pass.notes.values().partition(|(failing, _)| *failing);
    failing.into_iter().chain(running).take(MOST_ACTIVE).map(|(_, status)| status.clone()).collect()
}

fn message(pass: &Pass<'_>, state: FlowState) -> String {
    let failing: Vec<&StepStatus> = pass.notes.values().filter(|(failing, _)| *failing).map(|(_, s)| s).collect();
    if let Some(first) = failing.first() {
        let more = if failing.len() > 1 { format!(" (and {} more steps)", failing.len() - 1) } else { String::new() };
        let words = [first.reason.as_str(), first.message.as_str()].into_iter().filter(|w| !w.is_empty());
        return format!("step {}: {}{more}", first.name, words.collect::<Vec<_>>().join(": "));
    }
    if let Mode::Ending(why) = &pass.mode {
        return why.message.clone();
    }
    let count = |b: u8| pass.lives.iter().filter(|l| l.byte.get() == b).count();
    match state {
        FlowState::Suspended => "suspended by spec.suspend".into(),
        FlowState::Succeed => format!("{} succeeded, {} skipped", count(byte::SUCCEEDED), count(byte::SKIPPED)),
        _ => {
            let blocked = pass.notes.values().map(|(_, s)| s).find(|s| !s.message.is_empty());
            let running: Vec<&str> =
                pass.lives.iter().filter(|l| l.byte.get() == byte::RUNNING).map(|l| l.name).collect();
            let names = running.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", ");
            let more = if running.len() > MOST_NAMED {
                format!(" and {} more", running.len() - MOST_NAMED)
            } else {
                String::new()
            };
            match blocked {
                Some(s) => format!("step {}: {}", s.name, s.message),
                None if running.is_empty() => String::new(),
                None => format!("running: {names}{more}"),
            }
        }
    }
}

/// What a user should know of the spec beside its progress.
fn said_of_spec(world: &World, frozen: &Frozen) -> String {
    let mut said: Vec<String> = frozen.forced.iter().cloned().collect();
    if !frozen.is_of(&world.spec) {
        said.push("the spec has changed since the run began: that applies to the next run".into());
    }
    for (name, template) in &frozen.templates {
        if world.templates.get(name).is_some_and(|t| t != template) {
            said.push(format!("JobTemplate {name} has changed since the run began: that applies to the next run"));
        }
    }
    said.join("\n")
}
