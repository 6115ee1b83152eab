//! `tributary graph`

use std::fmt::Write as _;
use std::io::{Write, stdout};

use tributary_blueprints::diagram::{Diagram, Phases};
use tributary_blueprints::graph::Wait;
use tributary_blueprints::resolve::Resolved;

use super::chosen::Chosen;
use super::kubectl;
use crate::args::{GraphArgs, GraphFormat};
use crate::manifest::load;
use crate::output::text::table;
use crate::{Exit, Failure};

/// Prints who reads, writes and waits for what.
pub fn graph(args: &GraphArgs) -> Result<Exit, Failure> {
    let (manifests, complaints) = load(&args.paths);
    if !complaints.is_empty() {
        return Err(Failure::Manifests(complaints));
    }
    let chosen = Chosen::new(&manifests, args.pipeline.as_deref())?;
    let resolved = chosen.resolved()?;
    let phases = live(args, &chosen)?;
    let diagram = || Diagram::of(&resolved, &phases);
    let text = match args.output {
        GraphFormat::Text => listed(&resolved, &phases),
        GraphFormat::Ascii => diagram().ascii(),
        GraphFormat::Mermaid => diagram().mermaid(),
        GraphFormat::Dot => diagram().dot(),
        GraphFormat::Svg => diagram().svg(),
    };
    write!(stdout(), "{text}")?;
    Ok(Exit::Success)
}

/// A paragraph a component, each after those it waits for.
fn listed(resolved: &Resolved, phases: &Phases) -> String {
    let mut text = String::new();
    for (i, component) in resolved.components.iter().enumerate() {
        let mut rows = Vec::new();
        for (word, ports) in [("reads", &component.reads), ("writes", &component.writes)] {
            for (port, target) in ports {
                rows.push(vec![format!("  {word}"), port.clone(), place(resolved, target)]);
            }
        }
        for edge in resolved.graph.edges.iter().filter(|e| e.to == i) {
            let from = resolved.components.get(edge.from).map_or("", |c| c.name.as_str());
            rows.push(vec!["  waits for".into(), from.into(), format!("to have {} ({})", until(edge.wait), edge.via)]);
        }
        let blank = if i == 0 { "" } else { "\n" };
        // writing to a string does not fail
        let phase = phases.components.get(&component.name).map_or_else(String::new, |h| format!(" ({h:?})"));
        let _ = write!(text, "{blank}{}: {}{phase}\n{}", component.name, component.gvk, table(&rows));
    }
    text
}

fn place(resolved: &Resolved, target: &str) -> String {
    match (resolved.topic(target), resolved.dataset(target)) {
        (Some(topic), _) => format!("topic {target}: {}", topic.topic_name),
        (None, Some(dataset)) => format!("dataset {target}: {}", dataset.uri),
        (None, None) => target.into(),
    }
}

fn until(wait: Wait) -> &'static str {
    match wait {
        Wait::Started => "begun",
        Wait::Ready => "become ready",
        Wait::Succeeded => "succeeded",
        Wait::Either => "become ready or succeeded",
        Wait::Ended => "ended",
    }
}

/// How everything is on the cluster.
fn live(args: &GraphArgs, chosen: &Chosen<'_>) -> Result<Phases, Failure> {
    if !args.live {
        return Ok(Phases::default());
    }
    let found = kubectl::pipeline(args.context.as_deref(), chosen.namespace().as_deref(), &chosen.name())?;
    let Some((pipeline, _)) = found else {
        return Err(Failure::Kubectl(format!("the cluster has no Pipeline {}", chosen.name())));
    };
    let status = pipeline.status.unwrap_or_default();
    Ok(Phases {
        components: status.components.into_iter().map(|c| (c.name, c.health)).collect(),
        topics: status.topics.into_iter().map(|t| (t.name, t.health)).collect(),
    })
}
