//! Defects of the loop, planted on purpose: the simulation must find each of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kube::core::DynamicObject;
use tributary_blueprints::evaluate::child::ENDED_BEFORE;
use tributary_blueprints::object::field;
use tributary_blueprints::plan::{Action, Plan};
use tributary_blueprints::world::World;

use super::apiserver::State;
use super::{leaves_nothing, life, lost, reaches_its_end, respects_others, waits};

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Deletes by name, whatever has it by now.
    DropUid,
    /// Forgets that an outcome is final.
    ForgetLatch,
    /// Forgets how often a child was tried.
    ForgetTries,
    /// Forgets which run it is in.
    ForgetRun,
    /// Takes objects of others for its own.
    IgnoreOwnership,
    /// Writes over finished children again.
    ReapplyFinished,
    /// Runs what the spec says instead of a kept revision.
    RunUnkept,
    /// Does not guard what it makes by a finalizer.
    NoFinalizer,
    /// Does not wait for a deleted child to be gone before the Pipeline goes.
    LetGoEarly,
    /// Does not look for what it has created without an answer.
    NeverLook,
    /// Does not read which ends children carry.
    ForgetCarried,
}

pub fn in_world(bug: Option<Bug>, mut world: World) -> World {
    let owner = world.pipeline.metadata.clone();
    let lines = world.pipeline.status.iter_mut().flat_map(|s| &mut s.components);
    match bug {
        Some(Bug::ForgetLatch) => lines.for_each(|c| c.latched = false),
        Some(Bug::ForgetTries) => lines.for_each(|c| c.retries = None),
        Some(Bug::ForgetRun) => world.pipeline.status.iter_mut().for_each(|s| s.run = None),
        Some(Bug::IgnoreOwnership) => world.children.0.values_mut().for_each(|child| {
            let reference = serde_json::json!([{"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline",
                "name": owner.name, "uid": owner.uid, "controller": true}]);
            child.metadata.owner_references = serde_json::from_value(reference).unwrap();
        }),
        Some(Bug::RunUnkept) => world.revisions = None,
        Some(Bug::ForgetCarried) => world.children.0.values_mut().for_each(|child| {
            child.metadata.annotations.iter_mut().for_each(|all| drop(all.remove(ENDED_BEFORE)));
        }),
        _ => {}
    }
    world
}

pub fn in_plan(bug: Option<Bug>, world: &World, mut plan: Plan) -> Plan {
    let done = |c: &DynamicObject| {
        field(c, &["status", "phase"]).is_some_and(|p| p == "Succeeded")
            || field(c, &["status", "state"]).is_some_and(|s| s == "Done")
    };
    match bug {
        Some(Bug::ReapplyFinished) => {
            let done = world.children.0.values().filter(|c| done(c));
            plan.actions.extend(done.map(|c| Action::Apply { object: Box::new(c.clone()) }));
        }
        Some(Bug::LetGoEarly) if world.pipeline.metadata.deletion_timestamp.is_some() => {
            plan.actions.push(Action::Finalizers(Vec::new()));
        }
        _ => {}
    }
    plan
}

pub fn in_actions(bug: Option<Bug>, actions: &[Action], state: &State) -> Vec<Action> {
    let mut actions = actions.to_vec();
    match bug {
        Some(Bug::DropUid) => actions.iter_mut().for_each(|action| {
            if let Action::Delete { key, uid, .. } = action
                && let Some(there) = state.objects.get(key).and_then(|o| o.metadata.uid.clone())
            {
                *uid = there;
            }
        }),
        Some(Bug::NoFinalizer) => actions.retain(|a| !matches!(a, Action::Finalizers(_))),
        _ => {}
    }
    actions
}

/// Worlds among which a defect must show.
const MOST: u64 = 150;

fn is_caught(bug: Bug, check: fn(u64, Option<Bug>)) -> bool {
    (0..MOST).any(|seed| catch_unwind(AssertUnwindSafe(|| check(seed, Some(bug)))).is_err())
}

#[test]
fn planted_defects_are_found() {
    type Story = fn(u64, Option<Bug>);
    let planted: [(Bug, Story); 11] = [
        (Bug::DropUid, reaches_its_end),
        (Bug::ForgetLatch, reaches_its_end),
        (Bug::ForgetTries, reaches_its_end),
        (Bug::ForgetRun, life::lives),
        (Bug::IgnoreOwnership, respects_others),
        (Bug::ReapplyFinished, reaches_its_end),
        (Bug::RunUnkept, life::lives),
        (Bug::NoFinalizer, leaves_nothing),
        (Bug::LetGoEarly, leaves_nothing),
        (Bug::NeverLook, lost::leaves_no_topic),
        (Bug::ForgetCarried, waits::runs_once),
    ];
    let missed: Vec<Bug> =
        planted.into_iter().filter(|(bug, check)| !is_caught(*bug, *check)).map(|(b, _)| b).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
