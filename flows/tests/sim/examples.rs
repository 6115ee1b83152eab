//! The examples, as files: each is taken, runs to its end, and its Jobs have the names that its users know.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{cluster::Cluster, rng::Rng};

fn documents(example: &str) -> Vec<Value> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    let texts = files.iter().map(|f| std::fs::read_to_string(f).unwrap());
    texts.flat_map(|t| t.split("\n---\n").map(|d| serde_yaml::from_str(d).unwrap()).collect::<Vec<Value>>()).collect()
}

fn applied(example: &str) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.node("node1", json!({}), json!([]));
    cluster.node("vm-0-12-centos", json!({}), json!([]));
    for document in documents(example) {
        let kind = document["kind"].as_str().unwrap();
        if document["apiVersion"] == "tributary.dev/v1alpha1" {
            cluster.apply(kind, document["metadata"]["name"].as_str().unwrap(), document["spec"].clone());
        }
    }
    cluster
}

#[test]
fn the_five_steps_of_job_deploy_operators_readme() {
    let mut cluster = applied("jobflow");
    let mut rng = Rng::new(1);
    cluster.pass("JobFlow", "jobflow-example", &mut rng, false, usize::MAX);
    assert_eq!(cluster.jobs(), ["jobflow-example-job1", "jobflow-example-job4"]);
    cluster.settle(&mut rng);
    let status = cluster.status("JobFlow", "jobflow-example");
    assert_eq!((&status["state"], &status["done"]), (&json!("Succeed"), &json!("5/5")));
    assert_eq!(cluster.jobs(), [1, 2, 3, 4, 5].map(|i| format!("jobflow-example-job{i}")));
}

#[test]
fn its_job_templates() {
    let mut cluster = applied("jobflow-template");
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.jobs(), ["jobflow-example-template-job1", "jobflow-example-template-job2"]);
    assert_eq!(cluster.status("JobFlow", "jobflow-example-template")["state"], "Succeed");
}

#[test]
fn its_daemon_job_with_an_exclude_list() {
    let mut cluster = applied("daemonjob");
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.jobs(), ["daemonjob-example-vm-0-12-centos"]);
    let status = cluster.status("DaemonJob", "daemonjob-example");
    assert_eq!((&status["state"], &status["done"]), (&json!("Succeed"), &json!("1/1")));
}

#[test]
fn its_shared_volume_on_one_node() {
    let mut cluster = applied("jobflow-volume");
    cluster.server.messages.insert("read".into(), "written by x".into());
    cluster.settle(&mut Rng::new(1));
    assert_eq!(cluster.status("JobFlow", "jobflow-volume")["state"], "Succeed");
    for job in cluster.server.of_kind("Job") {
        let pod = &job.data["spec"]["template"]["spec"];
        assert!(
            pod["volumes"][0]["name"] == "data" && pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/data",
            "{pod}"
        );
    }
}

#[test]
fn what_is_beyond_it() {
    let mut cluster = applied("jobflow-etl");
    cluster.server.messages.insert("list".into(), r#"{"tables": ["orders", "items"]}"#.into());
    cluster.server.fate.insert("load-1".into(), 1);
    cluster.settle(&mut Rng::new(1));
    let status = cluster.status("JobFlow", "etl");
    assert_eq!(status["state"], "Succeed", "{status:#}");
    assert!(cluster.jobs().contains(&"etl-load-1-t1".to_owned()), "{:?}", cluster.jobs());
}
