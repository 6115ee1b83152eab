//! The manifest that installs the operator: `kubectl apply --server-side -f`, or without `--server-side`.

mod rbac;
mod webhook;
mod workload;

use serde_json::{Value, json};
use tributary_crds::schema;

use crate::args::Manifests;

/// Why there is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// An object that cannot be written.
    #[error("{kind} cannot be written as YAML: {reason}")]
    Yaml {
        /// Its kind.
        kind: String,
        /// Why.
        reason: String,
    },
}

/// The label values that all objects share.
const PART_OF: &str = "tributary";
/// The name of the Deployment, its ServiceAccount, its roles and its pods' label.
pub const NAME: &str = "tributary-operator";

/// The YAML of all objects, in the order that they are to be applied in. The same input gives the same text.
///
/// # Errors
/// Where an object cannot be written.
pub fn yaml(args: &Manifests) -> Result<String, ManifestError> {
    let mut text = String::from("# Written by `cargo xtask manifests`: do not edit.\n");
    for object in objects(args)? {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let yaml = serde_yaml::to_string(&sorted(object))
            .map_err(|error| ManifestError::Yaml { kind, reason: error.to_string() })?;
        text.push_str("---\n");
        text.push_str(yaml.trim_end());
        text.push('\n');
    }
    Ok(text)
}

fn objects(args: &Manifests) -> Result<Vec<Value>, ManifestError> {
    let mut objects = vec![namespace(args)];
    for crd in schema::all() {
        let error = |e: serde_json::Error| ManifestError::Yaml {
            kind: "CustomResourceDefinition".into(),
            reason: e.to_string(),
        };
        objects.push(serde_json::to_value(crd).map_err(error)?);
    }
    objects.extend(rbac::objects(args));
    objects.extend(workload::objects(args));
    objects.extend(webhook::objects(args));
    Ok(objects)
}

fn namespace(args: &Manifests) -> Value {
    let mut labels = labels();
    labels["pod-security.kubernetes.io/enforce"] = json!("restricted");
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.namespace, "labels": labels}})
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": PART_OF})
}

/// The value with the fields of every object in alphabetical order, whatever the features of serde_json.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn args() -> Manifests {
        Manifests { image_operator: "op:1".into(), image_engine: "en:1".into(), namespace: "sys".into() }
    }

    fn all(kind: &str) -> Vec<Value> {
        objects(&args()).unwrap().into_iter().filter(|o| o["kind"] == kind).collect()
    }

    #[test]
    fn no_rule_has_a_wildcard_and_no_role_reads_secrets_unasked() {
        let bound: BTreeSet<String> = all("ClusterRoleBinding")
            .iter()
            .chain(&all("RoleBinding"))
            .map(|b| b["roleRef"]["name"].as_str().unwrap().to_owned())
            .collect();
        let roles: Vec<Value> = all("ClusterRole").into_iter().chain(all("Role")).collect();
        assert!(roles.len() >= 6);
        for role in &roles {
            let name = role["metadata"]["name"].as_str().unwrap();
            for rule in role["rules"].as_array().into_iter().flatten() {
                let text = rule.to_string();
                assert!(!text.contains("\"*\""), "{name}: {text}");
                let secrets = rule["resources"].as_array().is_some_and(|r| r.iter().any(|r| r == "secrets"));
                let own = rule["resourceNames"] == json!([crate::webhook::NAME]) && role["kind"] == "Role";
                if secrets && bound.contains(name) && !own {
                    assert_eq!(rule["verbs"], json!(["create"]), "{name}");
                }
            }
        }
        assert!(bound.contains("tributary-components") && bound.contains(NAME));
    }

    #[test]
    fn the_pods_are_restricted_and_there_are_two() {
        let deployment = &all("Deployment")[0];
        assert_eq!(deployment["spec"]["replicas"], 2);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "op:1");
        assert!(container["args"].to_string().contains("en:1"));
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        assert!(container["livenessProbe"].is_object() && container["readinessProbe"].is_object());
    }

    #[test]
    fn the_text_is_the_same_each_time_and_reads_back() {
        let text = yaml(&args()).unwrap();
        assert_eq!(text, yaml(&args()).unwrap());
        let documents: Vec<Value> =
            text.split("\n---\n").skip(1).map(|document| serde_yaml::from_str(document).unwrap()).collect();
        let expected: Vec<Value> = objects(&args()).unwrap();
        assert_eq!(documents.len(), expected.len());
        for (read, meant) in documents.iter().zip(&expected) {
            assert_eq!(read["metadata"]["name"], meant["metadata"]["name"]);
            assert_eq!(read["rules"], meant["rules"]);
        }
    }
}
