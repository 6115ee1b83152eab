//! An apiserver in memory: uids, resourceVersions, generations, finalizers, preconditions and garbage collection.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::Action;
use tributary_blueprints::world::Served;
use tributary_crds::{BlueprintSpec, Pipeline, PipelineStatus, Time, Timestamp};

pub const NAMESPACE: &str = "apps";

/// Everything that can be watched, at one moment.
#[derive(Clone, Default, PartialEq)]
pub struct State {
    pub pipeline: Option<Rc<Pipeline>>,
    /// The one that the Pipeline refers to.
    pub blueprint: Option<Rc<BlueprintSpec>>,
    pub objects: BTreeMap<ObjectKey, Rc<DynamicObject>>,
}

#[derive(Clone, Default)]
pub struct Apiserver {
    pub state: State,
    pub served: Served,
    /// Every successful creation, in order.
    pub created: Vec<ObjectKey>,
    /// Creations of batch work by name, what the user did before, hash and attempt.
    pub works: Vec<(String, u32, String, String)>,
    /// How often users did something that may well make a child anew.
    pub epoch: u32,
    /// Every uid that was deleted.
    pub deleted: BTreeSet<String>,
    counter: u64,
    pub now: Timestamp,
}

/// Why a write had no effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict;

impl Apiserver {
    pub fn new(pipeline: Pipeline) -> Self {
        let mut server = Self { now: Timestamp::from_second(1_700_000_000).unwrap(), ..Self::default() };
        for (group, version, kind, plural) in [
            ("tributary.dev", "v1alpha1", "MapReduceJob", "mapreducejobs"),
            ("tributary.dev", "v1alpha1", "Topic", "topics"),
            ("batch", "v1", "Job", "jobs"),
            ("apps", "v1", "Deployment", "deployments"),
            ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            ("apps", "v1", "ControllerRevision", "controllerrevisions"),
            ("", "v1", "ConfigMap", "configmaps"),
            ("example.com", "v1", "Widget", "widgets"),
        ] {
            server.served.add(&Gvk::new(group, version, kind), plural, true);
        }
        server.submit(pipeline);
        server
    }

    /// A user creates a Pipeline.
    pub fn submit(&mut self, mut pipeline: Pipeline) {
        pipeline.metadata.uid = Some(self.fresh("uid"));
        pipeline.metadata.resource_version = Some(self.version());
        pipeline.metadata.generation = Some(1);
        self.state.pipeline = Some(Rc::new(pipeline));
    }

    fn version(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    fn fresh(&mut self, what: &str) -> String {
        format!("{what}-{}", self.version())
    }

    /// A user edits the Pipeline's spec.
    pub fn edit(&mut self, change: impl FnOnce(&mut Pipeline)) {
        let version = self.version();
        if let Some(pipeline) = self.state.pipeline.as_mut().map(Rc::make_mut) {
            change(pipeline);
            pipeline.metadata.resource_version = Some(version);
            pipeline.metadata.generation = pipeline.metadata.generation.map(|g| g + 1);
        }
    }

    /// A user deletes the Pipeline.
    pub fn delete_pipeline(&mut self) {
        let (version, now) = (self.version(), self.now);
        let Some(pipeline) = self.state.pipeline.as_mut().map(Rc::make_mut) else { return };
        pipeline.metadata.resource_version = Some(version);
        pipeline.metadata.deletion_timestamp.get_or_insert(Time(now));
        self.finish_pipeline();
    }

    fn finish_pipeline(&mut self) {
        let gone = self.state.pipeline.as_ref().is_some_and(|p| {
            p.metadata.deletion_timestamp.is_some() && p.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        });
        if gone {
            self.state.pipeline = None;
        }
    }

    /// Deletes what the vanished Pipelines own.
    pub fn collect_garbage(&mut self) {
        let living = self.state.pipeline.as_ref().and_then(|p| p.metadata.uid.clone());
        let orphans: Vec<ObjectKey> = self
            .state
            .objects
            .iter()
            .filter(|(_, o)| {
                let owners = o.metadata.owner_references.iter().flatten();
                let mut owned = owners.filter(|o| o.kind == "Pipeline").peekable();
                owned.peek().is_some() && owned.all(|o| Some(&o.uid) != living.as_ref())
            })
            .map(|(key, _)| key.clone())
            .collect();
        orphans.iter().for_each(|key| self.delete(key));
    }

    /// One write of the operator.
    pub fn act(&mut self, action: &Action, pipeline: &ObjectMeta) -> Result<(), Conflict> {
        match action {
            Action::Create(object) => self.create(object),
            Action::Apply { object } => self.apply(object),
            Action::Delete { key, uid, .. } => {
                if self.state.objects.get(key).is_some_and(|o| o.metadata.uid.as_ref() == Some(uid)) {
                    self.delete(key);
                }
                Ok(())
            }
            Action::Finalizers(list) => {
                let version = self.version();
                let Some(current) =
                    self.state.pipeline.as_mut().map(Rc::make_mut).filter(|p| p.metadata.uid == pipeline.uid)
                else {
                    return Err(Conflict);
                };
                if current.metadata.resource_version != pipeline.resource_version {
                    return Err(Conflict);
                }
                current.metadata.finalizers = Some(list.clone());
                current.metadata.resource_version = Some(version);
                self.finish_pipeline();
                Ok(())
            }
        }
    }

    fn create(&mut self, object: &DynamicObject) -> Result<(), Conflict> {
        let key = ObjectKey::of(object).expect("a created object has a kind and a name");
        let types = object.types.clone().unwrap();
        assert!(
            self.served.serves(&Gvk::parse(&types.api_version, &types.kind)),
            "{key} is of a kind that is not served"
        );
        if self.state.objects.contains_key(&key) {
            return Ok(());
        }
        let mut object = object.clone();
        object.metadata.uid = Some(self.fresh("uid"));
        object.metadata.resource_version = Some(self.version());
        object.metadata.generation = Some(1);
        self.created.push(key.clone());
        if matches!(key.kind.as_str(), "MapReduceJob" | "Job" | "Widget") {
            let of = |name: &str| object.metadata.annotations.as_ref().and_then(|a| a.get(name).cloned());
            let (hash, attempt) = (of("tributary.dev/template-hash"), of("tributary.dev/attempt"));
            let work = (key.name.clone(), self.epoch, hash.unwrap_or_default(), attempt.unwrap_or_default());
            self.works.push(work);
        }
        self.state.objects.insert(key, Rc::new(object));
        Ok(())
    }

    fn apply(&mut self, object: &DynamicObject) -> Result<(), Conflict> {
        let key = ObjectKey::of(object).expect("an applied object has a kind and a name");
        let version = self.version();
        let Some(current) = self.state.objects.get_mut(&key).map(Rc::make_mut) else { return Err(Conflict) };
        let stale = current.metadata.uid != object.metadata.uid
            || current.metadata.resource_version != object.metadata.resource_version;
        if stale {
            return Err(Conflict);
        }
        let before = current.data.get("spec").cloned();
        merge(&mut current.data, &object.data);
        let annotations = current.metadata.annotations.get_or_insert_default();
        annotations.extend(object.metadata.annotations.clone().unwrap_or_default());
        let labels = current.metadata.labels.get_or_insert_default();
        labels.extend(object.metadata.labels.clone().unwrap_or_default());
        let owners = current.metadata.owner_references.get_or_insert_default();
        for owner in object.metadata.owner_references.iter().flatten() {
            owners.retain(|o| o.uid != owner.uid);
            owners.push(owner.clone());
        }
        current.metadata.resource_version = Some(version);
        if current.data.get("spec") != before.as_ref() {
            current.metadata.generation = current.metadata.generation.map(|g| g + 1);
        }
        Ok(())
    }

    /// Marks an object for deletion; it goes at once where nobody holds it.
    pub fn delete(&mut self, key: &ObjectKey) {
        let (version, now) = (self.version(), self.now);
        let Some(object) = self.state.objects.get_mut(key).map(Rc::make_mut) else { return };
        object.metadata.deletion_timestamp.get_or_insert(Time(now));
        object.metadata.resource_version = Some(version);
        if object.metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
            && let Some(gone) = self.state.objects.remove(key)
        {
            self.deleted.extend(gone.metadata.uid.clone());
        }
    }

    /// Another controller changes an object.
    pub fn touch(&mut self, key: &ObjectKey, change: impl FnOnce(&mut DynamicObject)) {
        let version = self.version();
        let Some(object) = self.state.objects.get_mut(key).map(Rc::make_mut) else { return };
        change(object);
        object.metadata.resource_version = Some(version);
        if object.metadata.deletion_timestamp.is_some() {
            self.delete(key);
        }
    }

    /// The operator writes the Pipeline's status, as decided on this state of it.
    pub fn write_status(&mut self, status: &Value, seen: &ObjectMeta) -> Result<(), Conflict> {
        let version = self.version();
        let parsed: PipelineStatus = serde_json::from_value(status.clone()).expect("a status parses");
        let Some(current) = self.state.pipeline.as_mut().map(Rc::make_mut).filter(|p| p.metadata.uid == seen.uid)
        else {
            return Err(Conflict);
        };
        if current.metadata.resource_version != seen.resource_version {
            return Err(Conflict);
        }
        current.status = Some(parsed);
        current.metadata.resource_version = Some(version);
        Ok(())
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}
