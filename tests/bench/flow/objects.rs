//! What is measured.

use serde_json::{Value, json};

/// Steps of a chain.
pub const STEPS: usize = 5;

fn pod() -> Value {
    json!({
        "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "containers": [{"name": "c", "image": "fake"}],
    })
}

fn spec() -> Value {
    json!({"backoffLimit": 0, "template": {"spec": pod()}})
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Job without a flow.
pub fn job(name: &str) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec()})
}

/// A flow of [`STEPS`] steps `s0` to `s4`, one after the other.
pub fn chain(name: &str) -> Value {
    let step = |i: usize| {
        let before: Vec<String> = i.checked_sub(1).map(|i| format!("s{i}")).into_iter().collect();
        json!({"name": format!("s{i}"), "dependencies": before, "jobTemplate": spec()})
    };
    object("JobFlow", name, json!({"flows": (0..STEPS).map(step).collect::<Vec<_>>()}))
}

/// The template of the large flow's steps.
pub fn template() -> Value {
    object("JobTemplate", "t", json!({"jobTemplate": spec()}))
}

/// One flow of columns `c<column>-s<step>`.
pub fn large(steps: usize, columns: usize) -> Value {
    let step = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let before: Vec<String> = row.checked_sub(1).map(|row| format!("c{column}-s{row}")).into_iter().collect();
        json!({"name": format!("c{column}-s{row}"), "dependencies": before, "jobTemplateRef": "t"})
    };
    object("JobFlow", "large", json!({"flows": (0..steps).map(step).collect::<Vec<_>>()}))
}

/// A DaemonJob on the nodes `many-<n>`.
pub fn daemon() -> Value {
    let mut pod = pod();
    pod["nodeSelector"] = json!({"many": "yes"});
    object("DaemonJob", "everywhere", json!({"template": {"spec": pod}}))
}

/// A node that kwok simulates.
pub fn node(name: &str) -> Value {
    let size = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {"many": "yes", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": size, "capacity": size},
    })
}
