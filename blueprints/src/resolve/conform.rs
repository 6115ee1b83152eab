//! Templates against the schemas and the rules of their kinds, as far as their values are known.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::ports::bound;
use super::{Analysis, Component, Dataset, Topic, hash, template};
use crate::drivers::{Direction, Ports};
use crate::expr::scope::OneName;
use crate::expr::{Expression, Fields, Stop, Text, Type, child_path};
use crate::kinds;
use crate::openapi::{self, Finding, Step, Strings, holds_expressions, path_of};
use crate::problem::{Code, nearest};

impl Analysis<'_> {
    /// Every template against the schema and the rules of its kind.
    pub(super) fn templates(&mut self) {
        let settled = (self.resolved.topics.clone(), self.resolved.datasets.clone());
        self.resolved.topics.iter_mut().for_each(stand_in_for_topic);
        self.resolved.datasets.iter_mut().for_each(stand_in_for_dataset);
        self.each_template();
        (self.resolved.topics, self.resolved.datasets) = settled;
    }

    fn each_template(&mut self) {
        for i in 0..self.resolved.components.len() {
            let component = &self.resolved.components[i];
            if component.gvk.kind.is_empty() {
                continue;
            }
            let path = format!("{}.template", component.path);
            let unknown_each = component.each.is_none() && self.is_item(component);
            let scope = self.scope.within(component.each.as_ref(), None).with_unknown_each(unknown_each);
            let mut keep = Keep { scope: &scope, bad: &self.bad, root: &path, below: Vec::new(), faults: Vec::new() };
            let rendered = keep.render(&component.template);
            let faults = keep.faults;
            let known = bound(component, &self.resolved);
            let hash = hash::settled(&rendered, &scope, &known);
            let verified = self.verified.contains(&(component.name.as_str(), hash.as_str()));
            let object = template::wired(component, &self.resolved, rendered, &known).object;
            let all = component.reads.keys().chain(component.writes.keys());
            let open: Vec<String> = all.filter(|port| known.iter().all(|p| p.name != *port)).cloned().collect();
            for (path, reason) in faults {
                self.problems.add(Code::BadExpression, path, reason);
            }
            self.resolved.components[i].hash = hash;
            if !verified {
                self.conforms(i, &object, &path, &open);
            }
        }
    }

    fn is_item(&self, component: &Component) -> bool {
        self.index.components.get(component.base.as_str()).is_some_and(|c| c.for_each.is_some())
    }

    /// `open` are ports that are bound to what is not there.
    fn conforms(&mut self, index: usize, object: &Value, path: &str, open: &[String]) {
        let component = &self.resolved.components[index];
        let Some(schema) = self.types.kind(&component.gvk).schema else { return };
        let mut found = Vec::new();
        for (field, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if matches!(field.as_str(), "status" | "metadata" | "apiVersion" | "kind") {
                continue;
            }
            let path = child_path(path, field);
            match object.get(field) {
                Some(value) => openapi::check(value, schema, &path, Strings::Expressions, &mut found),
                None if field == "spec" => {
                    openapi::check(&json!({}), schema, &path, Strings::Expressions, &mut found);
                }
                None => {}
            }
        }
        let fields = || schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let free = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
        for field in object.as_object().into_iter().flat_map(Map::keys) {
            let known = matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status");
            if !known && !free && !fields().any(|f| f == field) {
                let message = format!("{} has no field `{field}`", component.gvk.kind);
                let candidates =
                    fields().map(String::as_str).filter(|f| !matches!(*f, "status" | "apiVersion" | "kind"));
                let suggestion = nearest(field, candidates);
                found.push(Finding { code: Code::UnknownField, path: child_path(path, field), message, suggestion });
            }
        }
        let sound = found.is_empty() && open.is_empty();
        let max_name = component.driver().max_name();
        for finding in self.without_echoes(found, index, path, open) {
            self.problems.suggest(finding.code, finding.path, finding.message, finding.suggestion);
        }
        if sound {
            self.rules_hold(object, &schema, path, max_name);
        }
    }

    /// Findings without those that only repeat another problem: what is missing at a port whose binding is wrong, and a
    /// field that is there, misspelt.
    fn without_echoes(&self, found: Vec<Finding>, index: usize, path: &str, open: &[String]) -> Vec<Finding> {
        let component = &self.resolved.components[index];
        let misspelt: HashSet<String> = found
            .iter()
            .filter(|f| f.code == Code::UnknownField)
            .filter_map(|f| Some(child_path(parent(&f.path), f.suggestion.as_deref()?)))
            .collect();
        let ports = component.driver().ports();
        let mut kept = Vec::new();
        for mut f in found {
            let spec = f.path.strip_prefix(path).and_then(|p| p.strip_prefix(".spec."));
            let below = spec.map(|p| p.split(['.', '[']).next().unwrap_or_default());
            let at_open = below.is_some_and(|field| open.iter().any(|port| port == field));
            let missing = f.code == Code::MissingField;
            if missing && (at_open || misspelt.contains(&f.path)) {
                continue;
            }
            if let (true, Some((port, direction))) = (missing, spec.and_then(|field| port_of(field, ports))) {
                if self.is_misbound(component, port, direction) {
                    continue;
                }
                f.code = Code::PortNotBound;
                f.message = format!(
                    "port `{port}` of {} is not bound: bind it under {}, or give spec.{port}",
                    component.gvk.kind,
                    direction.field()
                );
            }
            kept.push(f);
        }
        kept
    }

    /// Whether a component means to bind a port and fails: it names what is not there, or a port that is none.
    fn is_misbound(&self, component: &Component, port: &str, direction: Direction) -> bool {
        let Ports::Named { reads, writes } = component.driver().ports() else { return false };
        let (own, names, other) = match direction {
            Direction::Reads => (&component.reads, reads, &component.writes),
            Direction::Writes => (&component.writes, writes, &component.reads),
        };
        own.contains_key(port) || other.contains_key(port) || own.keys().any(|p| !names.contains(&p.as_str()))
    }

    /// The CEL rules of the kind's schema, as the apiserver would check them on creation.
    fn rules_hold(&mut self, object: &Value, schema: &Value, path: &str, max_name: usize) {
        let mut object = object.clone();
        // a name that is too long has been told already
        if let Some(Value::String(name)) = object.pointer_mut("/metadata/name") {
            name.truncate(name.floor_char_boundary(max_name));
        }
        openapi::apply_defaults(&mut object, schema);
        let mut broken = Vec::new();
        let mut below = Vec::new();
        self.broken_rules(&object, schema, path, &mut below, &mut broken);
        for (path, message) in broken {
            self.problems.add(Code::RuleBroken, path, message);
        }
    }

    /// The rules that do not hold, here and within: the path and the message of each.
    fn broken_rules<'v>(
        &mut self,
        value: &'v Value,
        schema: &'v Value,
        root: &str,
        below: &mut Vec<Step<'v>>,
        found: &mut Vec<(String, String)>,
    ) {
        for rule in schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            if let Some(message) = self.broken(rule, value) {
                let field = rule.get("fieldPath").and_then(Value::as_str).unwrap_or_default();
                found.push((format!("{}{field}", path_of(root, below)), message));
            }
        }
        if let Value::Object(fields) = value {
            let properties = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties").filter(|o| o.is_object());
            for (name, value) in fields {
                if let Some(schema) = properties.and_then(|p| p.get(name)).or(others) {
                    below.push(Step::Field(name));
                    self.broken_rules(value, schema, root, below, found);
                    below.pop();
                }
            }
        }
        if let (Value::Array(items), Some(schema)) = (value, schema.get("items")) {
            for (i, value) in items.iter().enumerate() {
                below.push(Step::Element(i));
                self.broken_rules(value, schema, root, below, found);
                below.pop();
            }
        }
    }

    /// The message of a rule that does not hold; `None` where it holds, compares with an older object, depends on a value
    /// that is not known, or is beyond what expressions can say here.
    fn broken(&mut self, rule: &Value, value: &Value) -> Option<String> {
        let source = rule.get("rule").and_then(Value::as_str)?;
        let parse = || Expression::parse(source).ok();
        let expression = match kinds::rule(source) {
            Some(own) => own,
            None => self.rules.entry(source.to_owned()).or_insert_with(parse).as_ref()?,
        };
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

    /// A status rule, whose one name is `self`; its type where it is sound.
    pub(super) fn self_rule(&mut self, rule: &str, path: &str, of_self: &Type) -> Option<Type> {
        let expression = match Expression::parse_rule(rule) {
            Ok(expression) => expression,
            Err(error) => {
                self.problems.add(Code::BadExpression, path, error.to_string());
                return None;
            }
        };
        let mut sound = self.functions_exist(&expression, path);
        for reference in expression.references().iter().filter(|r| r.root() != "self") {
            let message = format!("`{}` stands for nothing; a status rule sees the child as `self`", reference.root());
            let suggestion = (reference.root() == "status").then(|| "self.status".to_owned());
            self.problems.suggest(Code::UnknownName, path, message, suggestion);
            sound = false;
        }
        if !sound {
            return None;
        }
        let (type_, faults) = expression.check(&|name| (name == "self").then(|| of_self.clone()));
        self.typed(type_, faults, path)
    }
}

/// A template with what is known of it; what is not stays as it is written.
pub(super) fn settled(template: &Value, scope: &dyn Fields) -> Value {
    Keep { scope, bad: &HashSet::new(), root: "", below: Vec::new(), faults: Vec::new() }.render(template)
}

/// Renders what is known; what is not, or is wrong, stays as it is written.
struct Keep<'a> {
    scope: &'a dyn Fields,
    bad: &'a HashSet<String>,
    root: &'a str,
    below: Vec<Step<'a>>,
    /// Strings that have no value: path and reason.
    faults: Vec<(String, String)>,
}

impl<'a> Keep<'a> {
    fn render(&mut self, value: &'a Value) -> Value {
        match value {
            Value::String(source) if Text::is_dynamic(source) => self.text(source),
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(i, item)| self.within(Step::Element(i), item));
                items.collect::<Vec<_>>().into()
            }
            Value::Object(object) => {
                let fields = object.iter().map(|(k, v)| (k.clone(), self.within(Step::Field(k), v)));
                fields.collect::<Map<_, _>>().into()
            }
            other => other.clone(),
        }
    }

    fn within(&mut self, step: Step<'a>, value: &'a Value) -> Value {
        self.below.push(step);
        let rendered = self.render(value);
        self.below.pop();
        rendered
    }

    fn text(&mut self, source: &str) -> Value {
        let path = path_of(self.root, &self.below);
        if self.bad.contains(&path) {
            return source.into();
        }
        match Text::parse(source).map(|text| text.evaluate(self.scope)) {
            Ok(Ok(value)) => value,
            Ok(Err(Stop::Error(reason))) => {
                self.faults.push((path, format!("`{source}` has no value: {reason}")));
                source.into()
            }
            Ok(Err(Stop::Unknown(_) | Stop::Skipped(_))) | Err(_) => source.into(),
        }
    }
}

/// What is not known of a topic, or is wrong, becomes an expression: it fits anything and breaks no rule.
fn stand_in_for_topic(topic: &mut Topic) {
    if topic.topic_name.is_empty() {
        topic.topic_name = format!("${{topics[\"{}\"].topicName}}", topic.name);
    }
    if topic.connection.bootstrap_servers.is_empty() {
        topic.connection.bootstrap_servers = format!("${{topics[\"{}\"].bootstrapServers}}", topic.name);
    }
}

fn stand_in_for_dataset(dataset: &mut Dataset) {
    if dataset.uri.is_empty() {
        dataset.uri = format!("${{datasets[\"{}\"].uri}}", dataset.name);
    }
}

/// The port that a field of the spec stands for.
fn port_of(field: &str, ports: Ports) -> Option<(&'static str, Direction)> {
    let Ports::Named { reads, writes } = ports else { return None };
    let of = |names: &'static [&'static str], direction: Direction| {
        names.iter().find(|name| **name == field).map(|name| (*name, direction))
    };
    of(reads, Direction::Reads).or_else(|| of(writes, Direction::Writes))
}

fn parent(path: &str) -> &str {
    path.rfind(['.', '[']).map_or("", |end| &path[..end])
}
