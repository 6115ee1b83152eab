//! Ports: each is one of the kind's, and is bound to one topic or dataset.

use std::collections::{BTreeMap, BTreeSet};

use tributary_crds::Component as Declared;

use super::{Analysis, Component, Resolved};
use crate::drivers::{self, Direction, Port, Ports, Target};
use crate::expr::child_path;
use crate::object::Gvk;
use crate::problem::{Code, listing, nearest};

impl Analysis<'_> {
    /// Checks a component's reads, writes and ports; gives the topics that they name.
    pub(super) fn bindings(&mut self, declared: &Declared, gvk: Option<&Gvk>, path: &str) -> BTreeSet<String> {
        let ports = gvk.map_or(Ports::Any, |g| drivers::of(&g.group, &g.kind).ports());
        let kind = gvk.map_or("", |g| g.kind.as_str());
        let mut topics = BTreeSet::new();
        let mut variables: BTreeMap<String, &str> = BTreeMap::new();
        for (direction, bound) in [(Direction::Reads, &declared.reads), (Direction::Writes, &declared.writes)] {
            for (port, target) in bound {
                let at = child_path(&format!("{path}.{}", direction.field()), port);
                self.port_exists(ports, direction, port, kind, &at);
                if direction == Direction::Writes && declared.reads.contains_key(port) {
                    let message = format!("port `{port}` is bound under reads already");
                    self.problems.add(Code::PortBoundTwice, &at, message);
                } else if let Some(other) = variables.insert(drivers::variable(port), port).filter(|o| o != port) {
                    let message = format!("ports `{port}` and `{other}` would have the same environment variables");
                    self.problems.add(Code::PortBoundTwice, &at, message);
                }
                if self.target(target, direction, &at) == Some(true) {
                    topics.insert(target.clone());
                }
            }
        }
        for (port, schema) in &declared.ports {
            let at = child_path(&format!("{path}.ports"), port);
            if !declared.reads.contains_key(port) && !declared.writes.contains_key(port) {
                let bound = || declared.reads.keys().chain(declared.writes.keys()).map(String::as_str);
                let message = format!("port `{port}` is bound neither under reads nor under writes");
                self.problems.suggest(Code::UnknownPort, &at, message, nearest(port, bound()));
            }
            self.schema_exists(schema, &at);
        }
        topics
    }

    fn port_exists(&mut self, ports: Ports, direction: Direction, port: &str, kind: &str, at: &str) {
        let Ports::Named { reads, writes } = ports else { return };
        let (own, other) = match direction {
            Direction::Reads => (reads, writes),
            Direction::Writes => (writes, reads),
        };
        if own.contains(&port) {
            return;
        }
        if other.contains(&port) {
            let message = format!("port `{port}` of {kind} is not under {}", direction.field());
            return self.problems.add(Code::PortDirection, at, message);
        }
        let message =
            format!("{kind} has no port `{port}` under {}; {}", direction.field(), listing(own.iter().copied()));
        let suggestion = match own {
            [only] => Some((*only).to_owned()),
            _ => nearest(port, own.iter().copied()),
        };
        self.problems.suggest(Code::UnknownPort, at, message, suggestion);
    }

    /// Whether a target is a topic (`true`) or a dataset; a problem where it is neither.
    fn target(&mut self, target: &str, direction: Direction, at: &str) -> Option<bool> {
        if let Some(dataset) = self.index.datasets.get(target) {
            let dataset = self.resolved.datasets.get_mut(*dataset)?;
            match direction {
                Direction::Reads => dataset.read = true,
                Direction::Writes => dataset.written = true,
            }
            return Some(false);
        }
        if self.index.topics.contains_key(target) {
            return Some(true);
        }
        let topics = || self.blueprint.topics.iter().map(|t| t.name.as_str());
        let datasets = || self.blueprint.datasets.iter().map(|d| d.name.as_str());
        let message = format!("there is no topic or dataset `{target}`; {}", listing(topics().chain(datasets())));
        let suggestion = self.near(target, topics().chain(datasets()));
        self.problems.suggest(Code::UnknownTarget, at, message, suggestion);
        None
    }
}

/// The ports of a component with what they are bound to.
pub fn bound<'a>(component: &'a Component, resolved: &'a Resolved) -> Vec<Port<'a>> {
    let of = |direction: Direction, bound: &'a BTreeMap<String, String>| {
        bound.iter().filter_map(move |(name, target)| {
            let topic = resolved.topic(target);
            let dataset = resolved.dataset(target);
            let schema = component
                .ports
                .get(name)
                .or_else(|| topic.and_then(|t| t.schema.as_ref()))
                .or_else(|| dataset.and_then(|d| d.schema.as_ref()));
            let target = topic.map(Target::Topic).or_else(|| dataset.map(Target::Dataset))?;
            let schema = schema.and_then(|s| resolved.schemas.get(s)).map(String::as_str);
            Some(Port { name, direction, target, schema })
        })
    };
    of(Direction::Reads, &component.reads).chain(of(Direction::Writes, &component.writes)).collect()
}
