//! An apiserver in memory, with the Job controller and the kubelets behind it: uids, resourceVersions, preconditions,
//! garbage collection, TTLs.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};
use tributary_blueprints::{
    object::{Gvk, ObjectKey, field},
    plan::Action,
};
use tributary_crds::{Time, Timestamp, names};

pub const NAMESPACE: &str = "apps";

/// Everything that can be watched, at one moment.
pub type State = BTreeMap<ObjectKey, Arc<DynamicObject>>;

/// Why a write had no effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict;

#[derive(Clone, Default)]
pub struct Apiserver {
    pub state: State,
    /// Every Job that was ever created, by uid: its name and what it is for.
    pub jobs: BTreeMap<String, String>,
    /// Tries of a Job that fail, by the Job's name without its try: see [`Apiserver::fails`].
    pub fate: BTreeMap<String, u32>,
    /// What the pods of a step leave as their termination message.
    pub messages: BTreeMap<String, String>,
    counter: u64,
    pub now: Timestamp,
}

pub fn key(kind: &str, name: &str) -> ObjectKey {
    let group = match kind {
        "Job" => "batch",
        "JobFlow" | "DaemonJob" | "JobTemplate" => "tributary.dev",
        "ControllerRevision" => "apps",
        "Lease" => "coordination.k8s.io",
        _ => "",
    };
    let namespace = if kind == "Node" { "" } else { NAMESPACE };
    ObjectKey::new(&Gvk::new(group, "v1", kind), namespace, name)
}

pub fn object(kind: &str, name: &str, body: Value) -> DynamicObject {
    let key = key(kind, name);
    let api_version = if key.group.is_empty() { "v1".into() } else { format!("{}/v1", key.group) };
    let mut object: DynamicObject = serde_json::from_value(json!({"apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": key.namespace}}))
    .unwrap();
    object.data = body;
    object
}

impl Apiserver {
    pub fn new() -> Self {
        Self { now: Timestamp::from_second(1_700_000_000).unwrap(), ..Self::default() }
    }

    fn version(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    /// Somebody creates an object; `None` where there is one.
    pub fn create(&mut self, object: &DynamicObject) -> Option<()> {
        let key = ObjectKey::of(object).expect("a created object has a kind and a name");
        if self.state.contains_key(&key) {
            return None;
        }
        let mut object = object.clone();
        object.metadata.uid = Some(format!("uid-{}", self.version()));
        object.metadata.resource_version = Some(self.version());
        object.metadata.generation = Some(1);
        object.metadata.creation_timestamp = Some(Time(self.now));
        if key.kind == "Job" {
            // what the apiserver would not take as a Job
            let job = serde_json::to_value(&object).unwrap();
            serde_json::from_value::<k8s_openapi::api::batch::v1::Job>(job.clone())
                .unwrap_or_else(|e| panic!("{e}: {job:#}"));
            self.jobs.insert(object.metadata.uid.clone().unwrap(), key.name.clone());
        }
        self.state.insert(key, Arc::new(object));
        Some(())
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<&Arc<DynamicObject>> {
        self.state.get(&key(kind, name))
    }

    pub fn of_kind(&self, kind: &str) -> Vec<Arc<DynamicObject>> {
        self.state.iter().filter(|(k, _)| k.kind == kind).map(|(_, o)| o.clone()).collect()
    }

    /// Somebody changes an object.
    pub fn touch(&mut self, key: &ObjectKey, change: impl FnOnce(&mut DynamicObject)) {
        let version = self.version();
        let Some(object) = self.state.get_mut(key).map(Arc::make_mut) else { return };
        let spec = object.data.get("spec").cloned();
        change(object);
        object.metadata.resource_version = Some(version);
        if object.data.get("spec") != spec.as_ref() {
            object.metadata.generation = object.metadata.generation.map(|g| g + 1);
        }
    }

    pub fn delete(&mut self, key: &ObjectKey) {
        self.version();
        self.state.remove(key);
    }

    /// One write of the operator.
    pub fn act(&mut self, action: &Action, primary: &ObjectMeta) -> Result<(), Conflict> {
        match action {
            Action::Create(object) => {
                self.create(object);
                Ok(())
            }
            Action::Apply { object } => {
                let key = ObjectKey::of(object).expect("an applied object has a kind and a name");
                let current = self.state.get(&key).filter(|c| c.metadata.uid == object.metadata.uid).ok_or(Conflict)?;
                let asked = &object.metadata.resource_version;
                if asked.is_some() && *asked != current.metadata.resource_version {
                    return Err(Conflict);
                }
                self.touch(&key, |current| merge(&mut current.data, &object.data));
                Ok(())
            }
            Action::Delete { key, uid, .. } => {
                if self.state.get(key).is_some_and(|o| o.metadata.uid.as_ref() == Some(uid)) {
                    self.delete(key);
                }
                Ok(())
            }
            Action::Finalizers(_) => panic!("there are none here, of {primary:?}"),
        }
    }

    /// The operator writes the status of a primary, as decided on this state of it.
    pub fn write_status(&mut self, key: &ObjectKey, status: &Value, seen: &ObjectMeta) -> Result<(), Conflict> {
        let there = self.state.get(key).ok_or(Conflict)?;
        if there.metadata.uid != seen.uid || there.metadata.resource_version != seen.resource_version {
            return Err(Conflict);
        }
        self.touch(key, |o| o.data["status"] = status.clone());
        Ok(())
    }

    /// Deletes what has no owner any more.
    pub fn collect_garbage(&mut self) {
        loop {
            let uids: Vec<String> = self.state.values().filter_map(|o| o.metadata.uid.clone()).collect();
            let orphans: Vec<ObjectKey> = self
                .state
                .iter()
                .filter(|(_, o)| {
                    let mut owners = o.metadata.owner_references.iter().flatten().peekable();
                    owners.peek().is_some() && owners.all(|owner| !uids.contains(&owner.uid))
                })
                .map(|(key, _)| key.clone())
                .collect();
            if orphans.is_empty() {
                return;
            }
            orphans.iter().for_each(|key| self.delete(key));
        }
    }

    /// What a Job is for, however often it was tried before: what its fate goes by.
    fn is_for(job: &DynamicObject) -> String {
        let label = |name: &str| job.metadata.labels.as_ref().and_then(|l| l.get(name)).cloned();
        let note = |name: &str| job.metadata.annotations.as_ref().and_then(|a| a.get(name)).cloned();
        let item = note(names::ITEM).map(|i| format!("-{i}")).unwrap_or_default();
        label(names::STEP).or(note(names::NODE)).map(|n| n + &item).unwrap_or_default()
    }

    fn fails(&self, job: &DynamicObject) -> bool {
        let note = |name: &str| job.metadata.annotations.as_ref().and_then(|a| a.get(name)).cloned();
        let attempt: u32 = note(names::ATTEMPT).and_then(|a| a.parse().ok()).unwrap_or(0);
        attempt < self.fate.get(&Self::is_for(job)).copied().unwrap_or(0)
    }

    /// The Job controller and the kubelet make one step of a Job.
    pub fn progress(&mut self, key: &ObjectKey) {
        let Some(job) = self.state.get(key).cloned() else { return };
        let at = |path: &[&str]| field(&job, path).cloned().unwrap_or_default();
        let is = |type_: &str| {
            at(&["status", "conditions"]).as_array().is_some_and(|c| c.iter().any(|c| c["type"] == type_))
        };
        let pods: Vec<ObjectKey> = self.pods_of(&job);
        if is("Complete") || is("Failed") {
            // as the TTL controller does
            let ended = at(&["status", "conditions"])
                .as_array()
                .and_then(|c| c[0]["lastTransitionTime"].as_str().map(str::to_owned));
            let ended: Timestamp = ended.and_then(|t| t.parse().ok()).unwrap_or(self.now);
            let ttl = at(&["spec", "ttlSecondsAfterFinished"]).as_u64();
            if ttl.is_some_and(|ttl| ended + std::time::Duration::from_secs(ttl) <= self.now) {
                self.delete(key);
            }
            return;
        }
        if at(&["spec", "suspend"]) == json!(true) {
            pods.iter().for_each(|pod| self.delete(pod));
            return;
        }
        let Some(pod) = pods.first() else { return self.start_pod(&job) };
        let phase =
            field(&self.state[pod], &["status", "phase"]).and_then(Value::as_str).unwrap_or_default().to_owned();
        let condition = |type_: &str, reason: &str| json!([{"type": type_, "status": "True", "reason": reason, "message": "as it is", "lastTransitionTime": self.now.to_string()}]);
        match phase.as_str() {
            "Pending" => self.touch(pod, |p| p.data["status"]["phase"] = json!("Running")),
            "Running" if self.fails(&job) => {
                let state =
                    json!({"terminated": {"exitCode": 3, "reason": "Error", "message": "the last line of the log"}});
                self.touch(pod, |p| {
                    p.data["status"] = json!({"phase": "Failed", "containerStatuses": [container(state)]})
                });
            }
            "Running" => {
                let message = self.messages.get(&Self::is_for(&job));
                let state = json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": message}});
                self.touch(pod, |p| {
                    p.data["status"] = json!({"phase": "Succeeded", "containerStatuses": [container(state)]})
                });
            }
            "Succeeded" => {
                let conditions = condition("Complete", "CompletionsReached");
                self.touch(key, |j| j.data["status"] = json!({"succeeded": 1, "conditions": conditions}));
            }
            _ => {
                let conditions = condition("Failed", "BackoffLimitExceeded");
                self.touch(key, |j| j.data["status"] = json!({"failed": 1, "conditions": conditions}));
            }
        }
    }

    fn pods_of(&self, job: &DynamicObject) -> Vec<ObjectKey> {
        let owned = |o: &DynamicObject| {
            o.metadata.owner_references.iter().flatten().any(|r| Some(&r.uid) == job.metadata.uid.as_ref())
        };
        self.state.iter().filter(|(k, o)| k.kind == "Pod" && owned(o)).map(|(k, _)| k.clone()).collect()
    }

    fn start_pod(&mut self, job: &DynamicObject) {
        let name = format!("{}-pod", job.metadata.name.clone().unwrap());
        let mut pod = object("Pod", &name, json!({"status": {"phase": "Pending"}}));
        pod.metadata.labels = field(job, &["spec", "template", "metadata", "labels"])
            .and_then(|l| serde_json::from_value(l.clone()).ok());
        pod.metadata.owner_references = serde_json::from_value(json!([{"apiVersion": "batch/v1", "kind": "Job",
            "name": job.metadata.name, "uid": job.metadata.uid}]))
        .unwrap();
        self.create(&pod);
    }
}

fn container(state: Value) -> Value {
    json!({"name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state})
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
