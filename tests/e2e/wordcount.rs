//! The examples, as a user applies them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;
use tributary_tests::{Namespace, reference, root, s3, until};

/// What `kubectl get` has shown of a resource, a set of its rows' columns.
async fn columns(ns: &Namespace, kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let row = ns.kubectl(&["get", kind, name, "--no-headers"]).await?;
    Ok(row.split_whitespace().map(str::to_owned).collect())
}

#[tokio::test]
async fn wordcount_is_applied_watched_and_right() -> anyhow::Result<()> {
    let store = s3::client()?;
    s3::bucket(&store, "texts").await?;
    s3::bucket(&store, "results").await?;
    let mut text = Vec::new();
    for (name, body) in reference::files(&root().join("examples/wordcount/texts/licenses"))? {
        text.extend_from_slice(&body);
        text.push(b'\n');
        s3::put(&store, "texts", &format!("licenses/{name}"), body).await?;
    }

    let ns = Namespace::new("wordcount").await?;
    ns.apply_path("examples/wordcount").await?;
    let seen = RefCell::new(BTreeSet::new());
    let pipeline = until("the pipeline to end", || async {
        let row = columns(&ns, "pipelines", "wordcount").await?;
        seen.borrow_mut().insert(row[1..row.len() - 1].join(" "));
        let pipeline = ns.get("pipeline", "wordcount").await?.unwrap_or_default();
        let ended = ["Succeeded", "Failed"].map(Value::from).contains(&pipeline["status"]["phase"]);
        Ok((ended.then_some(pipeline), row.join(" ")))
    })
    .await?;
    let seen = seen.into_inner();
    assert_eq!(pipeline["status"]["phase"], "Succeeded", "{}", pipeline["status"]);
    assert!(seen.iter().any(|s| s.starts_with("Progressing") && s.contains("0/1")), "{seen:?}");

    let job = ns.get("mapreducejob", "wordcount-count").await?.expect("the job");
    let engine = &job["status"]["engine"];
    assert!(engine["map"]["total"].as_u64() >= Some(4), "{engine}");
    assert_eq!(engine["map"]["finished"], engine["map"]["total"], "{engine}");
    assert_eq!(engine["reduce"]["done"], "3/3", "{engine}");
    let row = columns(&ns, "pipelines", "wordcount").await?;
    assert_eq!(row[1..4], ["Succeeded", "1/1", "100%"], "{row:?}");
    let row = columns(&ns, "mrj", "wordcount-count").await?;
    assert_eq!(row[1], "Succeeded", "{row:?}");
    assert_eq!(row[3], "3/3", "{row:?}");
    let workers = ns.list("pods", "tributary.dev/role=worker").await?;
    assert!(workers.len() >= 2, "{} worker pods", workers.len());

    let output = s3::output(&store, "results", "wordcount/").await?;
    assert_eq!(output.parts.len(), 3, "{:?}", output.parts);
    let mut lines = output.lines;
    lines.sort();
    let mut expected = reference::word_counts(&text)?;
    expected.sort();
    assert_eq!(lines, expected);
    assert_eq!(s3::open_uploads(&store, "results", "wordcount/").await?, Vec::<String>::new());
    assert_eq!(s3::keys(&store, "results", ".tributary/").await?.iter().filter(|k| k.contains(&ns.name)).count(), 0);

    let events = ns.kubectl(&["get", "events", "--no-headers"]).await?;
    assert!(events.contains("pipeline/wordcount") && events.contains("Succeeded"), "{events}");

    ns.kubectl(&["delete", "pipeline", "wordcount", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "wordcount").await?;
    ns.wait_gone("mapreducejob", "wordcount-count").await?;
    until("the pods to be gone", || async {
        let pods = ns.list("pods", "tributary.dev/mapreducejob").await?;
        Ok((pods.is_empty().then_some(()), format!("{} pods", pods.len())))
    })
    .await?;
    ns.finish().await
}

#[tokio::test]
async fn topic_wordcount_waits_for_its_records() -> anyhow::Result<()> {
    let store = s3::client()?;
    s3::bucket(&store, "results").await?;
    let ns = Namespace::new("topicwc").await?;
    ns.apply_path("examples/topic-wordcount").await?;
    let topic = format!("{}.topic-wordcount.lines", ns.name);
    ns.wait("topic.tributary.dev", "topic-wordcount-lines", "Ready", |t| {
        t["status"]["conditions"][0]["type"] == "Ready" && t["status"]["conditions"][0]["status"] == "True"
    })
    .await?;
    let text = std::fs::read_to_string(root().join("examples/topic-wordcount/lines.txt"))?;
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let (first, rest) = lines.split_at(lines.len() / 2);
    tributary_tests::kafka::produce(&topic, first.iter().cloned()).await?;
    ns.wait("mapreducejob", "topic-wordcount-count", "waiting for the rest of the records", |job| {
        let engine = &job["status"]["engine"];
        engine["phase"] == "Planning"
            && engine["message"].as_str().is_some_and(|m| m.contains(&first.len().to_string()))
    })
    .await?;
    tributary_tests::kafka::produce(&topic, rest.iter().cloned()).await?;
    ns.wait_phase("pipeline", "topic-wordcount", "Succeeded").await?;

    let mut output = s3::output(&store, "results", "topic-wordcount/").await?.lines;
    output.sort();
    let mut expected = reference::word_counts(text.as_bytes())?;
    expected.sort();
    assert_eq!(output, expected);
    let job = ns.get("mapreducejob", "topic-wordcount-count").await?.expect("the job");
    assert!(
        job["status"]["engine"]["results"].as_array().is_some_and(|r| !r.is_empty()),
        "{}",
        job["status"]["engine"]
    );

    ns.kubectl(&["delete", "pipeline", "topic-wordcount", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "topic-wordcount").await?;
    ns.wait_gone("topic.tributary.dev", "topic-wordcount-lines").await?;
    assert_eq!(tributary_tests::kafka::partitions(&topic)?, None, "the blueprint says retain: false");
    ns.finish().await
}
