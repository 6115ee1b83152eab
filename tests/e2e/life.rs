//! A Pipeline's life: revisions, an edit, a Blueprint that is deleted, a run more, a rollback, the end.

use anyhow::Context;
use serde_json::{Value, json};
use tributary_tests::{Namespace, env, s3};

const BLUEPRINT: &str = "words";
const PIPELINE: &str = "life";

fn blueprint(workspace: &Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Blueprint", "metadata": {"name": BLUEPRINT}, "spec": {
        "parameters": {"text": {"type": "string"}},
        "components": [{"name": "count", "template": {
            "apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "spec": {
                "input": {"strings": ["${parameters.text}"]}, "map": {"operator": "Words"}, "reduce": {"operator": "Sum"},
                "output": {"results": {"limit": 10}}, "workers": {"replicas": 1}, "workspace": workspace}}}]}})
}

fn pipeline(text: &str) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": PIPELINE}, "spec": {
        "blueprintRef": {"name": BLUEPRINT}, "parameters": {"text": text}}})
}

/// The words that the Pipeline's job has counted, once it has ended in this revision and run.
async fn counted(ns: &Namespace, revision: i64, run: i64) -> anyhow::Result<Vec<String>> {
    let pipeline = ns
        .wait("pipeline", PIPELINE, &format!("Succeeded in run {run} of revision {revision}"), |p| {
            let status = &p["status"];
            status["phase"] == "Succeeded" && status["revision"] == revision && status["run"] == run
        })
        .await?;
    let results = &pipeline["status"]["components"][0]["outputs"]["results"];
    let rows = results.as_array().with_context(|| format!("results: {}", pipeline["status"]))?;
    let mut words: Vec<String> = rows.iter().filter_map(|r| r["key"].as_str().map(str::to_owned)).collect();
    words.sort();
    Ok(words)
}

async fn patch(ns: &Namespace, patch: &Value) -> anyhow::Result<()> {
    ns.kubectl(&["patch", "pipeline", PIPELINE, "--type=merge", "-p", &patch.to_string()]).await.map(drop)
}

#[tokio::test]
async fn a_pipeline_runs_from_its_revisions_and_goes_back_to_them() -> anyhow::Result<()> {
    let ns = Namespace::new("life").await?.with_s3_secret().await?;
    s3::bucket(&s3::client()?, "results").await?;
    let workspace = json!({"uri": format!("s3://results/{}", ns.name), "endpoint": env("TRIBUTARY_S3")?, "pathStyle": true,
        "secretRef": {"name": "s3"}});
    ns.apply(&blueprint(&workspace)).await?;
    ns.apply(&pipeline("to be")).await?;
    assert_eq!(counted(&ns, 1, 1).await?, ["be", "to"]);
    let kept = ns.get("controllerrevision", "life-r1").await?.context("revision 1")?;
    assert_eq!((&kept["data"]["parameters"]["text"], &kept["revision"]), (&json!("to be"), &json!(1)));
    assert_eq!(kept["metadata"]["ownerReferences"][0]["kind"], "Pipeline");

    patch(&ns, &json!({"spec": {"parameters": {"text": "or not"}}})).await?;
    assert_eq!(counted(&ns, 2, 1).await?, ["not", "or"]);
    let edited = ns.get("pipeline", PIPELINE).await?.context("the Pipeline")?;
    let change = &edited["status"]["components"][0]["change"];
    assert_eq!((&change["effect"], &change["revision"]), (&json!("replace"), &json!(2)), "{edited}");

    ns.kubectl(&["delete", "blueprint", BLUEPRINT]).await?;
    ns.wait("pipeline", PIPELINE, "told that its Blueprint is gone", |p| {
        let conditions = p["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "UpToDate" && c["reason"] == "BlueprintNotFound")
    })
    .await?;
    patch(&ns, &json!({"spec": {"run": 2}})).await?;
    assert_eq!(counted(&ns, 2, 2).await?, ["not", "or"]);
    assert!(ns.get("mapreducejob.tributary.dev", "life-count-2").await?.is_some());

    patch(&ns, &json!({"spec": {"revision": 1}})).await?;
    assert_eq!(counted(&ns, 1, 2).await?, ["be", "to"]);

    ns.kubectl(&["delete", "pipeline", PIPELINE]).await?;
    ns.wait_gone("pipeline", PIPELINE).await?;
    for number in [1, 2] {
        ns.wait_gone("controllerrevision", &format!("life-r{number}")).await?;
    }
    assert!(ns.list("mapreducejobs.tributary.dev", "").await?.is_empty());
    ns.finish().await
}
