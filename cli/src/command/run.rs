//! `tributary run`

use std::io::{Write, stderr, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::available_parallelism;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::resolve::{Component, Resolved, resolve};
use tributary_blueprints::verify;
use tributary_crds::{Any, BlueprintSpec, Health, Pipeline, PipelinePhase};

use super::{located, setting};
use crate::args::{Format, RunArgs};
use crate::local::stores::Directories;
use crate::local::topics::Logs;
use crate::local::{self, KINDS, Outcome, Run, RunError, cluster};
use crate::manifest::{Loaded, Manifests, load, yaml};
use crate::output::progress::Progress;
use crate::output::summary;
use crate::{Exit, Failure};

/// Runs a Pipeline on this machine.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let (manifests, complaints) = load(&args.paths);
    if !complaints.is_empty() {
        return Err(Failure::Manifests(complaints));
    }
    let chosen = choose(&manifests, args.pipeline.as_deref())?;
    let blueprint = manifests.blueprint_of(chosen).map_err(|complaint| Failure::Manifests(vec![complaint]))?;
    let (pipeline, spec, resolved) = prepared(args, chosen, blueprint.map(|b| &b.object.spec), |problems| {
        Failure::Manifests(problems.iter().map(|p| located(p, Some(chosen), blueprint)).collect())
    })?;
    let name = pipeline.metadata.name.clone().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("tributary-out").join(&name));
    let base = chosen.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directories = setting::directories(&resolved, args, base, &out)?;
    let logs = Logs::new(setting::topics(&resolved, args)?).map_err(RunError::from)?;
    let threads = args.threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let run = Run { pipeline, blueprint: spec, directories: directories.clone(), logs, threads };
    let outcome = carried_out(run)?;
    report(args, &name, &outcome, &resolved, &directories)
}

fn choose<'a>(manifests: &'a Manifests, wanted: Option<&str>) -> Result<&'a Loaded<Pipeline>, Failure> {
    let name = |p: &Loaded<Pipeline>| p.object.metadata.name.clone().unwrap_or_default();
    let names: Vec<_> = manifests.pipelines.iter().map(name).collect();
    match (wanted, manifests.pipelines.as_slice()) {
        (_, []) => Err(Failure::NoPipeline),
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::Usage(format!(
            "there are several Pipelines: choose one with --pipeline: {}",
            names.join(", ")
        ))),
        (Some(wanted), all) => {
            let given = [(wanted.to_owned(), String::new())];
            setting::known("--pipeline", "Pipeline", &given, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
            all.iter().find(|p| name(p) == wanted).ok_or(Failure::NoPipeline)
        }
    }
}

/// The Pipeline and the Blueprint it refers to as they run, verified: with the parameters of the command line, and
/// without the components that it skips.
fn prepared(
    args: &RunArgs,
    chosen: &Loaded<Pipeline>,
    referred: Option<&BlueprintSpec>,
    wrong: impl Fn(&[tributary_blueprints::problem::Problem]) -> Failure,
) -> Result<(Pipeline, Option<BlueprintSpec>, Resolved), Failure> {
    let mut pipeline = chosen.object.clone();
    pipeline.metadata.namespace.get_or_insert_with(|| cluster::DEFAULT_NAMESPACE.into());
    for (name, value) in &args.parameters {
        let parsed =
            yaml::documents(value).map_err(|e| Failure::Usage(format!("--param {name}={value}: {}", e.message)))?;
        let value = parsed.first().map_or(serde_json::Value::Null, yaml::Node::value);
        pipeline.spec.parameters.insert(name.clone(), Any(value));
    }
    let mut blueprint = referred.cloned();
    {
        let spec =
            pipeline.spec.blueprint.as_ref().or(blueprint.as_ref()).ok_or_else(|| {
                Failure::Usage("the Pipeline has neither spec.blueprint nor spec.blueprintRef".into())
            })?;
        let problems = verify::pipeline(&pipeline, spec, None);
        if !problems.is_empty() {
            return Err(wrong(&problems));
        }
    }
    if let Some(spec) = pipeline.spec.blueprint.as_mut().or(blueprint.as_mut()) {
        skip(spec, &args.skip)?;
    }
    let spec = pipeline.spec.blueprint.as_ref().or(blueprint.as_ref());
    let resolved =
        spec.map_or_else(|| Ok(Resolved::default()), |spec| resolve(&pipeline, spec)).map_err(|p| wrong(&p))?;
    runnable(&resolved, &args.skip)?;
    Ok((pipeline, blueprint, resolved))
}

/// Leaves components out as the blueprint itself can: by `when`.
fn skip(blueprint: &mut BlueprintSpec, names: &[String]) -> Result<(), Failure> {
    let given: Vec<_> = names.iter().map(|name| (name.clone(), String::new())).collect();
    let all = || blueprint.components.iter().chain(&blueprint.finally);
    setting::known("--skip", "component", &given, &all().map(|c| c.name.as_str()).collect::<Vec<_>>())?;
    for component in blueprint.components.iter_mut().chain(&mut blueprint.finally) {
        if names.contains(&component.name) {
            component.when = Some("${false}".into());
        }
    }
    Ok(())
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
