//! The loop of observe, evaluate and act against an apiserver in memory: random Pipelines, children that come and go in
//! their own time, caches that lag, writes that are lost, operators that restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adoption;
mod apiserver;
mod bugs;
mod cases;
mod edits;
mod life;
mod lost;
mod revisions;
mod rng;
mod scenario;
mod waits;
mod world;

use std::collections::BTreeMap;

use apiserver::Apiserver;
use bugs::Bug;
use rng::Rng;
use scenario::{End, Kind, PIPELINE, Scenario};
use tributary_crds::{Health, PipelinePhase};
use world::Cluster;

/// Worlds a property is tried on; `TRIBUTARY_SIM_SEEDS` sets another number.
fn seeds() -> u64 {
    std::env::var("TRIBUTARY_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

fn cluster(scenario: &Scenario) -> Cluster {
    flawed(scenario, None)
}

/// A cluster whose operator has a defect.
fn flawed(scenario: &Scenario, bug: Option<Bug>) -> Cluster {
    let pipeline = scenario.pipeline();
    let problems = tributary_blueprints::verify::pipeline(&pipeline, pipeline.spec.blueprint.as_ref().unwrap(), None);
    assert!(problems.is_empty(), "{problems:#?}\n{scenario:#?}");
    let mut cluster = Cluster::new(Apiserver::new(pipeline), scenario.fate());
    cluster.bug = bug;
    cluster
}

/// Passes with lagging caches, lost writes, restarts, and a deposed leader whose writes come late.
fn trouble(cluster: &mut Cluster, scenario: &Scenario, rng: &mut Rng, passes: u32) {
    let mut late = None;
    for _ in 0..passes {
        cluster.step(rng, 40);
        if let Some((world, plan)) = late.take_if(|_| rng.chance(20)) {
            cluster.carry_out_late(&world, &plan);
        }
        if rng.chance(5) {
            cluster.restart();
        }
        if rng.chance(10) {
            cluster.vanish(rng);
        }
        let Some(world) = cluster.observe(rng, true) else { continue };
        let plan = cluster.decide(&world, 0);
        let writes = plan.actions.len() as u32 + 1;
        let cut = if rng.chance(30) { rng.below(writes + 1) as usize } else { usize::MAX };
        if rng.chance(20) && late.is_none() {
            late = Some((world.clone(), plan.clone()));
        }
        let before = cluster.server.created.len();
        cluster.carry_out(&world, &plan, cut);
        let made: Vec<String> = cluster.server.created[before..].iter().map(|key| key.name.clone()).collect();
        for name in made {
            in_order(cluster, scenario, &name);
        }
    }
}

/// Whatever a child waits for must have served or ended well when it is created.
fn in_order(cluster: &Cluster, scenario: &Scenario, child: &str) {
    let ends = scenario.ends();
    let Some(i) = (0..ends.len()).find(|i| scenario.child(*i) == child) else { return };
    for (j, _) in &scenario.components[i].links {
        let upstream = scenario.child(*j);
        let later_run = || cluster.good.iter().any(|g| g.starts_with(&format!("{upstream}-")));
        let there = cluster.good.contains(&upstream) || later_run() || scenario.components[*j].kind == Kind::ConfigMap;
        assert!(ends[*j] == End::Skipped || there, "{child} began before {upstream} was there");
    }
}

fn creations(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for key in cluster.server.created.iter().filter(|k| k.kind != "Topic" && k.kind != "ControllerRevision") {
        *counts.entry(key.name.clone()).or_insert(0) += 1;
    }
    counts
}

fn assert_settled(cluster: &mut Cluster, scenario: &Scenario, rng: &mut Rng, seed: u64) {
    assert!(
        cluster.settle(rng),
        "seed {seed} never settles: {:#?}",
        cluster.server.state.pipeline.as_ref().unwrap().status
    );
    let status = cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap();
    for (i, _) in scenario.components.iter().enumerate() {
        let line = status.components.iter().find(|c| c.name == format!("c{i}")).unwrap();
        assert_eq!(line.health, scenario.health(i), "seed {seed}: c{i} is {line:#?}\n{scenario:#?}");
    }
    if scenario.ends().contains(&End::Blocked) || !scenario.ends().contains(&End::Failed) {
        assert_eq!(status.phase, scenario.phase(), "seed {seed}: {}", status.message);
    }
    let world = cluster.observe(rng, false).unwrap();
    for later in [0, 3_600] {
        let plan = cluster.decide(&world, later);
        assert!(plan.is_empty(), "seed {seed}: a settled Pipeline is not left alone: {plan:#?}");
    }
}

#[test]
fn every_pipeline_reaches_its_end_and_stays_there() {
    for seed in 0..seeds() {
        reaches_its_end(seed, None);
    }
}

fn reaches_its_end(seed: u64, bug: Option<Bug>) {
    let mut rng = Rng::new(seed);
    let scenario = Scenario::random(&mut rng);
    let mut cluster = flawed(&scenario, bug);
    let passes = rng.below(60);
    trouble(&mut cluster, &scenario, &mut rng, passes);
    assert_ended(&mut cluster, &scenario, &mut rng, seed);
}

/// It comes to its end, and everything was created as often as it had to be.
fn assert_ended(cluster: &mut Cluster, scenario: &Scenario, rng: &mut Rng, seed: u64) {
    assert_settled(cluster, scenario, rng, seed);
    let (made, meant) = (creations(cluster), scenario.creations());
    assert_eq!(made, meant, "seed {seed}: created too often or too rarely\n{scenario:#?}");
}

#[test]
fn nothing_is_left_behind_but_what_is_retained() {
    for seed in 0..seeds() {
        leaves_nothing(seed, None);
    }
}

fn leaves_nothing(seed: u64, bug: Option<Bug>) {
    let mut rng = Rng::new(seed + 1_000_000);
    let scenario = Scenario::random(&mut rng);
    let mut cluster = flawed(&scenario, bug);
    let passes = rng.below(40);
    trouble(&mut cluster, &scenario, &mut rng, passes);
    let topics = cluster.server.state.objects.keys().filter(|k| k.kind == "Topic").count();
    cluster.server.delete_pipeline();
    let passes = rng.below(30);
    trouble(&mut cluster, &scenario, &mut rng, passes);
    cluster.settle(&mut rng);
    assert!(cluster.server.state.pipeline.is_none(), "seed {seed}: {:#?}", cluster.server.state.pipeline);
    let left: Vec<String> = cluster.server.state.objects.keys().map(ToString::to_string).collect();
    if scenario.retain {
        assert!(left.iter().all(|k| k.starts_with("Topic ")) && left.len() >= topics, "seed {seed}: {left:?}");
    } else {
        assert!(left.is_empty(), "seed {seed}: {left:?}");
    }
}

#[test]
fn a_suspended_pipeline_stops_and_goes_on() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 2_000_000);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = cluster(&scenario);
        let passes = rng.below(40);
        trouble(&mut cluster, &scenario, &mut rng, passes);
        cluster.server.edit(|p| p.spec.suspend = true);
        let passes = rng.below(20);
        trouble(&mut cluster, &scenario, &mut rng, passes);
        assert!(cluster.settle(&mut rng), "seed {seed}");
        let created = cluster.server.created.len();
        let running = cluster.server.state.objects.values().filter(|o| o.data["status"]["phase"] == "Running").count();
        assert_eq!(running, 0, "seed {seed}: {:#?}", cluster.server.state.pipeline.as_ref().unwrap().status);
        let status = cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap();
        let ended = matches!(status.phase, PipelinePhase::Succeeded | PipelinePhase::Failed | PipelinePhase::Running);
        assert!(ended || status.phase == PipelinePhase::Suspended, "seed {seed}: {status:#?}");
        for _ in 0..5 {
            cluster.step(&mut rng, 100);
            cluster.reconcile(&mut rng);
        }
        assert_eq!(cluster.server.created.len(), created, "seed {seed}: something begins while suspended");
        cluster.server.edit(|p| p.spec.suspend = false);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        assert_eq!(creations(&cluster), scenario.creations(), "seed {seed}");
    }
}

#[test]
fn a_new_run_does_the_batch_work_again_and_leaves_streams_alone() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 3_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.components.iter_mut().for_each(|c| c.failures = 0);
        let mut cluster = cluster(&scenario);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        cluster.server.edit(|p| p.spec.run = Some(2));
        let passes = rng.below(40);
        trouble(&mut cluster, &scenario, &mut rng, passes);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        let counts = creations(&cluster);
        for (i, (c, end)) in scenario.components.iter().zip(scenario.ends()).enumerate() {
            let (first, second) = (scenario.child(i), format!("{}-2", scenario.child(i)));
            let runs = usize::from(end == End::Good);
            assert_eq!(counts.get(&first).copied().unwrap_or(0), runs, "seed {seed}: {first}");
            let again = if c.kind.is_batch() { runs } else { 0 };
            assert_eq!(counts.get(&second).copied().unwrap_or(0), again, "seed {seed}: {second}");
        }
        let status = cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap();
        assert_eq!((status.run, status.history.len()), (Some(2), 1), "seed {seed}");
    }
}

#[test]
fn a_changed_template_replaces_what_is_batch_and_changes_the_rest_in_place() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 4_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.components.iter_mut().for_each(|c| c.failures = 0);
        let mut cluster = cluster(&scenario);
        let passes = rng.below(40);
        trouble(&mut cluster, &scenario, &mut rng, passes);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        let before = creations(&cluster);
        let mark = tributary_crds::Any("b".into());
        cluster.server.edit(|p| drop(p.spec.parameters.insert("mark".into(), mark)));
        let passes = rng.below(40);
        trouble(&mut cluster, &scenario, &mut rng, passes);
        assert_settled(&mut cluster, &scenario, &mut rng, seed);
        let after = creations(&cluster);
        for (i, c) in scenario.components.iter().enumerate() {
            let child = scenario.child(i);
            let extra = usize::from(c.kind.is_batch() && before.contains_key(&child));
            let (was, is) = (before.get(&child).copied().unwrap_or(0), after.get(&child).copied().unwrap_or(0));
            let status = || cluster.server.state.pipeline.as_ref().unwrap().status.clone();
            assert_eq!(is, was + extra, "seed {seed}: {child} {:#?} {scenario:#?}", status());
        }
        let old = cluster
            .server
            .state
            .objects
            .values()
            .filter(|o| o.types.as_ref().unwrap().kind != "ControllerRevision")
            .filter(|o| serde_json::to_string(o.as_ref()).unwrap().contains("\"a\""))
            .count();
        assert_eq!(old, 0, "seed {seed}: a child is still made from the old parameter");
    }
}

#[test]
fn a_child_deleted_before_its_end_is_a_failure_that_counts() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 5_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.components.truncate(1);
        scenario.order = vec![0];
        scenario.components[0].failures = 0;
        scenario.components[0].left_out = false;
        let mut cluster = cluster(&scenario);
        for _ in 0..3 {
            cluster.reconcile(&mut rng);
        }
        let key = cluster.server.state.objects.keys().find(|k| k.name == scenario.child(0)).cloned();
        let Some(key) = key else { continue };
        cluster.server.delete(&key);
        assert!(cluster.settle(&mut rng), "seed {seed}");
        let status = cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap();
        let line = &status.components[0];
        let component = &scenario.components[0];
        let created = creations(&cluster)[&scenario.child(0)];
        if component.kind.is_batch() && component.retries == 0 {
            assert_eq!((line.health, line.reason.as_str()), (Health::Failed, "OutcomeLost"), "seed {seed}: {line:#?}");
            assert_eq!(created, 1, "seed {seed}: a silent second run");
        } else {
            assert!(matches!(line.health, Health::Succeeded | Health::Ready), "seed {seed}: {line:#?}");
            assert_eq!(created, 2, "seed {seed}");
        }
    }
}

#[test]
fn a_foreign_object_of_the_same_name_is_never_touched() {
    for seed in 0..seeds() / 8 {
        respects_others(seed, None);
    }
}

fn respects_others(seed: u64, bug: Option<Bug>) {
    {
        let mut rng = Rng::new(seed + 6_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.components.truncate(1);
        scenario.order = vec![0];
        scenario.components[0].left_out = false;
        scenario.components[0].ttl = false;
        let mut cluster = flawed(&scenario, bug);
        // the object that another tool has made
        let mut probe = Cluster::new(cluster.server.clone(), scenario.fate());
        for _ in 0..20 {
            probe.step(&mut rng, 100);
            probe.reconcile(&mut rng);
        }
        let (key, mut object) = probe
            .server
            .state
            .objects
            .iter()
            .find(|(k, _)| k.name == scenario.child(0))
            .map(|(k, o)| (k.clone(), o.as_ref().clone()))
            .unwrap();
        object.metadata.owner_references = None;
        object.metadata.labels = None;
        cluster.server.state.objects.insert(key.clone(), object.clone().into());
        assert!(cluster.settle(&mut rng), "seed {seed}");
        let status = cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap();
        assert_eq!((status.phase, status.components[0].reason.as_str()), (PipelinePhase::Failed, "NameTaken"));
        assert!(
            status.message.contains(&scenario.child(0)) && status.message.contains("does not belong"),
            "{}",
            status.message
        );
        assert_eq!(cluster.server.state.objects[&key].data.get("spec"), object.data.get("spec"));
        cluster.server.delete_pipeline();
        cluster.settle(&mut rng);
        assert!(
            cluster.server.state.objects.contains_key(&key) && cluster.server.state.pipeline.is_none(),
            "{PIPELINE}: seed {seed}"
        );
    }
}
