//! What the benchmark applies.

use kube::api::DynamicObject;
use serde_json::{Value, json};

/// The group of the test's kind.
pub const GROUP: &str = "bench.tributary.dev";
/// Components of a Pipeline.
pub const NAMES: [&str; CHILDREN] = ["a", "b", "c", "d", "e"];
/// How many.
pub const CHILDREN: usize = 5;

/// A kind without pods, read by the usual conditions.
pub fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("widgets.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}],
        },
    })
}

/// Lets the operator observe the kind, and the accounts of Pipelines write it.
pub fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "tributary-bench-widgets", "labels": {
            "tributary.dev/aggregate-to-operator": "true", "tributary.dev/aggregate-to-pipeline": "true"}},
        "rules": [{"apiGroups": [GROUP], "resources": ["widgets"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]}],
    })
}

/// One of the kind by itself.
pub fn widget(name: &str) -> Value {
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}})
}

/// A Pipeline: one component, three after it, one after those.
pub fn pipeline(name: &str) -> Value {
    let component = |name: &str, after: &[&str]| {
        json!({"name": name, "after": after,
            "template": {"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "spec": {"size": 1}}})
    };
    let components = [
        component("a", &[]),
        component("b", &["a"]),
        component("c", &["a"]),
        component("d", &["a"]),
        component("e", &["b", "c", "d"]),
    ];
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": name},
        "spec": {"blueprint": {"components": components}}})
}

/// A component's child, as somebody who writes it by hand would.
pub fn child(owner: &DynamicObject, name: &str) -> Value {
    let (pipeline, uid) = (&owner.metadata.name, &owner.metadata.uid);
    let mut child = widget(&format!("{}-{name}", pipeline.as_deref().unwrap_or_default()));
    child["metadata"]["labels"] = json!({"tributary.dev/pipeline": pipeline});
    child["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "name": pipeline, "uid": uid}]);
    child
}
