//! Runs: when they begin, how they end, what is kept of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    cluster::{Cluster, job_spec},
    rng::Rng,
    steps::{flow, pass, status, step},
};

#[test]
fn a_stop_deletes_what_runs_and_finally_still_runs() {
    let spec = json!({"flows": [step("a", json!({})), step("b", json!({"dependencies": ["a"]}))], "finally": [step("clean", json!({}))], "errorHandler": {"jobTemplate": job_spec()}});
    let (mut cluster, mut rng) = flow(spec);
    pass(&mut cluster);
    cluster.edit("JobFlow", "f", |s| s["stop"] = json!(true));
    pass(&mut cluster);
    assert_eq!((cluster.jobs(), &status(&cluster)["state"]), (vec!["f-clean".to_owned()], &json!("Terminating")));
    cluster.settle(&mut rng);
    let status = status(&cluster);
    assert_eq!((&status["state"], &status["steps"]), (&json!("Failed"), &json!("fksk")));
    let failed = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Failed").unwrap();
    assert_eq!(failed["reason"], "Stopped");
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_suspension_does_not_count() {
    let (mut cluster, mut rng) = flow(
        json!({"activeDeadlineSeconds": 100, "flows": [step("a", json!({})), step("b", json!({"dependencies": ["a"]}))]}),
    );
    let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
    assert_eq!(plan.requeue, Some(Duration::from_secs(100)));
    cluster.edit("JobFlow", "f", |s| s["suspend"] = json!(true));
    pass(&mut cluster);
    cluster.server.now += Duration::from_secs(500);
    cluster.edit("JobFlow", "f", |s| s["suspend"] = json!(false));
    pass(&mut cluster);
    cluster.server.now += Duration::from_secs(99);
    pass(&mut cluster);
    assert_eq!(status(&cluster)["state"], "Running", "{:#}", status(&cluster));
    cluster.server.now += Duration::from_secs(1);
    pass(&mut cluster);
    let status = status(&cluster);
    assert_eq!((&status["state"], &status["steps"]), (&json!("Failed"), &json!("fk")), "{status:#}");
    assert!(status["message"].as_str().unwrap().contains("100 seconds"), "{status}");
    assert!(cluster.jobs().is_empty());
}

#[test]
fn a_new_run_may_keep_what_succeeded_as_long_as_it_is_made_the_same() {
    let steps = json!([
        step("a", json!({})),
        step("bad", json!({"dependencies": ["a"]})),
        step("c", json!({"dependencies": ["bad"]})),
        step("d", json!({}))
    ]);
    let (mut cluster, mut rng) = flow(json!({"rerun": "Failed", "flows": steps}));
    cluster.server.fate.insert("bad".into(), 1);
    cluster.settle(&mut rng);
    assert_eq!(status(&cluster)["steps"], "sfks");
    cluster.server.fate.clear();
    cluster.edit("JobFlow", "f", |s| {
        s["run"] = json!(2);
        s["flows"][3]["jobTemplate"]["template"]["spec"]["containers"][0]["image"] = json!("other");
    });
    cluster.settle(&mut rng);
    let now = status(&cluster);
    assert_eq!((&now["steps"], &now["run"], &now["state"]), (&json!("ssss"), &json!(2), &json!("Succeed")));
    let run2: Vec<String> = cluster.jobs().into_iter().filter(|j| j.ends_with("-2")).collect();
    assert_eq!(run2, ["f-bad-2", "f-c-2", "f-d-2"], "a is kept, d is made otherwise");
    assert_eq!(
        (&now["history"][0]["run"], &now["history"][0]["state"], &now["history"][0]["steps"]),
        (&json!(1), &json!("Failed"), &json!("sfks"))
    );
}

#[test]
fn old_runs_go_as_the_history_limit_says() {
    let (mut cluster, mut rng) = flow(json!({"historyLimit": 1, "flows": [step("a", json!({}))]}));
    for run in 2..5 {
        cluster.settle(&mut rng);
        cluster.edit("JobFlow", "f", |s| s["run"] = json!(run));
    }
    cluster.settle(&mut rng);
    assert_eq!(cluster.jobs(), ["f-a-3", "f-a-4"]);
    assert_eq!(cluster.server.of_kind("ControllerRevision").len(), 2);
    assert_eq!(status(&cluster)["history"].as_array().unwrap().len(), 1);
    assert!(cluster.creations().values().all(|n| *n == 1));
}

#[test]
fn a_run_goes_by_the_spec_and_the_templates_that_it_began_with() {
    let mut cluster = Cluster::new();
    cluster.apply("JobTemplate", "t", json!({"jobTemplate": job_spec()}));
    cluster.apply(
        "JobFlow",
        "f",
        json!({"flows": [step("a", json!({})), {"name": "b", "jobTemplateRef": "t", "dependencies": ["a"]}]}),
    );
    pass(&mut cluster);
    cluster.edit("JobTemplate", "t", |s| s["jobTemplate"]["template"]["spec"]["containers"][0]["image"] = json!("new"));
    cluster.edit("JobFlow", "f", |s| s["flows"].as_array_mut().unwrap().push(step("c", json!({}))));
    let mut rng = Rng::new(1);
    cluster.settle(&mut rng);
    let image = |c: &Cluster, job: &str| {
        c.server.get("Job", job).unwrap().data["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!((cluster.jobs(), image(&cluster, "f-b")), (vec!["f-a".into(), "f-b".into()], json!("x")));
    let said = status(&cluster)["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("the spec has changed") && said.contains("JobTemplate t has changed"), "{said}");
    cluster.edit("JobFlow", "f", |s| s["run"] = json!(2));
    cluster.settle(&mut rng);
    assert_eq!((image(&cluster, "f-b-2"), &status(&cluster)["steps"]), (json!("new"), &json!("sss")));
    assert_eq!(status(&cluster)["conditions"][0]["message"], "");
}

#[test]
fn flows_with_one_mutex_run_one_after_the_other() {
    let mut cluster = Cluster::new();
    for name in ["f", "g", "h"] {
        cluster.apply(
            "JobFlow",
            name,
            json!({"mutex": "db", "flows": [step("a", json!({})), step("b", json!({"dependencies": ["a"]}))]}),
        );
    }
    let mut rng = Rng::new(3);
    for round in 0..400 {
        cluster.step(&mut rng, 50);
        for name in ["f", "g", "h"] {
            let cut = if rng.chance(20) { rng.below(3) as usize } else { usize::MAX };
            cluster.pass("JobFlow", name, &mut rng, true, cut);
        }
        let unfinished: Vec<String> = cluster
            .server
            .of_kind("Job")
            .iter()
            .filter(|j| j.data["status"]["conditions"].is_null())
            .filter(|j| {
                cluster
                    .server
                    .get("Pod", &format!("{}-pod", j.metadata.name.clone().unwrap()))
                    .is_none_or(|p| p.data["status"]["phase"] != "Succeeded")
            })
            .map(|j| j.metadata.name.clone().unwrap()[..1].to_owned())
            .collect();
        assert!(unfinished.windows(2).all(|w| w[0] == w[1]), "round {round}: {unfinished:?} at once");
    }
    cluster.settle(&mut rng);
    for name in ["f", "g", "h"] {
        assert_eq!(cluster.status("JobFlow", name)["state"], "Succeed", "{:#}", cluster.status("JobFlow", name));
    }
    assert!(cluster.server.of_kind("Lease").is_empty());
}

#[test]
fn a_schedule_starts_runs_and_one_that_goes_on_is_waited_for() {
    // the world begins on 2023-11-14 at 22:13:20 UTC
    let (mut cluster, mut rng) =
        flow(json!({"schedule": "0 * * * *", "timeZone": "Europe/Berlin", "flows": [step("a", json!({}))]}));
    let plan = cluster.pass("JobFlow", "f", &mut rng, false, usize::MAX).unwrap();
    assert_eq!((plan.requeue, cluster.jobs().len()), (Some(Duration::from_secs(46 * 60 + 40)), 0));
    assert!(status(&cluster)["message"].as_str().unwrap().contains("2023-11-14T23:00:00Z"));
    cluster.server.now += Duration::from_secs(47 * 60);
    pass(&mut cluster);
    assert_eq!(cluster.jobs(), ["f-a"]);
    // two times pass while it runs: one run makes up for both
    cluster.server.now += Duration::from_secs(2 * 3_600);
    pass(&mut cluster);
    assert_eq!(cluster.jobs(), ["f-a"]);
    for _ in 0..6 {
        cluster.step(&mut rng, 100);
        pass(&mut cluster);
    }
    assert_eq!((cluster.jobs(), &status(&cluster)["run"]), (vec!["f-a".to_owned(), "f-a-2".to_owned()], &json!(2)));
    for _ in 0..6 {
        cluster.step(&mut rng, 100);
        pass(&mut cluster);
    }
    assert_eq!((&status(&cluster)["state"], &status(&cluster)["run"]), (&json!("Succeed"), &json!(2)));
}

#[test]
fn concurrency_policy_replace_ends_the_old_run() {
    let (mut cluster, mut rng) =
        flow(json!({"schedule": "0 * * * *", "concurrencyPolicy": "Replace", "flows": [step("a", json!({}))]}));
    cluster.server.now += Duration::from_secs(3_600);
    pass(&mut cluster);
    cluster.server.now += Duration::from_secs(3_600);
    pass(&mut cluster);
    pass(&mut cluster);
    assert_eq!((cluster.jobs(), &status(&cluster)["run"]), (vec!["f-a-2".to_owned()], &json!(2)));
    assert_eq!(status(&cluster)["history"][0]["state"], "Failed");
    cluster.step(&mut rng, 100);
}

#[test]
fn a_finished_flow_goes_when_its_ttl_has_passed() {
    let (mut cluster, mut rng) = flow(json!({"ttlSecondsAfterFinished": 50, "flows": [step("a", json!({}))]}));
    for _ in 0..6 {
        cluster.step(&mut rng, 100);
        pass(&mut cluster);
    }
    assert_eq!(status(&cluster)["state"], "Succeed");
    cluster.settle(&mut rng);
    assert!(cluster.server.state.is_empty());
}

#[test]
fn another_controllers_flow_is_left_alone() {
    let (mut cluster, mut rng) = flow(json!({"managedBy": "example.com/other", "flows": [step("a", json!({}))]}));
    cluster.settle(&mut rng);
    assert_eq!((cluster.writes, status(&cluster)), (0, Value::Null));
}
