//! Parameters: their schemas, their values, their defaults.

use serde_json::Value;

use super::Analysis;
use super::scope::{Tree, text};
use crate::expr::child_path;
use crate::openapi::{self, Strings};
use crate::problem::{Code, Origin, Problem, listing, nearest};
use crate::schedule::Schedule;

impl Analysis<'_> {
    /// Every parameter: its value, its default, or that it is not known.
    pub(super) fn parameters(&mut self) {
        let blueprint = self.blueprint;
        for (name, schema) in &blueprint.parameters {
            let path = child_path(&self.at("parameters"), name);
            let findings = openapi::check_schema(&schema.0, &path);
            let sound = findings.is_empty();
            for f in findings {
                self.problems.suggest(f.code, f.path, f.message, f.suggestion);
            }
            let value = if sound { self.parameter(name, &schema.to_value()) } else { None };
            let tree = match value {
                Some(value) => {
                    self.resolved.parameters.insert(name.clone(), value.clone());
                    Tree::Json(value)
                }
                None => Tree::Unknown(format!("parameter `{name}` has no value yet")),
            };
            self.scope.set("parameters", name, tree);
        }
        self.undeclared();
    }

    fn parameter(&mut self, name: &str, schema: &Value) -> Option<Value> {
        let given = self.spec.and_then(|s| s.parameters.get(name)).map(|v| &v.0);
        let path = child_path("spec.parameters", name);
        let Some(given) = given else {
            let default = schema.get("default").cloned();
            if default.is_none() && self.spec.is_some() {
                let message = format!("parameter `{name}` has no default and must be given");
                self.pipeline_problem(Code::MissingParameter, path, message, None);
            }
            return default.map(|d| typed(d, schema));
        };
        let mut findings = Vec::new();
        openapi::check(given, schema, &path, Strings::Literal, &mut findings);
        let fits = findings.is_empty();
        for f in findings {
            self.pipeline_problem(f.code, f.path, f.message, f.suggestion);
        }
        fits.then(|| typed(given.clone(), schema))
    }

    fn undeclared(&mut self) {
        let Some(spec) = self.spec else { return };
        let known = || self.blueprint.parameters.keys().map(String::as_str);
        let unknown: Vec<_> = spec
            .parameters
            .keys()
            .filter(|name| !self.blueprint.parameters.contains_key(*name))
            .map(|name| {
                let message = format!("the blueprint has no parameter `{name}`; {}", listing(known()));
                (child_path("spec.parameters", name), message, nearest(name, known()))
            })
            .collect();
        for (path, message, suggestion) in unknown {
            self.pipeline_problem(Code::UnknownParameter, path, message, suggestion);
        }
    }

    /// A problem of the Pipeline itself, not of the blueprint.
    pub(super) fn pipeline_problem(
        &mut self,
        code: Code,
        path: String,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.problems.push(Problem { code, origin: Origin::Pipeline, path, message: message.into(), suggestion });
    }

    /// `pipeline` and `run`, and when runs begin.
    pub(super) fn environment(&mut self) {
        if let Some((expression, zone)) = self.spec.and_then(|s| Some((s.schedule.as_ref()?, s.time_zone.as_deref()))) {
            let (schedule, zoned) = (Schedule::parse(expression, None), Schedule::parse(expression, zone));
            let path = if schedule.is_err() { "spec.schedule" } else { "spec.timeZone" };
            if let Err(reason) = schedule.and(zoned) {
                self.pipeline_problem(Code::BadSchedule, path.into(), reason, None);
            }
        }
        if self.spec.is_some() {
            let (name, namespace) = (self.resolved.pipeline.clone(), self.resolved.namespace.clone());
            self.scope.set("pipeline", "name", text(name));
            self.scope.set("pipeline", "namespace", text(namespace));
            self.scope.set("run", "number", Tree::Json(self.resolved.run.into()));
        } else {
            for (root, name) in [("pipeline", "name"), ("pipeline", "namespace"), ("run", "number")] {
                self.scope.set(root, name, Tree::Unknown("there is no Pipeline yet".into()));
            }
        }
    }
}

/// A whole number where the schema says `number` is a double all the same: expressions tell the two apart.
fn typed(value: Value, schema: &Value) -> Value {
    match (schema.get("type").and_then(Value::as_str), &value) {
        (Some("number"), Value::Number(n)) => {
            n.as_f64().and_then(serde_json::Number::from_f64).map_or(value, Value::Number)
        }
        _ => value,
    }
}
