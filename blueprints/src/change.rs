//! What an edit comes to: for each component, topic and dataset, whether it is left alone, changed in place, restarted,
//! drained, replaced or destroyed, why, and what becomes of offsets, state and data.
//!
//! `tributary plan` shows it beforehand; `evaluate` goes by the same [`crate::drivers::Component::change`] and
//! [`Component::is_immutable`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::drivers::Lifetime;
use crate::expr::child_path;
use crate::resolve::{Component, Dataset, Resolved, Topic};

/// What becomes of a thing, from the least to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Nothing.
    Unchanged,
    /// It is made.
    Create,
    /// It is changed while it goes on.
    InPlace,
    /// It is changed, and its pods are replaced one after the other.
    Restart,
    /// It is stopped, so that what it works on is finished, and then replaced.
    Drain,
    /// It is deleted and made anew.
    Replace,
    /// It is not ours any more; it stays.
    Release,
    /// It is deleted; nothing is lost with it that cannot be made again.
    Delete,
    /// Data is deleted for good.
    Destructive,
    /// It cannot be done; the Pipeline fails until the edit is taken back.
    Refused,
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Effect {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Create => "create",
            Self::InPlace => "in place",
            Self::Restart => "restart",
            Self::Drain => "drain",
            Self::Replace => "replace",
            Self::Release => "release",
            Self::Delete => "delete",
            Self::Destructive => "destructive",
            Self::Refused => "refused",
        }
    }
}

/// What an edit of one object comes to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub effect: Effect,
    /// Why.
    pub reason: String,
}

impl Change {
    /// An effect with its reason.
    pub fn new(effect: Effect, reason: impl Into<String>) -> Self {
        Self { effect, reason: reason.into() }
    }
}

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A topic.
    Topic,
    /// A dataset.
    Dataset,
    /// A component.
    Component,
}

/// What becomes of one topic, dataset or component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What it is.
    pub what: What,
    /// Its name in the blueprint.
    pub name: String,
    /// A component's kind; empty for others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What becomes of it.
    pub effect: Effect,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Paths of the fields that differ, up to ten; never their values, which may be secret.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// What becomes of the places in topics up to which it has read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub offsets: String,
    /// What becomes of what it has computed so far.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// What becomes of stored records and objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
}

impl Step {
    fn new(what: What, name: &str, effect: Effect, reason: impl Into<String>) -> Self {
        Self {
            what,
            name: name.to_owned(),
            kind: String::new(),
            effect,
            reason: reason.into(),
            fields: Vec::new(),
            offsets: String::new(),
            state: String::new(),
            data: String::new(),
        }
    }
}

/// What an edit of a component's object comes to: the one decision behind [`changes`] and `evaluate`. What goes on and
/// can be stopped is drained before it is replaced.
pub(crate) fn of_object(component: &Component, old: &Value, new: &Value) -> Change {
    let change = if component.is_immutable() {
        let why = if component.lifetime == Lifetime::Batch { "what ends by itself" } else { "this kind" };
        Change::new(Effect::Replace, format!("{why} is never changed, but made anew"))
    } else {
        component.driver().change(old, new)
    };
    let goes_on = component.lifetime == Lifetime::Stream && component.driver().suspended(old).is_some();
    if change.effect == Effect::Replace && goes_on { Change { effect: Effect::Drain, ..change } } else { change }
}

/// What becomes of everything when `new` takes the place of `old`; without an `old`, all is made. Topics first, then
/// datasets, then components in the order in which they begin; what goes last.
pub fn changes(old: Option<&Resolved>, new: &Resolved) -> Vec<Step> {
    let nothing = Resolved::default();
    let old = old.unwrap_or(&nothing);
    let mut steps: Vec<Step> = new.topics.iter().map(|t| topic(old.topic(&t.name), t)).collect();
    steps.extend(old.topics.iter().filter(|t| new.topic(&t.name).is_none()).map(topic_gone));
    steps.extend(new.datasets.iter().map(|d| dataset(old.dataset(&d.name), d)));
    steps.extend(old.datasets.iter().filter(|d| new.dataset(&d.name).is_none()).map(|d| {
        let data = if d.written { format!("the objects in {} stay", d.uri) } else { String::new() };
        Step { data, ..Step::new(What::Dataset, &d.name, Effect::Release, "it is not in the blueprint any more") }
    }));
    let before: BTreeMap<&str, &Component> = old.components.iter().map(|c| (c.name.as_str(), c)).collect();
    let mut moved: BTreeSet<&str> = BTreeSet::new();
    for component in &new.components {
        let mut step = self::component(before.get(component.name.as_str()).copied(), component, old, new);
        follow(&mut step, component, &moved);
        if step.effect != Effect::Unchanged {
            moved.insert(&component.base);
        }
        steps.push(step);
    }
    let names: BTreeSet<&str> = new.components.iter().map(|c| c.name.as_str()).collect();
    steps.extend(old.components.iter().filter(|c| !names.contains(c.name.as_str())).map(component_gone));
    steps
}

/// What is changed while it goes on may change with what another component gives.
fn follow(step: &mut Step, component: &Component, moved: &BTreeSet<&str>) {
    if step.effect == Effect::Unchanged && !component.is_immutable() {
        let used: Vec<String> =
            component.uses.iter().filter(|n| moved.contains(n.as_str())).map(|n| format!("`{n}`")).collect();
        if !used.is_empty() {
            step.effect = Effect::InPlace;
            step.reason = format!("it uses what {} gives, which may change", used.join(", "));
        }
    }
}

/// What an edit of a topic comes to.
pub(crate) fn topic(old: Option<&Topic>, new: &Topic) -> Step {
    let step = |effect, reason: &str| Step::new(What::Topic, &new.name, effect, reason);
    let Some(old) = old else {
        return if new.existing {
            step(Effect::Unchanged, "it is somebody else's")
        } else {
            step(Effect::Create, "it is new")
        };
    };
    match (old.existing, new.existing) {
        (_, true) if !old.existing => {
            let data = "its records stay".into();
            return Step { data, ..step(Effect::Release, "it becomes somebody else's") };
        }
        (_, true) => return step(Effect::Unchanged, "it is somebody else's"),
        (true, false) => return step(Effect::Create, "it becomes this Pipeline's"),
        (false, false) => {}
    }
    if old.topic_name != new.topic_name {
        let reason = format!(
            "Kafka cannot rename \"{}\" to \"{}\"; give the topic another name in the blueprint",
            old.topic_name, new.topic_name
        );
        return step(Effect::Refused, &reason);
    }
    if old.connection.bootstrap_servers != new.connection.bootstrap_servers {
        let data = "no records move; those in the former cluster stay there".into();
        let offsets = "readers begin anew in the other cluster".into();
        return Step { data, offsets, ..step(Effect::InPlace, "it is in another Kafka cluster") };
    }
    if let (Some(before), Some(after)) = (old.partitions, new.partitions)
        && after < before
    {
        return step(Effect::Refused, &format!("Kafka cannot take partitions away: it has {before}, not {after}"));
    }
    if new.replicas.is_some() && old.replicas.is_some() && new.replicas != old.replicas {
        return step(Effect::Refused, "the number of replicas cannot be changed in place");
    }
    edited(old, new, step)
}

/// An edit that Kafka takes.
fn edited(old: &Topic, new: &Topic, step: impl Fn(Effect, &str) -> Step) -> Step {
    let mut fields = Vec::new();
    if old.partitions != new.partitions {
        fields.push("partitions".to_owned());
    }
    let keys: BTreeSet<&String> = old.config.keys().chain(new.config.keys()).collect();
    let differing: Vec<&String> = keys.into_iter().filter(|k| old.config.get(*k) != new.config.get(*k)).collect();
    fields.extend(differing.iter().map(|k| child_path("config", k)));
    if old.retain != new.retain {
        fields.push("retain".into());
    }
    if fields.is_empty() {
        return step(Effect::Unchanged, "");
    }
    let offsets = if old.partitions == new.partitions {
        String::new()
    } else {
        "records of one key may go to another partition from then on".to_owned()
    };
    let less = differing.iter().find(|k| keeps_less(k, old.config.get(**k), new.config.get(**k)));
    let mut found = match less {
        Some(key) => {
            let data = "Kafka deletes the records that this does not keep any more".into();
            Step { data, ..step(Effect::Destructive, &format!("`{key}` keeps less than before")) }
        }
        None => step(Effect::InPlace, "Kafka takes the edit up"),
    };
    found.fields = fields;
    found.offsets = offsets;
    found
}

/// Whether Kafka deletes records after an edit of this key.
fn keeps_less(key: &str, old: Option<&Value>, new: Option<&Value>) -> bool {
    let number = |v: Option<&Value>| v.and_then(|v| crate::expr::functions::text(v).parse::<i64>().ok());
    match key {
        "retention.ms" | "retention.bytes" | "local.retention.ms" | "local.retention.bytes" => {
            // -1 keeps everything; without a value it is the broker's, which is not known here
            match (number(old), number(new)) {
                (Some(-1), Some(new)) => new >= 0,
                (Some(old), Some(new)) => new >= 0 && new < old,
                (None, Some(new)) => new >= 0,
                _ => false,
            }
        }
        "cleanup.policy" => {
            let text = |v: Option<&Value>| v.map_or_else(|| "delete".to_owned(), Value::to_string);
            let gains = |word: &str| text(new).contains(word) && !text(old).contains(word);
            gains("compact") || gains("delete")
        }
        _ => false,
    }
}

fn topic_gone(old: &Topic) -> Step {
    let gone = |effect, reason| Step::new(What::Topic, &old.name, effect, reason);
    if old.existing {
        return gone(Effect::Unchanged, "it is somebody else's");
    }
    let reason = "it is not in the blueprint any more";
    if old.retain {
        return Step {
            data: format!("\"{}\" and its records stay in Kafka", old.topic_name),
            ..gone(Effect::Release, reason)
        };
    }
    let data = format!("\"{}\" is deleted with all its records, since it says `retain: false`", old.topic_name);
    Step { data, offsets: "the offsets of its readers go with it".into(), ..gone(Effect::Destructive, reason) }
}

fn dataset(old: Option<&Dataset>, new: &Dataset) -> Step {
    let step = |effect, reason: &str| Step::new(What::Dataset, &new.name, effect, reason);
    match old {
        None => step(Effect::Create, "it is new"),
        Some(old) if (&old.uri, &old.connection) != (&new.uri, &new.connection) => {
            let data = format!("no objects move; those in {} stay there", old.uri);
            Step { data, ..step(Effect::InPlace, &format!("it is in another place: {}", new.uri)) }
        }
        Some(old) if old.format != new.format => step(Effect::InPlace, "its format differs"),
        Some(_) => step(Effect::Unchanged, ""),
    }
}

fn component(old: Option<&Component>, component: &Component, before: &Resolved, after: &Resolved) -> Step {
    let step = |effect, reason: &str| Step {
        kind: component.gvk.kind.clone(),
        ..Step::new(What::Component, &component.name, effect, reason)
    };
    let Some(old) = old else { return step(Effect::Create, "it is new") };
    if old.key(&before.namespace) != component.key(&after.namespace) {
        let reason = if old.gvk == component.gvk {
            format!("run {} has a child of its own", after.run)
        } else {
            format!("it was a {}", old.gvk.kind)
        };
        return replaced(component, step(Effect::Replace, &reason));
    }
    if old.hash == component.hash && old.gvk == component.gvk {
        return step(Effect::Unchanged, "");
    }
    let (was, is) = (before.settled_object(old), after.settled_object(component));
    let mut fields = Vec::new();
    differences(&was, &is, "", &mut fields);
    let change = of_object(component, &was, &is);
    let mut found = step(change.effect, &change.reason);
    found.fields = fields;
    match change.effect {
        Effect::Replace => replaced(component, found),
        Effect::Drain => {
            found.state = "what it works on is finished before it is replaced".into();
            if !component.reads.is_empty() {
                found.offsets = "kept by its consumer group, where it has one".into();
            }
            found
        }
        Effect::Restart if !component.reads.is_empty() => {
            found.offsets = "kept by its consumer group, where it has one".into();
            found.state = "what its pods hold in memory is lost".into();
            found
        }
        _ => found,
    }
}

fn replaced(component: &Component, mut step: Step) -> Step {
    if component.lifetime == Lifetime::Batch {
        step.state = "it runs again from the beginning".into();
        if !component.writes.is_empty() {
            let names: Vec<&str> = component.writes.values().map(String::as_str).collect();
            step.data = format!("{} is written again", names.join(", "));
        }
    } else {
        step.state = "what its pods hold is lost".into();
    }
    if component.topics.iter().any(|t| component.reads.values().any(|r| r == t)) {
        step.offsets = "it reads from where its own settings say".into();
    }
    step
}

fn component_gone(old: &Component) -> Step {
    let mut step = Step::new(What::Component, &old.name, Effect::Delete, "it is not in the blueprint any more");
    step.kind.clone_from(&old.gvk.kind);
    if old.driver().holds_data() {
        step.effect = Effect::Destructive;
        step.data = "what it holds goes with it, unless the volume's own policy keeps it".into();
    }
    if !old.writes.is_empty() {
        step.data = "what it has written stays".into();
    }
    step
}

/// The paths of the fields in which two values differ, up to ten.
pub(crate) fn differences(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    const MOST: usize = 10;
    if old == new || found.len() >= MOST {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let null = Value::Null;
                differences(a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), &child_path(path, key), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{path}[{i}]"), found);
            }
        }
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}
