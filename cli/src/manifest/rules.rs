//! The CEL rules of a schema (`x-kubernetes-validations`), evaluated as the apiserver does for a new object.

use std::sync::Arc;

use cel::{Context, Env};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

use super::path::Path;
use super::schema::{Fault, field_schema, item_schema};

/// Adds a fault for every rule that `value` or a part of it breaks. Rules about a change (`oldSelf`) do not apply to a
/// new object.
pub fn check(schema: &JSONSchemaProps, value: &Value, path: &Path, faults: &mut Vec<Fault>) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        if rule.rule.contains("oldSelf") {
            continue;
        }
        let at = rule.field_path.as_deref().map_or_else(|| path.clone(), |field| below(path, field));
        match holds(&rule.rule, value) {
            Ok(true) => {}
            Ok(false) => {
                faults.push(Fault::new(
                    &at,
                    rule.message.clone().unwrap_or_else(|| format!("breaks the rule {}", rule.rule)),
                ));
            }
            Err(reason) => {
                faults.push(Fault::new(&at, format!("the rule {} cannot be evaluated: {reason}", rule.rule)))
            }
        }
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(child) = field_schema(schema, name) {
                    check(child, field, &path.field(name), faults);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = item_schema(schema) {
                for (i, item) in items.iter().enumerate() {
                    check(child, item, &path.index(i), faults);
                }
            }
        }
        _ => {}
    }
}

fn below(path: &Path, field: &str) -> Path {
    let Ok(tail) = field.parse::<Path>();
    Path(path.0.iter().cloned().chain(tail.0).collect())
}

fn holds(rule: &str, value: &Value) -> Result<bool, String> {
    let env = Arc::new(Env::stdlib());
    let program = env.compile(rule).map_err(|e| e.to_string())?;
    let mut context = Context::with_env(env);
    context.add_variable("self", value).map_err(|e| e.to_string())?;
    match program.execute(&context).map_err(|e| e.to_string())? {
        cel::Value::Bool(holds) => Ok(holds),
        other => Err(format!("it yields {other:?}")),
    }
}
