//! `evaluate(&World, now) -> Plan` for a Pipeline: pure and total.
//!
//! The whole of a Pipeline's life is one function of what is there now. Nothing is remembered but what the status keeps:
//! outcomes of finished components, the topics' provider, the run, and the inventory; and until it does, what children carry
//! of outcomes.

use std::time::Duration;

use serde_json::Value;
use tributary_crds::names::{FINALIZER, MANAGER};
use tributary_crds::{
    BlueprintSpec, ComponentStatus, Condition, ConditionType, Health, Pipeline, PipelinePhase, PipelineStatus, Reason,
    Timestamp, UpdatePolicy, Wanted, conditions_with,
};

use crate::claims::{claims, conflicts};
use crate::plan::{Action, Plan, events_of_change};
use crate::problem::{Origin, Problem};
use crate::resolve::{Resolved, blueprint_of, resolve_again};
use crate::world::World;

mod adopt;
mod carried;
pub mod child;
mod components;
mod creation;
mod delete;
mod drift;
mod existing;
mod pass;
mod prune;
mod reading;
mod replace;
mod revised;
mod runs;
mod summary;
pub(crate) mod topics;
mod waits;

use pass::Pass;
pub use revised::running;

/// Problems that a status lists.
const MAX_PROBLEMS: usize = 100;

/// What is to be done about a Pipeline.
pub fn evaluate(world: &World, now: Timestamp) -> Plan {
    let pipeline = &world.pipeline;
    if pipeline.spec.managed_by.as_deref().is_some_and(|m| m != MANAGER) {
        return let_go(world);
    }
    let mut draft = Draft::new(world, now);
    if pipeline.metadata.deletion_timestamp.is_some() {
        delete::delete(&mut draft);
        return draft.finish();
    }
    match &world.revisions {
        Some(kept) => draft.by_revisions(kept),
        None => draft.blueprint_runs(pipeline, world.blueprint.as_ref()),
    }
    draft.finish()
}

/// A Pipeline that is somebody else's by now keeps no finalizer of ours, unless something has begun.
fn let_go(world: &World) -> Plan {
    let finalizers = world.pipeline.metadata.finalizers.as_deref().unwrap_or_default();
    let has_begun = !world.children.0.is_empty() || world.pipeline.status.is_some();
    if has_begun || !finalizers.iter().any(|f| f == FINALIZER) {
        return Plan::default();
    }
    Plan { actions: vec![Action::Finalizers(without(finalizers, FINALIZER))], ..Plan::default() }
}

/// A plan in the making.
struct Draft<'a> {
    world: &'a World,
    now: Timestamp,
    old: PipelineStatus,
    status: PipelineStatus,
    wanted: Vec<Wanted>,
    plan: Plan,
    /// The status is written. Not where the object goes with this plan, and not before there is something to tell.
    written: bool,
    /// Changes that would delete data and are not confirmed.
    destructive: Vec<String>,
    /// The conditions stay as they are.
    same_conditions: bool,
    /// Nothing that the status keeps of the components is lost where it is written later.
    nothing_lost: bool,
    /// The components were looked at, and what children carry of ends.
    is_looked_at: bool,
    /// The status tells an end that only a child has told until now.
    tells_carried: bool,
}

impl<'a> Draft<'a> {
    fn new(world: &'a World, now: Timestamp) -> Self {
        let old = world.pipeline.status.clone().unwrap_or_default();
        let status = PipelineStatus { observed_generation: world.pipeline.metadata.generation, ..old.clone() };
        Self {
            world,
            now,
            old,
            status,
            wanted: Vec::new(),
            plan: Plan::default(),
            written: true,
            destructive: Vec::new(),
            same_conditions: false,
            nothing_lost: false,
            is_looked_at: false,
            tells_carried: false,
        }
    }

    /// The blueprint is not there: what runs goes on, nothing new begins.
    fn no_blueprint(&mut self) {
        let name = self.world.pipeline.spec.blueprint_ref.as_ref().map_or("", |r| r.name.as_str());
        let message = if name.is_empty() {
            "the Pipeline has neither blueprintRef nor blueprint".to_owned()
        } else {
            format!("there is no Blueprint `{name}` in this namespace")
        };
        self.status.problems.clear();
        self.wanted.push(Wanted::no(ConditionType::Verified, Reason::BlueprintNotFound, &message));
        self.wanted.push(Wanted::no(ConditionType::Ready, Reason::BlueprintNotFound, &message));
        if self.old.components.is_empty() {
            self.status.phase = PipelinePhase::Pending;
        }
        self.status.message = message;
    }

    /// The blueprint is wrong: what runs goes on, nothing new begins.
    fn invalid(&mut self, problems: &[Problem]) {
        let referred = self.world.pipeline.spec.blueprint_ref.as_ref().map_or("", |r| r.name.as_str());
        let shown = |p: &Problem| match (p.origin, referred) {
            (Origin::Blueprint, name) if !name.is_empty() => format!("Blueprint {name}: {p}"),
            _ => p.to_string(),
        };
        let first = problems.first().map_or_else(String::new, shown);
        let message = match problems.len() {
            0 | 1 => first,
            n => format!("{first} (and {} more)", n - 1),
        };
        let all: Vec<String> = problems.iter().take(10).map(shown).collect();
        let reason = Reason::InvalidBlueprint;
        self.wanted.push(Wanted::no(ConditionType::Verified, reason, all.join("\n")));
        self.wanted.push(Wanted::no(ConditionType::Ready, reason, &message));
        self.wanted.push(Wanted::yes(ConditionType::Failed, reason, &message));
        self.status.problems = problems.iter().take(MAX_PROBLEMS).map(Problem::to_status).collect();
        self.status.phase = PipelinePhase::Failed;
        self.status.message = message;
    }

    /// Runs a blueprint with a Pipeline's parameters.
    fn blueprint_runs(&mut self, pipeline: &Pipeline, referred: Option<&BlueprintSpec>) {
        let Some(blueprint) = blueprint_of(pipeline, referred) else { return self.no_blueprint() };
        let resolved = match resolve_again(pipeline, blueprint, &self.world.served) {
            Err(problems) => return self.invalid(&problems),
            Ok(resolved) => resolved,
        };
        let rivals = &self.world.rivals;
        let problems = if rivals.is_empty() { Vec::new() } else { conflicts(&claims(pipeline, &resolved), rivals) };
        if !problems.is_empty() {
            return self.claimed(&problems);
        }
        if self.run_is_due() {
            self.same_conditions = true;
            return;
        }
        self.run(&resolved);
    }

    /// Another Pipeline, an older one, has what this one claims: what runs goes on, nothing new begins.
    fn claimed(&mut self, problems: &[Problem]) {
        let all: Vec<String> = problems.iter().take(10).map(ToString::to_string).collect();
        let message = all.first().cloned().unwrap_or_default();
        self.wanted.push(Wanted::no(ConditionType::Verified, Reason::ClaimedByOther, all.join("\n")));
        self.wanted.push(Wanted::no(ConditionType::Ready, Reason::ClaimedByOther, &message));
        self.status.problems = problems.iter().take(MAX_PROBLEMS).map(Problem::to_status).collect();
        if self.old.components.is_empty() {
            self.status.phase = PipelinePhase::Pending;
        }
        self.status.message = message;
    }

    /// Whatever is made is guarded by the finalizer.
    fn guard(&mut self) {
        let finalizers = self.world.pipeline.metadata.finalizers.as_deref().unwrap_or_default();
        let planned = self.plan.actions.iter().any(|a| matches!(a, Action::Finalizers(_)));
        if !planned && !finalizers.iter().any(|f| f == FINALIZER) {
            let mut all = finalizers.to_vec();
            all.push(FINALIZER.into());
            self.plan.actions.push(Action::Finalizers(all));
        }
    }

    fn run(&mut self, resolved: &Resolved) {
        self.guard();
        self.wanted.push(Wanted::yes(ConditionType::Verified, Reason::AsExpected, ""));
        let mut status = self.status.clone();
        status.problems.clear();
        let old = self.old.clone();
        let mut pass = Pass::new(self.world, self.now, resolved, &old, status);
        pass.begin_run();
        pass.topics();
        pass.components();
        pass.prune();
        self.nothing_lost = pass.is_all_carried();
        self.is_looked_at = true;
        let wanted = pass.summary();
        let Pass { status, actions, requeue, events, destructive, carried, .. } = pass;
        self.tells_carried = carried.taken;
        self.destructive = destructive;
        self.status = status;
        self.wanted.extend(wanted);
        self.plan.actions.extend(actions);
        self.plan.events.extend(events);
        self.plan.requeue = self.plan.requeue.into_iter().chain(requeue).min();
    }

    /// The Pipeline goes with this plan: its status is nobody's concern any more.
    fn release(&mut self) {
        self.written = false;
    }

    fn finish(mut self) -> Plan {
        if !self.written {
            return self.plan;
        }
        self.plan.is_settled = match self.status.phase {
            PipelinePhase::Progressing | PipelinePhase::Deleting => false,
            // it waits for somebody else, as for its Blueprint
            PipelinePhase::Pending => !self.plan.actions.iter().any(|a| matches!(a, Action::Create(_))),
            _ => true,
        };
        let generation = self.world.pipeline.metadata.generation;
        if !self.same_conditions {
            let wanted = last_of_each(std::mem::take(&mut self.wanted));
            self.status.conditions = conditions_with(&self.old.conditions, &wanted, generation, self.now);
        }
        if self.status != self.old || self.world.pipeline.status.is_none() {
            if self.is_looked_at {
                self.status.sequence = Some(self.old.sequence.unwrap_or(0) + 1);
            }
            self.plan.status = serde_json::to_value(&self.status).ok();
            let (before, after) = (phase_name(self.old.phase), phase_name(self.status.phase));
            let old: &[Condition] = &self.old.conditions;
            let changes = events_of_change(&before, &after, &self.status.message, old, &self.status.conditions);
            self.plan.events.extend(changes);
            self.plan.may_wait = self.only_goes_on();
            if self.tells_carried && self.plan.actions.iter().any(is_deletion) {
                // what is deleted may be all that tells of an end: the status comes first
                self.plan.actions.retain(|action| !is_deletion(action));
                self.plan.requeue = Some(Duration::ZERO);
            }
        }
        self.plan
    }

    /// Whether the status says no more than that a Pipeline goes on as it should, and all of it would be decided again without it: a
    /// topic's provider, for one, or which of several revisions runs, is decided once.
    fn only_goes_on(&self) -> bool {
        let (spec, old, new) = (&self.world.pipeline.spec, &self.old, &self.status);
        let goes_on = |line: &ComponentStatus| {
            let well =
                matches!(line.health, Health::Pending | Health::Progressing | Health::Succeeded | Health::Skipped);
            well && line.retries.is_none() && line.change.is_none()
        };
        let only_makes = self.plan.actions.iter().all(|a| matches!(a, Action::Create(_) | Action::Finalizers(_)));
        let decides = spec.suspend || spec.schedule.is_some() || spec.effective_update_policy() == UpdatePolicy::Manual;
        self.nothing_lost
            && only_makes
            && !decides
            && matches!(old.phase, PipelinePhase::Pending | PipelinePhase::Progressing)
            && new.phase == PipelinePhase::Progressing
            && old.run.is_none_or(|run| new.run == Some(run))
            && old.revision.is_none_or(|revision| new.revision == Some(revision))
            && old.observed_generation.is_none_or(|seen| new.observed_generation == Some(seen))
            && (&old.topic_provider, &old.retry) == (&new.topic_provider, &new.retry)
            && old.components.iter().chain(&new.components).all(goes_on)
            && !self.plan.events.iter().any(|event| event.warning)
    }
}

/// One condition of each type: what was said last.
fn last_of_each(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let mut last: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        match last.iter_mut().find(|w| w.type_ == wanted.type_) {
            Some(before) => *before = wanted,
            None => last.push(wanted),
        }
    }
    last
}

fn is_deletion(action: &Action) -> bool {
    matches!(action, Action::Delete { .. })
}

fn phase_name(phase: PipelinePhase) -> String {
    match serde_json::to_value(phase) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

/// A list without one of its entries.
fn without(list: &[String], entry: &str) -> Vec<String> {
    list.iter().filter(|e| *e != entry).cloned().collect()
}
