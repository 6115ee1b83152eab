//! How the apiserver finds the webhook.

use serde_json::{Value, json};
use tributary_crds::GROUP;

use super::{NAME as OPERATOR, labels};
use crate::{
    args::Manifests,
    webhook::{NAME, PATH, WEBHOOKS},
};

/// The port of the pods.
pub const PORT: u16 = 8443;
/// A namespace with this label and the value `off` is left out.
const ADMISSION: &str = "tributary.dev/admission";

/// Service and ValidatingWebhookConfiguration, and what the operator may do with the latter and its key.
pub fn objects(args: &Manifests) -> [Value; 6] {
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
            {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["validatingwebhookconfigurations"],
                "resourceNames": [NAME], "verbs": ["get", "patch"]},
        ]}),
        json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(false),
            "subjects": subjects, "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": NAME}}),
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": metadata(false), "webhooks": WEBHOOKS.map(|name| webhook(name, args))}),
    ]
}

fn webhook(name: &str, args: &Manifests) -> Value {
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 10,
        // the controllers find the same problems: a webhook that is down must hold up nobody
        "failurePolicy": "Ignore",
        "clientConfig": {"service": {"name": NAME, "namespace": args.namespace, "path": PATH, "port": 443}},
        "namespaceSelector": {"matchExpressions": [{"key": ADMISSION, "operator": "NotIn", "values": ["off"]}]},
        "rules": [{
            "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
            "resources": ["blueprints", "daemonjobs", "jobflows", "pipelines"],
        }],
        // as `review` sees it: finalizers, labels and what is on its way out are no reason for a call
        "matchConditions": [{
            "name": "changed",
            "expression": "!has(object.metadata.deletionTimestamp) && (oldObject == null || object.spec != oldObject.spec)",
        }],
    })
}
