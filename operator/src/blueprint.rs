//! The controller of Blueprint: says whether it holds together.

use std::{convert::Infallible, sync::Arc};

use tributary_blueprints::{
    Problem, kinds_of,
    plan::{Plan, events_of_change},
    verify,
    world::{Refusal, Served},
};
use tributary_crds::{Blueprint, BlueprintStatus, ConditionType, Reason, Timestamp, Wanted, conditions_with};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, View, parse},
    controller::{Controller, Decision, Observed},
};

/// Problems that a status lists.
const MOST_PROBLEMS: usize = 100;
/// Problems that a condition's message names.
const MOST_NAMED: usize = 3;

/// The controller.
pub struct Blueprints;

/// Everything that a decision about one Blueprint may know.
#[derive(Debug, Default)]
pub struct World {
    /// The Blueprint.
    pub blueprint: Blueprint,
    /// The kinds that are served.
    pub served: Arc<Served>,
    refusals: Vec<Refusal>,
}

impl Controller for Blueprints {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::Blueprint;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        match parse(&object) {
            Ok(Blueprint { spec, .. }) if view.lacks_schemas(&kinds_of(&spec)) => Observed::NoSchemas(kinds_of(&spec)),
            Ok(blueprint) => Observed::World(World { blueprint, served: view.served().clone(), refusals: Vec::new() }),
            Err(error) => Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string()),
        }
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.blueprint.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Infallible> {
        evaluate(world, now).into()
    }

    async fn effect(&self, _: &Act, _: &Target, _: &World, effect: Infallible) -> Result<(), ActError> {
        match effect {}
    }
}

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Plan {
    let blueprint = &world.blueprint;
    if blueprint.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let before = blueprint.status.clone().unwrap_or_default();
    let problems = verify::blueprint(&blueprint.spec, Some(&world.served));
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let after = BlueprintStatus {
        observed_generation: blueprint.metadata.generation,
        components: count(blueprint.spec.components.len() + blueprint.spec.finally.len()),
        topics: count(blueprint.spec.topics.len()),
        problems: problems.iter().take(MOST_PROBLEMS).map(Problem::to_status).collect(),
        conditions: conditions_with(&before.conditions, &[verified(&problems)], blueprint.metadata.generation, now),
    };
    if after == before {
        return Plan::default();
    }
    let events = events_of_change("", "", "", &before.conditions, &after.conditions);
    Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }
}

fn verified(problems: &[Problem]) -> Wanted {
    let type_ = ConditionType::Verified;
    if problems.is_empty() {
        return Wanted::yes(type_, Reason::AsExpected, "");
    }
    let mut named: Vec<String> = problems.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if problems.len() > MOST_NAMED {
        named.push(format!("and {} more in status.problems", problems.len() - MOST_NAMED));
    }
    Wanted::no(type_, Reason::InvalidBlueprint, named.join("\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn world(reads: &str) -> World {
        let blueprint = json!({"metadata": {"name": "b", "namespace": "n", "generation": 2}, "spec": {
            "datasets": [{"name": "text", "location": "bucket/in"}, {"name": "out", "location": "bucket/out"}],
            "components": [{"name": "count", "reads": {"input": reads}, "writes": {"output": "out"}, "template": {
                "apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob",
                "spec": {"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}}}}]}});
        let mut served = Served::default();
        served.add(&PrimaryKind::MapReduceJob.gvk(), "mapreducejobs", true);
        let blueprint = serde_json::from_value(blueprint).unwrap();
        World { blueprint, served: Arc::new(served), refusals: Vec::new() }
    }

    fn written(world: &World) -> BlueprintStatus {
        serde_json::from_value(evaluate(world, Timestamp::UNIX_EPOCH).status.unwrap()).unwrap()
    }

    #[test]
    fn problems_are_listed_and_told_once() {
        let mut bad = world("txet");
        let plan = evaluate(&bad, Timestamp::UNIX_EPOCH);
        assert_eq!(plan.events.len(), 1);
        let status = written(&bad);
        assert!(status.problems[0].path.contains("components[0].reads.input"), "{status:?}");
        assert_eq!((status.conditions[0].status.as_str(), status.components), ("False", 1));
        assert!(status.conditions[0].message.contains("txet"), "{status:?}");
        bad.blueprint.status = Some(status);
        assert!(evaluate(&bad, Timestamp::now()).is_empty());
    }

    #[test]
    fn a_good_one_is_verified() {
        let status = written(&world("text"));
        assert_eq!((status.conditions[0].status.as_str(), status.observed_generation), ("True", Some(2)));
    }
}
