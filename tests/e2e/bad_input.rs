//! Each mistake gives a condition that names the place and the reason; nothing crash-loops; other pipelines go on.

use anyhow::Context;
use serde_json::{Value, json};
use tributary_tests::job::{pipeline, text, upload};
use tributary_tests::kubectl::run;
use tributary_tests::{JOB_TEMPLATES, Namespace, kubectl, root, s3};

async fn namespace(name: &str) -> anyhow::Result<Namespace> {
    let ns = Namespace::unadmitted(name).await?.with_s3_secret().await?;
    upload(&s3::client()?, &ns.name, &text(1, 1), 2).await?;
    Ok(ns)
}

/// Waits until the Pipeline's status has a condition or message with all of `words`.
async fn says(ns: &Namespace, name: &str, words: &[&str]) -> anyhow::Result<Value> {
    ns.wait("pipeline", name, &format!("a status with {words:?}"), |p| {
        let status = format!("{} {}", p["status"]["message"], p["status"]["conditions"]);
        words.iter().all(|w| status.contains(w))
    })
    .await
}

async fn other_pipelines_go_on(ns: Namespace) -> anyhow::Result<()> {
    let (input, output) = (ns.name.clone(), format!("{}-good", ns.name));
    ns.apply(&pipeline("good", &input, &output, json!({"workers": {"replicas": 1}}))?).await?;
    ns.wait_phase("pipeline", "good", "Succeeded").await?;
    let system = kubectl::json(&["-n", "tributary-system", "get", "pods"]).await?;
    for pod in system["items"].as_array().into_iter().flatten() {
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        assert_ne!(waiting, "CrashLoopBackOff", "{pod}");
    }
    ns.finish().await
}

#[tokio::test]
async fn unknown_names_are_told_with_what_was_meant() -> anyhow::Result<()> {
    let ns = namespace("unknown-name").await?;
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({}))?;
    bad["spec"]["blueprint"]["components"][0]["reads"]["input"] = json!("txet");
    ns.apply(&bad).await?;
    let pipeline = says(&ns, "bad", &["components[0].reads.input", "txet", "text"]).await?;
    assert_eq!(pipeline["status"]["phase"], "Failed", "{}", pipeline["status"]);
    assert!(ns.list("mapreducejobs", "tributary.dev/pipeline=bad").await?.is_empty());
    // an edit heals it
    bad["spec"]["blueprint"]["components"][0]["reads"]["input"] = json!("text");
    ns.apply(&bad).await?;
    ns.wait("pipeline", "bad", "Succeeded after the edit", |p| p["status"]["phase"] == "Succeeded").await?;
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn an_unknown_kafka_topic_is_named() -> anyhow::Result<()> {
    let ns = namespace("unknown-topic").await?;
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({"input": null}))?;
    bad["spec"]["kafka"] =
        json!({"clusters": {"default": {"bootstrapServers": tributary_tests::env("TRIBUTARY_KAFKA")?}}});
    let blueprint = &mut bad["spec"]["blueprint"];
    blueprint["topics"] = json!([{"name": "nowhere", "existing": true, "topicName": "no-such-topic"}]);
    blueprint["components"][0]["reads"]["input"] = json!("nowhere");
    blueprint["components"][0]["template"]["spec"]["input"] = json!({"kafka": {"end": {"highWatermark": true}}});
    ns.apply(&bad).await?;
    says(&ns, "bad", &["count", "no-such-topic"]).await?;
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn a_missing_bucket_is_named() -> anyhow::Result<()> {
    let ns = namespace("no-bucket").await?;
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({}))?;
    bad["spec"]["blueprint"]["datasets"][0]["location"] = json!("no-such-bucket/in");
    ns.apply(&bad).await?;
    let pipeline = says(&ns, "bad", &["count", "no-such-bucket"]).await?;
    assert_eq!(pipeline["status"]["phase"], "Failed", "{}", pipeline["status"]);
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn a_missing_secret_is_named_and_heals_when_it_comes() -> anyhow::Result<()> {
    let ns = namespace("no-secret").await?;
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({}))?;
    bad["spec"]["stores"]["data"]["secretRef"]["name"] = json!("later");
    ns.apply(&bad).await?;
    says(&ns, "bad", &["count", "later"]).await?;
    let secret = ns.get("secret", "s3").await?.context("secret")?;
    ns.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "data": secret["data"]}))
        .await?;
    ns.wait("pipeline", "bad", "Succeeded once the Secret is there", |p| p["status"]["phase"] == "Succeeded").await?;
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn wrong_credentials_are_told_without_showing_them() -> anyhow::Result<()> {
    let ns = namespace("bad-secret").await?;
    let canary = "canary-secret-value";
    ns.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"},
        "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": canary},
    }))
    .await?;
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({}))?;
    bad["spec"]["stores"]["data"]["secretRef"]["name"] = json!("wrong");
    ns.apply(&bad).await?;
    ns.wait("pipeline", "bad", "Failed", |p| p["status"]["phase"] == "Failed").await?;
    let everything = ns.kubectl(&["get", "all,tributary,events,configmaps", "-o", "yaml"]).await?;
    assert!(!everything.contains(canary));
    let mut logs =
        kubectl(&["-n", "tributary-system", "logs", "-l", "app.kubernetes.io/name=tributary-operator", "--tail=-1"])
            .await?;
    logs += &ns.kubectl(&["logs", "-l", "tributary.dev/role=coordinator", "--tail=-1"]).await?;
    assert!(!logs.contains(canary));
    ns.finish().await
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_named() -> anyhow::Result<()> {
    let ns = namespace("no-image").await?;
    let template = json!({"spec": {"containers": [{"name": "worker", "image": "198.18.0.1:5000/no/such:image"}]}});
    ns.apply(&pipeline("bad", &ns.name, &ns.name, json!({"workers": {"replicas": 1, "template": template}}))?).await?;
    says(&ns, "bad", &["count", "no/such:image"]).await?;
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn malformed_yaml_and_wrong_fields_are_refused_at_once() -> anyhow::Result<()> {
    let ns = namespace("malformed").await?;
    let out =
        run(&["-n", &ns.name, "apply", "-f", "-"], "apiVersion: tributary.dev/v1alpha1\nkind: Pipeline\n  metadata: {")
            .await?;
    assert!(!out.ok && out.stderr.contains("line 3"), "{}", out.stderr);
    let mut bad = pipeline("bad", &ns.name, &ns.name, json!({}))?;
    bad["spec"]["storse"] = json!({});
    let out = ns.try_apply(&bad).await?;
    assert!(!out.ok && out.stderr.contains("storse"), "{}", out.stderr);
    // within a template the apiserver keeps what it does not know: the operator must find it
    let bad = pipeline("bad", &ns.name, &ns.name, json!({"partitoins": 3}))?;
    ns.apply(&bad).await?;
    let pipeline = says(&ns, "bad", &["partitoins", "partitions"]).await?;
    assert_eq!(pipeline["status"]["phase"], "Failed", "{}", pipeline["status"]);
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn a_name_that_is_taken_is_left_alone() -> anyhow::Result<()> {
    let ns = namespace("taken").await?;
    ns.apply(&json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "metadata": {"name": "bad-count", "labels": {"mine": "yes"}},
        "spec": {"suspend": true, "input": {"strings": ["a"]}, "map": {"operator": "Words"}, "output": {"results": {}}},
    }))
    .await?;
    let before = ns.get("mapreducejob", "bad-count").await?.context("job")?;
    ns.apply(&pipeline("bad", &ns.name, &ns.name, json!({}))?).await?;
    says(&ns, "bad", &["bad-count"]).await?;
    ns.kubectl(&["delete", "pipeline", "bad", "--wait=false"]).await?;
    ns.wait_gone("pipeline", "bad").await?;
    let after = ns.get("mapreducejob", "bad-count").await?.context("somebody else's job was deleted")?;
    assert_eq!((&before["metadata"]["uid"], &before["spec"]), (&after["metadata"]["uid"], &after["spec"]));
    other_pipelines_go_on(ns).await
}

#[tokio::test]
async fn output_that_exists_is_kept() -> anyhow::Result<()> {
    let ns = namespace("exists").await?;
    s3::put(&s3::client()?, "results", &format!("{}/precious", ns.name), b"keep me".to_vec()).await?;
    ns.apply(&pipeline("bad", &ns.name, &ns.name, json!({"output": {"s3": {"ifExists": "Fail"}}}))?).await?;
    says(&ns, "bad", &["count", "precious"]).await?;
    assert_eq!(s3::get(&s3::client()?, "results", &format!("{}/precious", ns.name)).await?, b"keep me");
    ns.finish().await
}

#[tokio::test]
async fn the_examples_are_what_the_apiserver_takes() -> anyhow::Result<()> {
    let _templates = JOB_TEMPLATES.lock().await;
    let ns = namespace("examples").await?;
    for entry in std::fs::read_dir(root().join("examples"))? {
        let path = entry?.path();
        let path = path.to_str().context("path")?;
        let out = run(&["-n", &ns.name, "apply", "--dry-run=server", "--validate=strict", "-f", path], "").await?;
        assert!(out.ok, "{path}: {}", out.stderr);
    }
    ns.finish().await
}
