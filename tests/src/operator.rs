//! The operator under test, seen from outside: its pods, its leader, its counters, its memory. Without kubectl, which takes more of the
//! machine than a look is worth.

use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use crate::counting::client;

const NAMESPACE: &str = "tributary-system";

/// Its pods.
pub async fn pods() -> anyhow::Result<Vec<Value>> {
    let selector = ListParams::default().labels("app.kubernetes.io/name=tributary-operator");
    let list = Api::<Pod>::namespaced(client().await?, NAMESPACE).list(&selector).await?;
    list.items.into_iter().map(|pod| Ok(serde_json::to_value(pod)?)).collect()
}

/// Who holds the lease, and the pod of that name where there is one.
pub async fn leader() -> anyhow::Result<(String, Option<Value>)> {
    let lease = Api::<Lease>::namespaced(client().await?, NAMESPACE).get("tributary-operator").await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    let pod = pods().await?.into_iter().find(|p| p["metadata"]["name"].as_str().is_some_and(|n| holder.contains(n)));
    Ok((holder, pod))
}

/// The metrics of one pod, as text.
pub async fn metrics(pod: &Value) -> anyhow::Result<String> {
    let name = pod["metadata"]["name"].as_str().context("a pod's name")?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/metrics");
    Ok(client().await?.request_text(http::Request::get(path).body(Vec::new())?).await?)
}

/// The sum of a metric's lines that begin like this.
pub fn sum(metrics: &str, begins: &str) -> f64 {
    let lines = metrics.lines().filter(|l| l.starts_with(begins));
    lines.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Requests that write, of all replicas together. A pod that does not answer counts nothing.
pub async fn writes() -> anyhow::Result<f64> {
    let mut writes = 0.0;
    for pod in pods().await? {
        writes += sum(&metrics(&pod).await.unwrap_or_default(), "tributary_writes_total{");
    }
    Ok(writes)
}

/// Peak resident memory of the largest operator process of this machine, in units of 10^6 bytes; 0 where none is here.
pub fn rss_mb() -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = processes.filter_map(|p| std::fs::read_to_string(p.path().join("status")).ok());
    let ours = statuses.filter(|s| s.lines().next().is_some_and(|l| l.contains("tributary-opera")));
    let field =
        |s: &str| s.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    ours.filter_map(|s| field(&s)).fold(0.0, f64::max) * 1_024.0 / 1e6
}
