//! What there is beyond job-deploy-operator.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_flows::Pace;

use super::{
    apiserver::key,
    cluster::{Cluster, job_spec},
    rng::Rng,
};

pub fn step(name: &str, more: Value) -> Value {
    let mut step = json!({"name": name, "jobTemplate": job_spec()});
    for (key, value) in more.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

pub fn flow(spec: Value) -> (Cluster, Rng) {
    let mut cluster = Cluster::new();
    cluster.apply("JobFlow", "f", spec);
    (cluster, Rng::new(7))
}

pub fn status(cluster: &Cluster) -> Value {
    cluster.status("JobFlow", "f")
}

pub fn pass(cluster: &mut Cluster) {
    cluster.pass("JobFlow", "f", &mut Rng::new(1), false, usize::MAX).unwrap();
}

fn command(cluster: &Cluster, job: &str) -> Value {
    cluster.server.get("Job", job).unwrap().data["spec"]["template"]["spec"]["containers"][0]["command"].clone()
}

#[test]
fn a_dependent_begins_in_the_pass_that_sees_the_pods_success() {
    let (mut cluster, _) = flow(json!({"flows": [step("a", json!({})), step("b", json!({"dependencies": ["a"]}))]}));
    pass(&mut cluster);
    for _ in 0..3 {
        cluster.server.progress(&key("Job", "f-a"));
    }
    assert!(cluster.server.get("Job", "f-a").unwrap().data["status"]["conditions"].is_null());
    cluster.step(&mut Rng::new(1), 0);
    pass(&mut cluster);
    assert_eq!(cluster.jobs(), ["f-a", "f-b"]);
    assert_eq!(status(&cluster)["steps"], "sr");
}

#[test]
fn a_retry_waits_longer_each_time_and_the_last_words_are_told() {
    let retry = json!({"retry": {"limit": 3, "backoff": "10s", "maxBackoff": "15s"}});
    let (mut cluster, mut rng) = flow(json!({"flows": [step("a", retry)]}));
    cluster.server.fate.insert("a".into(), 9);
    let mut pauses = Vec::new();
    for _ in 0..60 {
        cluster.step(&mut rng, 100);
        let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
        if let Some(pause) = plan.requeue.filter(|p| pauses.last() != Some(p)) {
            pauses.push(pause);
            let now = status(&cluster);
            assert!(now["active"][0]["message"].as_str().unwrap().contains("the next one is at"), "{now}");
            cluster.server.now += pause;
        }
    }
    let near = |d: &Duration, s: u64| *d <= Duration::from_secs(s) && *d > Duration::from_secs(s.saturating_sub(6));
    assert!(near(&pauses[0], 10) && near(&pauses[1], 15), "{pauses:?}");
    assert_eq!(cluster.jobs(), ["f-a", "f-a-t1", "f-a-t2", "f-a-t3"]);
    let status = status(&cluster);
    assert_eq!((&status["state"], &status["active"][0]["retries"]), (&json!("Failed"), &json!(3)));
    assert!(status["active"][0]["message"].as_str().unwrap().contains("exit code 3"), "{status}");
}

#[test]
fn run_when_decides_by_what_others_came_to() {
    let steps = json!([
        step("good", json!({})),
        step("bad", json!({})),
        step("never", json!({"dependencies": ["bad"]})),
        step("either", json!({"runWhen": "good.failed || bad.failed"})),
        step("both", json!({"runWhen": "good.succeeded && bad.succeeded"})),
        step("skipped", json!({"runWhen": "never.skipped"})),
        step("with-hyphen", json!({"runWhen": "good.completed && bad.completed"})),
        step("after", json!({"runWhen": "steps[\"with-hyphen\"].succeeded"})),
        step("ordered", json!({"dependencies": ["after", "bad"], "runWhen": "true"})),
    ]);
    let (mut cluster, mut rng) = flow(json!({"flows": steps}));
    cluster.server.fate.insert("bad".into(), 1);
    cluster.settle(&mut rng);
    assert_eq!(status(&cluster)["steps"], "sfkskssss", "{:#}", status(&cluster));
}

#[test]
fn an_alternative_begins_as_soon_as_it_is_decided() {
    let steps = json!([
        step("slow", json!({})),
        step("bad", json!({})),
        step("mend", json!({"runWhen": "slow.failed || bad.failed"}))
    ]);
    let (mut cluster, _) = flow(json!({"flows": steps}));
    cluster.server.fate.insert("bad".into(), 1);
    pass(&mut cluster);
    for _ in 0..4 {
        cluster.server.progress(&key("Job", "f-bad"));
    }
    cluster.step(&mut Rng::new(1), 0);
    pass(&mut cluster);
    assert_eq!(status(&cluster)["steps"], "rfr");
}

#[test]
fn when_goes_by_parameters_and_outputs_and_outputs_reach_templates() {
    let mut count = step("count", json!({"outputs": {"rows": {"key": "rows"}, "all": {}}}));
    count["jobTemplate"]["template"]["spec"]["containers"][0]["command"] =
        json!(["count", "${parameters.table}", "${HOME}"]);
    let mut load =
        step("load", json!({"dependencies": ["count"], "when": "steps.count.outputs.rows > 5 && parameters.load"}));
    load["jobTemplate"]["parallelism"] = json!("${steps.count.outputs.rows - 11}");
    load["jobTemplate"]["template"]["spec"]["containers"][0]["command"] =
        json!(["load", "${steps.count.outputs.rows} of ${flow.name} ${run.number}"]);
    let skip = step("skip", json!({"when": "!parameters.load"}));
    let (mut cluster, mut rng) =
        flow(json!({"parameters": {"table": "t", "load": true}, "flows": [count, load, skip]}));
    cluster.server.messages.insert("count".into(), r#"{"rows": 12}"#.into());
    cluster.settle(&mut rng);
    let status = status(&cluster);
    assert_eq!(status["steps"], "ssk", "{status:#}");
    assert_eq!(status["outputs"]["count"], json!({"rows": 12, "all": "{\"rows\": 12}"}));
    assert_eq!(command(&cluster, "f-count"), json!(["count", "t", "${HOME}"]));
    assert_eq!(command(&cluster, "f-load"), json!(["load", "12 of f 1"]));
    assert_eq!(cluster.server.get("Job", "f-load").unwrap().data["spec"]["parallelism"], 1);
}

#[test]
fn an_output_that_is_not_there_fails_the_step_and_says_so() {
    let (mut cluster, mut rng) = flow(
        json!({"flows": [step("a", json!({"outputs": {"rows": {"key": "rows"}}})), step("b", json!({"dependencies": ["a"]}))]}),
    );
    cluster.server.messages.insert("a".into(), "{}".into());
    cluster.settle(&mut rng);
    let status = status(&cluster);
    assert_eq!(status["steps"], "fk");
    assert!(
        status["message"].as_str().unwrap().contains("OutputMissing: output rows: the termination message"),
        "{status}"
    );
}

#[test]
fn for_each_makes_a_job_an_item_with_so_many_at_once_and_a_list_of_outputs() {
    let mut each = step("part", json!({"forEach": "parameters.tables", "maxParallel": 2, "outputs": {"n": {}}}));
    each["jobTemplate"]["template"]["spec"]["containers"][0]["command"] = json!(["copy", "${each}", "${index}"]);
    let mut sum = step("sum", json!({"dependencies": ["part"]}));
    sum["jobTemplate"]["template"]["spec"]["containers"][0]["command"] =
        json!(["sum", "${steps.part.outputs.n.join('+')}"]);
    let (mut cluster, mut rng) = flow(json!({"parameters": {"tables": ["x", "y", "z", "w"]}, "flows": [each, sum]}));
    for i in 0..4 {
        cluster.server.messages.insert(format!("part-{i}"), format!("{i}"));
    }
    let mut most = 0;
    for _ in 0..60 {
        cluster.step(&mut rng, 50);
        pass(&mut cluster);
        let running = cluster
            .server
            .of_kind("Pod")
            .iter()
            .filter(|p| p.data["status"]["phase"] == "Running" || p.data["status"]["phase"] == "Pending")
            .count();
        most = most.max(running);
    }
    cluster.settle(&mut rng);
    assert_eq!((most, &status(&cluster)["steps"]), (2, &json!("ss")));
    assert_eq!(command(&cluster, "f-part-2"), json!(["copy", "z", "2"]));
    assert_eq!(command(&cluster, "f-sum"), json!(["sum", "0+1+2+3"]));
}

#[test]
fn fail_fast_lets_nothing_begin_that_does_not_wait_for_the_failure() {
    let steps = json!([
        step("bad", json!({})),
        step("slow", json!({})),
        step("next", json!({"dependencies": ["slow"]})),
        step("mend", json!({"runWhen": "bad.failed"}))
    ]);
    let (mut cluster, mut rng) = flow(json!({"failFast": true, "flows": steps}));
    cluster.server.fate.insert("bad".into(), 1);
    pass(&mut cluster);
    for _ in 0..4 {
        cluster.server.progress(&key("Job", "f-bad"));
    }
    cluster.step(&mut rng, 0);
    pass(&mut cluster);
    cluster.settle(&mut rng);
    assert_eq!(status(&cluster)["steps"], "fsks");
}

#[test]
fn finally_and_the_error_handler_run_when_the_rest_has_ended() {
    let spec = json!({"flows": [step("bad", json!({}))], "finally": [step("clean", json!({})), step("tell", json!({"when": "bad.failed", "dependencies": ["clean"]}))],
        "errorHandler": {"jobTemplate": job_spec()}});
    let (mut cluster, mut rng) = flow(spec);
    cluster.server.fate.insert("bad".into(), 1);
    cluster.settle(&mut rng);
    let status = status(&cluster);
    assert_eq!(
        (&status["steps"], &status["done"], &status["state"]),
        (&json!("fsss"), &json!("4/4"), &json!("Failed"))
    );
    assert_eq!(cluster.jobs(), ["f-bad", "f-clean", "f-error-handler", "f-tell"]);
}

#[test]
fn a_steps_deadline_is_the_jobs_own_and_ends_its_tries() {
    let (mut cluster, mut rng) =
        flow(json!({"flows": [step("a", json!({"activeDeadlineSeconds": 60, "retry": {"limit": 3}}))]}));
    pass(&mut cluster);
    assert_eq!(cluster.server.get("Job", "f-a").unwrap().data["spec"]["activeDeadlineSeconds"], 60);
    let late = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "it was too slow"}]});
    cluster.server.touch(&key("Job", "f-a"), |j| j.data["status"] = late);
    cluster.settle(&mut rng);
    assert_eq!((cluster.jobs().len(), &status(&cluster)["state"]), (1, &json!("Failed")));
}

#[test]
fn the_status_stays_small_whatever_the_number_of_steps() {
    let steps: Vec<Value> = (0..600).map(|i| step(&format!("s{i}"), json!({"jobTemplateRef": "t"}))).collect();
    let mut cluster = Cluster::new();
    cluster.apply("JobTemplate", "t", json!({"jobTemplate": job_spec()}));
    cluster.apply("JobFlow", "f", json!({"flows": steps}));
    for _ in 0..16 {
        pass(&mut cluster);
    }
    assert_eq!(cluster.jobs().len(), 600);
    let bytes = status(&cluster).to_string().len();
    assert!(bytes < 600 + 100 * 120 + 2_000, "{bytes} bytes");
}

#[test]
fn what_the_apiserver_rejects_fails_the_step_and_what_it_forbids_waits() {
    use tributary_blueprints::world::{Refusal, Verb};
    use tributary_crds::Reason;
    let (mut cluster, _) = flow(json!({"flows": [step("a", json!({})), step("b", json!({}))]}));
    let refusal = |name: &str, reason, message: &str| Refusal {
        verb: Verb::Create,
        key: key("Job", name),
        reason,
        message: message.into(),
    };
    cluster.refusals = vec![
        refusal("f-a", Reason::Rejected, "unknown field spec.tempalte"),
        refusal("f-b", Reason::Forbidden, "exceeded quota"),
    ];
    pass(&mut cluster);
    let status = status(&cluster);
    assert_eq!(status["steps"], "f.", "{status:#}");
    assert!(
        status["active"].to_string().contains("spec.tempalte")
            && status["active"].to_string().contains("exceeded quota")
    );
}

#[test]
fn mere_progress_is_written_now_and_then_and_what_counts_at_once() {
    for (steps, apart, left) in [(1_000, 0, 3_850), (5, 10_000, 9_850)] {
        let steps: Vec<Value> = (0..steps).map(|i| step(&format!("s{i}"), json!({}))).collect();
        let (mut cluster, mut rng) = flow(json!({"maxParallel": 1, "flows": steps}));
        pass(&mut cluster);
        assert_eq!(status(&cluster)["state"], "Running");
        for _ in 0..4 {
            cluster.server.progress(&key("Job", "f-s0"));
        }
        cluster.step(&mut rng, 0);
        let millis = Duration::from_millis;
        cluster.pace = Pace { age: Some(millis(150)), apart: millis(apart) };
        let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
        assert_eq!((plan.status.is_none(), plan.requeue), (true, Some(millis(left))));
        assert_eq!(cluster.jobs(), ["f-s0", "f-s1"], "the next step does not wait for that");
        cluster.edit("JobFlow", "f", |s| s["suspend"] = json!(true));
        let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
        assert!(plan.status.is_some());
    }
}

#[test]
fn what_a_step_gives_is_written_at_once_since_its_pod_may_go() {
    let (mut cluster, mut rng) =
        flow(json!({"flows": [step("a", json!({"outputs": {"all": {}}})), step("b", json!({"dependencies": ["a"]}))]}));
    cluster.server.messages.insert("a".into(), "x".into());
    pass(&mut cluster);
    for _ in 0..4 {
        cluster.server.progress(&key("Job", "f-a"));
    }
    cluster.step(&mut rng, 0);
    cluster.pace = Pace { age: Some(Duration::ZERO), apart: Duration::from_secs(60) };
    pass(&mut cluster);
    assert_eq!(status(&cluster)["outputs"]["a"]["all"], "x");
}
