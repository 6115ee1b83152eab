//! The cluster as the benchmark uses it, and what the operator says of itself.

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};
use tributary_tests::{Namespace, kubectl, kubectl::run, operator};

use super::objects;

/// Creates objects by so many processes at once.
pub async fn create(ns: &Namespace, objects: Vec<Value>, processes: usize) -> anyhow::Result<()> {
    let size = objects.len().div_ceil(processes).max(1);
    let lists =
        objects.chunks(size).map(|items| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let mut all = tokio::task::JoinSet::new();
    for list in lists {
        let namespace = ns.name.clone();
        all.spawn(async move { run(&["-n", &namespace, "create", "-f", "-"], &list).await });
    }
    while let Some(out) = all.join_next().await {
        let out = out??;
        ensure!(out.ok, "kubectl create: {}", out.stderr);
    }
    Ok(())
}

/// Makes fake nodes.
pub async fn make_nodes(names: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let items: Vec<Value> = names.map(|name| objects::node(&name)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let out = run(&["create", "-f", "-"], &list).await?;
    ensure!(out.ok, "kubectl create: {}", out.stderr);
    Ok(())
}

/// Removes nodes.
pub async fn remove_nodes(names: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let names: Vec<String> = names.collect();
    let mut args = vec!["delete", "node", "--wait=false", "--ignore-not-found"];
    args.extend(names.iter().map(String::as_str));
    kubectl(&args).await.map(drop)
}

/// Removes all that this benchmark has made: in one request, since kubectl makes five a second.
pub async fn remove_all_nodes() -> anyhow::Result<()> {
    kubectl(&["delete", "--raw", "/api/v1/nodes?labelSelector=many%3Dyes"]).await.map(drop)
}

/// What a part has come to.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From a dependency's end to its child's creation, the median.
    pub p50_ms: f64,
    /// The same, 99 of 100.
    pub p99_ms: f64,
    /// Requests of the operator that write.
    pub writes_per_step: f64,
    /// Peak memory of the operator.
    pub rss_mb: f64,
    /// From creation to the end.
    pub seconds: f64,
    /// Steps that ended a second.
    pub steps_per_s: f64,
}

impl Figures {
    /// From latencies in seconds, and when they were seen.
    pub async fn of(seen: &[(Instant, f64)], before: f64, steps: usize, seconds: f64) -> anyhow::Result<Self> {
        ensure!(!seen.is_empty(), "no latency was seen");
        let mut latencies: Vec<f64> = seen.iter().map(|(_, latency)| *latency).collect();
        latencies.sort_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] * 1e3;
        let writes = operator::writes().await? - before;
        Ok(Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            writes_per_step: writes / steps as f64,
            rss_mb: operator::rss_mb(),
            seconds,
            steps_per_s: steps as f64 / seconds,
        })
    }
}
