//! A topic whose creation nobody answered: it has no owner, so that whoever made it must know of it before it goes.

use tributary_blueprints::plan::{Action, Plan};

use super::bugs::Bug;
use super::rng::Rng;
use super::scenario::Scenario;
use super::{flawed, seeds};

#[test]
fn a_topic_whose_creation_was_not_answered_goes_with_its_pipeline() {
    (0..seeds()).for_each(|seed| leaves_no_topic(seed, None));
}

/// The Pipeline is deleted as soon as a topic has been made without an answer, while the caches lag.
pub fn leaves_no_topic(seed: u64, bug: Option<Bug>) {
    let mut rng = Rng::new(seed + 7_000_000);
    let mut scenario = Scenario::random(&mut rng);
    scenario.retain = false;
    let mut cluster = flawed(&scenario, bug);
    let mut lost = false;
    for _ in 0..40 {
        cluster.step(&mut rng, 40);
        let Some(world) = cluster.observe(&mut rng, true) else { break };
        let plan = cluster.decide(&world, 0);
        let cut = Some(&plan).filter(|_| !lost).and_then(topic_of);
        cluster.carry_out(&world, &plan, cut.unwrap_or(usize::MAX));
        if cut.is_some() {
            lost = true;
            cluster.server.delete_pipeline();
        }
    }
    cluster.server.delete_pipeline();
    cluster.settle(&mut rng);
    let left: Vec<String> = cluster.server.state.objects.keys().map(ToString::to_string).collect();
    assert!(cluster.server.state.pipeline.is_none() && left.is_empty(), "seed {seed}: {left:?}");
}

/// The write of a plan that creates a topic.
fn topic_of(plan: &Plan) -> Option<usize> {
    let is_topic =
        |object: &kube::core::DynamicObject| object.types.as_ref().is_some_and(|types| types.kind == "Topic");
    plan.actions.iter().position(|action| matches!(action, Action::Create(object) if is_topic(object)))
}
