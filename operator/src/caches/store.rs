//! The objects of one kind, as a watch delivered them, and the indexes over them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use kube::core::{DynamicObject, TypeMeta};
use serde_json::Value;
use tributary_blueprints::object::{Gvk, field};
use tributary_crds::{GROUP, names};

/// Labels that objects can be found by.
pub const INDEXED: [&str; 4] = [names::PIPELINE, names::JOB, names::FLOW, names::DAEMON_JOB];

/// Namespace and name.
pub type Name = (String, String);

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
    objects: BTreeMap<Name, Arc<DynamicObject>>,
    /// By namespace, label and value, for the labels of [`INDEXED`].
    by_label: HashMap<(String, &'static str, String), BTreeSet<Name>>,
    /// Topics by the Kafka topic that they stand for.
    by_kafka_topic: HashMap<String, BTreeSet<Name>>,
    /// JobFlows by namespace and name of the JobTemplates that they refer to.
    by_template: HashMap<Name, BTreeSet<Name>>,
    /// Names that the list under way has delivered.
    listed: Option<HashSet<Name>>,
}

impl Store {
    /// An empty store.
    pub fn new(gvk: Gvk) -> Self {
        Self {
            gvk,
            sync: Sync::Pending,
            objects: BTreeMap::new(),
            by_label: HashMap::new(),
            by_kafka_topic: HashMap::new(),
            by_template: HashMap::new(),
            listed: None,
        }
    }

    /// The kind, in the version that is watched.
    pub fn gvk(&self) -> &Gvk {
        &self.gvk
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<DynamicObject>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = &Arc<DynamicObject>> {
        self.objects.values()
    }

    /// Objects in the namespace that carry the label, one of [`INDEXED`], with this value.
    pub fn labelled(
        &self,
        namespace: &str,
        label: &'static str,
        value: &str,
    ) -> impl Iterator<Item = &Arc<DynamicObject>> {
        let names = self.by_label.get(&(namespace.to_owned(), label, value.to_owned()));
        names.into_iter().flatten().filter_map(|name| self.objects.get(name))
    }

    /// Objects of the namespace whose names begin like this.
    pub fn named<'a>(&'a self, namespace: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a Arc<DynamicObject>> {
        let from = self.objects.range((namespace.to_owned(), prefix.to_owned())..);
        from.take_while(move |((n, name), _)| n == namespace && name.starts_with(prefix)).map(|(_, object)| object)
    }

    /// Names of the JobFlows of the namespace that refer to this JobTemplate.
    pub fn users_of(&self, namespace: &str, template: &str) -> impl Iterator<Item = &str> {
        let names = self.by_template.get(&(namespace.to_owned(), template.to_owned()));
        names.into_iter().flatten().map(|(_, name)| name.as_str())
    }

    /// Topics that stand for the same Kafka topic as `object`, itself included if it is here.
    pub fn rivals_of(&self, object: &DynamicObject) -> impl Iterator<Item = &Arc<DynamicObject>> {
        let names = kafka_topic_of(object, &self.gvk).and_then(|topic| self.by_kafka_topic.get(&topic));
        names.into_iter().flatten().filter_map(|name| self.objects.get(name))
    }

    /// A list begins: what it does not name is gone when it ends.
    pub fn begin_list(&mut self) {
        self.listed = Some(HashSet::new());
    }

    /// The list has ended; gives the objects that are gone.
    pub fn end_list(&mut self) -> Vec<Arc<DynamicObject>> {
        self.sync = Sync::Synced;
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let gone: Vec<Name> = self.objects.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        gone.iter().filter_map(|name| self.remove(name)).collect()
    }

    /// Takes an object in; gives the one it replaces and the pruned new one.
    pub fn insert(&mut self, mut object: DynamicObject) -> (Option<Arc<DynamicObject>>, Arc<DynamicObject>) {
        object.types = Some(TypeMeta { api_version: self.gvk.api_version(), kind: self.gvk.kind.clone() });
        prune(&mut object, &self.gvk);
        let name = name_of(&object);
        if let Some(listed) = &mut self.listed {
            listed.insert(name.clone());
        }
        let old = self.remove(&name);
        for entry in labels_of(&object) {
            self.by_label.entry(entry).or_default().insert(name.clone());
        }
        if let Some(topic) = kafka_topic_of(&object, &self.gvk) {
            self.by_kafka_topic.entry(topic).or_default().insert(name.clone());
        }
        for template in self.templates_of(&object) {
            self.by_template.entry((name.0.clone(), template)).or_default().insert(name.clone());
        }
        let object = Arc::new(object);
        self.objects.insert(name, object.clone());
        (old, object)
    }

    /// Takes an object out.
    pub fn remove(&mut self, name: &Name) -> Option<Arc<DynamicObject>> {
        let old = self.objects.remove(name)?;
        for entry in labels_of(&old) {
            unindex(&mut self.by_label, &entry, name);
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

fn unindex<K: Eq + std::hash::Hash>(index: &mut HashMap<K, BTreeSet<Name>>, key: &K, name: &Name) {
    if let Some(names) = index.get_mut(key) {
        names.remove(name);
        if names.is_empty() {
            index.remove(key);
        }
    }
}

/// Namespace (empty for what is cluster-wide) and name.
pub fn name_of(object: &DynamicObject) -> Name {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

fn labels_of(object: &DynamicObject) -> impl Iterator<Item = (String, &'static str, String)> {
    INDEXED.into_iter().filter_map(|label| {
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

/// Drops what no decision reads and what would make up most of the cache.
fn prune(object: &mut DynamicObject, gvk: &Gvk) {
    object.metadata.managed_fields = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    let labels = object.metadata.labels.as_ref();
    let is_of_flow = labels.is_some_and(|l| l.contains_key(names::FLOW) || l.contains_key(names::DAEMON_JOB));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, pipeline: Option<&str>) -> DynamicObject {
        let mut value = json!({"metadata": {"name": name, "namespace": "ns"}});
        if let Some(pipeline) = pipeline {
            value["metadata"]["labels"] = json!({names::PIPELINE: pipeline});
        }
        serde_json::from_value(value).unwrap()
    }

    fn all<'a>(objects: impl Iterator<Item = &'a Arc<DynamicObject>>) -> Vec<String> {
        objects.map(|o| o.metadata.name.clone().unwrap()).collect()
    }

    #[test]
    fn the_index_follows_changes_of_labels() {
        let mut store = Store::new(Gvk::new("batch", "v1", "Job"));
        store.insert(object("a", Some("p")));
        store.insert(object("b", Some("p")));
        assert_eq!(all(store.labelled("ns", names::PIPELINE, "p")), ["a", "b"]);
        store.insert(object("a", Some("q")));
        assert_eq!(all(store.labelled("ns", names::PIPELINE, "p")), ["b"]);
        assert_eq!(all(store.labelled("ns", names::PIPELINE, "q")), ["a"]);
        store.remove(&("ns".into(), "a".into()));
        assert!(all(store.labelled("ns", names::PIPELINE, "q")).is_empty());
        assert_eq!(store.by_label.len(), 1);
    }

    #[test]
    fn a_list_removes_what_it_does_not_name() {
        let mut store = Store::new(Gvk::new("batch", "v1", "Job"));
        store.begin_list();
        store.insert(object("a", None));
        store.insert(object("b", None));
        assert!(store.end_list().is_empty());
        assert_eq!(store.sync, Sync::Synced);
        store.begin_list();
        store.insert(object("b", None));
        let gone = store.end_list();
        assert_eq!(all(gone.iter()), ["a"]);
        assert_eq!(all(store.all()), ["b"]);
    }

    #[test]
    fn objects_carry_their_kind_and_no_ballast() {
        let mut store = Store::new(Gvk::new("", "v1", "Pod"));
        let mut pod = object("a", None);
        pod.metadata.managed_fields = Some(Vec::new());
        pod.metadata.annotations =
            Some([("kubectl.kubernetes.io/last-applied-configuration".into(), "{}".into())].into());
        pod.data = json!({"spec": {"containers": []}, "status": {"phase": "Running"}});
        let (_, pod) = store.insert(pod);
        assert_eq!(pod.types.as_ref().unwrap().kind, "Pod");
        assert!(pod.metadata.managed_fields.is_none());
        assert!(pod.metadata.annotations.as_ref().unwrap().is_empty());
        assert_eq!(pod.data, json!({"status": {"phase": "Running"}}));
    }
}
