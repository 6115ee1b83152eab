//! Traces: a Pipeline of one component, whose child goes through the steps.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tributary_blueprints::drivers;
use tributary_blueprints::evaluate;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::Action;
use tributary_blueprints::world::{Objects, World};
use tributary_crds::{ComponentStatus, Health, Pipeline, Timestamp};

/// A file of a trace.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trace {
    /// What it shows.
    #[allow(dead_code)]
    about: String,
    /// As in a blueprint.
    component: Value,
    /// What apiserver and webhooks make of a child when it is created, as a merge patch.
    #[serde(default)]
    defaults: Value,
    steps: Vec<Step>,
}

/// What happens, and how things are once the Pipeline has settled.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    /// Time that passes before.
    #[serde(default)]
    after: Option<String>,
    /// The child's whole status from now on; without it, it is as it was.
    #[serde(default)]
    status: Option<Value>,
    /// What somebody else changes of the child, as a merge patch.
    #[serde(default)]
    foreign: Option<Value>,
    /// The child is deleted.
    #[serde(default)]
    gone: bool,
    /// What the user changes of the component, as a merge patch.
    #[serde(default)]
    edit: Option<Value>,
    /// What the user changes of the Pipeline's spec, as a merge patch.
    #[serde(default)]
    pipeline: Option<Value>,
    /// The status of the pod that the driver names.
    #[serde(default)]
    pod: Option<Value>,
    /// The driver's reading; not looked at where there is no child.
    #[serde(default)]
    reads: Option<Health>,
    /// The component's health; without it, that of the reading.
    #[serde(default)]
    line: Option<Health>,
    #[serde(default)]
    reason: Option<String>,
    /// A part of the component's message.
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    latched: bool,
    #[serde(default)]
    outputs: Option<BTreeMap<String, Value>>,
    /// What the Pipeline writes, until it has settled: `Create`, `Apply spec.a.b ...` with the fields of the spec, `Delete`.
    #[serde(default)]
    writes: Vec<String>,
}

/// The cluster of a trace.
struct Cluster {
    world: World,
    now: Timestamp,
    created: u32,
    /// What was last applied to the child: fields that are not applied any more go.
    applied: Value,
    defaults: Value,
}

impl Cluster {
    fn new(component: &Value, defaults: &Value) -> Self {
        let pipeline: Pipeline = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "apps", "uid": "pipeline", "generation": 1},
            "spec": {
                "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
                "stores": {"default": {"endpoint": "http://s3:9000"}},
                "blueprint": {
                    "datasets": [{"name": "in", "location": "bucket/in"}, {"name": "out", "location": "bucket/out"}],
                    "components": [component],
                },
            },
        }))
        .unwrap();
        let gvk = kind_of(component);
        let mut world = World { pipeline, ..World::default() };
        std::sync::Arc::make_mut(&mut world.served).add(&gvk, "children", true);
        Self {
            world,
            now: "2026-01-01T00:00:00Z".parse().unwrap(),
            created: 0,
            applied: Value::Null,
            defaults: defaults.clone(),
        }
    }

    fn child(&self) -> Option<(&ObjectKey, &DynamicObject)> {
        self.world.children.0.iter().next()
    }

    fn change(&mut self, patch: &Value) {
        let (key, child) = self.child().map(|(k, c)| (k.clone(), c.clone())).expect("a child");
        let spec = child.data.get("spec").cloned();
        let mut value = serde_json::to_value(&child).unwrap();
        merge(&mut value, patch);
        let mut child: DynamicObject = serde_json::from_value(value).unwrap();
        if child.data.get("spec").cloned() != spec {
            child.metadata.generation = child.metadata.generation.map(|g| g + 1);
        }
        self.world.children.0.insert(key, child);
    }

    fn edit(&mut self, patch: &Value) {
        let mut spec = serde_json::to_value(&self.world.pipeline.spec).unwrap();
        merge(&mut spec, patch);
        self.world.pipeline.spec = serde_json::from_value(spec).unwrap();
        self.world.pipeline.metadata.generation = self.world.pipeline.metadata.generation.map(|g| g + 1);
    }

    fn happen(&mut self, step: &Step) {
        self.now += duration(step.after.as_deref().unwrap_or("1s"));
        if let Some(status) = &step.status {
            self.change(&json!({"status": null}));
            self.change(&json!({"status": status}));
        }
        if let Some(patch) = &step.foreign {
            self.change(patch);
        }
        if step.gone {
            self.world.children = Objects::default();
        }
        if let Some(patch) = &step.edit {
            let mut component = json!(self.world.pipeline.spec.blueprint.as_ref().unwrap().components[0]);
            merge(&mut component, patch);
            self.edit(&json!({"blueprint": {"components": [component]}}));
        }
        if let Some(patch) = &step.pipeline {
            self.edit(patch);
        }
        if let Some(status) = &step.pod {
            let key = self.child().and_then(|(_, c)| drivers::related(c)).expect("the driver names a pod");
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": key.name, "namespace": key.namespace}, "status": status});
            self.world.related = [serde_json::from_value(pod).unwrap()].into_iter().collect();
        }
    }

    /// Passes until there is nothing left to write; gives what was written.
    fn settle(&mut self) -> Vec<String> {
        let mut writes = Vec::new();
        for _ in 0..8 {
            let plan = evaluate(&self.world, self.now);
            if plan.is_empty() {
                return writes;
            }
            for action in plan.actions {
                writes.extend(self.act(action));
            }
            if let Some(status) = plan.status {
                self.world.pipeline.status = Some(serde_json::from_value(status).unwrap());
            }
        }
        writes.push("and never settles".into());
        writes
    }

    fn act(&mut self, action: Action) -> Option<String> {
        match action {
            Action::Finalizers(all) => {
                self.world.pipeline.metadata.finalizers = Some(all);
                None
            }
            Action::Create(mut object) => {
                self.created += 1;
                self.applied = Value::Null;
                object.metadata.uid = Some(format!("child-{}", self.created));
                object.metadata.generation = Some(1);
                if self.defaults.is_object() {
                    let mut made = serde_json::to_value(&object).unwrap();
                    merge(&mut made, &self.defaults);
                    *object = serde_json::from_value(made).unwrap();
                }
                self.world.children.0.insert(ObjectKey::of(&object).unwrap(), *object);
                Some("Create".into())
            }
            Action::Delete { key, uid, .. } => {
                assert_eq!(self.world.children.get(&key).unwrap().metadata.uid.as_deref(), Some(uid.as_str()));
                self.world.children.0.remove(&key);
                Some("Delete".into())
            }
            Action::Apply { object } => {
                let mut fields = Vec::new();
                leaves(object.data.get("spec").unwrap_or(&Value::Null), "spec", &mut fields);
                let mut patch = serde_json::to_value(&object).unwrap();
                patch["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                let applied = std::mem::replace(&mut self.applied, patch.clone());
                without(&applied, &mut patch);
                self.change(&patch);
                Some(format!("Apply {}", fields.join(" ")).trim().to_owned())
            }
        }
    }

    fn line(&self) -> &ComponentStatus {
        &self.world.pipeline.status.as_ref().unwrap().components[0]
    }
}

fn kind_of(component: &Value) -> Gvk {
    let text = |name: &str| component["template"][name].as_str().unwrap();
    Gvk::parse(text("apiVersion"), text("kind"))
}

fn duration(text: &str) -> Duration {
    tributary_blueprints::duration::parse(text).unwrap()
}

/// RFC 7386.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return *value = patch.clone() };
    if !value.is_object() {
        *value = json!({});
    }
    let object = value.as_object_mut().unwrap();
    for (name, patch) in patch {
        if patch.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name.clone()).or_insert(Value::Null), patch);
        }
    }
}

/// Adds to a merge patch that what was there `before` and is not now goes.
fn without(before: &Value, patch: &mut Value) {
    let (Value::Object(before), Value::Object(patch)) = (before, patch) else { return };
    for (name, before) in before {
        without(before, patch.entry(name.clone()).or_insert(Value::Null));
    }
}

/// The paths of what is no object.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| leaves(v, &format!("{path}.{k}"), found)),
        Value::Null => {}
        _ => found.push(path.to_owned()),
    }
}

/// The steps that go otherwise.
pub fn faults(path: &Path) -> Vec<String> {
    let trace: Trace = super::read(path);
    let mut cluster = Cluster::new(&trace.component, &trace.defaults);
    let mut faults = Vec::new();
    let made = cluster.settle();
    if made != ["Create"] {
        return vec![format!("{}: at first {made:?} is written: {:#?}", path.display(), cluster.world.pipeline.status)];
    }
    for (n, step) in trace.steps.iter().enumerate() {
        cluster.happen(step);
        let before = reading(&cluster);
        let writes = cluster.settle();
        for what in differences(step, before, &writes, cluster.line()) {
            faults.push(format!("{}: step {}: {what}", path.display(), n + 1));
        }
    }
    faults
}

/// What the driver reads of the child before anything is written.
fn reading(cluster: &Cluster) -> Option<Health> {
    let (key, child) = cluster.child()?;
    let rules = cluster.world.pipeline.spec.blueprint.as_ref().unwrap().components[0].status.as_ref();
    Some(drivers::of(&key.group, &key.kind).observe(child, rules).health)
}

fn differences(step: &Step, read: Option<Health>, writes: &[String], line: &ComponentStatus) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, is: String, must: String| {
        if is != must {
            found.push(format!("{what} is {is}, not {must} ({:?} {} {})", line.health, line.reason, line.message));
        }
    };
    if let (Some(must), Some(read)) = (step.reads, read) {
        differ("reading", format!("{read:?}"), format!("{must:?}"));
    }
    let health = step.line.or(step.reads).expect("a step has `reads` or `line`");
    differ("line", format!("{:?}", line.health), format!("{health:?}"));
    differ("latched", line.latched.to_string(), step.latched.to_string());
    differ("writes", format!("{writes:?}"), format!("{:?}", step.writes));
    if let Some(reason) = &step.reason {
        differ("reason", line.reason.clone(), reason.clone());
    }
    if let Some(message) = step.message.as_ref().filter(|m| !line.message.contains(*m)) {
        differ("message", line.message.clone(), message.clone());
    }
    if let Some(outputs) = &step.outputs {
        let is: BTreeMap<_, _> = line.outputs.iter().map(|(k, v)| (k, &v.0)).collect();
        differ("outputs", json!(is).to_string(), json!(outputs).to_string());
    }
    found
}
