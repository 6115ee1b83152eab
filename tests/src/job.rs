//! Jobs that tests make: text of any size, a wordcount over it, and signals to its pods.

use std::process::Command;

use anyhow::{Context, ensure};
use aws_sdk_s3::Client;
use serde_json::{Value, json};

use crate::{Namespace, env, s3};

/// `megabytes` of text made of words drawn unevenly, the same for the same `seed`.
pub fn text(megabytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(megabytes << 20);
    while out.len() < megabytes << 20 {
        let spread = 1 << (next() % 17);
        out.extend_from_slice(format!("w{:x}", next() % spread).as_bytes());
        out.push(if next() % 12 == 0 { b'\n' } else { b' ' });
    }
    out.push(b'\n');
    out
}

/// Puts the text in `objects` objects below `texts/<prefix>/`, and makes the buckets.
pub async fn upload(store: &Client, prefix: &str, text: &[u8], objects: usize) -> anyhow::Result<()> {
    s3::bucket(store, "texts").await?;
    s3::bucket(store, "results").await?;
    let lines: Vec<_> = text.split_inclusive(|b| *b == b'\n').collect();
    for (i, chunk) in lines.chunks(lines.len().div_ceil(objects)).enumerate() {
        s3::put(store, "texts", &format!("{prefix}/{i:03}.txt"), chunk.concat()).await?;
    }
    Ok(())
}

/// A Pipeline with one wordcount from `texts/<name>/` to `results/<output>/`; `spec` is merged over the job's.
pub fn pipeline(name: &str, input: &str, output: &str, spec: Value) -> anyhow::Result<Value> {
    let mut job = json!({
        "map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "partitions": 3,
        "input": {"s3": {"splitSize": "1Mi"}}, "output": {"s3": {"ifExists": "Replace"}},
    });
    merge(&mut job, spec);
    Ok(json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": name},
        "spec": {
            "stores": {"data": {"endpoint": env("TRIBUTARY_S3")?, "region": "us-east-1", "pathStyle": true, "secretRef": {"name": "s3"}}},
            "blueprint": {
                "datasets": [
                    {"name": "text", "store": "data", "location": format!("texts/{input}")},
                    {"name": "counts", "store": "data", "location": format!("results/{output}")},
                ],
                "components": [{
                    "name": "count", "reads": {"input": "text"}, "writes": {"output": "counts"},
                    "template": {"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "spec": job},
                }],
            },
        },
    }))
}

/// Merges `over` into `base`, object by object.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Sends SIGKILL to the processes of a pod, where they run on this machine; elsewhere deletes the pod by force.
pub async fn sigkill(ns: &Namespace, pod: &Value) -> anyhow::Result<()> {
    let name = pod["metadata"]["name"].as_str().context("name")?;
    if signal(pod, "KILL")? == 0 {
        ns.kubectl(&["delete", "pod", name, "--force", "--grace-period=0"]).await?;
    }
    Ok(())
}

/// Sends a signal to the processes of a pod that run on this machine; how many there are.
pub fn signal(pod: &Value, signal: &str) -> anyhow::Result<usize> {
    let uid = pod["metadata"]["uid"].as_str().context("uid")?;
    let mut reached = 0;
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let in_pod = std::fs::read_to_string(entry.path().join("cgroup")).is_ok_and(|c| c.contains(uid));
        let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if in_pod && command.contains("tributary") {
            let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status()?;
            ensure!(sent.success(), "kill -s {signal} {pid}");
            reached += 1;
        }
    }
    Ok(reached)
}
