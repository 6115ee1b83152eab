//! `tributary run`

use std::io::{Write, stderr, stdout};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process;
use std::thread::available_parallelism;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::Resolved;
use tributary_blueprints::resolve::Component;
use tributary_crds::{Health, PipelinePhase};

use super::chosen::Chosen;
use super::setting;
use crate::args::{Format, RunArgs};
use crate::local::stores::Directories;
use crate::local::topics::Logs;
use crate::local::{self, KINDS, Outcome, Run, RunError};
use crate::manifest::load;
use crate::output::progress::Progress;
use crate::output::summary;
use crate::{Exit, Failure};

/// Runs a Pipeline on this machine.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let (manifests, complaints) = load(&args.paths);
    if !complaints.is_empty() {
        return Err(Failure::Manifests(complaints));
    }
    let mut chosen = Chosen::new(&manifests, args.pipeline.as_deref())?;
    chosen.default_namespace(&args.namespace);
    chosen.set_parameters(&args.parameters)?;
    chosen.resolved()?;
    // left out only once all is known to be right, so that a skipped component hides no mistake
    chosen.skip(&args.skip)?;
    let resolved = chosen.resolved()?;
    runnable(&resolved, &args.skip)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("tributary-out").join(chosen.name()));
    let directories = setting::directories(&resolved, args, chosen.directory(), &out)?;
    let logs = Logs::new(setting::topics(&resolved, args)?).map_err(RunError::from)?;
    let threads = args.threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let name = chosen.name();
    let (pipeline, blueprint) = (chosen.pipeline, chosen.blueprint);
    let outcome = carried_out(Run { pipeline, blueprint, directories: directories.clone(), logs, threads })?;
    report(args, &name, &outcome, &resolved, &directories)
}

/// Components of kinds that a local run does not carry out must be skipped.
fn runnable(resolved: &Resolved, skipped: &[String]) -> Result<(), Failure> {
    let needs_cluster = |c: &&Component| !KINDS.contains(&c.gvk.kind.as_str()) && !skipped.contains(&c.base);
    let mut stuck: Vec<_> =
        resolved.components.iter().filter(needs_cluster).map(|c| (c.base.clone(), &c.gvk)).collect();
    stuck.dedup();
    if stuck.is_empty() {
        return Ok(());
    }
    let mut text = String::from("these components need a cluster:");
    for (name, gvk) in &stuck {
        text += &format!("\n  {name} ({gvk})");
    }
    let flags: Vec<_> = stuck.iter().map(|(name, _)| format!("--skip {name}")).collect();
    text += &format!("\nApply the Pipeline to a cluster, or go on without them: {}", flags.join(" "));
    Err(Failure::NeedsCluster(text))
}

fn carried_out(run: Run) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut progress = Progress::new();
    let outcome = runtime.block_on(async {
        let cancel = CancellationToken::new();
        tokio::spawn(on_interrupt(cancel.clone()));
        local::run(run, &mut progress, cancel).await
    });
    progress.clear();
    // a blocking task that does not end must not keep the process
    runtime.shutdown_background();
    Ok(outcome?)
}

/// The first Ctrl-C stops the run in good order, the second one at once.
async fn on_interrupt(cancel: CancellationToken) {
    while tokio::signal::ctrl_c().await.is_ok() {
        if cancel.is_cancelled() {
            process::exit(130);
        }
        cancel.cancel();
    }
}

fn report(
    args: &RunArgs,
    name: &str,
    outcome: &Outcome,
    resolved: &Resolved,
    directories: &Directories,
) -> Result<Exit, Failure> {
    let failed = !matches!(outcome.status.phase, PipelinePhase::Succeeded | PipelinePhase::Running);
    let exit = if failed { Exit::Failure } else { Exit::Success };
    if args.output == Some(Format::Json) {
        let datasets: serde_json::Map<_, _> =
            directories.datasets.iter().map(|d| (d.name.clone(), json!(d.dir))).collect();
        let report = json!({
            "pipeline": name,
            "status": outcome.status,
            "created": outcome.created,
            "engines": outcome.engines,
            "datasets": datasets,
        });
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(exit);
    }
    let mut out = stdout().lock();
    write!(out, "{}", summary::components(outcome))?;
    if failed {
        out.flush()?;
        writeln!(stderr(), "error: Pipeline {name} failed: {}", summary::failure(outcome))?;
        return Ok(exit);
    }
    for component in resolved.components.iter().filter(|c| health(outcome, c) == Some(Health::Succeeded)) {
        let Some(engine) = outcome.engines.get(&component.child) else { continue };
        let written = component.writes.values().filter_map(|name| {
            let dataset = resolved.dataset(name).filter(|d| setting::is_text(d.format))?;
            directories.datasets.iter().find(|d| d.name == dataset.name)
        });
        let mut any = false;
        for dataset in written {
            any = true;
            let total = Some(engine.records_written);
            write!(out, "\n{}", summary::dataset(&dataset.name, &dataset.dir, args.rows, total)?)?;
        }
        if !any && !engine.results.is_empty() {
            write!(out, "\n{}", summary::results(&component.name, engine, args.rows))?;
        }
    }
    Ok(exit)
}

fn health(outcome: &Outcome, component: &Component) -> Option<Health> {
    outcome.status.components.iter().find(|c| c.name == component.name).map(|c| c.health)
}
