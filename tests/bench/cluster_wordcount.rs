//! `cluster-wordcount`: a word count through S3 and real pods, from `kubectl apply` to Succeeded, beside a plain Job whose
//! one container does nothing: what the cluster itself takes for a pod.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tributary_tests::job::{pipeline, text, upload};
use tributary_tests::{Namespace, env, s3};

/// Units of 2^20 bytes of text.
const MEGABYTES: usize = 100;
/// Runs; medians are reported.
const RUNS: usize = 3;
/// Objects of the text.
const OBJECTS: usize = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let json = std::env::args().any(|arg| arg == "--json");
    let ns = Namespace::new("bench-wc").await?.with_s3_secret().await?;
    let store = s3::client()?;
    let text = text(MEGABYTES, 11);
    upload(&store, &ns.name, &text, OBJECTS).await?;
    let expected = counted(&text);
    let (mut jobs, mut first, mut plain, mut checked) = (Vec::new(), Vec::new(), Vec::new(), true);
    for run in 0..RUNS {
        let output = format!("{}-{run}", ns.name);
        let name = format!("run{run}");
        let spec = json!({"input": {"s3": {"splitSize": "8Mi"}}, "workers": {"replicas": 2}});
        let object = pipeline(&name, &ns.name, &output, spec)?;
        let applied = since_epoch();
        ns.apply(&object).await?;
        ns.wait_phase("pipeline", &name, "Succeeded").await?;
        jobs.push((since_epoch() - applied).as_secs_f64());
        let job = ns.get("mapreducejob", &format!("{name}-count")).await?.context("the job")?;
        first.push(at(&job["status"]["engine"]["firstTaskTime"])? - applied.as_secs_f64());
        let lines = s3::output(&store, "results", &format!("{output}/")).await?.lines;
        checked &= lines.len() == expected.len() && lines.iter().all(|line| holds(&expected, line));
        plain.push(plain_job(&ns, run).await?);
    }
    ns.finish().await?;
    let (job, first, plain) = (median(jobs), median(first), median(plain));
    let megabytes = (text.len() / 1_000_000) as f64;
    let report = json!({
        "bench": "cluster-wordcount",
        "rows": [
            {"name": "tributary", "wall_s": job, "cpu_s": null, "rss_mb": null, "figure": megabytes / job, "unit": "MB per second, apply to Succeeded"},
            {"name": "first-map-task", "wall_s": first, "cpu_s": null, "rss_mb": null, "figure": first, "unit": "seconds from apply"},
            {"name": "plain-job", "wall_s": plain, "cpu_s": null, "rss_mb": null, "figure": plain, "unit": "seconds, one pod that does nothing"},
        ],
        "ratios": {"plain-job": plain / job},
        "checked": checked,
    });
    if json {
        println!("{report}");
    } else {
        println!("{megabytes} MB: {job:.1} s, first map task after {first:.1} s; a plain Job of one pod: {plain:.1} s");
    }
    ensure!(checked, "the output is not what it should be");
    Ok(())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since 1970 of a time in a status.
fn at(time: &Value) -> anyhow::Result<f64> {
    let time: Timestamp = time.as_str().context("no time")?.parse()?;
    Ok(time.as_duration().as_secs_f64())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn counted(text: &[u8]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in String::from_utf8_lossy(text).split_ascii_whitespace() {
        match counts.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(counts.insert(word.to_owned(), 1)),
        }
    }
    counts
}

fn holds(expected: &BTreeMap<String, u64>, line: &str) -> bool {
    line.split_once('\t').is_some_and(|(word, count)| expected.get(word).is_some_and(|n| n.to_string() == count))
}

/// Seconds that a Job takes whose container ends at once.
async fn plain_job(ns: &Namespace, run: usize) -> anyhow::Result<f64> {
    let name = format!("plain{run}");
    // an image that is there already; `--help` ends at once
    let image = env("TRIBUTARY_ENGINE_IMAGE")?;
    let container = json!({"name": "c", "image": image, "imagePullPolicy": "IfNotPresent", "args": ["--help"]});
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    });
    let applied = since_epoch();
    ns.apply(&job).await?;
    ns.wait("job", &name, "complete", |job| job["status"]["succeeded"] == 1).await?;
    Ok((since_epoch() - applied).as_secs_f64())
}
