//! DaemonJobs, with nodes that come and go.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tributary_flows::names::node_job;

use super::{
    apiserver::key,
    cluster::{Cluster, job_spec},
    rng::Rng,
    seeds,
};

const NAME: &str = "d";

fn daemon(spec: Value, nodes: &[&str]) -> Cluster {
    let mut cluster = Cluster::new();
    for node in nodes {
        cluster.node(node, json!({}), json!([]));
    }
    let mut all = json!({"template": job_spec()["template"]});
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    cluster.apply("DaemonJob", NAME, all);
    cluster
}

fn status(cluster: &Cluster) -> Value {
    cluster.status("DaemonJob", NAME)
}

fn pass(cluster: &mut Cluster) {
    cluster.pass("DaemonJob", NAME, &mut Rng::new(1), false, usize::MAX).unwrap();
}

#[derive(Debug)]
struct Scenario {
    fails: BTreeMap<String, u32>,
    retries: u32,
    ttl: Option<u32>,
    max_parallel: Option<u32>,
}

impl Scenario {
    fn random(rng: &mut Rng) -> Self {
        let fails = (0..12).filter(|_| rng.chance(25)).map(|i| (format!("n{i}"), 1)).collect();
        Self {
            fails,
            retries: rng.below(2),
            ttl: rng.chance(60).then(|| rng.below(2) * 20),
            max_parallel: rng.chance(50).then(|| 1 + rng.below(4)),
        }
    }

    fn cluster(&self) -> Cluster {
        let mut spec = json!({"excludeNodeList": " n0 ,n1,, "});
        if self.retries > 0 {
            spec["retry"] = json!({"limit": self.retries, "backoff": "1s"});
        }
        if let Some(ttl) = self.ttl {
            spec["ttlSecondsAfterFinished"] = json!(ttl);
        }
        if let Some(n) = self.max_parallel {
            spec["maxParallel"] = json!(n);
        }
        let mut cluster = daemon(spec, &["n0", "n1", "n2", "n3"]);
        cluster.server.fate.extend(self.fails.clone());
        cluster
    }

    fn assert_ended(&self, cluster: &Cluster, what: &str) {
        let nodes: Vec<String> =
            cluster.server.of_kind("Node").iter().map(|n| n.metadata.name.clone().unwrap()).collect();
        let chosen: Vec<&String> = nodes.iter().filter(|n| *n != "n0" && *n != "n1").collect();
        let created = cluster.creations();
        let mut failed = 0;
        for node in &chosen {
            let fails = self.fails.get(*node).copied().unwrap_or(0);
            failed += u32::from(fails > self.retries);
            for attempt in 0..=fails.min(self.retries) {
                assert_eq!(
                    created.get(&node_job(NAME, node, 1, attempt)),
                    Some(&1),
                    "{what}: {node}: {created:?}\n{self:?}"
                );
            }
        }
        assert!(created.values().all(|n| *n == 1), "{what}: {created:?}");
        let status = status(cluster);
        let counts = (&status["nodes"], &status["failed"], &status["running"]);
        assert_eq!(counts, (&json!(chosen.len()), &json!(failed), &json!(0)), "{what}: {status:#}\n{self:?}");
        assert_eq!(status["state"], if failed > 0 { "Failed" } else { "Succeed" }, "{what}: {status:#}");
        let gone = cluster.server.of_kind("Job").into_iter().filter(|j| {
            let of = j.metadata.annotations.as_ref().unwrap()[tributary_crds::names::NODE].clone();
            !nodes.contains(&of)
        });
        assert_eq!(gone.count(), 0, "{what}: Jobs of nodes that are gone");
        if self.ttl == Some(0) {
            let left: Vec<String> = cluster.jobs().into_iter().filter(|j| !j.contains("-t")).collect();
            assert!(left.is_empty(), "{what}: {left:?}");
        }
    }
}

#[test]
fn every_node_gets_one_job_whatever_is_lost_and_whichever_nodes_come_and_go() {
    for seed in 0..seeds() {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = scenario.cluster();
        let mut next = 4;
        for _ in 0..rng.below(50) {
            cluster.step(&mut rng, 40);
            if next < 12 && rng.chance(25) {
                cluster.node(&format!("n{next}"), json!({}), json!([]));
                next += 1;
            }
            if rng.chance(8) {
                cluster.delete("Node", &format!("n{}", rng.below(next)));
            }
            if rng.chance(5) {
                cluster.restart();
            }
            let Some(world) = cluster.observe("DaemonJob", NAME, &mut rng, true) else { continue };
            let plan = world.evaluate(cluster.server.now);
            let cut = if rng.chance(30) { rng.below(plan.actions.len() as u32 + 2) as usize } else { usize::MAX };
            cluster.carry_out(&key("DaemonJob", NAME), world.metadata(), &plan, cut);
        }
        cluster.settle(&mut rng);
        scenario.assert_ended(&cluster, &format!("seed {seed}"));
        let world = cluster.observe("DaemonJob", NAME, &mut rng, false).unwrap();
        for later in [0, 3_600] {
            let plan = world.evaluate(cluster.server.now + Duration::from_secs(later));
            assert!(plan.is_empty(), "seed {seed}: a settled DaemonJob is not left alone: {plan:#?}");
        }
    }
}

#[test]
fn an_operator_killed_after_every_write_creates_one_job_a_node_though_their_ttl_is_0() {
    for seed in 0..seeds() / 4 {
        let mut rng = Rng::new(seed + 1_000_000);
        let mut scenario = Scenario::random(&mut rng);
        scenario.ttl = Some(0);
        let mut cluster = scenario.cluster();
        cluster.settle_killed_after_every_write("DaemonJob", NAME, &mut rng);
        scenario.assert_ended(&cluster, &format!("seed {seed}"));
    }
}

#[test]
fn so_many_nodes_at_once_in_the_order_of_their_names() {
    let mut cluster = daemon(json!({"maxParallel": 2}), &["c", "a", "d", "b"]);
    let mut rng = Rng::new(5);
    pass(&mut cluster);
    assert_eq!((cluster.jobs(), &status(&cluster)["done"]), (vec!["d-a".to_owned(), "d-b".to_owned()], &json!("0/4")));
    for _ in 0..4 {
        cluster.server.progress(&key("Job", "d-b"));
    }
    cluster.step(&mut rng, 0);
    pass(&mut cluster);
    assert_eq!(cluster.jobs(), ["d-a", "d-b", "d-c"]);
    cluster.settle(&mut rng);
    assert_eq!((&status(&cluster)["state"], &status(&cluster)["done"]), (&json!("Succeed"), &json!("4/4")));
}

#[test]
fn selector_affinity_and_taints_choose_the_nodes() {
    let mut cluster = Cluster::new();
    cluster.node("plain", json!({}), json!([]));
    cluster.node("ssd", json!({"disk": "ssd"}), json!([]));
    cluster.node("ssd-gpu", json!({"disk": "ssd"}), json!([{"key": "gpu", "effect": "NoSchedule"}]));
    let mut template = job_spec()["template"].clone();
    template["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    cluster.apply("DaemonJob", NAME, json!({"template": template}));
    let mut rng = Rng::new(5);
    cluster.settle(&mut rng);
    assert_eq!((cluster.jobs(), &status(&cluster)["done"]), (vec!["d-ssd".to_owned()], &json!("1/1")));
    let pod = cluster.server.get("Job", "d-ssd").unwrap().data["spec"]["template"]["spec"].clone();
    assert!(pod["affinity"].to_string().contains("metadata.name") && pod["nodeSelector"]["disk"] == "ssd", "{pod}");
    // a taint that goes makes a node of it
    cluster.server.touch(&key("Node", "ssd-gpu"), |n| n.data["spec"]["taints"] = json!([]));
    cluster.step(&mut rng, 0);
    cluster.settle(&mut rng);
    assert_eq!(cluster.jobs(), ["d-ssd", "d-ssd-gpu"]);
}

#[test]
fn a_new_run_begins_anew_and_takes_the_old_jobs_away() {
    let mut cluster = daemon(json!({}), &["a", "b"]);
    let mut rng = Rng::new(5);
    cluster.settle(&mut rng);
    cluster.edit("DaemonJob", NAME, |s| {
        s["run"] = json!(2);
        s["template"]["spec"]["containers"][0]["image"] = json!("new");
    });
    cluster.settle(&mut rng);
    assert_eq!(cluster.jobs(), [node_job(NAME, "a", 2, 0), node_job(NAME, "b", 2, 0)]);
    assert_eq!((&status(&cluster)["run"], &status(&cluster)["state"]), (&json!(2), &json!("Succeed")));
    let job = cluster.server.get("Job", &node_job(NAME, "a", 2, 0)).unwrap();
    assert_eq!(job.data["spec"]["template"]["spec"]["containers"][0]["image"], "new");
}

#[test]
fn a_suspended_one_starts_nothing_and_holds_what_runs() {
    let mut cluster = daemon(json!({"maxParallel": 1}), &["a", "b"]);
    let mut rng = Rng::new(5);
    pass(&mut cluster);
    cluster.edit("DaemonJob", NAME, |s| s["suspend"] = json!(true));
    cluster.settle(&mut rng);
    assert_eq!((cluster.jobs(), &status(&cluster)["state"]), (vec!["d-a".to_owned()], &json!("Suspended")));
    assert_eq!(cluster.server.get("Job", "d-a").unwrap().data["spec"]["suspend"], true);
    cluster.edit("DaemonJob", NAME, |s| s["suspend"] = json!(false));
    cluster.settle(&mut rng);
    assert_eq!((&status(&cluster)["state"], cluster.creations().len()), (&json!("Succeed"), 2));
}

#[test]
fn a_schedule_starts_runs() {
    let mut cluster = daemon(json!({"schedule": "@hourly"}), &["a"]);
    let mut rng = Rng::new(5);
    let plan = cluster.pass("DaemonJob", NAME, &mut rng, false, usize::MAX).unwrap();
    assert_eq!((plan.requeue, cluster.jobs().len()), (Some(Duration::from_secs(46 * 60 + 40)), 0));
    for run in 1..3 {
        cluster.server.now += Duration::from_secs(3_600);
        for _ in 0..6 {
            cluster.step(&mut rng, 100);
            pass(&mut cluster);
        }
        assert_eq!((&status(&cluster)["run"], cluster.jobs()), (&json!(run), vec![node_job(NAME, "a", run, 0)]));
    }
}

#[test]
fn a_lost_job_of_a_node_is_told_and_not_run_again() {
    let mut cluster = daemon(json!({}), &["a", "b"]);
    let mut rng = Rng::new(5);
    pass(&mut cluster);
    cluster.delete("Job", "d-a");
    cluster.settle(&mut rng);
    let status = status(&cluster);
    assert_eq!(
        (&status["state"], &status["active"][0]["reason"]),
        (&json!("Failed"), &json!("OutcomeLost")),
        "{status:#}"
    );
    assert!(cluster.creations().values().all(|n| *n == 1));
}

#[test]
fn two_thousand_nodes_leave_a_small_status() {
    let names: Vec<String> =
        (0..2_000).map(|i| format!("ip-10-0-{}-{}.eu-central-1.compute.internal", i / 250, i % 250)).collect();
    let mut cluster = daemon(json!({}), &names.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..5 {
        pass(&mut cluster);
    }
    let bytes = status(&cluster).to_string().len();
    assert!(cluster.jobs().len() == 250 && bytes < 30_000, "{bytes} bytes");
}
