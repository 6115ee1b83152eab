//! `tributary plan`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};

use tributary_blueprints::change::{Effect, Step, What, changes};
use tributary_blueprints::resolve::{Resolved, blueprint_of, resolve};

use super::chosen::Chosen;
use super::kubectl;
use crate::args::{Format, PlanArgs};
use crate::manifest::load;
use crate::output::text::table;
use crate::{Exit, Failure};

/// Prints what becomes of everything when the files take the place of what is there.
pub fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let (manifests, complaints) = load(&args.paths);
    if !complaints.is_empty() {
        return Err(Failure::Manifests(complaints));
    }
    let mut chosen = Chosen::new(&manifests, args.pipeline.as_deref())?;
    chosen.set_parameters(&args.parameters)?;
    let old = if args.cluster { on_cluster(args, &mut chosen)? } else { in_files(args, &chosen.name())? };
    let new = chosen.resolved()?;
    let steps = changes(old.as_ref(), &new);
    match args.output {
        Some(Format::Json) => writeln!(stdout(), "{}", serde_json::to_string_pretty(&steps)?)?,
        None => write!(stdout(), "{}", told(&steps))?,
    }
    Ok(if steps.iter().any(|s| s.effect == Effect::Refused) { Exit::Failure } else { Exit::Success })
}

/// What the files of `--from` hold; `None` without any.
fn in_files(args: &PlanArgs, name: &str) -> Result<Option<Resolved>, Failure> {
    if args.from.is_empty() {
        return Ok(None);
    }
    let (manifests, complaints) = load(&args.from);
    if !complaints.is_empty() {
        return Err(Failure::Manifests(complaints));
    }
    // a Pipeline that is renamed is another one
    if manifests.pipelines.iter().all(|p| p.object.metadata.name.as_deref() != Some(name)) {
        return Ok(None);
    }
    Chosen::new(&manifests, Some(name))?.resolved().map(Some)
}

/// What the cluster has. The run goes on counting from there.
fn on_cluster(args: &PlanArgs, chosen: &mut Chosen<'_>) -> Result<Option<Resolved>, Failure> {
    let namespace = chosen.namespace();
    let found = kubectl::pipeline(args.context.as_deref(), namespace.as_deref(), &chosen.name())?;
    let Some((pipeline, referred)) = found else { return Ok(None) };
    chosen.pipeline.status.clone_from(&pipeline.status);
    chosen.pipeline.metadata.namespace.clone_from(&pipeline.metadata.namespace);
    let Some(blueprint) = blueprint_of(&pipeline, referred.as_ref()) else { return Ok(None) };
    // what is wrong on the cluster does not run
    Ok(resolve(&pipeline, blueprint).ok())
}

fn told(steps: &[Step]) -> String {
    let mut text = String::new();
    for (what, title) in [(What::Topic, "topics"), (What::Dataset, "datasets"), (What::Component, "components")] {
        let of: Vec<&Step> = steps.iter().filter(|s| s.what == what).collect();
        if of.is_empty() {
            continue;
        }
        let rows: Vec<Vec<String>> = of
            .iter()
            .map(|s| {
                vec![
                    format!("  {}", sign(s.effect)),
                    s.name.clone(),
                    s.kind.clone(),
                    s.effect.as_str().into(),
                    s.reason.clone(),
                ]
            })
            .collect();
        // writing to a string does not fail
        let _ = writeln!(text, "{title}");
        for (line, step) in table(&rows).lines().zip(&of) {
            let _ = writeln!(text, "{line}");
            let details = [("offsets", &step.offsets), ("state", &step.state), ("data", &step.data)];
            for (name, detail) in details.into_iter().filter(|(_, d)| !d.is_empty()) {
                let _ = writeln!(text, "      {name}: {detail}");
            }
            if !step.fields.is_empty() {
                let _ = writeln!(text, "      fields: {}", step.fields.join(", "));
            }
        }
    }
    let mut counts: BTreeMap<Effect, usize> = BTreeMap::new();
    steps.iter().for_each(|s| *counts.entry(s.effect).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(effect, n)| format!("{n} {}", effect.as_str())).collect();
    let _ = writeln!(text, "{}", counts.join(", "));
    text
}

fn sign(effect: Effect) -> &'static str {
    match effect {
        Effect::Unchanged => " ",
        Effect::Create => "+",
        Effect::InPlace | Effect::Restart | Effect::Drain => "~",
        Effect::Replace => "±",
        Effect::Release | Effect::Delete => "-",
        Effect::Destructive | Effect::Refused => "!",
    }
}
