//! Which statuses may be left to a later pass, and what becomes of what they would have said.

use serde_json::json;
use tributary_blueprints::plan::{Action, Plan};
use tributary_crds::{Health, PipelinePhase, names};

use super::bugs::Bug;
use super::cases::{Case, job};
use super::rng::Rng;
use super::scenario::Scenario;
use super::world::ended_before;
use super::{assert_ended, flawed, seeds};

/// A Job, one after it, and one after that.
fn three() -> Case {
    let after = |name: &str, before: &str| {
        let mut job = job();
        (job["name"], job["after"]) = (json!(name), json!([before]));
        job
    };
    Case::new(json!([job(), after("then", "work"), after("last", "then")]), json!([]))
}

/// Passes until one creates this Job; every status that may wait does. Gives the plan of each.
fn until_begins(case: &mut Case, name: &str) -> Vec<Plan> {
    let mut plans = Vec::new();
    while !case.cluster.server.created.iter().any(|key| key.name == name) {
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
    assert_ended(&mut cluster, &scenario, &mut rng, seed);
}

#[test]
fn all_but_the_last_status_of_what_goes_as_it_should_may_wait() {
    let mut case = three();
    let plans = until_begins(&mut case, "p-last");
    assert!(plans.iter().all(|plan| plan.may_wait || plan.status.is_none()));
    assert!(case.cluster.server.state.pipeline.as_ref().unwrap().status.is_none());
    let status = case.settle();
    assert_eq!((status.phase, status.ready.as_str()), (PipelinePhase::Succeeded, "3/3"));
}

#[test]
fn ends_that_no_status_tells_outlive_their_children_by_the_last_one() {
    for carried in [true, false] {
        let mut case = three();
        until_begins(&mut case, "p-last");
        let objects = case.cluster.server.state.objects.clone();
        let key = |name: &str| objects.keys().find(|key| key.name == name).unwrap().clone();
        let uid = objects[&key("p-work")].metadata.uid.clone().unwrap();
        assert!(["p-then", "p-last"].iter().all(|name| ended_before(&objects[&key(name)]).unwrap().contains(&uid)));
        if !carried {
            case.cluster.server.touch(&key("p-last"), |child| child.metadata.annotations = None);
        }
        // their time to live is over, and the operator is not there any more
        ["p-work", "p-then"].iter().for_each(|name| case.cluster.server.delete(&key(name)));
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
fn an_end_that_a_child_carries_is_told_though_its_component_may_not_begin() {
    let mut case = three();
    until_begins(&mut case, "p-last");
    let key = |case: &Case, name: &str| {
        case.cluster.server.state.objects.keys().find(|key| key.name == name).unwrap().clone()
    };
    case.cluster.server.delete(&key(&case, "p-work"));
    case.cluster.server.edit(|p| p.spec.suspend = true);
    case.settle();
    // who carried it goes, and the component may begin again
    ["p-then", "p-last"].iter().for_each(|name| case.cluster.server.delete(&key(&case, name)));
    case.cluster.server.edit(|p| p.spec.suspend = false);
    case.settle();
    assert_eq!(case.cluster.server.created.iter().filter(|key| key.name == "p-work").count(), 1);
}

#[test]
fn what_is_edited_back_runs_anew_whatever_children_carry_of_its_first_run() {
    let mut case = three();
    until_begins(&mut case, "p-then");
    let runs = |case: &Case| case.cluster.server.created.iter().filter(|key| key.name == "p-work").count();
    for (image, expected) in [("b", 2), ("${parameters.image}", 3)] {
        case.settle();
        case.edit(|spec| {
            let template = &mut spec["blueprint"]["components"][0]["template"];
            template["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        });
        assert_eq!(case.settle().phase, PipelinePhase::Succeeded);
        assert_eq!(runs(&case), expected);
    }
}

#[test]
fn nothing_is_deleted_before_the_end_is_told_that_it_may_be_all_to_tell_of() {
    let mut case = three();
    until_begins(&mut case, "p-last");
    let work = case.cluster.server.state.objects.keys().find(|key| key.name == "p-work").unwrap().clone();
    case.cluster.server.delete(&work);
    // both that carry it are to be replaced, and the writes of that pass fail after the first
    case.edit(|spec| {
        for at in [1, 2] {
            let template = &mut spec["blueprint"]["components"][at]["template"];
            template["spec"]["template"]["spec"]["containers"][0]["image"] = json!("b");
        }
    });
    for _ in 0..4 {
        case.cluster.step(&mut case.rng, 0);
        let Some(world) = case.cluster.observe(&mut case.rng, false) else { continue };
        let plan = case.cluster.decide(&world, 0);
        let deletes = plan.actions.iter().any(|action| matches!(action, Action::Delete { .. }));
        let told =
            world.pipeline.status.iter().flat_map(|s| &s.components).any(|line| line.name == "work" && line.latched);
        assert!(told || !deletes, "{plan:#?}");
        case.cluster.carry_out(&world, &plan, usize::MAX);
    }
    case.settle();
    assert_eq!(case.cluster.server.created.iter().filter(|key| key.name == "p-work").count(), 1);
}

#[test]
fn a_pipeline_that_is_handed_over_before_it_began_keeps_no_finalizer() {
    let mut case = three();
    case.cluster.server.edit(|p| p.spec.managed_by = Some("example.com/other".into()));
    case.cluster.step(&mut case.rng, 0);
    for (finalizers, expected) in [(vec![], vec![]), (vec![names::FINALIZER, "a/b"], vec![vec!["a/b".to_owned()]])] {
        let mut world = case.cluster.observe(&mut case.rng, false).unwrap();
        world.pipeline.metadata.finalizers = Some(finalizers.into_iter().map(str::to_owned).collect());
        let plan = case.cluster.decide(&world, 0);
        let expected: Vec<Action> = expected.into_iter().map(Action::Finalizers).collect();
        assert_eq!((plan.actions, plan.status), (expected, None));
    }
}

#[test]
fn a_pipeline_is_settled_once_its_end_is_told() {
    let mut case = three();
    let plans: Vec<Plan> = (0..12).map(|_| case.pass()).collect();
    let phases = plans.iter().filter_map(|plan| Some((plan.status.as_ref()?["phase"].clone(), plan.is_settled)));
    let phases: Vec<_> = phases.collect();
    assert!(
        phases.contains(&(json!("Progressing"), false)) && phases.contains(&(json!("Succeeded"), true)),
        "{phases:?}"
    );
    assert!(phases.iter().all(|(phase, is_settled)| *is_settled == (phase == "Succeeded")), "{phases:?}");
    assert!(plans.last().is_some_and(|plan| plan.is_empty() && plan.is_settled), "it stays so");
    let mut case = three();
    case.cluster.server.edit(|p| p.spec.blueprint = None);
    let plan = case.pass();
    assert_eq!(
        (plan.status.unwrap()["phase"].as_str(), plan.is_settled),
        (Some("Pending"), true),
        "it has no blueprint"
    );
}

#[test]
fn a_status_that_decides_or_destroys_or_tells_bad_news_does_not_wait() {
    let may_wait = |change: &dyn Fn(&mut Case)| {
        let mut case = three();
        change(&mut case);
        until_begins(&mut case, "p-then").iter().any(|plan| plan.may_wait)
    };
    assert!(may_wait(&|_| {}));
    assert!(!may_wait(&|case| case.cluster.server.edit(|p| p.spec.schedule = Some("* * * * *".into()))));
    assert!(!may_wait(&|case| {
        case.cluster.server.edit(|p| p.spec.update_policy = Some(tributary_crds::UpdatePolicy::Manual));
    }));
    // what is tried again counts its tries
    let mut case = three();
    case.cluster.fate.insert("p-work".into(), 1);
    let mut told = Vec::new();
    for _ in 0..12 {
        let plan = case.pass();
        told.extend(plan.status.map(|status| (status["phase"].as_str().unwrap_or_default().to_owned(), plan.may_wait)));
    }
    assert!(told.contains(&("Failed".into(), false)) && !told.contains(&("Failed".into(), true)), "{told:?}");
}
