//! Templates: from a component to the object that is created, and that object against its kind's schema.

use std::collections::HashSet;

use kube::core::{DynamicObject, TypeMeta};
use serde_json::{Map, Value, json};

use super::ports::bound;
use super::{Analysis, Component, Resolved, hash};
use crate::drivers::Ports;
use crate::expr::scope::OneName;
use crate::expr::{Error, Expression, Fields, Stop, Text};
use crate::openapi::{self, Step, Strings, path_of};
use crate::problem::Code;
use crate::schemas;

/// What becomes of a string that has no value yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The whole template has none.
    Stop,
    /// It stays as it is written.
    Keep,
}

/// The value with its expressions evaluated.
pub(crate) fn render(value: &Value, scope: &dyn Fields, missing: Missing) -> Result<Value, Stop> {
    Ok(match value {
        Value::String(source) if Text::is_dynamic(source) => {
            let text = Text::parse(source).map_err(|e: Error| Stop::Error(e.to_string()))?;
            match (text.evaluate(scope), missing) {
                (Ok(value), _) => value,
                (Err(Stop::Unknown(_) | Stop::Skipped(_)), Missing::Keep) => value.clone(),
                (Err(Stop::Error(reason)), _) => {
                    return Err(Stop::Error(format!("`{source}` has no value: {reason}")));
                }
                (Err(stop), _) => return Err(stop),
            }
        }
        Value::Array(items) => {
            items.iter().map(|item| render(item, scope, missing)).collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::Object(object) => {
            let fields = object.iter().map(|(k, v)| Ok((k.clone(), render(v, scope, missing)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, Stop>>()?)
        }
        other => other.clone(),
    })
}

/// A component's object.
pub(crate) struct Rendered {
    /// The template with its expressions evaluated, before anything is added.
    pub(crate) template: Value,
    /// That template wired, with the child's name. Labels and owner come on top.
    pub(crate) object: Value,
    /// Seconds after its end at which the child goes: the operator's business, not the child's.
    pub(crate) ttl: Option<i64>,
}

/// The object that a component describes.
pub(crate) fn object(
    component: &Component,
    resolved: &Resolved,
    scope: &dyn Fields,
    missing: Missing,
) -> Result<Rendered, Stop> {
    let template = render(&component.template, scope, missing)?;
    let mut object = template.clone();
    let driver = component.driver();
    driver.wire(&mut object, &bound(component, resolved));
    let ttl = if driver.has_ttl() { take_ttl(&mut object) } else { None };
    if let Some(fields) = object.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".into(), component.child.clone().into());
            metadata.insert("namespace".into(), resolved.namespace.clone().into());
        }
    }
    Ok(Rendered { template, object, ttl })
}

/// Takes `spec.ttlSecondsAfterFinished` out of an object, where it is a number.
fn take_ttl(object: &mut Value) -> Option<i64> {
    let spec = object.get_mut("spec")?.as_object_mut()?;
    let ttl = spec.get("ttlSecondsAfterFinished")?.as_i64()?;
    spec.remove("ttlSecondsAfterFinished");
    Some(ttl)
}

/// A JSON object as kube carries one; `None` where it has no kind or bad metadata.
pub(crate) fn dynamic(mut value: Value) -> Option<DynamicObject> {
    let object = value.as_object_mut()?;
    let (api_version, kind) = (object.remove("apiVersion")?, object.remove("kind")?);
    let types = TypeMeta { api_version: api_version.as_str()?.into(), kind: kind.as_str()?.into() };
    let metadata = serde_json::from_value(object.remove("metadata")?).ok()?;
    Some(DynamicObject { types: Some(types), metadata, data: value })
}

impl Analysis<'_> {
    /// Every template against the schema and the rules of its kind, as far as its values are known.
    pub(super) fn templates(&mut self) {
        let template_of = |path: &str| path.find(".template").map(|at| path[..at + ".template".len()].to_owned());
        let faulty: HashSet<String> = self.problems.list.iter().filter_map(|p| template_of(&p.path)).collect();
        for i in 0..self.resolved.components.len() {
            let component = &self.resolved.components[i];
            let path = format!("{}.template", component.path);
            if faulty.contains(&path) {
                continue;
            }
            let unknown_each = component.each.is_none() && self.is_item(component);
            let scope = self.scope.within(component.each.as_ref(), None).with_unknown_each(unknown_each);
            match object(component, &self.resolved, &scope, Missing::Keep) {
                Ok(Rendered { template, object, .. }) => {
                    let hash = hash::settled(&template, &scope, &bound(component, &self.resolved));
                    let known = self.verified.contains(&(component.name.as_str(), hash.as_str()));
                    self.resolved.components[i].hash = hash;
                    if !known {
                        self.conforms(i, &object, &path);
                    }
                }
                Err(Stop::Error(reason)) => self.problems.add(Code::BadExpression, path, reason),
                Err(Stop::Unknown(_) | Stop::Skipped(_)) => {}
            }
        }
    }

    fn is_item(&self, component: &Component) -> bool {
        let all = self.blueprint.components.iter().chain(&self.blueprint.finally);
        all.into_iter().any(|c| c.name == component.base && c.for_each.is_some())
    }

    fn conforms(&mut self, index: usize, object: &Value, path: &str) {
        let component = &self.resolved.components[index];
        let Some(schema) = schemas::of(&component.gvk) else { return };
        let mut found = Vec::new();
        for (field, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if field == "status" || field == "metadata" {
                continue;
            }
            match object.get(field) {
                Some(value) => {
                    openapi::check(value, schema, &format!("{path}.{field}"), Strings::Expressions, &mut found)
                }
                None if field == "spec" => {
                    openapi::check(&json!({}), schema, &format!("{path}.spec"), Strings::Expressions, &mut found);
                }
                None => {}
            }
        }
        for field in object.as_object().into_iter().flat_map(Map::keys) {
            let known = schema.pointer(&format!("/properties/{field}")).is_some();
            if !known && !matches!(field.as_str(), "apiVersion" | "kind" | "metadata") {
                let message = format!("{} has no field `{field}`", component.gvk.kind);
                self.problems.suggest(
                    Code::UnknownField,
                    crate::expr::child_path(path, field),
                    message,
                    crate::problem::nearest(field, ["spec", "metadata"]),
                );
            }
        }
        let sound = found.is_empty();
        let ports = component.driver().ports();
        let kind = component.gvk.kind.clone();
        for mut f in found {
            if f.code == Code::MissingField
                && let Some(port) = port_of(&f.path, path, ports)
            {
                let (name, field) = port;
                f.code = Code::PortNotBound;
                f.message = format!("port `{name}` of {kind} is not bound: bind it under {field}, or give spec.{name}");
            }
            self.problems.suggest(f.code, f.path, f.message, f.suggestion);
        }
        if sound {
            self.rules_hold(object, schema, path);
        }
    }

    /// The CEL rules of the kind's schema, as the apiserver would check them on creation.
    fn rules_hold(&mut self, object: &Value, schema: &Value, path: &str) {
        let mut object = object.clone();
        openapi::apply_defaults(&mut object, schema);
        let mut broken = Vec::new();
        broken_rules(&object, schema, path, &mut Vec::new(), &mut broken);
        for (path, message) in broken {
            self.problems.add(Code::RuleBroken, path, message);
        }
    }

    /// A status rule: its one name is `self`.
    pub(super) fn self_rule(&mut self, rule: &str, path: &str) {
        match Expression::parse_rule(rule) {
            Err(error) => self.problems.add(Code::BadExpression, path, error.to_string()),
            Ok(expression) => {
                for reference in expression.references().iter().filter(|r| r.root() != "self") {
                    let message =
                        format!("`{}` stands for nothing; a status rule sees the child as `self`", reference.root());
                    let suggestion = (reference.root() == "status").then(|| "self.status".to_owned());
                    self.problems.suggest(Code::UnknownName, path, message, suggestion);
                }
                self.functions_exist(&expression, path);
            }
        }
    }
}

/// The port that a missing field stands for.
fn port_of(path: &str, template: &str, ports: Ports) -> Option<(&'static str, &'static str)> {
    let Ports::Named { reads, writes } = ports else { return None };
    let field = path.strip_prefix(template)?.strip_prefix(".spec.")?;
    let of =
        |names: &'static [&'static str], under: &'static str| names.iter().find(|n| **n == field).map(|n| (*n, under));
    of(reads, "reads").or_else(|| of(writes, "writes"))
}

/// The rules that do not hold, here and within: the path and the message of each.
fn broken_rules<'a>(
    value: &'a Value,
    schema: &'a Value,
    root: &str,
    below: &mut Vec<Step<'a>>,
    found: &mut Vec<(String, String)>,
) {
    for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        if let Some(message) = broken(rule, value) {
            let field = rule.get("fieldPath").and_then(Value::as_str).unwrap_or_default();
            found.push((format!("{}{field}", path_of(root, below)), message));
        }
    }
    if let (Value::Object(fields), Some(properties)) = (value, schema.get("properties").and_then(Value::as_object)) {
        for (name, value) in fields {
            if let Some(schema) = properties.get(name) {
                below.push(Step::Field(name));
                broken_rules(value, schema, root, below, found);
                below.pop();
            }
        }
    }
    if let (Value::Array(items), Some(schema)) = (value, schema.get("items")) {
        for (i, value) in items.iter().enumerate() {
            below.push(Step::Element(i));
            broken_rules(value, schema, root, below, found);
            below.pop();
        }
    }
}

/// The message of a rule that does not hold; `None` where it holds, compares with an older object, or depends on a value
/// that is not known.
fn broken(rule: &Value, value: &Value) -> Option<String> {
    let source = rule.get("rule").and_then(Value::as_str)?;
    let expression = schemas::rule(source)?;
    if expression.references().iter().any(|r| r.root() != "self") {
        return None;
    }
    let tests_only = expression.references().iter().all(|r| r.test);
    if !tests_only && holds_expressions(value) {
        return None;
    }
    match expression.holds(&OneName { name: "self", value }) {
        Ok(false) => Some(rule.get("message").and_then(Value::as_str).unwrap_or(source).to_owned()),
        Ok(true) | Err(_) => None,
    }
}

fn holds_expressions(value: &Value) -> bool {
    match value {
        Value::String(s) => Text::is_dynamic(s),
        Value::Array(items) => items.iter().any(holds_expressions),
        Value::Object(object) => object.values().any(holds_expressions),
        _ => false,
    }
}
