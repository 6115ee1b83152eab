//! JSON Schemas themselves: keywords of the wrong form, words that are no types, references to nothing.

use serde_json::{Map, Value};

use super::Fault;
use crate::expr::{child_path, functions};
use crate::problem::nearest;

pub(super) const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// How deep a schema may be nested.
const MAX_DEPTH: usize = 64;

/// What is wrong with a JSON Schema.
pub(super) fn faults(schema: &Value, path: &str) -> Vec<Fault> {
    let mut found = Vec::new();
    Check { root: schema, found: &mut found }.schema(schema, path, 0);
    found
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<Fault>,
}

impl Check<'_> {
    fn add(&mut self, path: &str, message: String, suggestion: Option<String>) {
        self.found.push(Fault { path: path.to_owned(), message, suggestion });
    }

    fn schema(&mut self, schema: &Value, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.add(path, format!("is nested deeper than {MAX_DEPTH}"), None);
        }
        let object = match schema {
            Value::Bool(_) => return,
            Value::Object(object) => object,
            other => {
                let message = format!("a schema is an object or a boolean, not {}", functions::type_name(other));
                return self.add(path, message, None);
            }
        };
        if let Some(type_) = object.get("type") {
            self.types(type_, &child_path(path, "type"));
        }
        self.forms(object, path);
        self.reference(object, path);
        for key in ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"] {
            for (name, schema) in object.get(key).and_then(Value::as_object).into_iter().flatten() {
                self.schema(schema, &child_path(&child_path(path, key), name), depth + 1);
            }
        }
        for key in ["allOf", "anyOf", "oneOf", "prefixItems"] {
            for (i, schema) in object.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
                self.schema(schema, &format!("{}[{i}]", child_path(path, key)), depth + 1);
            }
        }
        for key in ["additionalProperties", "contains", "else", "if", "not", "propertyNames", "then"] {
            if let Some(schema) = object.get(key) {
                self.schema(schema, &child_path(path, key), depth + 1);
            }
        }
        match object.get("items") {
            // a list of schemas, as drafts before 2020-12 have it
            Some(Value::Array(items)) => {
                let at = child_path(path, "items");
                items.iter().enumerate().for_each(|(i, s)| self.schema(s, &format!("{at}[{i}]"), depth + 1));
            }
            Some(items) => self.schema(items, &child_path(path, "items"), depth + 1),
            None => {}
        }
    }

    fn types(&mut self, type_: &Value, path: &str) {
        let words: Vec<&Value> = match type_ {
            Value::Array(words) if !words.is_empty() => words.iter().collect(),
            other => vec![other],
        };
        for word in words {
            if !word.as_str().is_some_and(|w| TYPES.contains(&w)) {
                let suggestion = word.as_str().and_then(|w| nearest(w, TYPES));
                self.add(path, format!("{word} is not one of {}", TYPES.join(", ")), suggestion);
            }
        }
    }

    /// Keywords whose value is of the wrong form.
    fn forms(&mut self, object: &Map<String, Value>, path: &str) {
        let strings = |v: &Value| v.as_array().is_some_and(|a| a.iter().all(Value::is_string));
        for (key, value) in object {
            let wanted = match key.as_str() {
                "properties" | "patternProperties" | "$defs" | "definitions" if !value.is_object() => "an object",
                "required" if !strings(value) => "a list of strings",
                "enum" if !value.is_array() => "a list",
                "allOf" | "anyOf" | "oneOf" if value.as_array().is_none_or(Vec::is_empty) => {
                    "a list of at least one schema"
                }
                "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
                    if !value.is_u64() =>
                {
                    "a whole number"
                }
                "minimum" | "maximum" | "multipleOf" if !value.is_number() => "a number",
                "pattern" | "$ref" | "format" if !value.is_string() => "a string",
                _ => continue,
            };
            let message = format!("must be {wanted}, not {}", functions::type_name(value));
            self.add(&child_path(path, key), message, None);
        }
    }

    fn reference(&mut self, object: &Map<String, Value>, path: &str) {
        let Some(reference) = object.get("$ref").and_then(Value::as_str) else { return };
        if let Some(pointer) = reference.strip_prefix('#')
            && (pointer.is_empty() || pointer.starts_with('/'))
            && self.root.pointer(pointer).is_none()
        {
            let message = format!("`{reference}` leads nowhere in this schema");
            self.add(&child_path(path, "$ref"), message, None);
        }
    }
}
