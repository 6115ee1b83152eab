//! Objects against a kind's structural schema, as strictly as the apiserver with `fieldValidation=Strict`.

use std::collections::BTreeMap;

use serde_json::Value;
use tributary_blueprints::Code;
use tributary_blueprints::expr::scope::OneName;
use tributary_blueprints::expr::{Expression, child_path};
use tributary_blueprints::openapi::{self, Finding, Strings};

/// Every fault of `value`: first what the schema says of its shape and, only where that is right, its CEL rules on the
/// value with its defaults filled in. Null fields that may not be null are taken out first, as the apiserver does.
pub fn check(schema: &Value, value: &mut Value) -> Vec<Finding> {
    prune_nulls(schema, value);
    let mut found = Vec::new();
    openapi::check(value, schema, "", Strings::Literal, &mut found);
    let mut found = without_echoes(found);
    repeated(schema, value, "", &mut found);
    if found.is_empty() {
        let mut filled = value.clone();
        openapi::apply_defaults(&mut filled, schema);
        rules(schema, &filled, "", &mut found);
    }
    for finding in &mut found {
        finding.path = finding.path.trim_start_matches('.').to_owned();
    }
    found
}

/// A required field that stands there misspelled is one fault, not two.
fn without_echoes(found: Vec<Finding>) -> Vec<Finding> {
    let meant: Vec<String> = found
        .iter()
        .filter(|f| f.code == Code::UnknownField)
        .filter_map(|f| Some(child_path(parent(&f.path), f.suggestion.as_deref()?)))
        .collect();
    found.into_iter().filter(|f| f.code != Code::MissingField || !meant.contains(&f.path)).collect()
}

fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}

fn prune_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let typed = |s: &Value| s.get("type").is_some() || s.get("x-kubernetes-int-or-string").is_some();
            let absent = |s: &Value| typed(s) && s.get("nullable") != Some(&Value::Bool(true));
            fields.retain(|name, field| !field.is_null() || !field_schema(schema, name).is_some_and(absent));
            for (name, field) in fields.iter_mut() {
                if let Some(child) = field_schema(schema, name) {
                    prune_nulls(child, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = schema.get("items") {
                items.iter_mut().for_each(|item| prune_nulls(child, item));
            }
        }
        _ => {}
    }
}

fn field_schema<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let others = schema.get("additionalProperties").filter(|s| s.is_object());
    schema.get("properties").and_then(|p| p.get(name)).or(others)
}

/// Calls `visit` with every part of `value` that the schema describes, and its path.
fn each_part(schema: &Value, value: &Value, path: &str, visit: &mut dyn FnMut(&Value, &Value, &str)) {
    visit(schema, value, path);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(child) = field_schema(schema, name) {
                    each_part(child, field, &child_path(path, name), visit);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = schema.get("items") {
                for (i, item) in items.iter().enumerate() {
                    each_part(child, item, &format!("{path}[{i}]"), visit);
                }
            }
        }
        _ => {}
    }
}

/// Items of list-maps and list-sets that stand there twice.
fn repeated(schema: &Value, value: &Value, path: &str, found: &mut Vec<Finding>) {
    each_part(schema, value, path, &mut |schema, value, path| {
        let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("map") => {
                let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                keys.into_iter().flatten().filter_map(Value::as_str).collect()
            }
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut first = BTreeMap::new();
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            let identity = if keys.is_empty() { vec![item] } else { keys.iter().filter_map(|k| item.get(k)).collect() };
            let name: Vec<String> =
                identity.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            let name = name.join(", ");
            if identity.is_empty() {
                continue;
            }
            if let Some(before) = first.get(&name) {
                let at = format!("{path}[{i}]");
                found.push(Finding {
                    code: Code::DuplicateName,
                    path: keys.first().map_or(at.clone(), |key| child_path(&at, key)),
                    message: format!("`{name}` stands there twice: {path}[{before}] has it already")
                        .replace(": .", ": "),
                    suggestion: None,
                });
            }
            first.entry(name).or_insert(i);
        }
    });
}

/// The CEL rules, as the apiserver evaluates them for a new object: those about a change do not apply.
fn rules(schema: &Value, value: &Value, path: &str, found: &mut Vec<Finding>) {
    each_part(schema, value, path, &mut |schema, value, path| {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| rule.get(field).and_then(Value::as_str);
            let source = text("rule").unwrap_or_default();
            let Ok(expression) = Expression::parse(source) else { continue };
            if expression.references().iter().any(|r| r.root() != "self") {
                continue;
            }
            let message = match expression.holds(&OneName { name: "self", value }) {
                Ok(true) => continue,
                Ok(false) => text("message").map_or_else(|| format!("breaks the rule {source}"), str::to_owned),
                Err(stop) => format!("the rule {source} cannot be evaluated: {stop:?}"),
            };
            let path = format!("{path}{}", text("fieldPath").unwrap_or_default());
            found.push(Finding { code: Code::RuleBroken, path, message, suggestion: None });
        }
    });
}
