//! One Pipeline over the resources of several operators.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tributary_tests::reference::word_counts;
use tributary_tests::standin::{self, spark, strimzi};
use tributary_tests::{Namespace, kafka, root, s3};

fn lines() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("examples/topic-wordcount/lines.txt"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

async fn component(ns: &Namespace, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let of = |p: &Value| -> Value {
        let all = p["status"]["components"].as_array();
        all.into_iter().flatten().find(|c| c["name"] == name).cloned().unwrap_or_default()
    };
    let pipeline = ns.wait("pipeline", "federated", &format!("{name}: {what}"), |p| holds(&of(p))).await?;
    Ok(of(&pipeline))
}

#[tokio::test]
async fn five_kinds_of_four_operators_are_one_application() -> anyhow::Result<()> {
    let ns = Namespace::new("federated").await?.with_s3_secret().await?;
    standin::install().await?;
    s3::bucket(&s3::client()?, "results").await?;
    let _topics = strimzi::run(&ns.name).await?;
    ns.apply_path("examples/federated").await?;

    // the topic is Strimzi's, and the job waits for its records
    let topic = ns
        .wait("kafkatopics.kafka.strimzi.io", "federated-lines", "Ready", |t| {
            t["status"]["conditions"][0]["status"] == "True"
        })
        .await?;
    let topic = topic["spec"]["topicName"].as_str().context("topicName")?.to_owned();
    component(&ns, "count", "running", |c| c["health"] == "Progressing").await?;
    assert!(ns.get("sparkapplications.sparkoperator.k8s.io", "federated-report").await?.is_none(), "Spark was first");
    let text = lines()?;
    kafka::produce(&topic, text.iter().cloned()).await?;

    // nobody runs Spark yet: the Pipeline says so, and goes on when somebody does
    component(&ns, "report", "waiting for its operator", |c| c["health"] == "Pending").await?;
    let _spark = spark::run(&ns.name).await?;
    let report = component(&ns, "report", "done", |c| c["health"] == "Succeeded").await?;
    let done = ns.wait("pipeline", "federated", "all of it", |p| p["status"]["phase"] == "Running").await?;
    assert_eq!(done["status"]["ready"], "4/4", "{}", done["status"]);
    let uid = |list: &Value, name: &str| -> String {
        let all = list["status"]["components"].as_array().into_iter().flatten();
        all.filter(|c| c["name"] == name).map(|c| c["uid"].to_string()).collect()
    };

    let mut expected: Vec<(std::cmp::Reverse<u64>, String)> = Vec::new();
    for row in word_counts(text.join("\n").as_bytes())? {
        let (word, n) = row.split_once('\t').context("a count")?;
        expected.push((std::cmp::Reverse(n.parse()?), word.to_owned()));
    }
    expected.sort();
    let expected: Vec<String> = expected.iter().take(spark::ROWS).map(|(n, word)| format!("{word}\t{}", n.0)).collect();
    let rows = s3::get(&s3::client()?, "results", "federated/report/part-00000").await?;
    assert_eq!(String::from_utf8(rows)?.lines().collect::<Vec<_>>(), expected);
    let log = ns.kubectl(&["logs", "job/federated-publish-announce"]).await?;
    assert!(log.contains("results/federated/report is there"), "{log}");

    // what a user sees
    let table = ns.kubectl(&["get", "pipelines"]).await?;
    assert!(table.contains("Running") && table.contains("4/4"), "{table}");
    let described = ns.kubectl(&["describe", "pipeline", "federated"]).await?;
    for words in ["SparkApplication", "JobFlow", "Deployment", "MapReduceJob", "Succeeded", "Ready"] {
        assert!(described.contains(words), "{words}: {described}");
    }

    // an edit of one component touches no other
    ns.kubectl(&[
        "patch",
        "pipeline",
        "federated",
        "--type=merge",
        "-p",
        &json!({"spec": {"parameters": {"replicas": 2}}}).to_string(),
    ])
    .await?;
    ns.wait("deployment", "federated-serve", "two replicas", |d| d["status"]["readyReplicas"] == 2).await?;
    let edited = ns
        .wait("pipeline", "federated", "all of it again", |p| {
            p["status"]["phase"] == "Running" && p["status"]["observedGeneration"] == p["metadata"]["generation"]
        })
        .await?;
    for name in ["count", "report", "publish", "serve"] {
        assert_eq!(uid(&edited, name), uid(&done, name), "{name} was made anew");
    }
    assert_eq!(report["uid"], json!(uid(&edited, "report").trim_matches('"')));

    // deletion takes all but the retained topic
    ns.kubectl(&["delete", "pipeline", "federated", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "federated").await?;
    for kind in ["sparkapplications.sparkoperator.k8s.io", "jobflows", "deployments", "mapreducejobs"] {
        ensure!(ns.list(kind, "tributary.dev/pipeline=federated").await?.is_empty(), "{kind} left behind");
    }
    assert!(kafka::partitions(&topic)?.is_some(), "a retained topic went with its pipeline");
    ns.kubectl(&["delete", "kafkatopics.kafka.strimzi.io", "--all"]).await?;
    ns.finish().await
}
