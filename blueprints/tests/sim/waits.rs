//! Which statuses may be left to a later pass, and what becomes of what they would have said.

use serde_json::json;
use tributary_blueprints::plan::Plan;
use tributary_crds::{Health, PipelinePhase};

use super::bugs::Bug;
use super::cases::{Case, job};
use super::rng::Rng;
use super::scenario::Scenario;
use super::world::ended_before;
use super::{assert_settled, creations, flawed, seeds};

/// A Job, and one after it.
fn two() -> Case {
    let mut then = job();
    (then["name"], then["after"]) = (json!("then"), json!(["work"]));
    Case::new(json!([job(), then]), json!([]))
}

/// Passes until one creates the second Job; every status that may wait does. Gives the plan of each.
fn until_the_second_begins(case: &mut Case) -> Vec<Plan> {
    let mut plans = Vec::new();
    while !case.cluster.server.created.iter().any(|key| key.name == "p-then") {
        case.cluster.step(&mut case.rng, 100);
        let world = case.cluster.observe(&mut case.rng, false).unwrap();
        let mut plan = case.cluster.decide(&world, 0);
        plans.push(plan.clone());
        assert!(plans.len() < 20);
        if plan.may_wait {
            plan.drop_status();
        }
        case.cluster.carry_out(&world, &plan, usize::MAX);
    }
    plans
}

#[test]
fn what_ends_and_vanishes_before_a_status_tells_it_runs_once() {
    (0..seeds()).for_each(|seed| runs_once(seed, None));
}

/// The apiserver is so busy that statuses wait most of the time, children go as soon as they have ended, and so does the operator.
pub fn runs_once(seed: u64, bug: Option<Bug>) {
    let mut rng = Rng::new(seed + 9_000_000);
    let scenario = Scenario::random(&mut rng);
    let mut cluster = flawed(&scenario, bug);
    for _ in 0..rng.below(60) {
        cluster.step(&mut rng, 60);
        if rng.chance(10) {
            cluster.restart();
        }
        let Some(world) = cluster.observe(&mut rng, true) else { continue };
        let mut plan = cluster.decide(&world, 0);
        if plan.may_wait && rng.chance(80) {
            plan.drop_status();
        }
        cluster.carry_out(&world, &plan, usize::MAX);
        if rng.chance(50) {
            cluster.vanish(&mut rng);
        }
    }
    assert_settled(&mut cluster, &scenario, &mut rng, seed);
    assert_eq!(
        creations(&cluster),
        scenario.creations(),
        "seed {seed}: created too often or too rarely\n{scenario:#?}"
    );
}

#[test]
fn all_but_the_last_status_of_what_goes_as_it_should_may_wait() {
    let mut case = two();
    let plans = until_the_second_begins(&mut case);
    assert!(plans.iter().all(|plan| plan.may_wait || plan.status.is_none()));
    assert!(case.cluster.server.state.pipeline.as_ref().unwrap().status.is_none());
    let status = case.settle();
    assert_eq!((status.phase, status.ready.as_str()), (PipelinePhase::Succeeded, "2/2"));
}

#[test]
fn an_end_that_no_status_tells_outlives_its_child_by_the_next_one() {
    for carried in [true, false] {
        let mut case = two();
        until_the_second_begins(&mut case);
        let objects = case.cluster.server.state.objects.clone();
        let key = |name: &str| objects.keys().find(|key| key.name == name).unwrap().clone();
        let uid = objects[&key("p-work")].metadata.uid.clone().unwrap();
        assert!(ended_before(&objects[&key("p-then")]).unwrap().contains(&uid));
        if !carried {
            case.cluster.server.touch(&key("p-then"), |child| child.metadata.annotations = None);
        }
        // its time to live is over, and the operator is not there any more
        case.cluster.server.delete(&key("p-work"));
        case.cluster.step(&mut case.rng, 0);
        case.cluster.restart();
        let status = case.settle();
        let runs = case.cluster.server.created.iter().filter(|key| key.name == "p-work").count();
        assert_eq!((status.phase, runs), (PipelinePhase::Succeeded, if carried { 1 } else { 2 }));
        let line = &status.components[0];
        assert_eq!((line.health, line.reason.as_str()), (Health::Succeeded, "Completed"));
        assert_eq!(line.uid == uid, carried);
    }
}

#[test]
fn a_status_that_decides_or_destroys_or_tells_bad_news_does_not_wait() {
    let may_wait = |change: &dyn Fn(&mut Case)| {
        let mut case = two();
        change(&mut case);
        until_the_second_begins(&mut case).iter().any(|plan| plan.may_wait)
    };
    assert!(may_wait(&|_| {}));
    assert!(!may_wait(&|case| case.cluster.server.edit(|p| p.spec.schedule = Some("* * * * *".into()))));
    assert!(!may_wait(&|case| {
        case.cluster.server.edit(|p| p.spec.update_policy = Some(tributary_crds::UpdatePolicy::Manual));
    }));
    // what is tried again counts its tries
    let mut case = two();
    case.cluster.fate.insert("p-work".into(), 1);
    let mut told = Vec::new();
    for _ in 0..12 {
        let plan = case.pass();
        told.extend(plan.status.map(|status| (status["phase"].as_str().unwrap_or_default().to_owned(), plan.may_wait)));
    }
    assert!(told.contains(&("Failed".into(), false)) && !told.contains(&("Failed".into(), true)), "{told:?}");
}
