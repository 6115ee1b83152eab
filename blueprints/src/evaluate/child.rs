//! What marks a child as a Pipeline's: names, labels, owner, and the hash of what it was made from.

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_crds::{API_VERSION, ObjectRef, Pipeline, names};

use crate::object::{Gvk, ObjectKey};

/// Label: namespace of the Pipeline that an object belongs to, since topics may be elsewhere.
pub const PIPELINE_NAMESPACE: &str = "tributary.dev/pipeline-namespace";
/// Label of a topic's resource: `false` where it goes with the Pipeline.
pub const RETAIN: &str = "tributary.dev/retain";
/// Annotation: how many components the child's one waits for, one behind the other; deletion goes the other way.
pub const WAVE: &str = "tributary.dev/wave";
/// Annotation: the retry that the child is, from 1; absent on the first try.
pub const ATTEMPT: &str = "tributary.dev/attempt";
/// Annotation: seconds after its end at which the operator deletes the child.
pub const TTL: &str = "tributary.dev/ttl-seconds-after-finished";

/// Annotation: how components had ended when the child was created, where the status did not say so yet; JSON, of lines as in
/// `status.components`.
pub const ENDED_BEFORE: &str = "tributary.dev/ended-before";

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// This Pipeline's.
    Ours,
    /// Of a Pipeline of the same name that is gone.
    Former,
    /// Somebody else's.
    Foreign,
}

/// Whose child a component's object is: the owner reference says it.
pub(crate) fn ownership(pipeline: &Pipeline, child: &DynamicObject) -> Ownership {
    let uid = pipeline.metadata.uid.as_deref().unwrap_or_default();
    let name = pipeline.metadata.name.as_deref().unwrap_or_default();
    let owners = child.metadata.owner_references.iter().flatten();
    let mut former = false;
    for owner in
        owners.filter(|o| o.kind == "Pipeline" && o.name == name && group(&o.api_version) == tributary_crds::GROUP)
    {
        if owner.uid == uid {
            return Ownership::Ours;
        }
        former = true;
    }
    if former { Ownership::Former } else { Ownership::Foreign }
}

/// Whether a topic's resource is this Pipeline's: by label, since one that is retained outlives the Pipeline's uid.
pub(crate) fn is_own_topic(pipeline: &Pipeline, child: &DynamicObject) -> bool {
    let namespace = pipeline.metadata.namespace.as_deref().unwrap_or_default();
    label(child, names::PIPELINE) == pipeline.metadata.name.as_deref()
        && label(child, PIPELINE_NAMESPACE) == Some(namespace)
        && label(child, names::TOPIC).is_some()
}

fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A label of an object.
pub(crate) fn label<'a>(child: &'a DynamicObject, name: &str) -> Option<&'a str> {
    child.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// An annotation of an object.
pub(crate) fn annotation<'a>(child: &'a DynamicObject, name: &str) -> Option<&'a str> {
    child.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The retry that a child is.
pub(crate) fn attempt(child: &DynamicObject) -> u32 {
    annotation(child, ATTEMPT).and_then(|a| a.parse().ok()).unwrap_or(0)
}

/// `ownerReferences` with the Pipeline as the controller.
pub(crate) fn owner(pipeline: &Pipeline) -> Value {
    json!([{
        "apiVersion": API_VERSION,
        "kind": "Pipeline",
        "name": pipeline.metadata.name.as_deref().unwrap_or_default(),
        "uid": pipeline.metadata.uid.as_deref().unwrap_or_default(),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Adds labels and annotations to an object's metadata; they win over those that it has.
pub(crate) fn mark(object: &mut Value, labels: &[(&str, String)], annotations: &[(&str, String)]) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for (field, entries) in [("labels", labels), ("annotations", annotations)] {
        let all = metadata.entry(field).or_insert_with(|| json!({}));
        if !all.is_object() {
            *all = json!({});
        }
        if let Some(all) = all.as_object_mut() {
            for (name, value) in entries {
                all.insert((*name).to_owned(), value.clone().into());
            }
        }
    }
}

/// An inventory's entry.
pub(crate) fn reference(gvk: &Gvk, key: &ObjectKey, uid: &str) -> ObjectRef {
    ObjectRef {
        api_version: gvk.api_version(),
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: uid.to_owned(),
    }
}

/// The kind of an object, with its version.
pub(crate) fn gvk_of(child: &DynamicObject) -> Gvk {
    child.types.as_ref().map_or_else(Gvk::default, |t| Gvk::parse(&t.api_version, &t.kind))
}
