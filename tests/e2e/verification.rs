//! One blueprint, one set of problems: in the CLI, at admission and in the controller.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tributary_tests::cli::tributary;
use tributary_tests::job::{pipeline, text, upload};
use tributary_tests::{Namespace, kubectl, s3, until};

/// A kind that the operator has never heard of, and whose schema only the cluster knows.
fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("turbines.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"kind": "Turbine", "plural": "turbines", "singular": "turbine"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {
                    "blades": {"type": "integer"}, "wind": {"type": "string", "enum": ["north", "south"]}}}}}}}],
        },
    })
}

/// Blueprints that are wrong in many ways, all at once: names, ports, cycles, expressions, types, schemas.
fn broken(group: &str) -> Value {
    let job = |spec: Value| json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "spec": spec});
    let words = json!({"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}});
    json!({
        "parameters": {"n": {"type": "integer", "default": 3}},
        "datasets": [{"name": "text", "location": "texts/in"}, {"name": "counts", "location": "results/out"}],
        "components": [
            {"name": "count", "reads": {"input": "txet"}, "writes": {"output": "counts"}, "template": job(words.clone())},
            {"name": "typo", "reads": {"input": "text"}, "writes": {"output": "counts"},
                "template": job(json!({"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "partitoins": 3}))},
            {"name": "a", "after": ["b"], "when": "${parameters.n}", "template": job(words.clone())},
            {"name": "b", "after": ["a"], "template": job(words)},
            {"name": "turn", "template": {"apiVersion": format!("{group}/v1"), "kind": "Turbine",
                "spec": {"blades": "${pipeline.name}", "wnd": "north"}}},
            {"name": "serve", "template": {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicsa": 1,
                "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "${parameters.m}"}]}}}}},
        ],
    })
}

type Found = BTreeSet<(String, String)>;

/// The path and the message, suggestion included, of each.
fn found(list: &Value) -> anyhow::Result<Found> {
    let one = |p: &Value| {
        let text = |field: &str| p[field].as_str().map(str::to_owned);
        let near = text("suggestion").map_or(String::new(), |s| format!(" (did you mean `{s}`?)"));
        Some((text("path")?, text("message")? + &near))
    };
    list.as_array().and_then(|l| l.iter().map(one).collect()).with_context(|| format!("no problems: {list}"))
}

async fn admission_is_up() -> anyhow::Result<()> {
    until("the webhook's certificate to be known", || async {
        let hook = kubectl::json(&["get", "validatingwebhookconfiguration", "tributary-webhook"]).await?;
        let known = hook["webhooks"][0]["clientConfig"]["caBundle"].as_str().is_some_and(|b| !b.is_empty());
        Ok((known.then_some(()), hook["webhooks"][0]["clientConfig"].to_string()))
    })
    .await
}

struct Files(PathBuf);

impl Files {
    fn new(ns: &Namespace) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(&ns.name);
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    fn write(&self, name: &str, object: &Value) -> anyhow::Result<String> {
        let path = self.0.join(name);
        std::fs::write(&path, object.to_string())?;
        Ok(path.to_string_lossy().into_owned())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[tokio::test]
async fn cli_webhook_and_controller_say_the_same() -> anyhow::Result<()> {
    let admitted = Namespace::new("same-problems").await?;
    admission_is_up().await?;
    let unadmitted = Namespace::unadmitted("same-problems-off").await?;
    let files = Files::new(&admitted)?;
    let group = format!("{}.example.com", admitted.name);
    let crd = definition(&group);
    admitted.apply(&crd).await?;
    let api = |kind: &str, spec: Value| json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind, "metadata": {"name": "bad"}, "spec": spec});
    for (kind, object) in [
        ("blueprint", api("Blueprint", broken(&group))),
        ("pipeline", api("Pipeline", json!({"blueprint": broken(&group), "parameters": {"m": 1}}))),
    ] {
        let paths = [files.write("crd.json", &crd)?, files.write("bad.json", &object)?];
        let cli = tributary(&["verify", "-o", "json", "--crds", &paths[0], &paths[1]]).await?;
        let by_cli = found(&serde_json::from_str(&cli.stdout).context(cli.stderr)?)?;
        ensure!(!cli.ok && by_cli.len() >= 8, "{by_cli:#?}");

        unadmitted.apply(&object).await?;
        let seen = unadmitted.wait(kind, "bad", "its problems", |o| !o["status"]["problems"].is_null()).await?;
        assert_eq!(found(&seen["status"]["problems"])?, by_cli, "controller and CLI, {kind}");

        let out = admitted.try_apply(&object).await?;
        ensure!(!out.ok, "the {kind} was admitted");
        let missing: Vec<_> = by_cli.iter().filter(|(p, m)| !out.stderr.contains(&format!("{p}: {m}"))).collect();
        assert!(missing.is_empty(), "{missing:#?} are not in\n{}", out.stderr);
        let lines = out.stderr.lines().filter(|l| l.contains("spec.")).count();
        assert_eq!(lines, by_cli.len(), "the webhook says more than the CLI:\n{}", out.stderr);
    }
    let children = unadmitted.list("mapreducejobs,deployments", "tributary.dev/pipeline=bad").await?;
    assert!(children.is_empty(), "{children:?}");
    admitted.kubectl(&["delete", "crd", &format!("turbines.{group}")]).await?;
    unadmitted.finish().await?;
    admitted.finish().await
}

#[tokio::test]
async fn the_webhooks_authority_comes_back_when_it_is_lost() -> anyhow::Result<()> {
    let ns = Namespace::new("authority").await?;
    admission_is_up().await?;
    let bundle = || async {
        let hook = kubectl::json(&["get", "validatingwebhookconfiguration", "tributary-webhook"]).await?;
        anyhow::Ok(hook["webhooks"][0]["clientConfig"]["caBundle"].clone())
    };
    let before = bundle().await?;
    kubectl(&["-n", "tributary-system", "delete", "secret", "tributary-webhook"]).await?;
    until("another authority", || async { Ok(((bundle().await? != before).then_some(()), String::new())) }).await?;
    let flow = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "JobFlow", "metadata": {"name": "bad"}, "spec": {"flows": [
        {"name": "a", "dependencies": ["b"], "jobTemplate": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}]}});
    // a replica that has yet to see it fails its handshake, and the object is let through
    until("a refusal under the new authority", || async {
        let out = ns.try_apply(&flow).await?;
        if out.ok {
            ns.kubectl(&["delete", "jobflow", "bad"]).await?;
        }
        Ok(((!out.ok && out.stderr.contains("spec.flows[0].dependencies[0]")).then_some(()), out.stderr))
    })
    .await?;
    ns.finish().await
}

#[tokio::test]
async fn a_new_pipeline_comes_with_its_finalizer_unless_it_is_somebody_elses() -> anyhow::Result<()> {
    let ns = Namespace::new("guarded").await?;
    let created = |spec: Value| {
        let object = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p"}, "spec": spec});
        let create = ["-n", &ns.name, "create", "--dry-run=server", "-o", "json", "-f", "-"];
        async move {
            let out = kubectl::run(&create, &object.to_string()).await?;
            ensure!(out.ok, "{}", out.stderr);
            anyhow::Ok(serde_json::from_str::<Value>(&out.stdout)?["metadata"]["finalizers"].clone())
        }
    };
    // by no write of the operator's: nothing is stored
    until("a finalizer by admission", || async {
        let finalizers = created(json!({"blueprintRef": {"name": "none"}})).await?;
        Ok(((finalizers == json!(["tributary.dev/finalizer"])).then_some(()), finalizers.to_string()))
    })
    .await?;
    let others = created(json!({"blueprintRef": {"name": "none"}, "managedBy": "example.com/other"})).await?;
    assert_eq!(others, Value::Null);
    ns.finish().await
}

#[tokio::test]
async fn plan_and_graph_show_what_the_cluster_has() -> anyhow::Result<()> {
    let ns = Namespace::new("live").await?.with_s3_secret().await?;
    let files = Files::new(&ns)?;
    upload(&s3::client()?, &ns.name, &text(1, 3), 2).await?;
    let mut object = pipeline("live", &ns.name, &ns.name, json!({"workers": {"replicas": 1}}))?;
    object["metadata"]["namespace"] = json!(ns.name);
    let path = files.write("live.json", &object)?;
    let plan = tributary(&["plan", "--cluster", "-o", "json", &path]).await?;
    let effects = |text: &str| -> anyhow::Result<Vec<String>> {
        let list: Vec<Value> = serde_json::from_str(text)?;
        Ok(list.iter().filter(|c| c["name"] == "count").map(|c| c["effect"].to_string()).collect())
    };
    ensure!(plan.ok, "{}", plan.stderr);
    let new = effects(&plan.stdout)?;
    ns.apply(&object).await?;
    ns.wait_phase("pipeline", "live", "Succeeded").await?;
    let same = effects(&tributary(&["plan", "--cluster", "-o", "json", &path]).await?.stdout)?;
    object["spec"]["blueprint"]["components"][0]["template"]["spec"]["partitions"] = json!(5);
    let path = files.write("live.json", &object)?;
    let edited = effects(&tributary(&["plan", "--cluster", "-o", "json", &path]).await?.stdout)?;
    assert!(new != same && same != edited && new != edited, "{new:?} {same:?} {edited:?}");
    for format in ["text", "ascii", "mermaid", "dot", "svg"] {
        let graph = tributary(&["graph", "--live", "-o", format, &path]).await?;
        ensure!(graph.ok && graph.stdout.contains("Succeeded"), "{format}: {} {}", graph.stdout, graph.stderr);
    }
    ns.finish().await
}
