//! Random flows through trouble, held against what a run without faults comes to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tributary_flows::names::{Which, flow_job};

use super::{
    cluster::{Cluster, job_spec},
    rng::Rng,
    seeds,
};

const FLOW: &str = "f";
const FACTS: [&str; 4] = ["succeeded", "failed", "skipped", "completed"];

#[derive(Debug)]
struct Step {
    dependencies: Vec<usize>,
    /// Runs when this is so of that step.
    run_when: Option<(usize, &'static str)>,
    fails: u32,
    retries: u32,
    items: Option<usize>,
}

#[derive(Debug)]
struct Scenario {
    steps: Vec<Step>,
    ttl: Option<u32>,
    finally: bool,
    max_parallel: Option<u32>,
    handler: bool,
}

impl Scenario {
    fn random(rng: &mut Rng) -> Self {
        let n = 1 + rng.below(7) as usize;
        let steps = (0..n).map(|i| Self::step(i, rng)).collect();
        let ttl = rng.chance(50).then(|| rng.below(2) * 30);
        let max_parallel = rng.chance(30).then(|| 1 + rng.below(3));
        Self { steps, ttl, finally: rng.chance(40), max_parallel, handler: rng.chance(40) }
    }

    fn step(i: usize, rng: &mut Rng) -> Step {
        let dependencies = (0..i).filter(|_| rng.chance(35)).collect();
        let run_when = (i > 0 && rng.chance(25)).then(|| (rng.below(i as u32) as usize, FACTS[rng.below(4) as usize]));
        let retries = if rng.chance(40) { rng.below(3) } else { 0 };
        Step {
            dependencies,
            run_when,
            fails: if rng.chance(30) { 1 + rng.below(3) } else { 0 },
            retries,
            items: rng.chance(20).then(|| rng.below(4) as usize),
        }
    }

    fn spec(&self) -> Value {
        let template = |_: usize| {
            let mut spec = job_spec();
            if let Some(ttl) = self.ttl {
                spec["ttlSecondsAfterFinished"] = json!(ttl);
            }
            spec
        };
        let flows: Vec<Value> = self
            .steps
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let names: Vec<String> = s.dependencies.iter().map(|d| format!("s{d}")).collect();
                let mut step = json!({"name": format!("s{i}"), "dependencies": names, "jobTemplate": template(i)});
                if let Some((of, fact)) = s.run_when {
                    step["runWhen"] = json!(format!("s{of}.{fact}"));
                }
                if s.retries > 0 {
                    step["retry"] = json!({"limit": s.retries, "backoff": "5s"});
                }
                if let Some(n) = s.items {
                    step["forEach"] = json!(format!("parameters.list{n}"));
                }
                step
            })
            .collect();
        let lists: BTreeMap<String, Vec<usize>> = (0..4).map(|n| (format!("list{n}"), (0..n).collect())).collect();
        let mut spec = json!({"flows": flows, "parameters": lists});
        if self.finally {
            spec["finally"] = json!([{"name": "last", "jobTemplate": template(0)}]);
        }
        if self.handler {
            spec["errorHandler"] = json!({"jobTemplate": template(0)});
        }
        if let Some(n) = self.max_parallel {
            spec["maxParallel"] = json!(n);
        }
        spec
    }

    /// The byte of every step at the end, and the Jobs that there have been.
    fn end(&self) -> (String, BTreeMap<String, usize>) {
        let mut bytes: Vec<char> = Vec::new();
        let mut jobs = BTreeMap::new();
        let mut made = |step: &str, item, fails: u32, retries: u32| {
            for attempt in 0..=fails.min(retries) {
                jobs.insert(flow_job(FLOW, step, Which { run: 1, item, attempt }, false), 1);
            }
            fails <= retries
        };
        for (i, step) in self.steps.iter().enumerate() {
            let holds = |(of, fact): (usize, &str)| match fact {
                "succeeded" => bytes[of] == 's',
                "failed" => bytes[of] == 'f',
                "skipped" => bytes[of] == 'k',
                _ => bytes[of] != 'k',
            };
            let runs = step.run_when.map_or_else(|| step.dependencies.iter().all(|d| bytes[*d] == 's'), holds);
            bytes.push(match (runs, step.items) {
                (false, _) => 'k',
                (true, None) => {
                    if made(&format!("s{i}"), None, step.fails, step.retries) {
                        's'
                    } else {
                        'f'
                    }
                }
                (true, Some(n)) => {
                    let all: Vec<bool> =
                        (0..n).map(|item| made(&format!("s{i}"), Some(item), step.fails, step.retries)).collect();
                    if all.iter().all(|ok| *ok) { 's' } else { 'f' }
                }
            });
        }
        let failed = bytes.contains(&'f');
        if self.finally {
            bytes.push('s');
            made("last", None, 0, 0);
        }
        if self.handler {
            bytes.push(if failed { 's' } else { 'k' });
            if failed {
                made("error-handler", None, 0, 0);
            }
        }
        (bytes.into_iter().collect(), jobs)
    }

    fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::new();
        for (i, step) in self.steps.iter().enumerate().filter(|(_, s)| s.fails > 0) {
            cluster.server.fate.insert(format!("s{i}"), step.fails);
            for item in 0..step.items.unwrap_or(0) {
                cluster.server.fate.insert(format!("s{i}-{item}"), step.fails);
            }
        }
        cluster.apply("JobFlow", FLOW, self.spec());
        cluster
    }
}

fn assert_ended(cluster: &mut Cluster, scenario: &Scenario, rng: &mut Rng, what: &str) {
    let status = cluster.status("JobFlow", FLOW);
    let (bytes, jobs) = scenario.end();
    assert_eq!(status["steps"], json!(bytes), "{what}: {status:#}\n{scenario:#?}");
    let state = if bytes.contains('f') { "Failed" } else { "Succeed" };
    assert_eq!(status["state"], state, "{what}: {status:#}");
    assert_eq!(cluster.creations(), jobs, "{what}: created too often or too rarely\n{scenario:#?}");
    if scenario.ttl == Some(0) {
        assert!(cluster.jobs().is_empty(), "{what}: {:?}", cluster.jobs());
    }
    let world = cluster.observe("JobFlow", FLOW, rng, false).unwrap();
    for later in [0, 3_600] {
        let plan = world.evaluate(cluster.server.now + std::time::Duration::from_secs(later));
        assert!(plan.is_empty(), "{what}: a settled flow is not left alone: {plan:#?}");
    }
}

#[test]
fn every_flow_reaches_its_end_and_stays_there_whatever_is_lost() {
    for seed in 0..seeds() {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = scenario.cluster();
        for _ in 0..rng.below(60) {
            cluster.step(&mut rng, 40);
            if rng.chance(5) {
                cluster.restart();
            }
            let Some(world) = cluster.observe("JobFlow", FLOW, &mut rng, true) else { continue };
            let plan = world.evaluate(cluster.server.now);
            let writes = plan.actions.len() as u32 + 1;
            let cut = if rng.chance(30) { rng.below(writes + 1) as usize } else { usize::MAX };
            let key = super::apiserver::key("JobFlow", FLOW);
            cluster.carry_out_beside(&key, world.metadata(), &plan, cut, &mut rng);
        }
        cluster.settle(&mut rng);
        assert_ended(&mut cluster, &scenario, &mut rng, &format!("seed {seed}"));
    }
}

#[test]
fn an_operator_killed_after_every_write_creates_one_job_a_step_though_their_ttl_is_0() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 1_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.ttl = Some(0);
        let mut cluster = scenario.cluster();
        cluster.settle_killed_after_every_write("JobFlow", FLOW, &mut rng);
        assert_ended(&mut cluster, &scenario, &mut rng, &format!("seed {seed}"));
    }
}

#[test]
fn a_flow_that_is_deleted_leaves_nothing() {
    for seed in 0..seeds() / 6 {
        let mut rng = Rng::new(seed + 2_000_000);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = scenario.cluster();
        for _ in 0..rng.below(30) {
            cluster.step(&mut rng, 40);
            cluster.pass("JobFlow", FLOW, &mut rng, true, usize::MAX);
        }
        cluster.delete("JobFlow", FLOW);
        assert!(cluster.observe("JobFlow", FLOW, &mut rng, false).is_none());
        cluster.server.collect_garbage();
        assert!(cluster.server.state.is_empty(), "seed {seed}: {:?}", cluster.server.state.keys().collect::<Vec<_>>());
    }
}

#[test]
fn suspended_and_resumed_a_flow_comes_to_the_same_end() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 3_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.ttl = None;
        let mut cluster = scenario.cluster();
        for round in 0..rng.below(6) {
            for _ in 0..rng.below(12) {
                cluster.step(&mut rng, 50);
                cluster.pass("JobFlow", FLOW, &mut rng, true, usize::MAX);
            }
            cluster.edit("JobFlow", FLOW, |spec| spec["suspend"] = json!(round % 2 == 0));
        }
        cluster.edit("JobFlow", FLOW, |spec| spec["suspend"] = json!(true));
        cluster.settle(&mut rng);
        let before = cluster.creations();
        let status = cluster.status("JobFlow", FLOW);
        if !["Succeed", "Failed"].map(Value::from).contains(&status["state"]) {
            assert_eq!(status["state"], "Suspended", "seed {seed}: {status:#}");
            assert!(
                cluster.server.of_kind("Pod").iter().all(|p| p.data["status"]["phase"] != "Running"),
                "seed {seed}"
            );
        }
        for _ in 0..5 {
            cluster.step(&mut rng, 100);
            cluster.pass("JobFlow", FLOW, &mut rng, false, usize::MAX);
        }
        assert_eq!(cluster.creations(), before, "seed {seed}: nothing begins while suspended");
        cluster.edit("JobFlow", FLOW, |spec| spec["suspend"] = json!(false));
        cluster.settle(&mut rng);
        assert_ended(&mut cluster, &scenario, &mut rng, &format!("seed {seed}"));
    }
}

#[test]
fn a_stopped_flow_ends_failed_with_no_job_running() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 4_000_000);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = scenario.cluster();
        for _ in 0..rng.below(20) {
            cluster.step(&mut rng, 40);
            cluster.pass("JobFlow", FLOW, &mut rng, true, usize::MAX);
        }
        cluster.edit("JobFlow", FLOW, |spec| spec["stop"] = json!(true));
        cluster.settle(&mut rng);
        let status = cluster.status("JobFlow", FLOW);
        let (bytes, _) = scenario.end();
        if status["run"].is_null() {
            assert_eq!(status["state"], "Pending");
        } else if status["steps"] != json!(bytes) {
            assert_eq!(status["state"], "Failed", "seed {seed}: {status:#}");
        }
        for job in cluster.server.of_kind("Job") {
            assert!(job.data["status"]["conditions"].is_array(), "seed {seed}: {:?} still runs", job.metadata.name);
        }
    }
}

#[test]
fn a_job_that_somebody_deletes_is_never_run_again_in_silence() {
    let mut lost = 0;
    for seed in 0..seeds() / 2 {
        let mut rng = Rng::new(seed + 5_000_000);
        let mut scenario = Scenario::random(&mut rng);
        for step in &mut scenario.steps {
            (step.fails, step.retries, step.run_when, step.items) = (0, 0, None, None);
        }
        let mut cluster = scenario.cluster();
        for _ in 0..rng.below(25) {
            cluster.step(&mut rng, 30);
            cluster.pass("JobFlow", FLOW, &mut rng, false, usize::MAX);
        }
        // one that the status knows to run
        let status = cluster.status("JobFlow", FLOW);
        let running = status["active"].as_array().into_iter().flatten().find(|s| !s["uid"].is_null()).cloned();
        if let Some(step) = running {
            lost += 1;
            cluster.delete("Job", &format!("{FLOW}-{}", step["name"].as_str().unwrap()));
            cluster.settle(&mut rng);
            let status = cluster.status("JobFlow", FLOW);
            assert_eq!(status["state"], "Failed", "seed {seed}: {status:#}");
            let told = status["active"].as_array().unwrap().iter().find(|s| s["name"] == step["name"]).unwrap();
            assert_eq!(told["reason"], "OutcomeLost", "seed {seed}: {status:#}");
        }
        cluster.settle(&mut rng);
        assert!(cluster.creations().values().all(|n| *n == 1), "seed {seed}: {:?}", cluster.creations());
    }
    assert!(lost > 20, "{lost}");
}
