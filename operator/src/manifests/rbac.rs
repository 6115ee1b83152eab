//! Who may do what.

use serde_json::{Value, json};
use tributary_crds::GROUP;

use super::{NAME, labels};
use crate::{args::Manifests, run::LEASE};

/// What a controller does with objects that it makes.
const CHILD_VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// ServiceAccount, roles and bindings.
pub fn objects(args: &Manifests) -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(NAME, Some(&args.namespace))}),
        cluster_role(NAME, json!({}), operator_rules()),
        components(),
    ];
    objects.extend(component_roles());
    objects.push(cluster_role_binding(NAME, args));
    objects.push(cluster_role_binding("tributary-components", args));
    objects.extend(lease(args));
    objects.extend(user_roles());
    objects.push(secret_reader());
    objects
}

/// What the operator itself needs; kinds of components come by aggregation.
fn operator_rules() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    vec![
        rule(GROUP, &["blueprints"], &["list", "watch"]),
        rule(GROUP, &["pipelines"], &["list", "watch", "patch"]),
        rule(GROUP, &["mapreducejobs", "topics"], &CHILD_VERBS),
        rule(GROUP, &["daemonjobs", "jobflows"], &CHILD_VERBS),
        rule(GROUP, &["jobtemplates"], &["list", "watch"]),
        rule(
            GROUP,
            &[
                "blueprints/status",
                "daemonjobs/status",
                "jobflows/status",
                "jobtemplates/status",
                "mapreducejobs/status",
                "pipelines/status",
                "topics/status",
            ],
            &["patch"],
        ),
        // owner references that hold up the owner's deletion
        rule(GROUP, &["mapreducejobs/finalizers", "pipelines/finalizers"], &["update"]),
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["list", "watch"]),
        rule("batch", &["jobs"], &CHILD_VERBS),
        // revisions of Pipelines, what a run of a JobFlow or DaemonJob was frozen from, the mutexes of flows, what came to
        // each node
        rule("apps", &["controllerrevisions"], &["get", "list", "watch", "create", "delete"]),
        rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "delete"]),
        rule("", &["configmaps"], &["get", "list", "watch", "create", "patch"]),
        rule("", &["nodes", "pods"], &["list", "watch"]),
        rule("", &["serviceaccounts", "services"], &["get", "list", "watch", "create"]),
        rule(rbac, &["rolebindings", "roles"], &["get", "list", "watch", "create"]),
        rule("", &["secrets"], &["create"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

/// The kinds of components: whoever brings a kind adds a ClusterRole with the label.
fn components() -> Value {
    // without rules of its own: those are the aggregation's to write
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": metadata("tributary-components", None),
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {AGGREGATE: "true"}}]},
    })
}

const AGGREGATE: &str = "tributary.dev/aggregate-to-operator";

fn component_roles() -> Vec<Value> {
    let role = |name: &str, group: &str, resource: &str| {
        cluster_role(name, json!({AGGREGATE: "true"}), vec![rule(group, &[resource], &CHILD_VERBS)])
    };
    vec![
        role("tributary-component-deployments", "apps", "deployments"),
        role("tributary-component-kafkatopics", "kafka.strimzi.io", "kafkatopics"),
    ]
}

/// For the replicas to agree on who acts.
fn lease(args: &Manifests) -> [Value; 2] {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata(NAME, Some(&args.namespace)),
        "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [LEASE], "verbs": ["get", "update"]},
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata(NAME, Some(&args.namespace)),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [subject(args)],
    });
    [role, binding]
}

/// For people: the cluster's own roles view, edit and admin take these in.
fn user_roles() -> [Value; 2] {
    let kinds = ["blueprints", "daemonjobs", "jobflows", "jobtemplates", "mapreducejobs", "pipelines", "topics"];
    let status: Vec<String> = kinds.iter().map(|kind| format!("{kind}/status")).collect();
    let status: Vec<&str> = status.iter().map(String::as_str).collect();
    let read = ["get", "list", "watch"];
    let write = ["create", "delete", "deletecollection", "patch", "update"];
    let to = |role: &str| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), json!("true"));
    let view: Value = [to("view"), to("edit"), to("admin")].into_iter().collect();
    let edit: Value = [to("edit"), to("admin")].into_iter().collect();
    [
        cluster_role("tributary-view", view, vec![rule(GROUP, &kinds, &read), rule(GROUP, &status, &["get"])]),
        cluster_role("tributary-edit", edit, vec![rule(GROUP, &kinds, &write)]),
    ]
}

/// For Topics whose connection names Secrets: bound by whoever wants that, in the namespaces where.
fn secret_reader() -> Value {
    cluster_role("tributary-secret-reader", json!({}), vec![rule("", &["secrets"], &["get"])])
}

fn cluster_role(name: &str, more_labels: Value, rules: Vec<Value>) -> Value {
    let mut metadata = metadata(name, None);
    if let (Some(labels), Value::Object(more)) = (metadata["labels"].as_object_mut(), more_labels) {
        labels.extend(more);
    }
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules})
}

fn cluster_role_binding(name: &str, args: &Manifests) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": metadata(name, None),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [subject(args)],
    })
}

fn subject(args: &Manifests) -> Value {
    json!({"kind": "ServiceAccount", "name": NAME, "namespace": args.namespace})
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": labels()});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}
