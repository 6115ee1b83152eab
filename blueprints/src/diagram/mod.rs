//! The picture of a blueprint: components, topics and datasets, and who reads, writes and waits for what.

use std::collections::{BTreeMap, BTreeSet};

use tributary_crds::Health;

use crate::resolve::{Component, Resolved};

mod ascii;
mod layout;
mod source;
mod svg;

/// How each component and topic is, by name, where that is known.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// Components.
    pub components: BTreeMap<String, Health>,
    /// Topics.
    pub topics: BTreeMap<String, Health>,
}

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A component.
    Component,
    /// A component that runs when the rest has ended.
    Finally,
    /// A Kafka topic.
    Topic,
    /// A dataset.
    Dataset,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// A component's kind; `topic` or `dataset`.
    pub kind: String,
    /// What it stands for.
    pub shape: Shape,
    /// How it is, where that is known.
    pub health: Option<Health>,
}

impl Node {
    /// The second line of a node.
    fn below(&self) -> String {
        self.health.map_or_else(|| self.kind.clone(), |h| format!("{}: {h:?}", self.kind))
    }
}

/// An arrow between two nodes, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// It carries no data: the one only waits for the other.
    pub waits: bool,
}

/// A picture. Draw it with [`Diagram::ascii`], [`Diagram::mermaid`], [`Diagram::dot`] or [`Diagram::svg`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// The Pipeline's name.
    pub title: String,
    /// Components, then topics, then datasets.
    pub nodes: Vec<Node>,
    /// Arrows, ordered, each once.
    pub arrows: Vec<Arrow>,
}

impl Diagram {
    /// The picture of what a Pipeline runs.
    pub fn of(resolved: &Resolved, phases: &Phases) -> Self {
        let mut diagram = Self { title: resolved.pipeline.clone(), ..Self::default() };
        let mut data: BTreeMap<&str, usize> = BTreeMap::new();
        for component in &resolved.components {
            let shape = if component.finally { Shape::Finally } else { Shape::Component };
            let health = phases.components.get(&component.name).copied();
            diagram.node(&component.name, &component.gvk.kind, shape, health);
        }
        for topic in &resolved.topics {
            let health = phases.topics.get(&topic.name).copied();
            data.insert(&topic.name, diagram.node(&topic.name, "topic", Shape::Topic, health));
        }
        for dataset in &resolved.datasets {
            data.insert(&dataset.name, diagram.node(&dataset.name, "dataset", Shape::Dataset, None));
        }
        let mut arrows = BTreeSet::new();
        for (i, component) in resolved.components.iter().enumerate() {
            let of = |name: &String| data.get(name.as_str()).copied();
            arrows.extend(component.reads.values().filter_map(of).map(|from| Arrow { from, to: i, waits: false }));
            arrows.extend(component.writes.values().filter_map(of).map(|to| Arrow { from: i, to, waits: false }));
        }
        for edge in &resolved.graph.edges {
            let (from, to) = (&resolved.components[edge.from], &resolved.components[edge.to]);
            if !share_data(from, to) {
                arrows.insert(Arrow { from: edge.from, to: edge.to, waits: true });
            }
        }
        diagram.arrows = arrows.into_iter().collect();
        diagram
    }

    fn node(&mut self, name: &str, kind: &str, shape: Shape, health: Option<Health>) -> usize {
        self.nodes.push(Node { name: name.to_owned(), kind: kind.to_owned(), shape, health });
        self.nodes.len() - 1
    }
}

/// Whether the arrows through a topic or dataset show the edge already.
fn share_data(from: &Component, to: &Component) -> bool {
    from.writes.values().any(|target| to.reads.values().any(|t| t == target))
}
