//! How the apiserver finds the webhooks.

use serde_json::{Value, json};
use tributary_crds::{
    GROUP,
    names::{FINALIZER, MANAGER},
};

use super::{NAME as OPERATOR, labels};
use crate::{
    args::Manifests,
    webhook::{GUARD, GUARD_PATH, NAME, VERIFY, VERIFY_PATH},
};

/// The port of the pods.
pub const PORT: u16 = 8443;
/// A namespace with this label and the value `off` is left out.
const ADMISSION: &str = "tributary.dev/admission";

/// Service and webhook configurations, and what the operator may do with the latter and their key.
pub fn objects(args: &Manifests) -> [Value; 7] {
    let metadata = |namespaced: bool| {
        let mut metadata = json!({"name": NAME, "labels": labels()});
        if namespaced {
            metadata["namespace"] = json!(args.namespace);
        }
        metadata
    };
    let api = "rbac.authorization.k8s.io";
    let subjects = json!([{"kind": "ServiceAccount", "name": OPERATOR, "namespace": args.namespace}]);
    [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(true), "spec": {
            "selector": {"app.kubernetes.io/name": OPERATOR},
            "ports": [{"name": "https", "port": 443, "targetPort": "webhook"}],
        }}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": metadata(true), "rules": [
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["get", "update"]},
        ]}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": metadata(true), "subjects": subjects,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": NAME}}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": metadata(false), "rules": [
            {"apiGroups": ["admissionregistration.k8s.io"], "resourceNames": [NAME], "verbs": ["get", "patch"],
                "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]},
        ]}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(false),
            "subjects": subjects, "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": NAME}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": metadata(false), "webhooks": [verify(args)]}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": metadata(false), "webhooks": [guard(args)]}),
    ]
}

fn verify(args: &Manifests) -> Value {
    let kinds = ["blueprints", "daemonjobs", "jobflows", "pipelines"];
    // as `review` sees it: finalizers, labels and what is on its way out are no reason for a call
    let changed = "!has(object.metadata.deletionTimestamp) && (oldObject == null || object.spec != oldObject.spec)";
    webhook(VERIFY, VERIFY_PATH, (&["CREATE", "UPDATE"], &kinds), changed, args)
}

fn guard(args: &Manifests) -> Value {
    let ours = format!(
        "(!has(object.spec.managedBy) || object.spec.managedBy == '{MANAGER}') && \
         !(has(object.metadata.finalizers) && '{FINALIZER}' in object.metadata.finalizers)"
    );
    webhook(GUARD, GUARD_PATH, (&["CREATE"], &["pipelines"]), &ours, args)
}

/// A webhook that is asked for these operations on these resources where the condition holds.
fn webhook(
    name: &str,
    path: &str,
    (operations, resources): (&[&str], &[&str]),
    condition: &str,
    args: &Manifests,
) -> Value {
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 10,
        // the controllers do the same: a webhook that is down must hold up nobody
        "failurePolicy": "Ignore",
        "clientConfig": {"service": {"name": NAME, "namespace": args.namespace, "path": path, "port": 443}},
        "namespaceSelector": {"matchExpressions": [{"key": ADMISSION, "operator": "NotIn", "values": ["off"]}]},
        "rules": [{
            "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "operations": operations, "scope": "Namespaced",
            "resources": resources,
        }],
        "matchConditions": [{"name": "concerned", "expression": condition}],
    })
}
