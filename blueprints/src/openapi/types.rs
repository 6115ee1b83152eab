//! Types of expressions against OpenAPI v3 schemas, before any value is known.

use serde_json::Value;

use super::{Step, path_of};
use crate::expr::{Kinds, Text, Type};

/// Calls `visit` with every string of a value that may hold an expression: its path, the string, and the schema of what
/// stands there where it is known.
pub(crate) fn strings<'a>(
    value: &'a Value,
    schema: Option<&'a Value>,
    root: &str,
    visit: &mut dyn FnMut(&str, &'a str, Option<&'a Value>),
) {
    walk(value, schema, root, &mut Vec::new(), visit);
}

fn walk<'a>(
    value: &'a Value,
    schema: Option<&'a Value>,
    root: &str,
    below: &mut Vec<Step<'a>>,
    visit: &mut dyn FnMut(&str, &'a str, Option<&'a Value>),
) {
    match value {
        Value::String(s) if Text::is_dynamic(s) => visit(&path_of(root, below), s, schema),
        Value::Array(items) => {
            let schema = schema.and_then(|s| s.get("items"));
            for (i, item) in items.iter().enumerate() {
                below.push(Step::Element(i));
                walk(item, schema, root, below, visit);
                below.pop();
            }
        }
        Value::Object(object) => {
            let properties = schema.and_then(|s| s.get("properties"));
            let others = schema.and_then(|s| s.get("additionalProperties")).filter(|o| o.is_object());
            for (name, field) in object {
                below.push(Step::Field(name));
                walk(field, properties.and_then(|p| p.get(name)).or(others), root, below, visit);
                below.pop();
            }
        }
        _ => {}
    }
}

/// Why no value of this type fits the schema, in words that follow "the value"; `None` where one may.
pub(crate) fn misfit(type_: &Type, schema: &Value) -> Option<String> {
    let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
    if type_.may_be(Kinds::NULL) && (flag("nullable") || schema.get("type").is_none()) {
        return None;
    }
    if flag("x-kubernetes-int-or-string") {
        let fits = type_.may_be(Kinds::INT | Kinds::STRING);
        return (!fits).then(|| format!("must be an integer or a string, but is {}", type_.with_article()));
    }
    let wanted = schema.get("type").and_then(Value::as_str)?;
    let fits = match (wanted, type_) {
        ("array", Type::List(of)) => {
            let inner = schema.get("items").and_then(|items| misfit(of, items));
            return inner.map(|reason| format!("its elements: {reason}"));
        }
        ("object", Type::Object(shape)) => {
            return shape.fields.iter().find_map(|(name, type_)| {
                let field = schema.get("properties").and_then(|p| p.get(name));
                let schema = field.or_else(|| schema.get("additionalProperties").filter(|o| o.is_object()))?;
                misfit(type_, schema).map(|reason| format!("its field `{name}`: {reason}"))
            });
        }
        _ => type_.may_be(kinds_of(wanted)),
    };
    (!fits).then(|| {
        let hint = match wanted {
            "string" if type_.may_be(Kinds::SCALAR) => "; write string(...) for its text",
            "integer" if type_.may_be(Kinds::STRING | Kinds::DOUBLE) => "; write int(...) for its number",
            "number" if type_.may_be(Kinds::STRING) => "; write double(...) for its number",
            _ => "",
        };
        format!("must be of type {wanted}, but is {}{hint}", type_.with_article())
    })
}

/// The kinds of values that a schema's `type` stands for.
fn kinds_of(wanted: &str) -> Kinds {
    match wanted {
        "integer" => Kinds::INT,
        "number" => Kinds::NUMBER,
        "string" => Kinds::STRING,
        "boolean" => Kinds::BOOL,
        "array" => Kinds::LIST,
        "object" => Kinds::OBJECT,
        _ => Kinds::all(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_that_cannot_fit_is_told() {
        let object = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let list = json!({"type": "array", "items": {"type": "string"}});
        assert_eq!(misfit(&Type::Int, &json!({"type": "number"})), None);
        assert_eq!(misfit(&Type::Dyn, &object), None);
        assert_eq!(misfit(&Type::object([("n", Type::Int)]), &object), None);
        assert!(misfit(&Type::object([("n", Type::Bool)]), &object).is_some_and(|m| m.contains("`n`")));
        assert!(misfit(&Type::list(Type::Int), &list).is_some_and(|m| m.contains("elements")));
        assert!(misfit(&Type::Double, &json!({"type": "integer"})).is_some_and(|m| m.contains("int(")));
        assert_eq!(misfit(&Type::String, &json!({"x-kubernetes-int-or-string": true})), None);
        assert_eq!(misfit(&Type::String, &json!({"format": "anything"})), None);
        let number_or_null = Type::of_kinds(Kinds::NUMBER | Kinds::NULL);
        assert_eq!(misfit(&number_or_null, &json!({"type": "integer"})), None);
        assert_eq!(misfit(&number_or_null, &json!({"type": "boolean", "nullable": true})), None);
        let said = misfit(&number_or_null, &json!({"type": "string"}));
        assert_eq!(
            said.as_deref(),
            Some("must be of type string, but is null or a number; write string(...) for its text")
        );
    }
}
