//! Objects against a kind's structural schema, as strictly as the apiserver with `fieldValidation=Strict`.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::Value;

use super::path::Path;
use super::rules;

/// What is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the object.
    pub path: Path,
    /// What and why.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl Fault {
    /// A fault that suggests nothing.
    pub fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.clone(), message: message.into(), suggestion: None }
    }
}

/// Every fault of `value`: first what the schema says of its shape and, only where that is right, its CEL rules on
/// the value with its defaults filled in.
pub fn check(schema: &JSONSchemaProps, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(schema, value, &Path::default(), &mut faults);
    if faults.is_empty() {
        let mut filled = value.clone();
        fill_defaults(schema, &mut filled);
        rules::check(schema, &filled, &Path::default(), &mut faults);
    }
    faults
}

/// Takes out null fields that may not be null, as the apiserver does before it looks any further.
pub fn prune_nulls(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let absent = |child: &JSONSchemaProps| child.nullable != Some(true) && has_type(child);
            fields.retain(|name, field| !field.is_null() || !field_schema(schema, name).is_some_and(absent));
            for (name, field) in fields.iter_mut() {
                if let Some(child) = field_schema(schema, name) {
                    prune_nulls(child, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = item_schema(schema) {
                items.iter_mut().for_each(|item| prune_nulls(child, item));
            }
        }
        _ => {}
    }
}

fn has_type(schema: &JSONSchemaProps) -> bool {
    schema.type_.is_some() || schema.x_kubernetes_int_or_string == Some(true)
}

/// Fills in what `default` says, as the apiserver does when it reads an object.
pub fn fill_defaults(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, child) in schema.properties.iter().flatten() {
                if let (None, Some(default)) = (fields.get(name), &child.default) {
                    fields.insert(name.clone(), default.0.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                if let Some(child) = field_schema(schema, name) {
                    fill_defaults(child, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = item_schema(schema) {
                items.iter_mut().for_each(|item| fill_defaults(child, item));
            }
        }
        _ => {}
    }
}

/// The schema of a field, be it declared by name or for every name.
pub(super) fn field_schema<'a>(schema: &'a JSONSchemaProps, name: &str) -> Option<&'a JSONSchemaProps> {
    match schema.properties.as_ref().and_then(|p| p.get(name)) {
        Some(child) => Some(child),
        None => match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(child)) => Some(child),
            _ => None,
        },
    }
}

/// The schema of a list's items.
pub(super) fn item_schema(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(child)) => Some(child),
        _ => None,
    }
}

fn walk(schema: &JSONSchemaProps, value: &Value, path: &Path, faults: &mut Vec<Fault>) {
    if value.is_null() && schema.nullable == Some(true) {
        return;
    }
    if let Some(expected) = mismatch(schema, value) {
        faults.push(Fault::new(path, format!("must be {expected}, but is {}", described(value))));
        return;
    }
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|a| a.0 == *value)
    {
        let names: Vec<_> = allowed.iter().map(|a| shown(&a.0)).collect();
        let mut fault = Fault::new(path, format!("{} is none of {}", shown(value), names.join(", ")));
        fault.suggestion = value.as_str().and_then(|given| nearest(given, names.iter().map(String::as_str)));
        faults.push(fault);
        return;
    }
    match value {
        Value::Object(fields) => object(schema, fields, path, faults),
        Value::Array(items) => list(schema, items, path, faults),
        Value::String(text) => string(schema, text, path, faults),
        Value::Number(_) => number(schema, value, path, faults),
        _ => {}
    }
}

/// What the schema demands, where `value` is of another type.
fn mismatch(schema: &JSONSchemaProps, value: &Value) -> Option<&'static str> {
    if schema.x_kubernetes_int_or_string == Some(true) {
        return (!value.is_string() && !is_whole(value)).then_some("a whole number or a string");
    }
    let (fits, expected) = match schema.type_.as_deref()? {
        "object" => (value.is_object(), "an object"),
        "array" => (value.is_array(), "a list"),
        "string" => (value.is_string(), "a string"),
        "boolean" => (value.is_boolean(), "true or false"),
        "integer" => (is_whole(value), "a whole number"),
        "number" => (value.is_number(), "a number"),
        _ => return None,
    };
    (!fits).then_some(expected)
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
}

fn object(schema: &JSONSchemaProps, fields: &serde_json::Map<String, Value>, path: &Path, faults: &mut Vec<Fault>) {
    let open = schema.x_kubernetes_preserve_unknown_fields == Some(true)
        || matches!(schema.additional_properties, Some(JSONSchemaPropsOrBool::Bool(true)));
    let known = schema.properties.iter().flatten().map(|(name, _)| name.as_str());
    for (name, value) in fields {
        match field_schema(schema, name) {
            Some(child) => walk(child, value, &path.field(name), faults),
            None if open => {}
            None => {
                let mut fault = Fault::new(&path.field(name), format!("unknown field `{name}`"));
                let missing = known.clone().filter(|k| !fields.contains_key(*k));
                fault.suggestion = nearest(name, missing);
                faults.push(fault);
            }
        }
    }
    // A required field that stands there misspelled is one fault, not two.
    let meant: Vec<_> =
        faults.iter().filter(|f| f.path.0.len() == path.0.len() + 1).filter_map(|f| f.suggestion.clone()).collect();
    for name in schema.required.iter().flatten() {
        if !fields.contains_key(name) && !meant.contains(name) {
            faults.push(Fault::new(path, format!("the field `{name}` is missing")));
        }
    }
    let count = i64::try_from(fields.len()).unwrap_or(i64::MAX);
    if let Some(max) = schema.max_properties.filter(|max| count > *max) {
        faults.push(Fault::new(path, format!("has {count} entries, at most {max} are allowed")));
    }
    if let Some(min) = schema.min_properties.filter(|min| count < *min) {
        faults.push(Fault::new(path, format!("has {count} entries, at least {min} are needed")));
    }
}

fn list(schema: &JSONSchemaProps, items: &[Value], path: &Path, faults: &mut Vec<Fault>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(max) = schema.max_items.filter(|max| count > *max) {
        faults.push(Fault::new(path, format!("has {count} items, at most {max} are allowed")));
    }
    if let Some(min) = schema.min_items.filter(|min| count < *min) {
        faults.push(Fault::new(path, format!("has {count} items, at least {min} are needed")));
    }
    if let Some(child) = item_schema(schema) {
        for (i, item) in items.iter().enumerate() {
            walk(child, item, &path.index(i), faults);
        }
    }
    let keys: Vec<_> = match schema.x_kubernetes_list_type.as_deref() {
        Some("map") => schema.x_kubernetes_list_map_keys.clone().unwrap_or_default(),
        Some("set") => Vec::new(),
        _ => return,
    };
    let mut first = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let identity: Vec<_> = match keys.as_slice() {
            [] => vec![item.to_string()],
            keys => keys.iter().filter_map(|k| item.get(k)).map(shown).collect(),
        };
        if identity.is_empty() {
            continue;
        }
        if let Some(before) = first.insert(identity.clone(), i) {
            let at = keys.first().map_or(path.index(i), |key| path.index(i).field(key));
            let name = identity.join(", ");
            faults.push(Fault::new(&at, format!("{name} stands there twice: {} has it already", path.index(before))));
        }
    }
}

fn string(schema: &JSONSchemaProps, text: &str, path: &Path, faults: &mut Vec<Fault>) {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(min) = schema.min_length.filter(|min| count < *min) {
        let reason =
            if count == 0 { "must not be empty".into() } else { format!("must have at least {min} characters") };
        faults.push(Fault::new(path, reason));
    } else if let Some(max) = schema.max_length.filter(|max| count > *max) {
        faults.push(Fault::new(path, format!("has {count} characters, at most {max} are allowed")));
    } else if let Some(pattern) = &schema.pattern
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
    {
        faults.push(Fault::new(path, format!("`{text}` does not match `{pattern}`")));
    }
}

fn number(schema: &JSONSchemaProps, value: &Value, path: &Path, faults: &mut Vec<Fault>) {
    let Some(n) = value.as_f64() else { return };
    if let Some(min) = schema.minimum.filter(|min| n < *min) {
        faults.push(Fault::new(path, format!("{value} is less than {min}")));
    }
    if let Some(max) = schema.maximum.filter(|max| n > *max) {
        faults.push(Fault::new(path, format!("{value} is more than {max}")));
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("the string `{text}`"),
        Value::String(_) => "a string".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// The candidate that is nearest to `given`, if it is near: at most a third of its letters differ.
pub fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let folded = given.to_lowercase();
    let mut scored: Vec<_> = candidates.map(|c| (strsim::damerau_levenshtein(&folded, &c.to_lowercase()), c)).collect();
    scored.sort();
    let (distance, name) = *scored.first()?;
    (distance <= given.chars().count().max(3) / 3).then(|| name.to_owned())
}
