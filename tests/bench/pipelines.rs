//! `pipelines`: thousands of Pipelines of five children each, of a kind without pods that a stand-in marks done at once:
//! how many settle a second beside the rate at which a client alone writes what is left of each (the Pipeline, its children, their
//! ends; no status, order or revision), and beside the rate at which children are created with no Pipeline; the operator's
//! memory, its writes when idle, and how long a new leader takes to have seen everything.

mod pipelines {
    pub mod client;
    pub mod objects;
}

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use pipelines::client::Cluster;
use pipelines::objects::{self, CHILDREN};
use serde_json::json;
use tributary_tests::job::sigkill;
use tributary_tests::{Namespace, operator};

/// How long any part may take.
const LIMIT: Duration = Duration::from_secs(1_200);
/// Pipelines that a client writes alone at most: their rate is soon known.
const BARE: usize = 1_000;
/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (mut json, mut pipelines) = (false, 5_000_usize);
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--pipelines" => {
                pipelines = given.next().and_then(|n| n.parse().ok()).context("--pipelines needs a number")?
            }
            _ => anyhow::bail!("usage: pipelines [--json] [--pipelines N]"),
        }
    }
    let ns = Namespace::new("bench-pipelines").await?;
    ns.apply(&objects::definition()).await?;
    ns.apply(&objects::role()).await?;
    ns.kubectl(&["wait", "--for=condition=Established", &format!("crd/widgets.{}", objects::GROUP)]).await?;
    let cluster = Cluster::new(&ns.name).await?;

    let raw_per_s = raw(&cluster, pipelines).await?;
    eprintln!("{raw_per_s:.0} children a second are created with no Pipeline");
    let bare_per_s = bare(pipelines.min(BARE)).await?;
    eprintln!("{bare_per_s:.1} Pipelines a second have all their objects by a client alone");
    let settled_per_s = settle(&cluster, pipelines).await?;
    eprintln!("{settled_per_s:.1} Pipelines settled a second");
    let rss_mb = operator::rss_mb();
    let idle_writes = idle().await?;
    eprintln!("{idle_writes} writes in {IDLE:?} of idleness, {rss_mb:.0} MB");
    let before = cluster.uids().await?;
    let resync_s = resync(&ns, pipelines).await?;
    eprintln!("{resync_s:.1} s from the leader's death until its successor had seen every Pipeline");
    ensure!(cluster.uids().await? == before, "children were created twice or lost");
    ns.finish().await?;
    let report = json!({
        "bench": "pipelines",
        "rows": [
            {"name": "pipelines", "figure": settled_per_s * CHILDREN as f64, "unit": "children/s"},
            {"name": "a client alone", "figure": bare_per_s * CHILDREN as f64, "unit": "children/s"},
            {"name": "raw creates", "figure": raw_per_s, "unit": "children/s"},
        ],
        "ratios": {
            "raw_creates": settled_per_s * CHILDREN as f64 / raw_per_s,
            "client_alone": settled_per_s / bare_per_s,
        },
        "pipelines": pipelines, "settled_per_s": settled_per_s, "rss_mb": rss_mb, "idle_writes": idle_writes,
        "resync_s": resync_s, "checked": true,
    });
    if json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    Ok(())
}

/// How many children a second the apiserver takes without any Pipeline.
async fn raw(cluster: &Cluster, pipelines: usize) -> anyhow::Result<f64> {
    let objects: Vec<_> = (0..pipelines).map(|i| objects::widget(&format!("raw-{i}"))).collect();
    let start = Instant::now();
    cluster.create_widgets(objects).await?;
    Ok(pipelines as f64 / start.elapsed().as_secs_f64())
}

/// How many Pipelines a second have all their objects where nobody observes, orders or tells: the most that the apiserver could do.
async fn bare(pipelines: usize) -> anyhow::Result<f64> {
    let ns = Namespace::new("bench-bare").await?;
    let cluster = Cluster::new(&ns.name).await?;
    let stand_in = cluster.mark_done();
    let done = cluster.count_done().await?;
    let start = Instant::now();
    cluster.create_bare(pipelines).await?;
    while done.get() < pipelines * CHILDREN {
        ensure!(start.elapsed() < LIMIT, "{} of {pipelines} within {LIMIT:?}", done.get() / CHILDREN);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    stand_in.abort();
    ns.remove().await?;
    Ok(pipelines as f64 / seconds)
}

/// How many Pipelines a second go from creation to Succeeded.
async fn settle(cluster: &Cluster, pipelines: usize) -> anyhow::Result<f64> {
    let stand_in = cluster.mark_done();
    let succeeded = cluster.count_succeeded().await?;
    let start = Instant::now();
    cluster.create_pipelines((0..pipelines).map(|i| objects::pipeline(&format!("p-{i}"))).collect()).await?;
    let mut next = Duration::from_secs(10);
    while succeeded.get() < pipelines {
        ensure!(start.elapsed() < LIMIT, "{} of {pipelines} within {LIMIT:?}", succeeded.get());
        if start.elapsed() > next {
            eprintln!("  {} of {pipelines} after {:.0?}", succeeded.get(), start.elapsed());
            next = start.elapsed() + Duration::from_secs(10);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    stand_in.abort();
    Ok(pipelines as f64 / seconds)
}

/// Writes of the operator while nothing happens, once it is done with what happened before.
async fn idle() -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut before = operator::writes().await?;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let now = operator::writes().await?;
        if now == before {
            break;
        }
        ensure!(start.elapsed() < LIMIT, "the operator never stops writing");
        before = now;
    }
    tokio::time::sleep(IDLE).await;
    Ok(operator::writes().await? - before)
}

/// Seconds from the leader's death until another has decided about every Pipeline.
async fn resync(ns: &Namespace, pipelines: usize) -> anyhow::Result<f64> {
    let (old, pod) = operator::leader().await?;
    sigkill(ns, &pod.context("the leader's pod")?).await?;
    let start = Instant::now();
    loop {
        ensure!(start.elapsed() < LIMIT, "no successor");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (holder, pod) = operator::leader().await?;
        let Some(pod) = pod.filter(|_| holder != old) else { continue };
        // a pod that has just begun does not answer yet
        let metrics = operator::metrics(&pod).await.unwrap_or_default();
        let decided = operator::sum(&metrics, "tributary_reconciles_total{controller=\"Pipeline\",result=\"ok\"}");
        if decided >= pipelines as f64 {
            return Ok(start.elapsed().as_secs_f64());
        }
    }
}
