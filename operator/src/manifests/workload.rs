//! The operator's pods.

use serde_json::{Value, json};

use super::{NAME, labels, webhook};
use crate::args::Manifests;

const PORT: u16 = 8080;
/// The user that our images run as.
const NOBODY: u32 = 65_532;

/// Deployment and PodDisruptionBudget.
pub fn objects(args: &Manifests) -> [Value; 2] {
    let metadata = json!({"name": NAME, "namespace": args.namespace, "labels": labels()});
    let selector = json!({"matchLabels": {"app.kubernetes.io/name": NAME}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 2,
            "selector": selector,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels()}, "spec": pod(args)},
        },
    });
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata,
        "spec": {"minAvailable": 1, "selector": selector},
    });
    [deployment, budget]
}

fn pod(args: &Manifests) -> Value {
    let from = |field: &str| json!({"fieldRef": {"fieldPath": field}});
    json!({
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 20,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": NOBODY, "runAsGroup": NOBODY, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        }],
        "containers": [{
            "name": "operator",
            "image": args.image_operator,
            "imagePullPolicy": "IfNotPresent",
            "args": [
                "run", format!("--engine-image={}", args.image_engine), format!("--listen=0.0.0.0:{PORT}"),
                format!("--webhook-listen=0.0.0.0:{}", webhook::PORT),
            ],
            "env": [
                {"name": "POD_NAME", "valueFrom": from("metadata.name")},
                {"name": "POD_UID", "valueFrom": from("metadata.uid")},
                {"name": "POD_NAMESPACE", "valueFrom": from("metadata.namespace")},
            ],
            "ports": [{"name": "http", "containerPort": PORT}, {"name": "webhook", "containerPort": webhook::PORT}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 5},
            "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }],
    })
}
