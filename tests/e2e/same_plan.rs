//! The local run and the cluster compute the same plan for the same blueprint.

use anyhow::{Context, ensure};
use serde_json::Value;
use tributary_tests::cli::tributary;
use tributary_tests::{Namespace, s3};

/// `tributary run -o json` of an example: the report of the run.
async fn local(ns: &Namespace, args: &[&str], out: &std::path::Path) -> anyhow::Result<Value> {
    let out = out.to_str().context("path")?;
    let run = tributary(&[&["run", "-o", "json", "--namespace", &ns.name, "--out", out], args].concat()).await?;
    ensure!(run.ok, "{}", run.stderr);
    serde_json::from_str(&run.stdout).context("the report is no JSON")
}

/// Whether `object` has all that `plan` says; the apiserver and other controllers add fields of their own.
fn has(object: &Value, plan: &Value) -> bool {
    match (object, plan) {
        (Value::Object(object), Value::Object(plan)) => {
            plan.iter().all(|(key, value)| object.get(key).is_some_and(|o| has(o, value)))
        }
        (Value::Array(object), Value::Array(plan)) => {
            object.len() == plan.len() && object.iter().zip(plan).all(|(o, p)| has(o, p))
        }
        _ => object == plan,
    }
}

/// The plan's object, of the owner that it has on the cluster.
fn owned(mut object: Value, owner: &Value) -> Value {
    let references = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    for reference in references.into_iter().flatten() {
        reference["uid"] = owner["metadata"]["uid"].clone();
    }
    object
}

async fn compare(ns: &Namespace, example: &str, report: &Value) -> anyhow::Result<()> {
    let created = report["created"].as_array().context("the report lists what was created")?;
    ensure!(!created.is_empty(), "{report}");
    let owner =
        ns.wait("pipeline", example, "its components", |p| p["status"]["components"][0]["child"].is_string()).await?;
    for object in created {
        let (kind, name) =
            (object["kind"].as_str().context("kind")?, object["metadata"]["name"].as_str().context("name")?);
        let planned = owned(object.clone(), &owner);
        let live = ns.wait(&format!("{}.tributary.dev", kind.to_lowercase()), name, "created", |_| true).await?;
        assert!(has(&live, &planned), "planned: {planned:#}\nfound: {live:#}");
    }
    let labelled = ns
        .list("mapreducejobs.tributary.dev,topics.tributary.dev", &format!("tributary.dev/pipeline={example}"))
        .await?;
    assert_eq!(labelled.len(), created.len(), "the cluster has other children than the plan");
    Ok(())
}

#[tokio::test]
async fn the_local_run_and_the_cluster_plan_the_same() -> anyhow::Result<()> {
    let ns = Namespace::new("same-plan").await?;
    s3::bucket(&s3::client()?, "texts").await?;
    let out = std::env::temp_dir().join(&ns.name);
    let wordcount = local(&ns, &["examples/wordcount"], &out).await?;
    ns.apply_path("examples/wordcount").await?;
    compare(&ns, "wordcount", &wordcount).await?;
    let topic =
        local(&ns, &["examples/topic-wordcount", "--topic", "lines=examples/topic-wordcount/lines.txt"], &out).await?;
    ns.apply_path("examples/topic-wordcount").await?;
    compare(&ns, "topic-wordcount", &topic).await?;
    std::fs::remove_dir_all(&out).ok();
    ns.finish().await
}
