//! Who may do what.

use serde_json::{Value, json};
use tributary_crds::GROUP;

use super::{NAME, labels};
use crate::{act::PIPELINE_ROLE, args::Manifests, run::LEASE};

/// What a controller does with objects that it makes.
const CHILD_VERBS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// ServiceAccount, roles and bindings.
pub fn objects(args: &Manifests) -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(NAME, Some(&args.namespace))}),
        cluster_role(NAME, json!({}), operator_rules()),
    ];
    objects.extend(components());
    objects.extend(component_roles());
    objects.extend(account_policy());
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
        rule(
            GROUP,
            &["daemonjobs", "jobflows", "mapreducejobs", "topics"],
            &["get", "list", "watch", "patch", "delete"],
        ),
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
        rule("apiextensions.k8s.io", &["customresourcedefinitions"], &["get", "list", "watch"]),
        rule("batch", &["jobs"], &CHILD_VERBS),
        // the children of a Pipeline are written in the name of its account
        rule("", &["serviceaccounts"], &["impersonate"]),
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

/// What the operator itself does with components, of whatever kind; they are made in the name of their Pipeline's account.
const OBSERVE: [&str; 4] = ["get", "list", "watch", "delete"];
/// What a Pipeline's account does with them.
const WRITE: [&str; 2] = ["create", "patch"];

const TO_OPERATOR: &str = "tributary.dev/aggregate-to-operator";
const TO_PIPELINE: &str = "tributary.dev/aggregate-to-pipeline";

/// The kinds of components that have a driver, our own left out. Secrets are left out too: whoever wants them as
/// components grants them.
const KINDS: [(&str, &[&str]); 9] = [
    ("", &["configmaps", "persistentvolumeclaims", "services"]),
    ("apps", &["daemonsets", "deployments", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
    ("flink.apache.org", &["flinkdeployments"]),
    ("jobset.x-k8s.io", &["jobsets"]),
    ("kafka.strimzi.io", &["kafkatopics"]),
    ("networking.k8s.io", &["ingresses"]),
    ("spark.apache.org", &["sparkapplications"]),
    ("sparkoperator.k8s.io", &["scheduledsparkapplications", "sparkapplications"]),
];
const OWN_KINDS: [&str; 4] = ["daemonjobs", "jobflows", "mapreducejobs", "topics"];

/// The kinds of components: whoever brings a kind adds a ClusterRole with the label.
fn components() -> [Value; 2] {
    // without rules of their own: those are the aggregation's to write
    [("tributary-components", TO_OPERATOR), (PIPELINE_ROLE, TO_PIPELINE)].map(|(name, label)| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata(name, None),
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]},
        })
    })
}

fn component_roles() -> [Value; 2] {
    let rules = |verbs: &[&str]| KINDS.iter().map(|(group, kinds)| rule(group, kinds, verbs)).collect::<Vec<_>>();
    let mut write = rules(&WRITE);
    write.push(rule(GROUP, &OWN_KINDS, &WRITE));
    [
        cluster_role("tributary-components-observe", json!({TO_OPERATOR: "true"}), rules(&OBSERVE)),
        cluster_role("tributary-components-write", json!({TO_PIPELINE: "true"}), write),
    ]
}

/// Whoever names a ServiceAccount in a Pipeline must be allowed to `use` it, and so must whoever changes that Pipeline.
fn account_policy() -> [Value; 2] {
    let name = "tributary-service-accounts";
    let api = "admissionregistration.k8s.io/v1";
    let account = "object.spec.serviceAccountName";
    [
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": metadata(name, None), "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["pipelines"],
            }]},
            "matchConditions": [
                {"name": "named", "expression": format!("has({account}) && {account} != 'default'")},
                {"name": "changed", "expression": "oldObject == null || object.spec != oldObject.spec"},
            ],
            "validations": [{
                "expression": format!(
                    "authorizer.group('').resource('serviceaccounts').namespace(object.metadata.namespace).name({account})\
                     .check('use').allowed()"
                ),
                "messageExpression": format!(
                    "'spec.serviceAccountName: ' + request.userInfo.username + ' may not use the ServiceAccount ' + {account} + \
                     ': that takes the verb use on serviceaccounts'"
                ),
                "reason": "Forbidden",
            }],
        }}),
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata(name, None),
            "spec": {"policyName": name, "validationActions": ["Deny"]}}),
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
