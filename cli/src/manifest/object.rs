//! One document: which object it is, and whether it is right.

use std::path::Path as FilePath;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tributary_blueprints::Code;
use tributary_blueprints::openapi::Finding;
use tributary_blueprints::problem::nearest;
use tributary_crds::{API_VERSION, GROUP};

use super::schema;
use super::yaml::{Node, Tree};
use super::{Complaint, Loaded, Manifests, Other, complaint};

/// Adds the object of a document, or what is wrong with it. A `v1 List` is taken apart.
pub(super) fn take(file: &FilePath, node: Node, manifests: &mut Manifests, complaints: &mut Vec<Complaint>) {
    let mut value = node.value();
    let mut wrong = |message: String| {
        complaints.push(complaint(file, node.place, "", "", "NoObject", message));
    };
    let owned = |path: &[&str]| text(&value, path).map(str::to_owned);
    let (Some(api_version), Some(kind)) = (owned(&["apiVersion"]), owned(&["kind"])) else {
        let missing = ["apiVersion", "kind"].into_iter().find(|f| text(&value, &[f]).is_none()).unwrap_or_default();
        return wrong(format!("this is no Kubernetes object: the field `{missing}` is missing"));
    };
    let name = owned(&["metadata", "name"]).unwrap_or_default();
    if (api_version.as_str(), kind.as_str()) == ("v1", "List") {
        if let Tree::Map(fields) = node.tree
            && let Some((_, _, Node { tree: Tree::List(items), .. })) =
                fields.into_iter().find(|(k, _, _)| k == "items")
        {
            items.into_iter().for_each(|item| take(file, item, manifests, complaints));
        }
        return;
    }
    if (api_version.as_str(), kind.as_str()) == ("apiextensions.k8s.io/v1", "CustomResourceDefinition") {
        if let Err(reason) = manifests.definitions.add_definition(&value) {
            let label = format!("{kind} {name}");
            complaints.push(complaint(file, node.place, &label, "", "Unreadable", reason));
        }
        return;
    }
    if api_version.split('/').next() != Some(GROUP) {
        return manifests.others.push(Other { file: file.into(), api_version, kind, name });
    }
    let label = format!("{kind} {name}").trim_end().to_owned();
    let found: Vec<_> = faults(&api_version, &kind, &mut value)
        .into_iter()
        .map(|f| {
            let place = node.locate(&f.path);
            let complaint = complaint(file, place, &label, &f.path, f.code.as_str(), f.message);
            Complaint { suggestion: f.suggestion, ..complaint }
        })
        .collect();
    if !found.is_empty() {
        return complaints.extend(found);
    }
    let taken = match kind.as_str() {
        "Pipeline" => typed(file, &node, &value).map(|loaded| manifests.pipelines.push(loaded)),
        "Blueprint" => typed(file, &node, &value).map(|loaded| manifests.blueprints.push(loaded)),
        _ => {
            manifests.others.push(Other { file: file.into(), api_version, kind, name });
            Ok(())
        }
    };
    if let Err(reason) = taken {
        complaints.push(complaint(file, node.place, &label, "", "Unreadable", reason));
    }
}

fn typed<T: DeserializeOwned>(file: &FilePath, node: &Node, value: &Value) -> Result<Loaded<T>, String> {
    let object = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
    Ok(Loaded { object, file: file.into(), node: node.clone() })
}

fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |v, name| v.get(name)).and_then(Value::as_str)
}

/// Everything that the apiserver would refuse in an object of our group. Null fields that it would drop are taken out.
pub(crate) fn faults(api_version: &str, kind: &str, value: &mut Value) -> Vec<Finding> {
    let crds = tributary_crds::schema::all();
    let Some(crd) = crds.iter().find(|crd| crd.spec.names.kind == kind) else {
        let suggestion = nearest(kind, crds.iter().map(|crd| crd.spec.names.kind.as_str()));
        let message = format!("the group {GROUP} has no kind `{kind}`");
        return vec![Finding { code: Code::UnknownKind, path: "kind".into(), message, suggestion }];
    };
    if api_version != API_VERSION {
        let message = format!("{kind} has no version `{api_version}`");
        let suggestion = Some(API_VERSION.to_owned());
        return vec![Finding { code: Code::UnknownKind, path: "apiVersion".into(), message, suggestion }];
    }
    let mut schema = crd.spec.versions.first().map(|v| json!(v.schema)).unwrap_or_default()["openAPIV3Schema"].take();
    whole(&mut schema);
    let mut found = schema::check(&schema, value);
    found.extend(names(value));
    found
}

/// Adds what every object has to what the CustomResourceDefinition says.
fn whole(schema: &mut Value) {
    let string = || json!({"type": "string"});
    let strings = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    let open = || json!({"x-kubernetes-preserve-unknown-fields": true});
    let mut fields = Map::new();
    for name in ["name", "namespace", "generateName", "uid", "resourceVersion", "creationTimestamp", "selfLink"] {
        fields.insert(name.into(), string());
    }
    for name in ["labels", "annotations"] {
        fields.insert(name.into(), strings());
    }
    let others = ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "finalizers", "managedFields"];
    for name in others.into_iter().chain(["ownerReferences"]) {
        fields.insert(name.into(), open());
    }
    schema["properties"]["apiVersion"] = string();
    schema["properties"]["kind"] = string();
    schema["properties"]["metadata"] = json!({"type": "object", "required": ["name"], "properties": fields});
    if let Some(required) = schema["required"].as_array_mut() {
        required.push("metadata".into());
    }
}

/// What is wrong with the names: RFC 1123 subdomain for the object, RFC 1123 label for its namespace.
fn names(value: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |path: &str, message: String| {
        found.push(Finding { code: Code::BadName, path: path.into(), message, suggestion: None });
    };
    if let Some(name) = text(value, &["metadata", "name"])
        && (name.len() > 253 || !name.split('.').all(is_label))
    {
        let rule = "at most 253 lower case letters, digits, `-` and `.`, a letter or digit at both ends of each part";
        add("metadata.name", format!("`{name}` is no name: it must consist of {rule}"));
    }
    if let Some(name) = text(value, &["metadata", "namespace"]).filter(|name| name.len() > 63 || !is_label(name)) {
        let rule = "at most 63 lower case letters, digits and `-`, a letter or digit at both ends";
        add("metadata.namespace", format!("`{name}` is no namespace: it must consist of {rule}"));
    }
    found
}

fn is_label(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && bytes.iter().all(|c| plain(*c) || *c == b'-')
}
