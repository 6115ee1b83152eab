//! The flaws of job-deploy-operator and of Volcano's JobFlow, each a test of ours.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tributary_crds::JobFlowSpec;
use tributary_flows::jobflow;

use super::{
    apiserver::{key, object},
    cluster::{Cluster, job_spec},
    rng::Rng,
};

fn step(name: &str, dependencies: &[&str]) -> Value {
    json!({"name": name, "dependencies": dependencies, "jobTemplate": job_spec()})
}

fn flow(steps: Vec<Value>) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.apply("JobFlow", "f", json!({"flows": steps}));
    cluster
}

fn problems(spec: Value) -> Vec<String> {
    let spec: JobFlowSpec = serde_json::from_value(spec).unwrap();
    jobflow::problems("f", &spec, Some(&BTreeMap::new())).iter().map(ToString::to_string).collect()
}

#[test]
fn flaw_sleeps_a_second_a_reconcile() {
    // ours comes again for a time of its own only where nothing else will tell
    let mut cluster = flow(vec![step("a", &[]), step("b", &["a"])]);
    let mut rng = Rng::new(1);
    for _ in 0..40 {
        cluster.step(&mut rng, 60);
        let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
        assert_eq!(plan.requeue, None, "{plan:#?}");
    }
    assert_eq!(cluster.status("JobFlow", "f")["state"], "Succeed");
}

#[test]
fn flaw_counts_pods_so_that_completions_above_1_break() {
    let mut three = step("a", &[]);
    three["jobTemplate"]["completions"] = json!(3);
    three["jobTemplate"]["parallelism"] = json!(2);
    let mut cluster = flow(vec![three, step("b", &["a"])]);
    let mut rng = Rng::new(1);
    cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX);
    cluster.server.progress(&key("Job", "f-a"));
    let set = |cluster: &mut Cluster, status: Value| {
        cluster.server.touch(&key("Job", "f-a"), |j| j.data["status"] = status);
        cluster.step(&mut Rng::new(1), 0);
        cluster.pass("JobFlow", "f", &mut Rng::new(1), false, usize::MAX);
        cluster.jobs()
    };
    cluster.server.touch(&key("Pod", "f-a-pod"), |p| p.data["status"]["phase"] = json!("Succeeded"));
    assert_eq!(set(&mut cluster, json!({"succeeded": 1, "active": 2})), ["f-a"], "one pod of three is not the Job");
    assert_eq!(
        set(&mut cluster, json!({"succeeded": 2, "failed": 1, "active": 1})),
        ["f-a"],
        "a failed pod is not the Job"
    );
    let done = json!({"succeeded": 3, "failed": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    assert_eq!(set(&mut cluster, done), ["f-a", "f-b"]);
}

#[test]
fn flaw_takes_a_job_of_the_same_name_for_its_own() {
    let mut cluster = flow(vec![step("a", &[]), step("b", &["a"])]);
    let done = json!({"spec": {}, "status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}});
    cluster.server.create(&object("Job", "f-a", done));
    cluster.settle(&mut Rng::new(1));
    let status = cluster.status("JobFlow", "f");
    assert_eq!((&status["state"], &status["steps"]), (&json!("Failed"), &json!("fk")));
    assert!(status["message"].as_str().unwrap().contains("NameTaken: Job f-a exists"), "{status}");
    assert!(cluster.server.get("Job", "f-a").unwrap().metadata.owner_references.is_none(), "it is left alone");
}

#[test]
fn a_job_that_a_former_flow_of_the_name_left_is_waited_for() {
    let mut cluster = flow(vec![step("a", &[])]);
    let mut old =
        object("Job", "f-a", json!({"spec": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}));
    old.metadata.owner_references = serde_json::from_value(
        json!([{"apiVersion": "tributary.dev/v1alpha1", "kind": "JobFlow", "name": "f", "uid": "of-before"}]),
    )
    .unwrap();
    cluster.server.create(&old);
    let mut rng = Rng::new(1);
    cluster.observe("JobFlow", "f", &mut rng, false);
    cluster.apply("JobTemplate", "x", json!({"jobTemplate": {}}));
    cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX);
    let status = cluster.status("JobFlow", "f");
    assert!(
        status["message"].to_string().contains("") && status["active"][0]["reason"] == "WaitingForChildren",
        "{status}"
    );
    // garbage collection comes at last
    cluster.settle(&mut rng);
    assert_eq!(cluster.status("JobFlow", "f")["state"], "Succeed");
}

#[test]
fn flaw_runs_a_job_again_that_its_ttl_removed() {
    let mut a = step("a", &[]);
    a["jobTemplate"]["ttlSecondsAfterFinished"] = json!(0);
    let mut cluster = flow(vec![a, step("b", &["a"])]);
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.jobs(), ["f-b"], "the operator does what the TTL says, after it has latched the outcome");
    assert_eq!(cluster.creations(), BTreeMap::from([("f-a".into(), 1), ("f-b".into(), 1)]));
    // by hand too, as long as the flow lives
    cluster.delete("Job", "f-b");
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.creations()["f-b"], 1);
    assert_eq!(cluster.status("JobFlow", "f")["state"], "Succeed");
}

#[test]
fn flaw_a_failed_dependency_stops_independent_branches() {
    let mut cluster = flow(vec![step("a", &[]), step("b", &["a"]), step("c", &[]), step("d", &["c"])]);
    cluster.server.fate.insert("a".into(), 1);
    cluster.settle(&mut Rng::new(1));
    let status = cluster.status("JobFlow", "f");
    assert_eq!((&status["steps"], &status["state"]), (&json!("fkss"), &json!("Failed")));
    let why = &status["active"][0];
    assert_eq!((&why["name"], &why["reason"]), (&json!("a"), &json!("BackoffLimitExceeded")));
    assert!(why["message"].as_str().unwrap().contains("the last line of the log"), "{why}");
}

#[test]
fn flaw_a_missing_job_template_hangs_for_ever() {
    let mut cluster = flow(vec![json!({"name": "a", "jobTemplateRef": "later"})]);
    let mut rng = Rng::new(1);
    cluster.settle(&mut rng);
    let status = cluster.status("JobFlow", "f");
    assert_eq!(status["state"], "Pending");
    assert_eq!(status["conditions"][0]["reason"], "TemplateNotFound", "{status}");
    assert!(status["message"].as_str().unwrap().contains("later"), "{status}");
    cluster.apply("JobTemplate", "later", json!({"jobTemplate": job_spec()}));
    cluster.settle(&mut rng);
    assert_eq!(cluster.status("JobFlow", "f")["state"], "Succeed");
}

#[test]
fn flaw_no_check_for_cycles_duplicates_and_missing_dependencies() {
    let cycle = problems(json!({"flows": [step("a", &["c"]), step("b", &["a"]), step("c", &["b"])]}));
    assert_eq!(cycle.len(), 1, "{cycle:?}");
    assert!(cycle[0].contains("spec.flows[0].dependencies") && cycle[0].contains("wait for each other"), "{cycle:?}");
    let itself = problems(json!({"flows": [step("a", &["a"])]}));
    assert!(itself[0].contains("a <- a"), "{itself:?}");
    let missing = problems(json!({"flows": [step("first", &[]), step("b", &["frist"])]}));
    assert_eq!(missing, ["spec.flows[1].dependencies[0]: there is no step `frist` (did you mean `first`?)"]);
    let twice = problems(json!({"flows": [step("a", &[]), step("a", &[])], "finally": [step("a", &[])]}));
    assert_eq!(twice.len(), 2, "{twice:?}");
    assert!(twice[0].starts_with("spec.flows[1].name: there is another step `a`, at spec.flows[0]"), "{twice:?}");
    let long = problems(json!({"flows": [step(&"x".repeat(62), &[])]}));
    assert!(long[0].starts_with("spec.flows[0].name:") && long[0].contains("64 characters"), "{long:?}");
}

#[test]
fn with_the_webhook_down_a_wrong_graph_is_failed_before_the_first_job_and_an_edit_heals_it() {
    let mut cluster = flow(vec![step("z", &[]), step("a", &["b"]), step("b", &["a"])]);
    let mut rng = Rng::new(1);
    cluster.settle(&mut rng);
    let status = cluster.status("JobFlow", "f");
    assert_eq!((&status["state"], cluster.jobs().len()), (&json!("Failed"), 0));
    assert!(status["message"].as_str().unwrap().contains("spec.flows[1].dependencies"), "{status}");
    assert!(cluster.server.of_kind("ControllerRevision").is_empty());
    cluster.edit("JobFlow", "f", |spec| spec["flows"][1]["dependencies"] = json!([]));
    cluster.settle(&mut rng);
    assert_eq!(cluster.status("JobFlow", "f")["state"], "Succeed");
}

#[test]
fn flaw_the_check_of_layered_diamonds_is_exponential() {
    // 2,500 diamonds one behind the other: 10,000 edges, 2^2500 ways
    let name = |layer: usize, i: usize| format!("l{layer}-{i}");
    let mut steps = vec![step("l0-0", &[])];
    for layer in 0..2_500 {
        let top = name(layer, 0);
        steps.push(step(&name(layer, 1), &[&top]));
        steps.push(step(&name(layer, 2), &[&top]));
        steps.push(step(&name(layer + 1, 0), &[&name(layer, 1), &name(layer, 2)]));
    }
    let mut spec: JobFlowSpec = serde_json::from_value(json!({"flows": steps})).unwrap();
    assert!(jobflow::problems("f", &spec, None).is_empty());
    spec.flows[0].dependencies.push(name(2_500, 0));
    let found = jobflow::problems("f", &spec, None);
    assert_eq!(found.len(), 1);
}

#[test]
fn flaw_global_env_replaces_the_containers_own_and_skips_init_containers() {
    let mut a = step("a", &[]);
    let pod = &mut a["jobTemplate"]["template"]["spec"];
    pod["containers"][0]["env"] = json!([{"name": "FOO", "value": "own"}]);
    pod["initContainers"] = json!([{"name": "i", "image": "x"}]);
    let mut cluster = Cluster::new();
    let globals = json!({"env": [{"name": "FOO", "value": "bar"}, {"name": "QUE", "value": "pasa"}]});
    cluster.apply("JobFlow", "f", json!({"globalParams": globals, "flows": [a]}));
    cluster.settle(&mut Rng::new(1));
    let job = cluster.server.get("Job", "f-a").unwrap().data.clone();
    let pod = &job["spec"]["template"]["spec"];
    let env = |c: &Value| -> BTreeMap<String, String> {
        let pairs = c["env"].as_array().unwrap().iter();
        pairs.map(|e| (e["name"].as_str().unwrap().into(), e["value"].as_str().unwrap().into())).collect()
    };
    assert_eq!(
        env(&pod["containers"][0]),
        BTreeMap::from([("FOO".into(), "own".into()), ("QUE".into(), "pasa".into())])
    );
    assert_eq!(env(&pod["initContainers"][0])["FOO"], "bar");
}

#[test]
fn flaw_node_name_bypasses_the_scheduler() {
    let mut cluster = Cluster::new();
    cluster.apply("JobFlow", "f", json!({"globalParams": {"nodeName": "minikube"}, "flows": [step("a", &[])]}));
    cluster.settle(&mut Rng::new(1));
    let pod = cluster.server.get("Job", "f-a").unwrap().data["spec"]["template"]["spec"].clone();
    assert!(pod.get("nodeName").is_none(), "{pod}");
    assert!(pod["affinity"].to_string().contains("minikube"), "{pod}");
}

#[test]
fn flaw_a_daemon_job_creates_one_job_a_pass_and_stops_on_one_that_exists() {
    let mut cluster = Cluster::new();
    for node in ["n1", "n2", "n3"] {
        cluster.node(node, json!({}), json!([]));
    }
    cluster.server.create(&object("Job", "d-n1", json!({"spec": {}})));
    cluster.apply("DaemonJob", "d", json!({"template": job_spec()["template"]}));
    let mut rng = Rng::new(1);
    cluster.pass("DaemonJob", "d", &mut rng, false, usize::MAX);
    assert_eq!(cluster.jobs(), ["d-n1", "d-n2", "d-n3"]);
    cluster.settle(&mut rng);
    let status = cluster.status("DaemonJob", "d");
    assert_eq!((&status["succeeded"], &status["failed"], &status["state"]), (&json!(2), &json!(1), &json!("Failed")));
    assert_eq!((&status["active"][0]["node"], &status["active"][0]["reason"]), (&json!("n1"), &json!("NameTaken")));
}

#[test]
fn flaw_a_daemon_job_never_sees_a_new_or_a_removed_node() {
    let mut cluster = Cluster::new();
    cluster.node("n1", json!({}), json!([]));
    cluster.apply("DaemonJob", "d", json!({"template": job_spec()["template"]}));
    let mut rng = Rng::new(1);
    cluster.settle(&mut rng);
    assert_eq!(cluster.status("DaemonJob", "d")["done"], "1/1");
    cluster.node("n2", json!({}), json!([]));
    cluster.settle(&mut rng);
    assert_eq!(
        (cluster.status("DaemonJob", "d")["done"].clone(), cluster.jobs()),
        (json!("2/2"), vec!["d-n1".into(), "d-n2".into()])
    );
    cluster.delete("Node", "n1");
    cluster.settle(&mut rng);
    assert_eq!((cluster.status("DaemonJob", "d")["done"].clone(), cluster.jobs()), (json!("1/1"), vec!["d-n2".into()]));
    // another node of the same name is another node
    cluster.node("n1", json!({}), json!([]));
    cluster.settle(&mut rng);
    assert_eq!(cluster.creations()["d-n1"], 2);
}

#[test]
fn flaw_restart_policy_is_forced_in_silence() {
    let mut a = step("a", &[]);
    a["jobTemplate"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    let mut cluster = flow(vec![a]);
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.server.get("Job", "f-a").unwrap().data["spec"]["template"]["spec"]["restartPolicy"], "Never");
    let told: Vec<_> = cluster.events.iter().filter(|e| e.reason == "RestartPolicyForced").collect();
    assert!(told.len() == 1 && told[0].warning && told[0].note.contains("OnFailure"), "{:?}", cluster.events);
    let verified = cluster.status("JobFlow", "f")["conditions"][0].clone();
    assert!(
        verified["type"] == "Verified" && verified["message"].as_str().unwrap().contains("OnFailure"),
        "{verified}"
    );
}
