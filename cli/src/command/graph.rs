//! `tributary graph`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Write, stdout};

use tributary_blueprints::graph::Wait;
use tributary_blueprints::resolve::{Component, Resolved};

use super::chosen::Chosen;
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
    let resolved = Chosen::new(&manifests, args.pipeline.as_deref())?.resolved()?;
    let text = match args.output {
        GraphFormat::Text => listed(&resolved),
        GraphFormat::Mermaid => mermaid(&resolved),
    };
    write!(stdout(), "{text}")?;
    Ok(Exit::Success)
}

/// A paragraph a component, each after those it waits for.
fn listed(resolved: &Resolved) -> String {
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
        let _ = write!(text, "{blank}{}: {}\n{}", component.name, component.gvk, table(&rows));
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

/// A Mermaid flowchart: components as boxes, topics as stadiums, datasets as cylinders; dotted where one only waits.
fn mermaid(resolved: &Resolved) -> String {
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut text = String::from("flowchart LR\n");
    let id = |ids: &mut BTreeMap<String, String>, kind: &str, name: &str| {
        let next = format!("n{}", ids.len());
        ids.entry(format!("{kind} {name}")).or_insert(next).clone()
    };
    for component in &resolved.components {
        let node = id(&mut ids, "component", &component.name);
        let _ = writeln!(text, "  {node}[\"{}<br/>{}\"]", component.name, component.gvk.kind);
    }
    for topic in &resolved.topics {
        let _ = writeln!(text, "  {}([\"{}\"])", id(&mut ids, "data", &topic.name), topic.name);
    }
    for dataset in &resolved.datasets {
        let _ = writeln!(text, "  {}[(\"{}\")]", id(&mut ids, "data", &dataset.name), dataset.name);
    }
    for component in &resolved.components {
        let node = id(&mut ids, "component", &component.name);
        for target in component.reads.values() {
            let _ = writeln!(text, "  {} --> {node}", id(&mut ids, "data", target));
        }
        for target in component.writes.values() {
            let _ = writeln!(text, "  {node} --> {}", id(&mut ids, "data", target));
        }
    }
    for edge in &resolved.graph.edges {
        let (from, to) = (&resolved.components[edge.from], &resolved.components[edge.to]);
        if !share_data(from, to) {
            let (from, to) = (id(&mut ids, "component", &from.name), id(&mut ids, "component", &to.name));
            let _ = writeln!(text, "  {from} -.-> {to}");
        }
    }
    text
}

/// Whether the arrows through a topic or dataset show the edge already.
fn share_data(from: &Component, to: &Component) -> bool {
    from.writes.values().any(|target| to.reads.values().any(|t| t == target))
}
