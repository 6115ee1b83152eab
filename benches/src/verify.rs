//! Verifies generated blueprints of several shapes and sizes; of each shape, the time a component takes must not grow.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_blueprints::{Code, verify};
use tributary_crds::BlueprintSpec;

use crate::measure::Sample;
use crate::report::{Report, Row};

/// The shapes: who waits for whom.
pub const SHAPES: &[&str] = &["alone", "chain", "diamonds", "fan", "for-each"];

/// What one process found of one shape and size.
#[derive(Serialize, Deserialize)]
pub struct Measured {
    samples: Vec<Sample>,
    edges: usize,
    sound: bool,
}

/// A blueprint of this shape: Jobs with expressions, each held against the kind's whole schema.
fn blueprint(shape: &str, n: usize) -> Result<(Value, usize)> {
    let after = |i: usize| -> Vec<usize> {
        match shape {
            "chain" if i > 0 => vec![i - 1],
            // layers of two, each waiting for both of the layer before
            "diamonds" if i > 1 => vec![i / 2 * 2 - 2, i / 2 * 2 - 1],
            // a hundred wait for each
            "fan" if i > 0 => vec![(i - 1) / 100],
            _ => Vec::new(),
        }
    };
    ensure!(SHAPES.contains(&shape), "{shape} is none of {}", SHAPES.join(", "));
    let template = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "${parameters.image}", "args": ["run ${run.number}"],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]}}}});
    let component = |i: usize| {
        let after: Vec<String> = after(i).into_iter().map(|j| format!("c{j}")).collect();
        json!({"name": format!("c{i}"), "after": after, "template": template})
    };
    let components: Vec<Value> = if shape == "for-each" {
        // a list makes at most a thousand
        (0..n.div_ceil(1_000))
            .map(|i| json!({"name": format!("c{i}"), "forEach": "${parameters.all}", "template": template}))
            .collect()
    } else {
        (0..n).map(component).collect()
    };
    let edges = (0..n).map(|i| after(i).len()).sum();
    let all: Vec<String> = (0..n.min(1_000)).map(|i| format!("i{i}")).collect();
    let parameters = json!({"image": {"type": "string", "default": "x"},
        "all": {"type": "array", "items": {"type": "string"}, "default": all}});
    Ok((json!({"parameters": parameters, "components": components}), edges))
}

/// Verifies one blueprint so many times.
///
/// # Errors
/// A shape that there is not.
pub fn measure(shape: &str, components: usize, runs: usize) -> Result<Measured> {
    let (value, edges) = blueprint(shape, components)?;
    let spec: BlueprintSpec = serde_json::from_value(value)?;
    let mut sound = true;
    let mut samples = Vec::new();
    // the first makes the kinds' schemas, once a process
    sound &= verify::blueprint(&spec, None).is_empty();
    for _ in 0..runs.max(1) {
        let (start, before) = (Instant::now(), cpu()?);
        sound &= verify::blueprint(&spec, None).is_empty();
        let rss_mb = getrusage(UsageWho::RUSAGE_SELF)?.max_rss() as f64 * 1024.0 / 1e6;
        samples.push(Sample { wall_s: start.elapsed().as_secs_f64(), cpu_s: cpu()? - before, rss_mb });
    }
    let mut ring = spec;
    let last = ring.components.last().map(|c| c.name.clone()).context("no components")?;
    if let Some(first) = ring.components.first_mut() {
        first.after = vec![last];
    }
    let found = verify::blueprint(&ring, None);
    let closes = matches!(shape, "chain" | "diamonds" | "fan");
    sound &= !closes || found.iter().map(|p| p.code).eq([Code::Cycle]);
    Ok(Measured { samples, edges, sound })
}

fn cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// Measures every shape at the size and at a tenth of it. A ratio of 1 between the two is linear growth; below 1, the
/// larger one takes more time a component.
///
/// # Errors
/// A process that fails.
pub fn report(shapes: &[&str], components: usize, runs: usize) -> Result<Report> {
    let (mut rows, mut ratios, mut checked) = (Vec::new(), BTreeMap::new(), true);
    for shape in shapes {
        let mut figures = Vec::new();
        for n in [components, components.div_ceil(10)] {
            let measured = apart(shape, n, runs)?;
            checked &= measured.sound;
            let name = format!("{shape} {n} ({} edges)", measured.edges);
            let row = Row::per_cpu_second(&name, &measured.samples, n as f64, "components per CPU second");
            figures.push(row.figure);
            rows.push(row);
        }
        if let [large, small] = figures[..] {
            ratios.insert(format!("the speed of {shape} at a tenth of the size"), large / small);
        }
    }
    Ok(Report { bench: "verify", rows, ratios, checked })
}

fn apart(shape: &str, components: usize, runs: usize) -> Result<Measured> {
    let me = std::env::current_exe().context("finding this binary")?;
    let (n, runs) = (components.to_string(), runs.to_string());
    let out = Command::new(me).args(["measure", shape, &n, &runs]).output()?;
    if !out.status.success() {
        bail!("{shape} {n}: {}", String::from_utf8_lossy(&out.stderr));
    }
    serde_json::from_slice(&out.stdout).context("reading the measurement")
}
