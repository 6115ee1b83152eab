//! Schemas that users write: those of parameters.

use serde_json::{Map, Value};

use super::{Finding, Strings, check};
use crate::expr::{child_path, functions};
use crate::problem::{Code, nearest};

/// What is wrong with a schema that a user wrote: keywords, types, patterns, and a default that does not fit.
pub fn check_schema(schema: &Map<String, Value>, path: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut stack = vec![(path.to_owned(), schema)];
    while let Some((path, schema)) = stack.pop() {
        keywords(schema, &path, &mut found);
        let whole = Value::Object(schema.clone());
        for (keyword, value) in values_of(schema) {
            let mut misfits = Vec::new();
            check(
                value,
                &without_enum(&whole, keyword == "enum"),
                &child_path(&path, keyword),
                Strings::Literal,
                &mut misfits,
            );
            found.extend(misfits.into_iter().map(|f| Finding { code: Code::BadDefault, ..f }));
        }
        for (name, below) in
            [("items", schema.get("items")), ("additionalProperties", schema.get("additionalProperties"))]
        {
            if let Some(Value::Object(below)) = below {
                stack.push((child_path(&path, name), below));
            }
        }
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            match property {
                Value::Object(property) => stack.push((child_path(&child_path(&path, "properties"), name), property)),
                other => found.push(Finding {
                    code: Code::BadSchema,
                    path: child_path(&child_path(&path, "properties"), name),
                    message: format!("a schema is an object, not {}", functions::type_name(other)),
                    suggestion: None,
                }),
            }
        }
    }
    found
}

/// The values that a schema itself holds and that must fit it.
fn values_of(schema: &Map<String, Value>) -> Vec<(&'static str, &Value)> {
    let mut all = Vec::new();
    all.extend(schema.get("default").map(|v| ("default", v)));
    all.extend(schema.get("enum").and_then(Value::as_array).into_iter().flatten().map(|v| ("enum", v)));
    all
}

fn without_enum(schema: &Value, strip: bool) -> Value {
    let mut schema = schema.clone();
    if let (true, Some(object)) = (strip, schema.as_object_mut()) {
        object.remove("enum");
    }
    schema
}

const KEYWORDS: &[&str] = &[
    "additionalProperties",
    "default",
    "description",
    "enum",
    "example",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "uniqueItems",
];

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

fn keywords(schema: &Map<String, Value>, path: &str, found: &mut Vec<Finding>) {
    let mut add = |path: String, message: String, suggestion| {
        found.push(Finding { code: Code::BadSchema, path, message, suggestion });
    };
    for key in schema.keys().filter(|k| !KEYWORDS.contains(&k.as_str()) && !k.starts_with("x-")) {
        let suggestion = nearest(key, KEYWORDS.iter().copied());
        add(child_path(path, key), format!("a schema has no keyword `{key}`"), suggestion);
    }
    match schema.get("type") {
        Some(Value::String(t)) if TYPES.contains(&t.as_str()) => {}
        Some(other) => {
            let suggestion = other.as_str().and_then(|t| nearest(t, TYPES.iter().copied()));
            add(child_path(path, "type"), format!("{other} is not one of {}", TYPES.join(", ")), suggestion);
        }
        None => {}
    }
    if let Some(Value::String(pattern)) = schema.get("pattern")
        && let Err(reason) = functions::compiled(pattern)
    {
        add(child_path(path, "pattern"), reason, None);
    }
}
