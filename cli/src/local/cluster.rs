//! A cluster in memory: one Pipeline and its children, kept as an apiserver keeps them.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::{Action, Plan};
use tributary_blueprints::world::{Objects, Refusal, Served, Verb, World};
use tributary_crds::{BlueprintSpec, GROUP, Pipeline, Reason, Time, Timestamp, VERSION};

use crate::manifest::faults;

/// The namespace of a Pipeline that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The objects of one Pipeline.
#[derive(Clone, Debug)]
pub struct Cluster {
    pipeline: Pipeline,
    blueprint: Option<BlueprintSpec>,
    children: Objects,
    served: Served,
    refusals: Vec<Refusal>,
    version: u64,
    seed: i128,
    created: Vec<DynamicObject>,
}

/// A plan that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// An object without a kind or a name.
    #[error("the plan has an object without kind or name")]
    Nameless,
    /// A status of another shape.
    #[error("the plan's status is none: {0}")]
    Status(#[from] serde_json::Error),
}

impl Cluster {
    /// A cluster that holds a Pipeline and, unless it is inline, its blueprint.
    pub fn new(mut pipeline: Pipeline, blueprint: Option<BlueprintSpec>, now: Timestamp) -> Self {
        let seed = now.as_nanosecond();
        let metadata = &mut pipeline.metadata;
        metadata.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.into());
        metadata.uid = Some(uid(seed, 1));
        metadata.resource_version = Some("1".into());
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(Time(now));
        pipeline.status = None;
        // it is run by hand, now
        pipeline.spec.schedule = None;
        pipeline.spec.time_zone = None;
        Self {
            pipeline,
            blueprint,
            children: Objects::default(),
            served: served(),
            refusals: Vec::new(),
            version: 1,
            seed,
            created: Vec::new(),
        }
    }

    /// The Pipeline as it is now.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The children as they are now.
    pub fn children(&self) -> &Objects {
        &self.children
    }

    /// Every object that plans created, as they said it, in that order.
    pub fn created(&self) -> &[DynamicObject] {
        &self.created
    }

    /// A number that grows with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What the next decision is made from.
    pub fn world(&self) -> World {
        World {
            pipeline: self.pipeline.clone(),
            blueprint: self.blueprint.clone(),
            children: self.children.clone(),
            served: self.served.clone().into(),
            refusals: self.refusals.clone(),
            ..World::default()
        }
    }

    /// Carries out a plan; what is refused is in the next World. The status is written after the actions, and not at all
    /// where one of them is refused.
    pub fn act(&mut self, plan: &Plan, now: Timestamp) -> Result<(), ClusterError> {
        for action in &plan.actions {
            let done = match action {
                Action::Create(object) => self.create(object, now)?,
                Action::Apply { object } => self.apply(object)?,
                Action::Delete { key, uid, resource_version, .. } => {
                    self.delete(key, uid, resource_version.as_deref());
                    true
                }
                Action::Finalizers(finalizers) => {
                    let finalizers = Some(finalizers.clone()).filter(|f| !f.is_empty());
                    if self.pipeline.metadata.finalizers != finalizers {
                        self.pipeline.metadata.finalizers = finalizers;
                        self.pipeline.metadata.resource_version = Some(self.next_version());
                    }
                    true
                }
            };
            if !done {
                return Ok(());
            }
        }
        if let Some(status) = &plan.status {
            self.pipeline.status = Some(serde_json::from_value(status.clone())?);
            self.pipeline.metadata.resource_version = Some(self.next_version());
        }
        Ok(())
    }

    /// Writes a child's status, as its controller would.
    pub fn set_status(&mut self, key: &ObjectKey, status: Value) {
        let version = (self.version + 1).to_string();
        if let Some(child) = self.children.0.get_mut(key)
            && child.data.get("status") != Some(&status)
            && let Some(data) = child.data.as_object_mut()
        {
            data.insert("status".into(), status);
            child.metadata.resource_version = Some(version);
            self.version += 1;
        }
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn create(&mut self, object: &DynamicObject, now: Timestamp) -> Result<bool, ClusterError> {
        let key = ObjectKey::of(object).ok_or(ClusterError::Nameless)?;
        if self.children.0.contains_key(&key) {
            return Ok(true);
        }
        if let Some(message) = self.objection(object)? {
            self.refuse(Verb::Create, key, message);
            return Ok(false);
        }
        let version = self.next_version();
        let mut stored = object.clone();
        stored.metadata.uid = Some(uid(self.seed, self.version));
        stored.metadata.resource_version = Some(version);
        stored.metadata.generation = Some(1);
        stored.metadata.creation_timestamp = Some(Time(now));
        if let Some(data) = stored.data.as_object_mut() {
            data.remove("status");
        }
        self.created.push(object.clone());
        self.refusals.retain(|r| r.key != key);
        self.children.0.insert(key, stored);
        Ok(true)
    }

    fn apply(&mut self, object: &DynamicObject) -> Result<bool, ClusterError> {
        let key = ObjectKey::of(object).ok_or(ClusterError::Nameless)?;
        let Some(stored) = self.children.get(&key).filter(|stored| precondition_holds(stored, object)) else {
            return Ok(false);
        };
        let mut next = stored.clone();
        merge(&mut next.data, &object.data);
        for (to, from) in [
            (&mut next.metadata.labels, &object.metadata.labels),
            (&mut next.metadata.annotations, &object.metadata.annotations),
        ] {
            if let Some(from) = from {
                to.get_or_insert_default().extend(from.clone());
            }
        }
        if next.metadata == stored.metadata && next.data == stored.data {
            return Ok(true);
        }
        if let Some(message) = self.objection(&next)? {
            self.refuse(Verb::Apply, key, message);
            return Ok(false);
        }
        if next.data.get("spec") != stored.data.get("spec") {
            next.metadata.generation = next.metadata.generation.map(|g| g + 1);
        }
        next.metadata.resource_version = Some(self.next_version());
        self.refusals.retain(|r| r.key != key);
        self.children.0.insert(key, next);
        Ok(true)
    }

    fn delete(&mut self, key: &ObjectKey, uid: &str, resource_version: Option<&str>) {
        let met = self.children.get(key).is_some_and(|child| {
            child.metadata.uid.as_deref() == Some(uid)
                && resource_version.is_none_or(|v| child.metadata.resource_version.as_deref() == Some(v))
        });
        if met {
            self.children.0.remove(key);
            self.version += 1;
        }
    }

    /// Why the apiserver would refuse this object.
    fn objection(&self, object: &DynamicObject) -> Result<Option<String>, ClusterError> {
        let types = object.types.clone().unwrap_or_default();
        let gvk = Gvk::parse(&types.api_version, &types.kind);
        if !self.served.serves(&gvk) {
            return Ok(Some(format!("the kind {gvk} is not there in a local run")));
        }
        if gvk.group != GROUP {
            return Ok(None);
        }
        let mut value = serde_json::to_value(object)?;
        let found: Vec<_> = faults(&types.api_version, &types.kind, &mut value)
            .into_iter()
            .map(|fault| format!("{}: {}", fault.path, fault.message))
            .collect();
        Ok((!found.is_empty()).then(|| found.join("; ")))
    }

    fn refuse(&mut self, verb: Verb, key: ObjectKey, message: String) {
        let refusal = Refusal { verb, key, reason: Reason::Rejected, message };
        if !self.refusals.contains(&refusal) {
            self.refusals.retain(|r| r.key != refusal.key);
            self.refusals.push(refusal);
            self.version += 1;
        }
    }
}

/// The time of the start sets the uids of one run apart from those of another.
fn uid(seed: i128, n: u64) -> String {
    let (high, low) = ((seed >> 32) as u32, seed as u32);
    format!("{high:08x}-{:04x}-4{:03x}-8{:03x}-{n:012x}", low >> 16, (low >> 4) & 0xfff, (low & 0xf) << 8)
}

fn precondition_holds(stored: &DynamicObject, given: &DynamicObject) -> bool {
    let (stored, given) = (&stored.metadata, &given.metadata);
    (given.uid.is_none() || given.uid == stored.uid)
        && (given.resource_version.is_none() || given.resource_version == stored.resource_version)
}

/// Objects are merged, anything else is replaced.
fn merge(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                merge(to.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from.clone(),
    }
}

/// The kinds of this group, and Strimzi's KafkaTopic for Pipelines that name a cluster of Strimzi's.
fn served() -> Served {
    let mut served = Served::default();
    for crd in tributary_crds::schema::all() {
        let names = &crd.spec.names;
        served.add(&Gvk::new(GROUP, VERSION, &names.kind), &names.plural, true);
    }
    served.add(&Gvk::new("kafka.strimzi.io", "v1", "KafkaTopic"), "kafkatopics", true);
    served
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(name: &str, spec: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "tributary.dev/v1alpha1",
            "kind": "MapReduceJob",
            "metadata": {"name": name, "namespace": "default", "labels": {"a": "b"}},
            "spec": spec,
            "status": {"phase": "Succeeded"},
        });
        serde_json::from_value(object).unwrap()
    }

    fn good() -> Value {
        json!({"input": {"strings": ["a b"]}, "map": {"operator": "Words"}, "output": {"results": {}}})
    }

    fn cluster() -> Cluster {
        Cluster::new(Pipeline::default(), None, Timestamp::UNIX_EPOCH)
    }

    fn act(cluster: &mut Cluster, actions: Vec<Action>) {
        let plan = Plan { actions, status: Some(json!({"phase": "Progressing"})), ..Plan::default() };
        cluster.act(&plan, Timestamp::UNIX_EPOCH).unwrap();
    }

    fn create(object: DynamicObject) -> Action {
        Action::Create(Box::new(object))
    }

    #[test]
    fn a_created_object_gets_what_an_apiserver_gives_and_keeps_its_first_content() {
        let mut cluster = cluster();
        act(&mut cluster, vec![create(job("j", good())), create(job("j", json!({"other": true})))]);
        let (key, stored) = cluster.children().0.iter().next().unwrap();
        assert_eq!((key.kind.as_str(), key.name.as_str()), ("MapReduceJob", "j"));
        assert!(stored.metadata.uid.is_some() && stored.metadata.resource_version.is_some());
        assert_eq!(stored.metadata.generation, Some(1));
        assert_eq!(stored.data, json!({"spec": good()}), "the status is a subresource");
        assert_eq!(cluster.children().0.len(), 1);
        assert_eq!(cluster.created().len(), 1);
        assert!(cluster.pipeline().status.is_some());
    }

    #[test]
    fn what_the_apiserver_would_refuse_is_data_and_stops_the_plan() {
        let mut spec = good();
        spec["partitoins"] = 3.into();
        let mut cluster = cluster();
        act(&mut cluster, vec![create(job("bad", spec)), create(job("j", good()))]);
        assert!(cluster.children().0.is_empty() && cluster.pipeline().status.is_none());
        let version = cluster.version();
        let refusal = cluster.world().refusals.pop().unwrap();
        assert_eq!((refusal.verb, refusal.key.name.as_str()), (Verb::Create, "bad"));
        assert!(refusal.message.contains("spec.partitoins"), "{}", refusal.message);
        // the same refusal again changes nothing, so that a run notices that it cannot go on
        act(&mut cluster, vec![create(job("bad", good().as_object().map(|_| json!({"partitoins": 3})).unwrap()))]);
        act(&mut cluster, vec![create(job("bad", json!({"partitoins": 3})))]);
        assert!(cluster.version() <= version + 1);
        act(&mut cluster, vec![create(job("bad", good()))]);
        assert_eq!(cluster.world().refusals, []);
    }

    #[test]
    fn a_kind_that_is_not_there_is_refused() {
        let mut object = job("j", good());
        object.types = Some(kube::core::TypeMeta { api_version: "batch/v1".into(), kind: "Job".into() });
        let mut cluster = cluster();
        act(&mut cluster, vec![create(object)]);
        assert!(cluster.world().refusals[0].message.contains("batch/v1 Job is not there"));
    }

    #[test]
    fn deletes_and_applies_keep_to_their_preconditions() {
        let mut cluster = cluster();
        act(&mut cluster, vec![create(job("j", good()))]);
        let (key, stored) = cluster.children().0.iter().next().map(|(k, o)| (k.clone(), o.clone())).unwrap();
        let delete = |uid: &str, version: Option<&str>| Action::Delete {
            gvk: Gvk::new(GROUP, VERSION, "MapReduceJob"),
            key: key.clone(),
            uid: uid.into(),
            resource_version: version.map(Into::into),
        };
        let mut change = job("j", json!({"suspend": true}));
        change.metadata.resource_version = Some("0".into());
        act(&mut cluster, vec![Action::Apply { object: Box::new(change.clone()) }]);
        assert_eq!(cluster.children().get(&key).unwrap().data, stored.data);

        change.metadata.resource_version = stored.metadata.resource_version.clone();
        change.data.as_object_mut().unwrap().remove("status");
        act(&mut cluster, vec![Action::Apply { object: Box::new(change) }]);
        let changed = cluster.children().get(&key).unwrap().clone();
        assert_eq!(changed.data["spec"]["suspend"], true);
        assert_eq!(changed.data["spec"]["map"], stored.data["spec"]["map"]);
        assert_eq!(changed.metadata.generation, Some(2));

        let uid = stored.metadata.uid.unwrap();
        act(&mut cluster, vec![delete("another", None), delete(&uid, stored.metadata.resource_version.as_deref())]);
        assert_eq!(cluster.children().0.len(), 1);
        act(&mut cluster, vec![delete(&uid, None)]);
        assert!(cluster.children().0.is_empty());
    }

    #[test]
    fn two_runs_have_two_uids() {
        let uid = |now| Cluster::new(Pipeline::default(), None, now).pipeline().metadata.uid.clone().unwrap();
        let later = Timestamp::from_nanosecond(1_763_714_000_123_456_789).unwrap();
        assert_ne!(uid(Timestamp::UNIX_EPOCH), uid(later));
        assert_eq!(uid(later).len(), 36);
    }
}
