//! Topic, on a real broker, and KafkaTopic where Strimzi provides topics.

use anyhow::Context;
use serde_json::{Value, json};
use tributary_tests::standin::strimzi;
use tributary_tests::{Namespace, env, kafka, kubectl, s3, until};

fn topic(name: &str, spec: Value) -> anyhow::Result<Value> {
    let mut topic = json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Topic", "metadata": {"name": name},
        "spec": {"kafka": {"bootstrapServers": env("TRIBUTARY_KAFKA")?}},
    });
    tributary_tests::job::merge(&mut topic["spec"], spec);
    Ok(topic)
}

/// The Topic, once its condition Ready has this status and reason for its newest generation.
async fn ready(ns: &Namespace, name: &str, status: &str, reason: &str) -> anyhow::Result<Value> {
    ns.wait("topic.tributary.dev", name, &format!("Ready={status} {reason}"), |t| {
        t["status"]["observedGeneration"] == t["metadata"]["generation"]
            && t["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Ready" && c["status"] == status && (reason.is_empty() || c["reason"] == reason))
    })
    .await
}

#[tokio::test]
async fn a_topic_is_created_grown_configured_and_deleted() -> anyhow::Result<()> {
    let ns = Namespace::new("topic").await?;
    let name = format!("{}.life", ns.name);
    let spec = json!({"topicName": name, "partitions": 2, "replicas": 1, "config": {"retention.ms": 3_600_000, "cleanup.policy": "delete"}, "deletionPolicy": "Delete"});
    ns.apply(&topic("life", spec.clone())?).await?;
    let made = ready(&ns, "life", "True", "").await?;
    assert_eq!(
        (&made["status"]["partitions"], &made["status"]["replicas"]),
        (&json!(2), &json!(1)),
        "{}",
        made["status"]
    );
    assert_eq!(kafka::partitions(&name)?, Some(2));
    assert_eq!(kafka::dynamic_config(&name).await?["retention.ms"], "3600000");
    let row = ns.kubectl(&["get", "topic.tributary.dev", "life", "--no-headers"]).await?;
    assert_eq!(row.split_whitespace().take(4).collect::<Vec<_>>(), ["life", "True", "2", "1"]);

    // grows; what the spec no longer names goes back to the default; the rest is set
    let mut edit = spec.clone();
    edit["partitions"] = json!(5);
    edit["config"] = json!({"cleanup.policy": ["compact", "delete"]});
    ns.apply(&topic("life", edit.clone())?).await?;
    until("five partitions and the new configuration", || async {
        let (partitions, config) = (kafka::partitions(&name)?, kafka::dynamic_config(&name).await?);
        let done = partitions == Some(5)
            && config.get("cleanup.policy").map(String::as_str) == Some("compact,delete")
            && !config.contains_key("retention.ms");
        Ok((done.then_some(()), format!("{partitions:?} {config:?}")))
    })
    .await?;

    // a decrease is refused and the rest still applies
    edit["partitions"] = json!(3);
    edit["config"]["retention.ms"] = json!(7_200_000);
    ns.apply(&topic("life", edit.clone())?).await?;
    let refused = ready(&ns, "life", "False", "NotSupported").await?;
    assert!(refused["status"]["conditions"].to_string().contains('5'), "{}", refused["status"]);
    until("the retention to apply all the same", || async {
        let config = kafka::dynamic_config(&name).await?;
        Ok(((config.get("retention.ms").map(String::as_str) == Some("7200000")).then_some(()), format!("{config:?}")))
    })
    .await?;
    assert_eq!(kafka::partitions(&name)?, Some(5));

    // healed by an edit, then deleted with its records
    edit["partitions"] = json!(5);
    ns.apply(&topic("life", edit)?).await?;
    ready(&ns, "life", "True", "").await?;
    ns.kubectl(&["delete", "topic.tributary.dev", "life", "--wait=false"]).await?;
    ns.wait_gone("topic.tributary.dev", "life").await?;
    until("the topic to be gone", || async {
        Ok(((kafka::partitions(&name)?.is_none()).then_some(()), String::new()))
    })
    .await?;
    ns.finish().await
}

#[tokio::test]
async fn the_oldest_wins_and_the_losers_deletion_deletes_nothing() -> anyhow::Result<()> {
    let ns = Namespace::new("topic-conflict").await?;
    let name = format!("{}.shared", ns.name);
    let spec = json!({"topicName": name, "partitions": 1, "deletionPolicy": "Delete"});
    ns.apply(&topic("first", spec.clone())?).await?;
    ready(&ns, "first", "True", "").await?;
    // creation times have a resolution of a second
    until("a later second", || async {
        ns.apply(&topic("second", spec.clone())?).await?;
        let (first, second) =
            (ns.get("tt", "first").await?.context("first")?, ns.get("tt", "second").await?.context("second")?);
        let later = second["metadata"]["creationTimestamp"].as_str() > first["metadata"]["creationTimestamp"].as_str();
        if !later {
            ns.kubectl(&["delete", "tt", "second"]).await?;
        }
        Ok((later.then_some(()), String::new()))
    })
    .await?;
    let loser = ready(&ns, "second", "False", "ResourceConflict").await?;
    assert!(loser["status"]["conditions"].to_string().contains("first"), "{}", loser["status"]);
    ns.kubectl(&["delete", "tt", "second", "--wait=false"]).await?;
    ns.wait_gone("tt", "second").await?;
    assert_eq!(kafka::partitions(&name)?, Some(1), "the loser's deletion deleted the winner's topic");
    ready(&ns, "first", "True", "").await?;
    ns.kubectl(&["delete", "tt", "first", "--wait=false"]).await?;
    ns.wait_gone("tt", "first").await?;
    ns.finish().await
}

#[tokio::test]
async fn existing_renamed_unmanaged_and_suspended_topics() -> anyhow::Result<()> {
    let ns = Namespace::new("topic-odd").await?;
    // TopicExists is success, and the next pass converges
    let name = format!("{}.there", ns.name);
    kafka::create(&name, 2).await?;
    ns.apply(&topic("there", json!({"topicName": name, "partitions": 3}))?).await?;
    ready(&ns, "there", "True", "").await?;
    assert_eq!(kafka::partitions(&name)?, Some(3));

    // a rename is refused, the old name kept
    ns.apply(&topic("there", json!({"topicName": format!("{name}-new"), "partitions": 3}))?).await?;
    let refused = ready(&ns, "there", "False", "NotSupported").await?;
    assert_eq!(refused["status"]["topicName"], json!(name), "{}", refused["status"]);
    assert_eq!(kafka::partitions(&format!("{name}-new"))?, None);
    ns.apply(&topic("there", json!({"topicName": name, "partitions": 3}))?).await?;
    ready(&ns, "there", "True", "").await?;

    // retained by default: the resource goes, the topic stays
    ns.kubectl(&["delete", "tt", "there", "--wait=false"]).await?;
    ns.wait_gone("tt", "there").await?;
    assert_eq!(kafka::partitions(&name)?, Some(3));
    kafka::delete(&name).await?;

    // unmanaged: Kafka is not asked
    let name = format!("{}.unmanaged", ns.name);
    let mut unmanaged = topic("unmanaged", json!({"topicName": name, "deletionPolicy": "Delete"}))?;
    unmanaged["metadata"]["annotations"] = json!({"tributary.dev/managed": "false"});
    ns.apply(&unmanaged).await?;
    ns.wait("tt", "unmanaged", "Unmanaged", |t| t["status"]["conditions"].to_string().contains("Unmanaged")).await?;
    assert_eq!(kafka::partitions(&name)?, None);

    // suspended: nothing happens until it is resumed
    let name = format!("{}.paused", ns.name);
    ns.apply(&topic("paused", json!({"topicName": name, "suspend": true, "deletionPolicy": "Delete"}))?).await?;
    ns.wait("tt", "paused", "ReconciliationPaused", |t| {
        t["status"]["conditions"].to_string().contains("ReconciliationPaused")
    })
    .await?;
    assert_eq!(kafka::partitions(&name)?, None);
    ns.apply(&topic("paused", json!({"topicName": name, "suspend": false, "deletionPolicy": "Delete"}))?).await?;
    ready(&ns, "paused", "True", "").await?;
    for name in ["paused", "unmanaged"] {
        ns.kubectl(&["delete", "tt", name, "--wait=false"]).await?;
        ns.wait_gone("tt", name).await?;
    }
    ns.finish().await
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_and_wedges_nothing() -> anyhow::Result<()> {
    let ns = Namespace::new("topic-nobroker").await?;
    let mut lost = topic("lost", json!({}))?;
    lost["spec"]["kafka"]["bootstrapServers"] = json!("198.18.0.1:1");
    ns.apply(&lost).await?;
    let told = ready(&ns, "lost", "False", "KafkaError").await?;
    assert!(told["status"]["conditions"].to_string().contains("198.18.0.1:1"), "{}", told["status"]);
    let name = format!("{}.fine", ns.name);
    ns.apply(&topic("fine", json!({"topicName": name, "deletionPolicy": "Delete"}))?).await?;
    ready(&ns, "fine", "True", "").await?;
    // a whole namespace goes, the topic that cannot be reached with it
    let gone = ns.name.clone();
    ns.finish().await?;
    until("the namespace to be gone", || async {
        let left = kubectl(&["get", "namespace", &gone, "--ignore-not-found", "-o", "name"]).await?;
        Ok((left.trim().is_empty().then_some(()), left))
    })
    .await
}

#[tokio::test]
async fn where_strimzi_is_named_a_kafka_topic_is_made() -> anyhow::Result<()> {
    let ns = Namespace::new("strimzi").await?;
    // nobody runs Strimzi here: the test says what it would
    strimzi::install().await?;
    let pipeline = json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "fed"},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": env("TRIBUTARY_KAFKA")?}}, "topics": {"provider": "Auto", "cluster": "my-cluster"}},
            "stores": {"data": {"endpoint": env("TRIBUTARY_S3")?, "pathStyle": true, "secretRef": {"name": "s3"}}},
            "blueprint": {
                "topics": [{"name": "in", "partitions": 2, "config": {"retention.ms": 1000}}, {"name": "scratch", "retain": false}],
                "datasets": [{"name": "out", "store": "data", "location": "results/fed"}],
                "components": [{"name": "count", "reads": {"input": "in"}, "writes": {"output": "out"}, "template": {
                    "apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob",
                    "spec": {"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "input": {"kafka": {"end": {"records": 1}}}}}}],
            },
        },
    });
    ns.apply(&pipeline).await?;
    let made = ns.wait("kafkatopics.kafka.strimzi.io", "fed-in", "made", |_| true).await?;
    assert_eq!(made["metadata"]["labels"]["strimzi.io/cluster"], "my-cluster");
    assert_eq!(made["spec"]["partitions"], 2);
    assert_eq!(made["spec"]["topicName"], json!(format!("{}.fed.in", ns.name)));
    assert!(made["metadata"]["ownerReferences"].is_null(), "a retained topic carries no owner: {}", made["metadata"]);
    let scratch = ns.wait("kafkatopics.kafka.strimzi.io", "fed-scratch", "made", |_| true).await?;
    assert!(scratch["metadata"]["ownerReferences"].is_null(), "the Pipeline deletes it in its own order");
    assert!(ns.get("mapreducejob", "fed-count").await?.is_none(), "created before its topic was ready");
    let message = "no such luck";
    let state = |status: &str, reason: &str| {
        json!({"status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}).to_string()
    };
    let mark = |name: &'static str, status: String| {
        let ns = &ns;
        async move {
            ns.kubectl(&[
                "patch",
                "kafkatopics.kafka.strimzi.io",
                name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &status,
            ])
            .await
        }
    };
    mark("fed-in", state("False", "NotSupported")).await?;
    ns.wait("pipeline", "fed", "Strimzi's own words", |p| p["status"]["conditions"].to_string().contains(message))
        .await?;
    mark("fed-in", state("True", "")).await?;
    mark("fed-scratch", state("True", "")).await?;
    ns.wait("mapreducejob", "fed-count", "created once its topic is ready", |_| true).await?;
    ns.kubectl(&["delete", "pipeline", "fed", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "fed").await?;
    ns.wait_gone("kafkatopics.kafka.strimzi.io", "fed-scratch").await?;
    assert!(
        ns.get("kafkatopics.kafka.strimzi.io", "fed-in").await?.is_some(),
        "a retained topic outlives its pipeline"
    );
    ns.finish().await
}

#[tokio::test]
async fn a_retained_topic_outlives_its_pipeline_and_is_found_again() -> anyhow::Result<()> {
    let ns = Namespace::new("retained").await?.with_s3_secret().await?;
    let store = s3::client()?;
    s3::bucket(&store, "results").await?;
    let pipeline = json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "keep"},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": env("TRIBUTARY_KAFKA")?}}},
            "stores": {"data": {"endpoint": env("TRIBUTARY_S3")?, "pathStyle": true, "secretRef": {"name": "s3"}}},
            "blueprint": {
                "topics": [{"name": "in", "partitions": 2}],
                "datasets": [{"name": "out", "location": format!("results/{}", ns.name)}],
                "components": [{"name": "count", "reads": {"input": "in"}, "writes": {"output": "out"}, "template": {
                    "apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob",
                    "spec": {"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "input": {"kafka": {"end": {"records": 3}}}}}}],
            },
        },
    });
    ns.apply(&pipeline).await?;
    let made = ready(&ns, "keep-in", "True", "").await?;
    assert!(made["metadata"]["ownerReferences"].is_null(), "a retained topic carries no owner: {}", made["metadata"]);
    let topic = made["status"]["topicName"].as_str().context("topicName")?.to_owned();
    ns.kubectl(&["delete", "pipeline", "keep", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "keep").await?;
    let kept = ns.get("tt", "keep-in").await?.context("a retained topic outlives its pipeline")?;
    assert_eq!(kept["metadata"]["uid"], made["metadata"]["uid"]);
    kafka::produce(&topic, ["a b".to_owned(), "b".into(), "c".into()]).await?;
    // the same pipeline again takes it up, its records with it
    ns.apply(&pipeline).await?;
    ns.wait_phase("pipeline", "keep", "Succeeded").await?;
    let mut lines = s3::output(&store, "results", &format!("{}/", ns.name)).await?.lines;
    lines.sort();
    assert_eq!(lines, ["a\t1", "b\t2", "c\t1"]);
    kafka::delete(&topic).await?;
    ns.finish().await
}
