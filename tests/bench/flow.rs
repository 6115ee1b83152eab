//! `flow`: JobFlows on nodes that kwok simulates: many small ones at once beside the same Jobs without a flow, one large
//! one, one chain, and a DaemonJob over many nodes that come and go.

mod flow {
    pub mod cluster;
    pub mod objects;
    pub mod watch;
}

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use flow::cluster::{self, Figures};
use flow::objects::{self, STEPS};
use flow::watch::Watches;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tributary_tests::counting::Counter;
use tributary_tests::{Namespace, operator};

/// How long any part may take.
const LIMIT: Duration = Duration::from_secs(1_800);
/// Processes that create objects at once.
const CREATORS: usize = 10;

struct Args {
    json: bool,
    flows: usize,
    steps: usize,
    columns: usize,
    nodes: usize,
    /// The one part to run, of all.
    only: Option<String>,
    /// Where the latencies of many flows go.
    samples: Option<String>,
}

const PARTS: [&str; 5] = ["chain", "plain", "many", "large", "daemon"];
const USAGE: &str = "usage: flow [--json] [--flows N] [--steps N] [--columns N] [--nodes N] \
                     [--only chain|plain|many|large|daemon] [--samples FILE]";

fn args() -> anyhow::Result<Args> {
    let mut args =
        Args { json: false, flows: 1_000, steps: 5_000, columns: 1, nodes: 2_000, only: None, samples: None };
    let mut given = std::env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut value = || given.next().with_context(|| format!("{arg} needs a value"));
        let mut number = || value()?.parse().with_context(|| format!("{arg} needs a number"));
        match arg.as_str() {
            "--json" => args.json = true,
            "--flows" => args.flows = number()?,
            "--steps" => args.steps = number()?,
            "--columns" => args.columns = number()?.max(1),
            "--nodes" => args.nodes = number()?,
            "--only" => {
                let part = value()?;
                ensure!(PARTS.contains(&part.as_str()), USAGE);
                args.only = Some(part);
            }
            "--samples" => args.samples = Some(value()?),
            _ => anyhow::bail!(USAGE),
        }
    }
    Ok(args)
}

/// What the parts have come to that ran.
#[derive(Default)]
struct Results {
    chain_s: Option<f64>,
    /// Jobs a second.
    plain: Option<f64>,
    many: Option<Figures>,
    large: Option<Figures>,
    daemon_s: Option<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = args()?;
    let wanted = |part: &str| args.only.as_deref().is_none_or(|only| only == part);
    let mut results = Results::default();
    if wanted("chain") {
        let seconds = *results.chain_s.insert(chain_of_five().await?);
        eprintln!("a chain of {STEPS} steps: {seconds:.2} s");
    }
    if wanted("plain") {
        let rate = *results.plain.insert(plain_jobs(args.flows * STEPS).await?);
        eprintln!("{} Jobs without a flow: {rate:.1} a second", args.flows * STEPS);
    }
    if wanted("many") {
        let figures = results.many.insert(many_flows(args.flows, args.samples.as_deref()).await?);
        eprintln!("{} flows: {figures:?}", args.flows);
    }
    if wanted("large") {
        let figures = results.large.insert(large_flow(args.steps, args.columns).await?);
        eprintln!("one flow of {} steps in {} columns: {figures:?}", args.steps, args.columns);
    }
    if wanted("daemon") {
        let seconds = *results.daemon_s.insert(daemon(args.nodes).await?);
        eprintln!("a DaemonJob over {} nodes: {seconds:.1} s", args.nodes);
    }
    let report = results.report(&args);
    if args.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    Ok(())
}

impl Results {
    /// One object; `null` for what did not run.
    fn report(&self, args: &Args) -> Value {
        let of_many = |figure: fn(&Figures) -> f64| self.many.as_ref().map(figure);
        let of_large = |figure: fn(&Figures) -> f64| self.large.as_ref().map(figure);
        json!({
            "bench": "flow",
            "step_latency_ms": {
                "p50": of_large(|l| l.p50_ms), "p99": of_large(|l| l.p99_ms),
                "many": {"p50": of_many(|m| m.p50_ms), "p99": of_many(|m| m.p99_ms)},
            },
            "ratios": {"plain_jobs": self.many.zip(self.plain).map(|(many, plain)| many.steps_per_s / plain)},
            "flows_per_min": of_many(|m| m.steps_per_s / STEPS as f64 * 60.0),
            "writes_per_step": of_many(|m| m.writes_per_step),
            "rss_mb": self.many.iter().chain(&self.large).map(|f| f.rss_mb).reduce(f64::max),
            "chain_s": self.chain_s,
            "large": {
                "steps": args.steps, "columns": args.columns,
                "seconds": of_large(|l| l.seconds), "writes_per_step": of_large(|l| l.writes_per_step),
            },
            "daemonjob_s": self.daemon_s,
            "checked": true,
        })
    }
}

/// One chain on an idle cluster, from its creation to Succeed; the median of three.
async fn chain_of_five() -> anyhow::Result<f64> {
    let ns = Namespace::new("bench-chain").await?;
    let mut all = Vec::new();
    for run in 0..3 {
        let name = format!("chain-{run}");
        let start = Instant::now();
        ns.apply(&objects::chain(&name)).await?;
        ns.wait("jobflow", &name, "Succeed", |f| f["status"]["state"] == "Succeed").await?;
        all.push(start.elapsed().as_secs_f64());
    }
    ns.finish().await?;
    all.sort_by(f64::total_cmp);
    Ok(all[1])
}

/// So many Jobs created all at once; gives how many completed a second.
async fn plain_jobs(jobs: usize) -> anyhow::Result<f64> {
    let ns = Namespace::new("bench-plain").await?;
    // looked at as closely as the flows are
    let watches = Watches::start(&ns.name).await?;
    let gvk = GroupVersionKind::gvk("batch", "v1", "Job");
    let done = Counter::start(&ns.name, &gvk, |status| status["succeeded"] == 1).await?;
    let start = Instant::now();
    let all = (0..jobs).map(|i| objects::job(&format!("job-{i}"))).collect();
    cluster::create(&ns, all, CREATORS).await?;
    wait_until(|| async { Ok(done.get() == jobs) }).await?;
    let rate = jobs as f64 / start.elapsed().as_secs_f64();
    drop(watches);
    ns.remove().await?;
    Ok(rate)
}

/// So many chains at once. Each latency goes to the file: the second it was seen at, and how long it was.
async fn many_flows(flows: usize, samples: Option<&str>) -> anyhow::Result<Figures> {
    let ns = Namespace::new("bench-many").await?;
    let watches = Watches::start(&ns.name).await?;
    let before = operator::writes().await?;
    let done = succeeded(&ns).await?;
    let start = Instant::now();
    let all = (0..flows).map(|i| objects::chain(&format!("chain-{i}"))).collect();
    cluster::create(&ns, all, CREATORS).await?;
    wait_until(|| async { Ok(done.get() == flows) }).await?;
    let seconds = start.elapsed().as_secs_f64();
    let latencies = watches.stop().latencies();
    if let Some(file) = samples {
        let line = |(at, latency): &(Instant, f64)| format!("{:.3} {latency:.3}\n", (*at - start).as_secs_f64());
        std::fs::write(file, latencies.iter().map(line).collect::<String>())?;
    }
    let figures = Figures::of(&latencies, before, flows * STEPS, seconds).await?;
    ns.remove().await?;
    Ok(figures)
}

/// One flow of so many steps, in so many chains beside each other.
async fn large_flow(steps: usize, columns: usize) -> anyhow::Result<Figures> {
    let ns = Namespace::new("bench-large").await?;
    ns.apply(&objects::template()).await?;
    let watches = Watches::start(&ns.name).await?;
    let before = operator::writes().await?;
    let done = succeeded(&ns).await?;
    let start = Instant::now();
    cluster::create(&ns, vec![objects::large(steps, columns)], 1).await?;
    wait_until(|| async { Ok(done.get() == 1) }).await?;
    let seconds = start.elapsed().as_secs_f64();
    let figures = Figures::of(&watches.stop().latencies(), before, steps, seconds).await?;
    ns.remove().await?;
    Ok(figures)
}

/// A DaemonJob over so many fake nodes, some of which come and go meanwhile.
async fn daemon(nodes: usize) -> anyhow::Result<f64> {
    let ns = Namespace::new("bench-daemon").await?;
    let name = |n: usize| format!("many-{n}");
    // of a run that was cut short
    cluster::remove_all_nodes().await?;
    cluster::make_nodes((0..nodes).map(name)).await?;
    let start = Instant::now();
    ns.apply(&objects::daemon()).await?;
    ns.wait("daemonjob", "everywhere", "some nodes to be done", |d| d["status"]["succeeded"].as_i64() > Some(10))
        .await?;
    cluster::make_nodes((nodes..nodes + 20).map(name)).await?;
    cluster::remove_nodes((0..20).map(name)).await?;
    wait_until(|| async {
        let daemon = ns.get("daemonjob", "everywhere").await?.unwrap_or_default();
        Ok(daemon["status"]["state"] == "Succeed" && daemon["status"]["nodes"] == nodes)
    })
    .await?;
    let seconds = start.elapsed().as_secs_f64();
    let daemon = ns.get("daemonjob", "everywhere").await?.unwrap_or_default();
    let jobs = ns.list("jobs", "tributary.dev/daemonjob=everywhere").await?;
    let of = |job: &Value| job["metadata"]["annotations"]["tributary.dev/node"].as_str().unwrap_or_default().to_owned();
    let mut on: Vec<String> = jobs.iter().map(of).collect();
    on.sort();
    on.dedup();
    // the Job of a node that went after it was done stays
    let is_right = on.len() == jobs.len() && (nodes..=nodes + 20).contains(&jobs.len());
    ensure!(is_right, "{} Jobs on {} nodes", jobs.len(), on.len());
    ensure!(daemon["status"]["failed"] == 0, "{}", daemon["status"]);
    cluster::remove_all_nodes().await?;
    ns.finish().await?;
    Ok(seconds)
}

/// Counts the flows that have succeeded.
async fn succeeded(ns: &Namespace) -> anyhow::Result<Counter> {
    let gvk = GroupVersionKind::gvk("tributary.dev", "v1alpha1", "JobFlow");
    Counter::start(&ns.name, &gvk, |status| status["state"] == "Succeed").await
}

async fn wait_until<F, Fut>(mut holds: F) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<bool>>,
{
    let end = Instant::now() + LIMIT;
    while !holds().await? {
        ensure!(Instant::now() < end, "not done within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
