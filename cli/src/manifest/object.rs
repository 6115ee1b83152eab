//! One document: which object it is, and whether it is right.

use std::path::Path as FilePath;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tributary_crds::{API_VERSION, GROUP};

use super::path::Path;
use super::schema::{self, Fault, nearest};
use super::yaml::{Node, Tree};
use super::{Complaint, Loaded, Manifests, Other, complaint};

/// Adds the object of a document, or what is wrong with it. A `v1 List` is taken apart.
pub(super) fn take(file: &FilePath, node: Node, manifests: &mut Manifests, complaints: &mut Vec<Complaint>) {
    let mut value = node.value();
    let mut wrong = |message: String| {
        complaints.push(complaint(file, node.place, "", &Path::default(), "NoObject", message));
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
    if api_version.split('/').next() != Some(GROUP) {
        return manifests.others.push(Other { file: file.into(), api_version, kind, name });
    }
    let label = format!("{kind} {name}").trim_end().to_owned();
    let found: Vec<_> = faults(&api_version, &kind, &mut value)
        .into_iter()
        .map(|fault| {
            let message = fault.message;
            let mut found = complaint(file, node.locate(&fault.path), &label, &fault.path, "Schema", message);
            found.suggestion = fault.suggestion;
            found
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
        complaints.push(complaint(file, node.place, &label, &Path::default(), "Schema", reason));
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
pub(crate) fn faults(api_version: &str, kind: &str, value: &mut Value) -> Vec<Fault> {
    let crds = tributary_crds::schema::all();
    let Some(crd) = crds.iter().find(|crd| crd.spec.names.kind == kind) else {
        let mut fault = Fault::new(&Path::default().field("kind"), format!("the group {GROUP} has no kind `{kind}`"));
        fault.suggestion = nearest(kind, crds.iter().map(|crd| crd.spec.names.kind.as_str()));
        return vec![fault];
    };
    if api_version != API_VERSION {
        let mut fault =
            Fault::new(&Path::default().field("apiVersion"), format!("{kind} has no version `{api_version}`"));
        fault.suggestion = Some(API_VERSION.into());
        return vec![fault];
    }
    let Some(schema) = whole_schema(crd) else { return Vec::new() };
    schema::prune_nulls(&schema, value);
    let mut faults = schema::check(&schema, value);
    faults.extend(metadata_faults(value));
    faults
}

/// The schema of the whole object: what the CustomResourceDefinition says, and what every object has.
fn whole_schema(crd: &CustomResourceDefinition) -> Option<JSONSchemaProps> {
    let version = crd.spec.versions.first()?;
    let mut schema = version.schema.as_ref()?.open_api_v3_schema.clone()?;
    let properties = schema.properties.get_or_insert_default();
    for name in ["apiVersion", "kind"] {
        properties.insert(name.into(), JSONSchemaProps { type_: Some("string".into()), ..Default::default() });
    }
    properties.insert("metadata".into(), object_meta());
    schema.required.get_or_insert_default().push("metadata".into());
    Some(schema)
}

fn object_meta() -> JSONSchemaProps {
    let string = || JSONSchemaProps { type_: Some("string".into()), ..Default::default() };
    let open = || JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..Default::default() };
    let strings = || JSONSchemaProps {
        type_: Some("object".into()),
        additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(string()))),
        ..Default::default()
    };
    let texts = ["name", "namespace", "generateName", "uid", "resourceVersion", "creationTimestamp", "selfLink"];
    let others = ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "finalizers", "managedFields"];
    let mut fields: Vec<(&str, JSONSchemaProps)> = texts.into_iter().map(|n| (n, string())).collect();
    fields.extend(others.into_iter().chain(["ownerReferences"]).map(|n| (n, open())));
    fields.extend(["labels", "annotations"].into_iter().map(|n| (n, strings())));
    JSONSchemaProps {
        type_: Some("object".into()),
        properties: Some(fields.into_iter().map(|(n, s)| (n.to_owned(), s)).collect()),
        ..Default::default()
    }
}

/// The names: RFC 1123 subdomain for the object, RFC 1123 label for its namespace.
fn metadata_faults(value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    let metadata = Path::default().field("metadata");
    let mut check = |field: &str, pattern: String, max: usize, rule: &str| {
        let path = metadata.field(field);
        match text(value, &["metadata", field]) {
            None if field == "name" && value["metadata"]["generateName"] == json!(null) => {
                faults.push(Fault::new(&metadata, "the field `name` is missing"));
            }
            Some(name) if name.len() > max => {
                faults.push(Fault::new(&path, format!("has {} characters, at most {max} are allowed", name.len())));
            }
            Some(name) if !Regex::new(&pattern).is_ok_and(|r| r.is_match(name)) => {
                faults.push(Fault::new(&path, format!("`{name}` is no name: it must consist of {rule}")));
            }
            _ => {}
        }
    };
    let rule = "lower case letters, digits, `-` and `.`, and begin and end with a letter or digit";
    check("name", format!(r"^{label}(\.{label})*$"), 253, rule);
    let rule = "lower case letters, digits and `-`, and begin and end with a letter or digit";
    check("namespace", format!("^{label}$"), 63, rule);
    faults
}
