//! Component drivers: what is known of a kind. One file a kind, one line in [`ALL`].
//!
//! A driver works on data alone: it completes the object that a template describes, and reads the health of the one
//! that the apiserver holds. A kind without a driver is read by the blueprint's rules, else by the usual conventions.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Health, StatusRules, Timestamp};

use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::Gvk;
use crate::resolve::{Dataset, Topic};
use crate::world::Served;

mod conditions;
mod daemonjob;
mod deployment;
mod generic;
mod job;
mod jobflow;
mod kafkatopic;
mod mapreducejob;
mod pods;
mod topic;

pub use kafkatopic::KafkaTopicDriver;
pub use topic::TopicDriver;

pub(crate) use pods::variable;

/// Every driver.
pub const ALL: &[&dyn Component] = &[
    &mapreducejob::MapReduceJobDriver,
    &topic::TopicDriver,
    &kafkatopic::KafkaTopicDriver,
    &job::JobDriver,
    &jobflow::JobFlowDriver,
    &daemonjob::DaemonJobDriver,
    &deployment::DeploymentDriver,
];

/// The driver of a kind; the generic one where it has none.
pub fn of(group: &str, kind: &str) -> &'static dyn Component {
    ALL.iter().copied().find(|d| d.group() == group && d.kind() == kind).unwrap_or(&generic::Generic)
}

/// What is known of a kind.
pub trait Component: Sync {
    /// API group.
    fn group(&self) -> &'static str;

    /// Kind.
    fn kind(&self) -> &'static str;

    /// The versions that the driver understands, the preferred first.
    fn versions(&self) -> &'static [&'static str];

    /// The kinds to watch for it, in the version that is served.
    fn children(&self, served: &Served) -> Vec<Gvk> {
        served_version(served, self.group(), self.kind(), self.versions()).into_iter().collect()
    }

    /// Whether the child ends by itself. `template` is the component's template.
    fn lifetime(&self, template: &Value) -> Lifetime;

    /// What reads and writes may name.
    fn ports(&self) -> Ports;

    /// The values that expressions of other components may use, once the child has them.
    fn outputs(&self) -> Vec<(&'static str, Type)> {
        Vec::new()
    }

    /// Bytes that the child's name may have.
    fn max_name(&self) -> usize {
        tributary_crds::names::MAX_CHILD_NAME
    }

    /// Completes the object with what its ports are bound to; what the template says itself stays.
    fn wire(&self, object: &mut Value, ports: &[Port<'_>]);

    /// How the child is, from its own data.
    fn observe(&self, child: &DynamicObject, rules: Option<&StatusRules>) -> Report;

    /// Whether the object is never changed: an edit deletes it and creates it anew.
    fn immutable(&self) -> bool {
        false
    }

    /// What an edit of the object comes to. `old` and `new` are the object before and after it; fields that the template
    /// does not say may be missing in `new`.
    fn change(&self, _old: &Value, _new: &Value) -> Change {
        if self.immutable() {
            Change::new(Effect::Replace, "objects of this kind are made once")
        } else {
            Change::new(Effect::InPlace, "its own controller takes the edit up")
        }
    }

    /// Whether the kind deletes itself by `spec.ttlSecondsAfterFinished`. The operator then takes that over, since an
    /// outcome must be known before its object goes.
    fn has_ttl(&self) -> bool {
        false
    }

    /// Whether an object is stopped by its spec; `None` for a kind that cannot be.
    fn suspended(&self, _object: &Value) -> Option<bool> {
        None
    }

    /// Whether a child that was stopped has come to rest, so that it may be replaced.
    fn drained(&self, child: &DynamicObject, rules: Option<&StatusRules>) -> bool {
        self.observe(child, rules).health == Health::Suspended
    }

    /// Stops the object by its spec, or lets it go.
    fn suspend(&self, _object: &mut Value, _on: bool) {}
}

/// Whether a component ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends: what waits for it waits for Succeeded.
    Batch,
    /// It goes on: what waits for it waits for Ready.
    Stream,
    /// Not known beforehand: either will do.
    Either,
}

/// Which way a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// `reads`.
    Reads,
    /// `writes`.
    Writes,
}

impl Direction {
    /// The field of a component.
    pub fn field(self) -> &'static str {
        match self {
            Direction::Reads => "reads",
            Direction::Writes => "writes",
        }
    }
}

/// The ports of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Any name.
    Any,
    /// These.
    Named {
        /// Ports that are read.
        reads: &'static [&'static str],
        /// Ports that are written.
        writes: &'static [&'static str],
    },
}

/// A port and what it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// Name.
    pub name: &'a str,
    /// Read or written.
    pub direction: Direction,
    /// Topic or dataset.
    pub target: Target<'a>,
    /// Schema of the records, as text.
    pub schema: Option<&'a str>,
}

/// What a port is bound to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A Kafka topic.
    Topic(&'a Topic),
    /// A place in a store.
    Dataset(&'a Dataset),
}

/// How a child is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Health.
    pub health: Health,
    /// The child's own reason.
    pub reason: String,
    /// The child's own message.
    pub message: String,
    /// From 0 to 100, where the kind tells.
    pub percent: Option<i32>,
    /// Values for expressions.
    pub outputs: BTreeMap<String, Value>,
    /// The outcome is final: it will not change by itself.
    pub finished: bool,
    /// When it ended, where the child tells.
    pub finished_at: Option<Timestamp>,
}

impl Report {
    /// A health with the child's words.
    pub fn new(health: Health, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { health, reason: reason.into(), message: message.into(), ..Self::default() }
    }

    /// A final outcome with the child's words.
    pub fn finished(health: Health, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { finished: true, ..Self::new(health, reason, message) }
    }
}

/// The best served version of a kind, of those that a driver understands.
fn served_version(served: &Served, group: &str, kind: &str, versions: &[&str]) -> Option<Gvk> {
    let found = served.get(group, kind)?;
    let version = versions.iter().find(|v| found.versions.iter().any(|s| s == *v))?;
    Some(Gvk::new(group, version, kind))
}

/// The kinds with a driver that are served: a Pipeline may have children of them.
pub fn watched(served: &Served) -> Vec<Gvk> {
    let mut kinds: Vec<Gvk> = ALL.iter().flat_map(|d| d.children(served)).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Fills `object` with what `given` has and it has not; where both are objects, field by field.
pub(crate) fn fill(object: &mut Value, given: Value) {
    match (object, given) {
        (Value::Object(object), Value::Object(given)) => {
            for (key, value) in given {
                match object.get_mut(&key) {
                    Some(existing) => fill(existing, value),
                    None => {
                        object.insert(key, value);
                    }
                }
            }
        }
        (object @ Value::Null, given) => *object = given,
        _ => {}
    }
}

/// The object at a path of fields, made where it is missing; `None` where something else stands in the way.
fn object_at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut serde_json::Map<String, Value>> {
    let mut current = value;
    for name in path {
        let object = current.as_object_mut()?;
        current = object.entry(*name).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    current.as_object_mut()
}

/// `spec.suspend` of an object; absent means false.
fn spec_suspend(object: &Value) -> bool {
    object.pointer("/spec/suspend").and_then(Value::as_bool).unwrap_or(false)
}

/// Sets `spec.suspend`.
fn set_spec_suspend(object: &mut Value, on: bool) {
    if let Some(spec) = object_at(object, &["spec"]) {
        spec.insert("suspend".into(), on.into());
    }
}
