//! One pass over a valid Pipeline: what is gathered on the way.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{ComponentStatus, ObjectRef, PipelineStatus, Reason, Timestamp};

use super::carried::Carried;
use super::child::{gvk_of, reference};
use super::topics::TopicState;
use crate::expr::Node;
use crate::graph::Edge;
use crate::object::{Gvk, ObjectKey};
use crate::plan::{Action, Event};
use crate::resolve::scope::ComponentNode;
use crate::resolve::template::dynamic;
use crate::resolve::{ComponentScope, Resolved};
use crate::world::{Verb, World};

/// What a pass works on and what it gathers.
pub(super) struct Pass<'a> {
    pub(super) world: &'a World,
    pub(super) now: Timestamp,
    pub(super) resolved: &'a Resolved,
    /// The status as it was.
    pub(super) old: &'a PipelineStatus,
    /// The status as it becomes.
    pub(super) status: PipelineStatus,
    pub(super) actions: Vec<Action>,
    pub(super) requeue: Option<Duration>,
    pub(super) events: Vec<Event>,
    /// Changes that would delete data and are not confirmed.
    pub(super) destructive: Vec<String>,
    /// A user wants failed components tried again.
    pub(super) retry: bool,
    /// The schedule has not started a run yet.
    pub(super) awaits_first_run: bool,
    pub(super) topics: Vec<TopicState>,
    /// A line a component, in the order of the graph.
    pub(super) lines: Vec<ComponentStatus>,
    /// What expressions see of the components so far.
    pub(super) nodes: Nodes,
    /// The objects that are meant to be there.
    pub(super) desired: BTreeSet<ObjectKey>,
    pub(super) inventory: Vec<ObjectRef>,
    /// The old lines by name.
    pub(super) old_lines: HashMap<&'a str, &'a ComponentStatus>,
    /// Edges into each component: indices into the graph's.
    pub(super) edges_to: Vec<Vec<usize>>,
    /// The components behind each component.
    pub(super) edges_from: Vec<Vec<usize>>,
    /// Topics by name: indices into `topics`.
    pub(super) topic_index: HashMap<&'a str, usize>,
    /// The ends that children carry.
    pub(super) carried: Carried,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        world: &'a World,
        now: Timestamp,
        resolved: &'a Resolved,
        old: &'a PipelineStatus,
        status: PipelineStatus,
    ) -> Self {
        Self {
            world,
            now,
            resolved,
            old,
            status,
            actions: Vec::new(),
            requeue: None,
            events: Vec::new(),
            destructive: Vec::new(),
            retry: false,
            awaits_first_run: false,
            topics: Vec::new(),
            lines: Vec::new(),
            nodes: Nodes::default(),
            desired: BTreeSet::new(),
            inventory: Vec::new(),
            old_lines: old.components.iter().map(|c| (c.name.as_str(), c)).collect(),
            edges_to: edges_by(resolved, |at, edge| (edge.to, at)),
            edges_from: edges_by(resolved, |_, edge| (edge.from, edge.to)),
            topic_index: resolved.topics.iter().enumerate().map(|(i, t)| (t.name.as_str(), i)).collect(),
            carried: Carried::default(),
        }
    }

    /// Creates an object, and notes it.
    pub(super) fn create(&mut self, object: Value, gvk: &Gvk, key: &ObjectKey) {
        if let Some(object) = dynamic(object) {
            self.inventory.push(reference(gvk, key, ""));
            self.actions.push(Action::Create(Box::new(object)));
        }
    }

    /// Applies an object over the one that exists, and no other.
    pub(super) fn apply(&mut self, object: Value, existing: &DynamicObject) {
        if let Some(mut object) = dynamic(object) {
            object.metadata.uid.clone_from(&existing.metadata.uid);
            object.metadata.resource_version.clone_from(&existing.metadata.resource_version);
            self.actions.push(Action::Apply { object: Box::new(object) });
        }
    }

    /// Deletes an object, unless that is under way.
    pub(super) fn delete(&mut self, existing: &DynamicObject, key: &ObjectKey) {
        self.actions.extend(deletion(existing, key));
    }

    /// Notes an object that exists.
    pub(super) fn keep(&mut self, existing: &DynamicObject, key: &ObjectKey) {
        let uid = existing.metadata.uid.as_deref().unwrap_or_default();
        self.inventory.push(reference(&gvk_of(existing), key, uid));
    }

    /// What the apiserver said when this was last tried.
    pub(super) fn refusal(&self, key: &ObjectKey, verb: Verb) -> Option<(Reason, String)> {
        refusal(self.world, key, verb)
    }

    /// Looks again after this time at the latest.
    pub(super) fn look_again(&mut self, after: Duration) {
        self.requeue = Some(self.requeue.map_or(after, |r| r.min(after)));
    }
}

/// For each component, what `pick` gives of the edges: the component, and the entry.
fn edges_by(resolved: &Resolved, pick: fn(usize, &Edge) -> (usize, usize)) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new(); resolved.components.len()];
    for (at, edge) in resolved.graph.edges.iter().enumerate() {
        let (component, entry) = pick(at, edge);
        all[component].push(entry);
    }
    all
}

/// The action that deletes an object; none where its deletion is under way.
pub(super) fn deletion(existing: &DynamicObject, key: &ObjectKey) -> Option<Action> {
    if existing.metadata.deletion_timestamp.is_some() {
        return None;
    }
    Some(Action::Delete {
        gvk: gvk_of(existing),
        key: key.clone(),
        uid: existing.metadata.uid.clone()?,
        resource_version: None,
    })
}

/// What the apiserver said when this was last tried; of a watch, for the whole kind.
pub(super) fn refusal(world: &World, key: &ObjectKey, verb: Verb) -> Option<(Reason, String)> {
    let same = |k: &ObjectKey| match verb {
        Verb::Watch => k.group == key.group && k.kind == key.kind,
        _ => k == key,
    };
    let found = world.refusals.iter().find(|r| r.verb == verb && same(&r.key))?;
    Some((found.reason, found.message.clone()))
}

/// The components as expressions see them: by name, and a list of those that one `forEach` made.
#[derive(Default)]
pub(super) struct Nodes {
    pub(super) by_name: HashMap<String, ComponentNode>,
    pub(super) by_base: HashMap<String, Vec<String>>,
}

impl ComponentScope for Nodes {
    fn component(&self, name: &str) -> Option<Node<'_>> {
        if let Some(node) = self.by_name.get(name) {
            return Some(Node::Fields(node));
        }
        let Some(items) = self.by_base.get(name) else {
            return Some(Node::Unknown(format!("waits for component `{name}`").into()));
        };
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match self.by_name.get(item) {
                Some(node) if node.skipped => return Some(Node::Skipped(item.clone().into())),
                Some(node) => match node.to_value() {
                    Some(value) => list.push(value),
                    None => return Some(Node::Unknown(format!("waits for component `{item}`").into())),
                },
                None => return Some(Node::Unknown(format!("waits for component `{item}`").into())),
            }
        }
        Some(Node::Json(std::borrow::Cow::Owned(Value::Array(list))))
    }
}
