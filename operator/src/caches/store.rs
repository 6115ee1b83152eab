//! The objects of one kind, as a watch and the answers to our own writes delivered them, and the indexes over them.

mod entry;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use imbl::OrdMap;
use kube::core::{DynamicObject, TypeMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tributary_blueprints::object::{Gvk, field};
use tributary_crds::{GROUP, names};
use tributary_flows::{Family, Named};

use super::{Primary, PrimaryKind};
use crate::queue::Lane;
use entry::{Body, Entry};

/// Labels that objects can be found by.
const INDEXED: [&str; 2] = [names::PIPELINE, names::JOB];
/// The same, where there may be thousands of one value, which are handed out all at once.
const FAMILIES: [&str; 2] = [names::FLOW, names::DAEMON_JOB];

/// Namespace and name.
pub type Name = (String, String);

/// Namespace, label and value.
type Label = (String, &'static str, String);
type Objects = OrdMap<Arc<Name>, Entry>;

/// What a watch has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// The first list is not complete.
    #[default]
    Pending,
    /// The store is complete up to what the watch delivered.
    Synced,
    /// The apiserver forbids it; its words.
    Forbidden(String),
    /// The first list fails again and again; the apiserver's words.
    Failing(String),
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Store {
    gvk: Gvk,
    /// Whether it is complete.
    pub sync: Sync,
    objects: Objects,
    /// By namespace, label and value, for the labels of [`INDEXED`].
    by_label: HashMap<Label, BTreeMap<Arc<Name>, Body>>,
    /// The same for the labels of [`FAMILIES`].
    families: HashMap<Label, Family>,
    /// Topics by the Kafka topic that they stand for.
    by_kafka_topic: HashMap<String, BTreeSet<Arc<Name>>>,
    /// JobFlows by namespace and name of the JobTemplates that they refer to.
    by_template: HashMap<Name, BTreeSet<Arc<Name>>>,
    /// Names that the list under way has delivered.
    listed: Option<HashSet<Name>>,
    /// When the last list ended.
    complete_since: Option<Instant>,
    /// The newest resourceVersion that the watch has shown of any object.
    newest: u128,
}

impl Store {
    /// An empty store.
    pub fn new(gvk: Gvk) -> Self {
        Self {
            gvk,
            sync: Sync::Pending,
            objects: Objects::new(),
            by_label: HashMap::new(),
            families: HashMap::new(),
            by_kafka_topic: HashMap::new(),
            by_template: HashMap::new(),
            listed: None,
            complete_since: None,
            newest: 0,
        }
    }

    /// The kind, in the version that is watched.
    pub fn gvk(&self) -> &Gvk {
        &self.gvk
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        Some(self.entry(namespace, name)?.body.object(&self.gvk))
    }

    /// One object as the type it is of; an error where it is not.
    pub fn read<T: DeserializeOwned>(&self, namespace: &str, name: &str) -> Option<Result<T, serde_json::Error>> {
        Some(self.entry(namespace, name)?.body.read())
    }

    fn entry(&self, namespace: &str, name: &str) -> Option<&Entry> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.objects.values().map(|entry| entry.body.object(&self.gvk))
    }

    /// All objects as the type they are of; those that are not are left out.
    pub fn read_all<T: DeserializeOwned>(&self) -> impl Iterator<Item = T> {
        self.objects.values().filter_map(|entry| entry.body.read().ok())
    }

    /// All objects as decisions are about them, where they are, and when it is their turn.
    pub fn primaries(&self) -> impl Iterator<Item = (Primary, Lane)> {
        let kind = PrimaryKind::of(&self.gvk.group, &self.gvk.kind);
        let all = kind.into_iter().flat_map(|kind| self.objects.iter().map(move |entry| (kind, entry)));
        all.map(|(kind, (name, entry))| {
            let (namespace, name) = Name::clone(name);
            (Primary { kind, namespace, name }, entry.own_lane)
        })
    }

    /// Objects in the namespace that carry the label, which must be indexed, with this value.
    pub fn labelled(
        &self,
        namespace: &str,
        label: &'static str,
        value: &str,
    ) -> impl Iterator<Item = Arc<DynamicObject>> {
        let key = (namespace.to_owned(), label, value.to_owned());
        let bodies = self.by_label.get(&key).into_iter().flat_map(BTreeMap::values);
        let family = self.families.get(&key).into_iter().flat_map(Family::iter);
        bodies.map(|body| body.object(&self.gvk)).chain(family.cloned())
    }

    /// The same, as it is now. The label is that of a JobFlow or a DaemonJob.
    pub fn family(&self, namespace: &str, label: &'static str, value: &str) -> Family {
        self.families.get(&(namespace.to_owned(), label, value.to_owned())).cloned().unwrap_or_default()
    }

    /// The objects of a namespace as they are now.
    pub fn in_namespace(&self, namespace: &str) -> impl Named + use<> {
        InNamespace { gvk: self.gvk.clone(), namespace: namespace.to_owned(), objects: self.objects.clone() }
    }

    /// Names of the JobFlows of the namespace that refer to this JobTemplate.
    pub fn users_of(&self, namespace: &str, template: &str) -> impl Iterator<Item = &str> {
        let names = self.by_template.get(&(namespace.to_owned(), template.to_owned()));
        names.into_iter().flatten().map(|name| name.1.as_str())
    }

    /// Topics that stand for the same Kafka topic as `object`, itself included if it is here.
    pub fn rivals_of<'a>(&'a self, object: &DynamicObject) -> impl Iterator<Item = Arc<DynamicObject>> + use<'a> {
        let names = kafka_topic_of(object, &self.gvk).and_then(|topic| self.by_kafka_topic.get(&topic));
        names.into_iter().flatten().filter_map(|name| Some(self.objects.get(name)?.body.object(&self.gvk)))
    }

    /// A list begins: what it does not name is gone when it ends.
    pub fn begin_list(&mut self) {
        self.listed = Some(HashSet::new());
        self.newest = 0;
    }

    /// The list has ended; gives the objects that are gone.
    pub fn end_list(&mut self, now: Instant) -> Vec<Arc<DynamicObject>> {
        self.sync = Sync::Synced;
        self.complete_since = Some(now);
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let gone: Vec<Arc<Name>> = self.objects.keys().filter(|name| !listed.contains(&***name)).cloned().collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Takes in what the watch shows; gives the object that it replaces and the pruned new one. Nothing where the store has that
    /// version or a later one, which a write has brought.
    pub fn watched(&mut self, object: DynamicObject) -> Option<(Option<Arc<DynamicObject>>, Arc<DynamicObject>)> {
        let version = version_of(&object);
        self.newest = self.newest.max(version.unwrap_or_default());
        let name = name_of(&object);
        if let Some(listed) = &mut self.listed {
            listed.insert(name.clone());
        }
        let known = self.objects.get(&name).and_then(|known| known.version);
        // a list is right where it is older, too: the cluster may have been restored from a backup
        let is_past = known == version || known > version && self.listed.is_none();
        if version.is_some() && is_past {
            return None;
        }
        Some(self.insert(name, object))
    }

    /// Takes in what the answer to a write shows, which was asked for at `since`; gives what [`Store::watched`] does. Nothing where
    /// the watch or a list may have gone past it: then the object may be gone, too.
    pub fn written(
        &mut self,
        object: DynamicObject,
        since: Instant,
    ) -> Option<(Option<Arc<DynamicObject>>, Arc<DynamicObject>)> {
        let types = object.types.as_ref()?;
        let is_complete = self.listed.is_none() && self.complete_since.is_some_and(|at| at < since);
        let is_ahead = version_of(&object)? > self.newest;
        let is_same = types.kind == self.gvk.kind && types.api_version == self.gvk.api_version();
        (is_complete && is_ahead && is_same).then(|| self.insert(name_of(&object), object))
    }

    fn insert(&mut self, name: Name, mut object: DynamicObject) -> (Option<Arc<DynamicObject>>, Arc<DynamicObject>) {
        object.types = Some(TypeMeta { api_version: self.gvk.api_version(), kind: self.gvk.kind.clone() });
        prune(&mut object, &self.gvk);
        let old = self.remove(&name);
        let name = Arc::new(name);
        let object = Arc::new(object);
        let entry = Entry::new(&object, &self.gvk);
        for label in labels_of(&object, INDEXED) {
            self.by_label.entry(label).or_default().insert(name.clone(), entry.body.clone());
        }
        for label in labels_of(&object, FAMILIES) {
            self.families.entry(label).or_default().insert(object.clone());
        }
        if let Some(topic) = kafka_topic_of(&object, &self.gvk) {
            self.by_kafka_topic.entry(topic).or_default().insert(name.clone());
        }
        for template in self.templates_of(&object) {
            self.by_template.entry((name.0.clone(), template)).or_default().insert(name.clone());
        }
        self.objects.insert(name, entry);
        (old, object)
    }

    /// The watch shows that an object is gone; gives what was known of it. One of the same name that a write has made since stays.
    pub fn deleted(&mut self, object: &DynamicObject) -> Option<Arc<DynamicObject>> {
        self.newest = self.newest.max(version_of(object).unwrap_or_default());
        let name = name_of(object);
        // one that has merely left what is watched, and has come back by a write, is known in a later version
        let uid = object.metadata.uid.as_deref();
        let is_it = |known: &Entry| known.uid.as_deref() == uid && known.version <= version_of(object);
        let is_it = self.objects.get(&name).is_some_and(is_it);
        if is_it { self.remove(&name) } else { None }
    }

    fn remove(&mut self, name: &Name) -> Option<Arc<DynamicObject>> {
        let old = self.objects.remove(name)?.body.object(&self.gvk);
        for label in labels_of(&old, FAMILIES) {
            if let Some(family) = self.families.get_mut(&label) {
                family.remove(&old);
                if family.is_empty() {
                    self.families.remove(&label);
                }
            }
        }
        for label in labels_of(&old, INDEXED) {
            if let Some(bodies) = self.by_label.get_mut(&label) {
                bodies.remove(name);
                if bodies.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
        if let Some(topic) = kafka_topic_of(&old, &self.gvk) {
            unindex(&mut self.by_kafka_topic, &topic, name);
        }
        for template in self.templates_of(&old) {
            unindex(&mut self.by_template, &(name.0.clone(), template), name);
        }
        Some(old)
    }

    fn templates_of(&self, object: &DynamicObject) -> BTreeSet<String> {
        if self.gvk.group == GROUP && self.gvk.kind == "JobFlow" { templates_of(object) } else { BTreeSet::new() }
    }
}

/// The objects of a namespace at one moment.
#[derive(Debug)]
struct InNamespace {
    gvk: Gvk,
    namespace: String,
    objects: Objects,
}

impl Named for InNamespace {
    fn get(&self, name: &str) -> Option<Arc<DynamicObject>> {
        Some(self.objects.get(&(self.namespace.clone(), name.to_owned()))?.body.object(&self.gvk))
    }
}

fn unindex<K: Eq + std::hash::Hash>(index: &mut HashMap<K, BTreeSet<Arc<Name>>>, key: &K, name: &Name) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

/// Versions of one kind are decimal numbers that grow with each write; what is not a number cannot be compared.
pub fn version_of(object: &DynamicObject) -> Option<u128> {
    object.metadata.resource_version.as_deref()?.parse().ok()
}

/// Namespace (empty for what is cluster-wide) and name.
pub fn name_of(object: &DynamicObject) -> Name {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

fn labels_of(object: &DynamicObject, which: [&'static str; 2]) -> impl Iterator<Item = Label> {
    which.into_iter().filter_map(|label| {
        let value = object.metadata.labels.as_ref()?.get(label)?;
        Some((object.metadata.namespace.clone().unwrap_or_default(), label, value.clone()))
    })
}

/// What identifies the Kafka topic that a Topic stands for: the cluster's address and the topic's name, the one it was
/// created by before the one it asks for.
fn kafka_topic_of(object: &DynamicObject, gvk: &Gvk) -> Option<String> {
    if gvk.group != GROUP || gvk.kind != "Topic" {
        return None;
    }
    let text = |path: &[&str]| field(object, path).and_then(Value::as_str);
    let name = text(&["status", "topicName"]).or_else(|| text(&["spec", "topicName"]));
    let name = name.or(object.metadata.name.as_deref())?;
    Some(format!("{} {name}", text(&["spec", "kafka", "bootstrapServers"])?))
}

/// The JobTemplates that a JobFlow refers to.
pub fn templates_of(flow: &DynamicObject) -> BTreeSet<String> {
    let list = |name: &str| field(flow, &["spec", name]).and_then(Value::as_array).into_iter().flatten();
    let steps = list("flows").chain(list("finally")).chain(field(flow, &["spec", "errorHandler"]));
    steps.filter_map(|s| s.get("jobTemplateRef")?.as_str()).map(str::to_owned).collect()
}

/// Whether it belongs to a JobFlow or a DaemonJob.
pub fn is_of_flow(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels.is_some_and(|l| l.contains_key(names::FLOW) || l.contains_key(names::DAEMON_JOB))
}

/// Drops what no decision reads and what would make up most of the cache.
fn prune(object: &mut DynamicObject, gvk: &Gvk) {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let is_of_flow = is_of_flow(object);
    let labels = object.metadata.labels.as_ref();
    match (gvk.group.as_str(), gvk.kind.as_str(), object.data.as_object_mut()) {
        ("", "Pod", Some(data)) => {
            data.remove("spec");
        }
        ("", "Node", Some(data)) => {
            object.metadata.annotations = None;
            data.remove("status");
        }
        // as text it is a fraction of the size, and read only where it matters
        ("apps", "ControllerRevision", Some(data)) if labels.is_some_and(|l| l.contains_key(names::PIPELINE)) => {
            if let Some(content) = data.get_mut("data").filter(|c| !c.is_string()) {
                *content = content.to_string().into();
            }
        }
        ("batch", "Job", Some(data)) if is_of_flow => {
            data.get_mut("spec").and_then(Value::as_object_mut).map(|spec| spec.remove("template"));
        }
        _ => {}
    }
}
