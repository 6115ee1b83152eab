//! Who waits for whom: by data, by `after`, by expressions; and that nobody waits for himself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Analysis, Component, Resolved};
use crate::drivers::Lifetime;
use crate::graph::{Edge, Graph, Wait};
use crate::problem::{Code, listing};

/// Edges that one Pipeline may have: some data with many writers and many readers makes a product of them.
const MAX_EDGES: usize = 500_000;
/// The most edges of a cycle that are named.
const SHOWN: usize = 8;

impl Analysis<'_> {
    /// Makes the graph and puts the components in its order.
    pub(super) fn order(&mut self) {
        self.after_exists();
        self.written_twice();
        let edges = edges(&self.resolved, self.blueprint);
        if edges.len() > MAX_EDGES {
            let message = format!(
                "the components wait for each other in more than {MAX_EDGES} ways; have fewer writers or readers of one \
                 topic or dataset"
            );
            let path = self.at("components");
            return self.problems.add(Code::TooLarge, path, message);
        }
        let graph = Graph::new(self.resolved.components.len(), edges);
        self.cycles(&graph);
        let waves = graph.waves();
        for (component, wave) in self.resolved.components.iter_mut().zip(waves) {
            component.wave = wave;
        }
        let order = graph.order();
        if order.len() < graph.nodes {
            return;
        }
        sort(&mut self.resolved, &graph, &order);
    }

    fn after_exists(&mut self) {
        let blueprint = self.blueprint;
        let names: BTreeSet<&str> = blueprint.components.iter().map(|c| c.name.as_str()).collect();
        let finals: BTreeSet<&str> = blueprint.finally.iter().map(|c| c.name.as_str()).collect();
        let lists = [("components", &blueprint.components), ("finally", &blueprint.finally)];
        for (list, declared) in lists {
            for (i, component) in declared.iter().enumerate() {
                for (j, name) in component.after.iter().enumerate() {
                    let path = self.at(format_args!("{list}[{i}].after[{j}]"));
                    let is_final = finals.contains(name.as_str());
                    if list == "components" && is_final {
                        let message = format!("`{name}` runs when all others have ended, so that none can wait for it");
                        self.problems.add(Code::Cycle, path, message);
                    } else if !is_final && !names.contains(name.as_str()) {
                        let message = format!("there is no component `{name}`; {}", listing(names.iter().copied()));
                        let suggestion = self.near(name, names.iter().copied().filter(|n| *n != component.name));
                        self.problems.suggest(Code::UnknownComponent, path, message, suggestion);
                    }
                }
            }
        }
    }

    /// Two writers of one dataset would each take the other's output for leftovers. Those with `when` may exclude each
    /// other.
    fn written_twice(&mut self) {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        let mut found = Vec::new();
        for component in self.resolved.components.iter().filter(|c| c.when.is_none()) {
            for (port, target) in &component.writes {
                if !self.index.datasets.contains_key(target.as_str()) {
                    continue;
                }
                match first.get(target.as_str()) {
                    Some(other) => {
                        let message = format!("dataset `{target}` is written by component `{other}` already");
                        found.push((format!("{}.writes.{port}", component.path), message));
                    }
                    None => {
                        first.insert(target, &component.name);
                    }
                }
            }
        }
        for (path, message) in found {
            self.problems.add(Code::DatasetWrittenTwice, path, message);
        }
    }

    fn cycles(&mut self, graph: &Graph) {
        for cycle in graph.cycles() {
            let component = |n: usize| &self.resolved.components[n];
            let mut way: Vec<String> = Vec::new();
            // the last edge of the way first
            for i in (0..cycle.len()).rev().take(SHOWN) {
                let (from, to) = (cycle[i], cycle[(i + 1) % cycle.len()]);
                let edge = graph.edges.binary_search_by_key(&(from, to), |e| (e.from, e.to)).ok();
                let via = edge.map_or("", |e| graph.edges[e].via.as_str());
                way.push(format!("`{}` waits for `{}` ({via})", component(to).name, component(from).name));
            }
            let more = if cycle.len() > SHOWN { ", ..." } else { "" };
            let shown = format!("{}{more}", way.join(", "));
            let path = component(cycle[0]).path.clone();
            self.problems.add(Code::Cycle, path, format!("components wait for each other: {shown}"));
        }
    }
}

fn sort(resolved: &mut Resolved, graph: &Graph, order: &[usize]) {
    // those of `finally` come last whatever their edges
    let (main, finals): (Vec<usize>, Vec<usize>) = order.iter().partition(|n| !resolved.components[**n].finally);
    let order: Vec<usize> = main.into_iter().chain(finals).collect();
    let mut place = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        place[*old] = new;
    }
    let mut components: Vec<Option<Component>> = resolved.components.drain(..).map(Some).collect();
    resolved.components = order.iter().filter_map(|old| components[*old].take()).collect();
    let moved = graph.edges.iter().map(|e| Edge { from: place[e.from], to: place[e.to], ..e.clone() });
    resolved.graph = Graph::new(graph.nodes, moved);
}

/// Every edge between the components.
fn edges(resolved: &Resolved, blueprint: &tributary_crds::BlueprintSpec) -> Vec<Edge> {
    let components = &resolved.components;
    let mut by_base: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut writers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, component) in components.iter().enumerate() {
        by_base.entry(&component.base).or_default().push(i);
        for target in component.writes.values() {
            let list = writers.entry(target).or_default();
            if list.last() != Some(&i) {
                list.push(i);
            }
        }
    }
    let topics: BTreeSet<&str> = blueprint.topics.iter().map(|t| t.name.as_str()).collect();
    let mut after: HashMap<&str, &[String]> = HashMap::new();
    for declared in blueprint.components.iter().chain(&blueprint.finally) {
        after.insert(&declared.name, &declared.after);
    }
    let mut all = Vec::new();
    for (to, component) in components.iter().enumerate() {
        if all.len() > MAX_EDGES {
            break;
        }
        for target in component.reads.values() {
            let is_topic = topics.contains(target.as_str());
            for &from in writers.get(target.as_str()).into_iter().flatten() {
                let wait = by_data(&components[from], component, is_topic);
                let via = format!("{} {target}", if is_topic { "topic" } else { "dataset" });
                all.push(Edge { from, to, wait, via });
            }
        }
        let mut wait_for = |base: &str, via: &str| {
            for &from in by_base.get(base).into_iter().flatten() {
                all.push(Edge { from, to, wait: by_lifetime(&components[from]), via: via.to_owned() });
            }
        };
        after.get(component.base.as_str()).into_iter().copied().flatten().for_each(|name| wait_for(name, "after"));
        component.uses.iter().for_each(|name| wait_for(name, "expression"));
    }
    all
}

fn by_lifetime(from: &Component) -> Wait {
    match from.lifetime {
        Lifetime::Batch => Wait::Succeeded,
        Lifetime::Stream => Wait::Ready,
        Lifetime::Either => Wait::Either,
        Lifetime::Static => Wait::Started,
    }
}

/// A stream need not wait until a batch component has filled the topic that it reads.
fn by_data(from: &Component, to: &Component, is_topic: bool) -> Wait {
    match (from.lifetime, to.lifetime) {
        (Lifetime::Batch, Lifetime::Stream) if is_topic => Wait::Started,
        _ => by_lifetime(from),
    }
}
