//! A JobSpec of a user, completed to the Job that is created.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Map, Value, json};
use tributary_crds::{API_VERSION, GlobalParams, Template, names};

use crate::nodes;

/// What a Job is made from, beside its JobSpec.
#[derive(Clone, Debug, Default)]
pub(crate) struct Making<'a> {
    /// The object that owns it.
    pub(crate) owner: Option<OwnerReference>,
    pub(crate) namespace: &'a str,
    pub(crate) name: String,
    /// Ours, of the Job and of its pods; nothing overrides them.
    pub(crate) labels: BTreeMap<String, String>,
    /// Ours, of the Job.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) globals: Option<&'a GlobalParams>,
    /// `globals` wins over the template, as job-deploy-operator has it.
    pub(crate) strict: bool,
    pub(crate) volumes: &'a [Template],
    pub(crate) mounts: &'a [Template],
    /// The node that the pods run on.
    pub(crate) node: Option<&'a str>,
    pub(crate) deadline: Option<i64>,
}

/// The reference to an owner of this kind.
pub(crate) fn owner_of(kind: &str, metadata: &ObjectMeta) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: API_VERSION.into(),
        kind: kind.into(),
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: Some(false),
    })
}

/// An object of a child's kind with our labels.
pub(crate) fn object(api_version: &str, kind: &str, making: &Making<'_>, data: Value) -> DynamicObject {
    let mut labels = making.labels.clone();
    labels.insert(names::MANAGED_BY.into(), names::MANAGER.into());
    let metadata = ObjectMeta {
        name: Some(making.name.clone()),
        namespace: Some(making.namespace.into()),
        labels: Some(labels),
        annotations: (!making.annotations.is_empty()).then(|| making.annotations.clone()),
        owner_references: making.owner.clone().map(|o| vec![o]),
        ..ObjectMeta::default()
    };
    DynamicObject { types: Some(TypeMeta { api_version: api_version.into(), kind: kind.into() }), metadata, data }
}

/// The Job.
pub(crate) fn job(mut spec: Value, making: &Making<'_>) -> DynamicObject {
    complete_spec(&mut spec, making);
    if let Some(template) = at(&mut spec, &["template"]) {
        let metadata = template.entry("metadata").or_insert_with(|| json!({}));
        strings(metadata, "labels", making.globals.map(|g| &g.labels), making.strict);
        strings(metadata, "annotations", making.globals.map(|g| &g.annotations), making.strict);
        strings(metadata, "labels", Some(&making.labels), true);
    }
    if let Some(pod) = at(&mut spec, &["template", "spec"]) {
        complete_pod(pod, making);
    }
    let mut object = object("batch/v1", "Job", making, json!({"spec": spec}));
    let lay = |ours: &mut Option<BTreeMap<String, String>>, global: Option<&BTreeMap<String, String>>| {
        for (key, value) in global.into_iter().flatten() {
            ours.get_or_insert_default().entry(key.clone()).or_insert_with(|| value.clone());
        }
    };
    lay(&mut object.metadata.labels, making.globals.map(|g| &g.labels));
    lay(&mut object.metadata.annotations, making.globals.map(|g| &g.annotations));
    object
}

/// The flow decides when a Job runs, goes and is tried again.
fn complete_spec(spec: &mut Value, making: &Making<'_>) {
    let Some(spec) = spec.as_object_mut() else { return };
    spec.remove("ttlSecondsAfterFinished");
    spec.remove("suspend");
    if !spec.contains_key("backoffLimitPerIndex") {
        spec.entry("backoffLimit").or_insert_with(|| json!(0));
    }
    // an eviction is no failure of the program; the policy goes with one way of replacing pods only
    if spec.get("podReplacementPolicy").is_none_or(|p| p == "Failed") {
        spec.entry("podFailurePolicy").or_insert_with(
            || json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}),
        );
    }
    if let Some(deadline) = making.deadline {
        let own = spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
        spec.insert("activeDeadlineSeconds".into(), json!(own.map_or(deadline, |own| own.min(deadline))));
    }
}

fn complete_pod(pod: &mut Map<String, Value>, making: &Making<'_>) {
    pod.insert("restartPolicy".into(), json!("Never"));
    let used: Vec<&str> = making.mounts.iter().filter_map(|m| m.string("name")).collect();
    let volumes = making.volumes.iter().filter(|v| v.string("name").is_some_and(|name| used.contains(&name)));
    add(pod, "volumes", "name", volumes, false);
    for list in ["initContainers", "containers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            let env = making.globals.map_or(&[][..], |g| &g.env);
            add(container, "env", "name", env, making.strict);
            add(container, "volumeMounts", "mountPath", making.mounts, false);
            // the last lines of the log of what failed come with the pod's status
            container.entry("terminationMessagePolicy").or_insert_with(|| json!("FallbackToLogsOnError"));
        }
    }
    if let Some(node) = making.node {
        pod.remove("nodeName");
        nodes::pin(pod, node);
    }
    if let Some(node) = making.globals.and_then(|g| g.node_name.as_deref()) {
        nodes::pin(pod, node);
    }
}

/// Adds items to a list whose items are told apart by `key`. Of two with the same key, the one that is there stays,
/// unless `replace`. What is added comes first, since a variable may refer to those before it.
fn add<'a>(
    to: &mut Map<String, Value>,
    list: &str,
    key: &str,
    items: impl IntoIterator<Item = &'a Template>,
    replace: bool,
) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_none() {
        return;
    }
    if !to.get(list).is_some_and(Value::is_array) {
        to.insert(list.into(), json!([]));
    }
    let Some(there) = to.get_mut(list).and_then(Value::as_array_mut) else { return };
    let mut added = Vec::new();
    for item in items {
        let same = there.iter_mut().find(|t| t.get(key).is_some() && t.get(key) == item.0.get(key));
        match same {
            Some(same) if replace => *same = item.to_value(),
            Some(_) => {}
            None => added.push(item.to_value()),
        }
    }
    there.splice(0..0, added);
}

/// Adds strings to the object of this name; those that are there stay, unless `replace`.
fn strings(to: &mut Value, name: &str, items: Option<&BTreeMap<String, String>>, replace: bool) {
    let Some(items) = items.filter(|i| !i.is_empty()) else { return };
    let Some(to) = to.as_object_mut() else { return };
    if !to.get(name).is_some_and(Value::is_object) {
        to.insert(name.into(), json!({}));
    }
    let Some(there) = to.get_mut(name).and_then(Value::as_object_mut) else { return };
    for (key, value) in items {
        if replace || !there.contains_key(key) {
            there.insert(key.clone(), json!(value));
        }
    }
}

/// The object at a path, where every part is one.
fn at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    path.iter().try_fold(value, |value, name| value.get_mut(*name))?.as_object_mut()
}

/// The restartPolicy that a JobSpec asks for in vain.
pub(crate) fn ignored_restart_policy(spec: &Value) -> Option<&str> {
    spec.pointer("/template/spec/restartPolicy").and_then(Value::as_str).filter(|policy| *policy != "Never")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn globals() -> GlobalParams {
        serde_json::from_value(json!({
            "env": [{"name": "FOO", "value": "bar"}, {"name": "QUE", "value": "pasa"}],
            "labels": {"key1": "value1", "app": "global"}, "annotations": {"note": "global"}, "nodeName": "minikube"
        }))
        .unwrap()
    }

    fn spec() -> Value {
        json!({"ttlSecondsAfterFinished": 0, "suspend": true, "template": {
            "metadata": {"labels": {"app": "own"}},
            "spec": {"restartPolicy": "OnFailure",
                "initContainers": [{"name": "i", "image": "x"}],
                "containers": [{"name": "c", "image": "x", "env": [{"name": "FOO", "value": "own"}, {"name": "Z", "value": "$(QUE)"}]}]}}})
    }

    fn made(strict: bool) -> Value {
        let globals = globals();
        let labels = BTreeMap::from([(names::FLOW.to_owned(), "f".to_owned())]);
        let making = Making {
            name: "f-a".into(),
            namespace: "ns",
            labels,
            globals: Some(&globals),
            strict,
            ..Making::default()
        };
        serde_json::to_value(job(spec(), &making)).unwrap()
    }

    #[test]
    fn global_env_merges_into_every_container_and_the_own_value_wins() {
        let job = made(false);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0]["env"],
            json!([{"name": "QUE", "value": "pasa"}, {"name": "FOO", "value": "own"}, {"name": "Z", "value": "$(QUE)"}])
        );
        assert_eq!(
            pod["initContainers"][0]["env"],
            json!([{"name": "FOO", "value": "bar"}, {"name": "QUE", "value": "pasa"}])
        );
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        assert_eq!(
            (&labels["app"], &labels["key1"], &labels[names::FLOW]),
            (&json!("own"), &json!("value1"), &json!("f"))
        );
        assert_eq!(job["metadata"]["labels"]["key1"], "value1");
        assert_eq!(job["metadata"]["annotations"]["note"], "global");
        assert_eq!(job["spec"]["template"]["metadata"]["annotations"]["note"], "global");
    }

    #[test]
    fn strict_mode_replaces() {
        let job = made(true);
        let env = &job["spec"]["template"]["spec"]["containers"][0]["env"];
        assert!(env.as_array().unwrap().contains(&json!({"name": "FOO", "value": "bar"})), "{env}");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["app"], "global");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"][names::FLOW], "f");
    }

    #[test]
    fn the_node_is_chosen_by_affinity_and_the_flow_owns_ttl_suspend_and_restarts() {
        let job = made(false);
        let pod = &job["spec"]["template"]["spec"];
        assert!(pod.get("nodeName").is_none());
        let terms =
            &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
        assert_eq!(terms[0]["matchFields"][0]["values"], json!(["minikube"]));
        assert_eq!(pod["restartPolicy"], "Never");
        assert!(job["spec"].get("ttlSecondsAfterFinished").is_none() && job["spec"].get("suspend").is_none());
        assert_eq!(job["spec"]["backoffLimit"], 0);
        assert_eq!(ignored_restart_policy(&spec()), Some("OnFailure"));
    }

    #[test]
    fn shared_volumes_come_with_their_mounts_and_own_ones_stay() {
        let list = |v: Value| -> Vec<Template> { serde_json::from_value(v).unwrap() };
        let volumes = list(json!([{"name": "data", "emptyDir": {}}, {"name": "unused", "emptyDir": {}}]));
        let mounts = list(json!([{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/own"}]));
        let mut spec = spec();
        spec["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "mine", "mountPath": "/own"}]);
        let making =
            Making { name: "x".into(), namespace: "ns", volumes: &volumes, mounts: &mounts, ..Making::default() };
        let job = serde_json::to_value(job(spec, &making)).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"], json!([{"name": "data", "emptyDir": {}}]));
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([{"name": "data", "mountPath": "/data"}, {"name": "mine", "mountPath": "/own"}])
        );
    }
}
