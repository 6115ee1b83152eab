//! What `changes` says of an edit is what the operator then does.

use std::collections::BTreeMap;

use serde_json::json;
use tributary_blueprints::change::{Effect, What};
use tributary_blueprints::plan::Action;
use tributary_blueprints::{changes, resolve};
use tributary_crds::Pipeline;

use super::rng::Rng;
use super::scenario::{Kind, Scenario};
use super::{assert_settled, cluster, seeds};

/// One edit of a Pipeline: of a template, or a component more.
fn edited(pipeline: &Pipeline, scenario: &Scenario, rng: &mut Rng) -> Pipeline {
    let mut value = serde_json::to_value(pipeline).unwrap();
    let components = value["spec"]["blueprint"]["components"].as_array_mut().unwrap();
    let deployments =
        (0..components.len()).find(|at| scenario.components[scenario.order[*at]].kind == Kind::Deployment);
    let any = rng.below(components.len() as u32) as usize;
    let at = deployments.filter(|_| rng.chance(50)).unwrap_or(any);
    let deployment = scenario.components[scenario.order[at]].kind == Kind::Deployment;
    let template = &mut components[at]["template"];
    match (rng.below(4), deployment) {
        (0, true) => template["spec"]["replicas"] = 2.into(),
        (1, true) => {
            template["spec"]["selector"]["matchLabels"]["app"] = "y".into();
            template["spec"]["template"]["metadata"]["labels"]["app"] = "y".into();
        }
        (2, true) => template["spec"]["template"]["spec"]["containers"][0]["image"] = "y".into(),
        (3, _) => components.push(json!({"name": "new", "template": {
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}})),
        _ => template["metadata"]["annotations"]["edited"] = "yes".into(),
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_the_plan_says_is_what_happens() {
    let mut seen: BTreeMap<Effect, usize> = BTreeMap::new();
    for seed in 0..seeds() / 6 {
        let mut rng = Rng::new(seed + 7_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.components.iter_mut().for_each(|c| c.failures = 0);
        let mut cluster = cluster(&scenario);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        let before = Pipeline::clone(cluster.server.state.pipeline.as_ref().unwrap());
        let after = edited(&before, &scenario, &mut rng);
        let of = |p: &Pipeline| resolve(p, p.spec.blueprint.as_ref().unwrap()).unwrap();
        let (old, new) = (of(&before), of(&after));
        let steps = changes(Some(&old), &new);
        let children: Vec<String> = cluster.server.state.objects.keys().map(|k| k.name.clone()).collect();
        cluster.server.edit(|p| p.spec = after.spec.clone());
        let mut done: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for _ in 0..25 {
            cluster.step(&mut rng, 100);
            for action in cluster.reconcile(&mut rng).map(|p| p.actions).unwrap_or_default() {
                let (verb, name) = match &action {
                    Action::Create(o) => ("create", o.metadata.name.clone().unwrap()),
                    Action::Apply { object: o } => ("apply", o.metadata.name.clone().unwrap()),
                    Action::Delete { key, .. } => ("delete", key.name.clone()),
                    Action::Finalizers(_) => continue,
                };
                done.entry(name).or_default().push(verb);
            }
        }
        for step in steps.iter().filter(|s| s.what == What::Component) {
            *seen.entry(step.effect).or_default() += 1;
            let component = new.components.iter().chain(&old.components).find(|c| c.name == step.name).unwrap();
            let verbs = done.get(&component.child).cloned().unwrap_or_default();
            let told = || format!("seed {seed}: {step:?}, but {verbs:?} of {}\n{scenario:#?}", component.child);
            let (may, must): (&[&str], &[&str]) = match step.effect {
                Effect::Unchanged => (&[], &[]),
                Effect::Create => (&["create"], &[]),
                Effect::InPlace if step.reason.contains("which may change") => (&["apply"], &[]),
                Effect::InPlace | Effect::Restart => (&["apply"], &["apply"]),
                Effect::Replace => (&["delete", "create"], &["delete", "create"]),
                Effect::Drain => (&["apply", "delete", "create"], &["apply", "delete", "create"]),
                other => panic!("{other:?} is not among these edits"),
            };
            assert!(verbs.iter().all(|v| may.contains(v)), "{}", told());
            if children.contains(&component.child) {
                assert!(must.iter().all(|v| verbs.contains(v)), "{}", told());
            }
        }
    }
    for effect in [Effect::Unchanged, Effect::Create, Effect::InPlace, Effect::Restart, Effect::Drain, Effect::Replace]
    {
        assert!(seen.get(&effect).is_some_and(|n| *n > 0), "{effect:?} is never tried: {seen:?}");
    }
}
