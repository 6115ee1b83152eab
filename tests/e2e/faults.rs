//! A worker, the coordinator and the operator's leader die in mid-job.

use anyhow::{Context, bail};
use aws_sdk_s3::Client;
use serde_json::{Value, json};
use tributary_tests::job::{pipeline, sigkill, signal, text, upload};
use tributary_tests::{JOB_TEMPLATES, Namespace, kubectl, operator, reference, root, s3, until};

/// A running wordcount that has finished some map tasks, but not all; its workers stand still until [`MidJob::go_on`].
struct MidJob {
    ns: Namespace,
    store: Client,
    text: Vec<u8>,
}

const JOB: &str = "wc-count";

impl MidJob {
    /// The job may be through its map tasks before anybody has looked, above all on a busy machine: then there is more to do.
    async fn start(name: &str) -> anyhow::Result<Self> {
        let mut seen = Value::Null;
        for megabytes in [96, 192, 384] {
            let mid = Self::of(name, megabytes).await?;
            seen = mid.wait_engine("anything", |_| true).await?;
            if seen["phase"] == "Mapping" {
                return Ok(mid);
            }
            mid.go_on().await?;
            mid.ns.finish().await?;
        }
        bail!("the job was too quick to be disturbed: {seen}")
    }

    async fn of(name: &str, megabytes: usize) -> anyhow::Result<Self> {
        let ns = Namespace::new(name).await?.with_s3_secret().await?;
        let store = s3::client()?;
        let text = text(megabytes, 7);
        upload(&store, &ns.name, &text, 4).await?;
        let spec = json!({"failure": {"leaseSeconds": 3}, "workers": {"replicas": 3, "slots": 1}});
        ns.apply(&pipeline("wc", &ns.name, &ns.name, spec)?).await?;
        let mid = Self { ns, store, text };
        mid.wait_engine("some map tasks to be finished", |e| e["map"]["finished"].as_u64() >= Some(2)).await?;
        for worker in mid.pods("worker").await? {
            signal(&worker, "STOP")?;
        }
        Ok(mid)
    }

    /// Lets the workers go on, those that are taken for dead meanwhile too.
    async fn go_on(&self) -> anyhow::Result<()> {
        for worker in self.pods("worker").await? {
            signal(&worker, "CONT")?;
        }
        Ok(())
    }

    async fn wait_engine(&self, what: &str, holds: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let job = self.ns.wait("mapreducejob", JOB, what, |job| holds(&job["status"]["engine"])).await?;
        Ok(job["status"]["engine"].clone())
    }

    async fn pods(&self, role: &str) -> anyhow::Result<Vec<Value>> {
        let pods = self.ns.list("pods", &format!("tributary.dev/mapreducejob={JOB},tributary.dev/role={role}")).await?;
        Ok(pods.into_iter().filter(|p| p["status"]["phase"] == "Running").collect())
    }

    /// The job ends Succeeded, and its output is right and alone.
    async fn ends_right(self) -> anyhow::Result<Value> {
        self.go_on().await?;
        self.ns.wait_phase("pipeline", "wc", "Succeeded").await?;
        let job = self.ns.get("mapreducejob", JOB).await?.context("the job")?;
        let prefix = format!("{}/", self.ns.name);
        let output = s3::output(&self.store, "results", &prefix).await?;
        assert_eq!(output.parts.len(), 3, "{:?}", output.parts);
        let mut lines = output.lines;
        lines.sort();
        let mut expected = reference::word_counts(&self.text)?;
        expected.sort();
        assert!(lines == expected, "{} lines instead of {}", lines.len(), expected.len());
        assert_eq!(s3::open_uploads(&self.store, "results", &prefix).await?, Vec::<String>::new());
        self.ns.finish().await?;
        Ok(job["status"]["engine"].clone())
    }
}

#[tokio::test]
async fn a_killed_worker_costs_only_its_tasks() -> anyhow::Result<()> {
    let mid = MidJob::start("kill-worker").await?;
    let victim = mid.pods("worker").await?.into_iter().next().context("a worker")?;
    sigkill(&mid.ns, &victim).await?;
    let engine = mid.ends_right().await?;
    assert!(engine["map"]["lostAttempts"].as_u64() >= Some(1), "the kill hit no attempt: {engine}");
    assert_eq!(engine["map"]["failedAttempts"], 0, "a lost worker costs no attempt: {engine}");
    Ok(())
}

#[tokio::test]
async fn a_killed_coordinator_keeps_what_is_finished() -> anyhow::Result<()> {
    let mid = MidJob::start("kill-coordinator").await?;
    let victim = mid.pods("coordinator").await?.into_iter().next().context("the coordinator")?;
    let before = mid.wait_engine("anything", |_| true).await?;
    assert_eq!(before["epoch"], 1, "{before}");
    sigkill(&mid.ns, &victim).await?;
    let after = mid.wait_engine("the second epoch", |e| e["epoch"].as_u64() >= Some(2)).await?;
    assert!(after["map"]["finished"].as_u64() >= before["map"]["finished"].as_u64(), "{before} -> {after}");
    mid.ends_right().await?;
    Ok(())
}

#[tokio::test]
async fn a_deleted_coordinator_pod_is_replaced() -> anyhow::Result<()> {
    let mid = MidJob::start("delete-coordinator").await?;
    let victim = mid.pods("coordinator").await?.into_iter().next().context("the coordinator")?;
    let name = victim["metadata"]["name"].as_str().context("name")?;
    mid.ns.kubectl(&["delete", "pod", name, "--wait=false"]).await?;
    mid.wait_engine("the second epoch", |e| e["epoch"].as_u64() >= Some(2)).await?;
    mid.ends_right().await?;
    Ok(())
}

#[tokio::test]
async fn a_killed_leader_is_succeeded() -> anyhow::Result<()> {
    let mid = MidJob::start("kill-leader").await?;
    let system = Namespace { name: "tributary-system".into() };
    // another test may just have taken it away
    let (holder, victim) = until("a leader", || async {
        let (holder, pod) = operator::leader().await?;
        Ok((pod.map(|pod| (holder.clone(), pod)), holder))
    })
    .await?;
    let name = victim["metadata"]["name"].as_str().context("name")?.to_owned();
    sigkill(&system, &victim).await?;
    // what is created now needs the new leader, or the old one come back
    mid.ns.apply(&pipeline("second", &mid.ns.name, &format!("{}-second", mid.ns.name), json!({}))?).await?;
    mid.go_on().await?;
    mid.ns.wait_phase("pipeline", "second", "Succeeded").await?;
    until("another process to lead", || async {
        let now = operator::leader().await?.0;
        Ok(((!now.is_empty() && now != holder).then_some(()), now))
    })
    .await?;
    until("the killed replica to be up again", || async {
        let pod = system.get("pod", &name).await?.unwrap_or_default();
        let status = &pod["status"]["containerStatuses"][0];
        Ok(((status["restartCount"].as_u64() >= Some(1) && status["ready"] == true).then_some(()), status.to_string()))
    })
    .await?;
    mid.ends_right().await?;
    Ok(())
}

#[tokio::test]
async fn an_operator_without_its_crds_waits() -> anyhow::Result<()> {
    // the operator ignores what it cannot serve: its pods do not restart for it
    let restarts = async || -> anyhow::Result<u64> {
        let pods = kubectl::json(&[
            "-n",
            "tributary-system",
            "get",
            "pods",
            "-l",
            "app.kubernetes.io/name=tributary-operator",
        ])
        .await?;
        Ok(pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|p| p["status"]["containerStatuses"][0]["restartCount"].as_u64())
            .sum())
    };
    let ns = Namespace::new("late-crd").await?;
    let forget = ["delete", "--ignore-not-found", "crd/odds.late.example.com", "clusterrole/tributary-odds"];
    kubectl::kubectl(&forget).await?;
    let before = restarts().await?;
    let templates = JOB_TEMPLATES.lock().await;
    ns.kubectl(&["delete", "crd", "jobtemplates.tributary.dev"]).await?;
    kubectl::install_types(&root().join("crds/manifests")).await?;
    drop(templates);
    ns.apply(&json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "late"},
        "spec": {"blueprint": {"components": [{"name": "odd", "template": {"apiVersion": "late.example.com/v1", "kind": "Odd", "spec": {}}}]}},
    }))
    .await?;
    let pipeline = ns
        .wait("pipeline", "late", "KindNotInstalled", |p| p["status"]["components"][0]["reason"] == "KindNotInstalled")
        .await?;
    assert!(
        pipeline["status"]["components"][0]["message"].as_str().is_some_and(|m| m.contains("Odd")),
        "{}",
        pipeline["status"]
    );
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "odds.late.example.com"},
        "spec": {"group": "late.example.com", "scope": "Namespaced", "names": {"kind": "Odd", "plural": "odds", "singular": "odd"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "tributary-odds", "labels": {"tributary.dev/aggregate-to-operator": "true", "tributary.dev/aggregate-to-pipeline": "true"}},
        "rules": [{"apiGroups": ["late.example.com"], "resources": ["odds"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]}],
    });
    ns.apply(&role).await?;
    ns.apply(&crd).await?;
    ns.wait("odds.late.example.com", "late-odd", "created once its kind is served", |_| true).await?;
    let patch = r#"{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Up","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
    ns.kubectl(&["patch", "odds.late.example.com", "late-odd", "--subresource=status", "--type=merge", "-p", patch])
        .await?;
    ns.wait("pipeline", "late", "its component Ready", |p| p["status"]["components"][0]["health"] == "Ready").await?;
    assert_eq!(restarts().await?, before);
    kubectl::kubectl(&forget).await?;
    ns.finish().await
}
