//! Values that a JSON Schema lists: whether a schema takes one, where that is certain.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::json::is_of_any;

/// The keywords looked at for all values together: beyond that nothing is said.
const MOST: usize = 1_000_000;
/// How deep schemas refer to each other.
const MAX_DEPTH: usize = 64;

/// Which values the parts of a writer's and of a reader's schema take.
pub(super) struct Values<'a> {
    writer: &'a Value,
    reader: &'a Value,
    looked_at: Cell<usize>,
}

/// A schema's document.
struct Document<'a> {
    root: &'a Value,
    looked_at: &'a Cell<usize>,
}

impl<'a> Values<'a> {
    pub(super) fn new(writer: &'a Value, reader: &'a Value) -> Self {
        Self { writer, reader, looked_at: Cell::default() }
    }

    /// Whether a value is surely one that the writer's part takes and the reader's does not.
    pub(super) fn only_writer(&self, value: &Value, writer: &Value, reader: &Value) -> bool {
        let takes = |root, part| Document { root, looked_at: &self.looked_at }.takes(part, value, 0);
        takes(self.reader, reader) == Some(false) && takes(self.writer, writer) == Some(true)
    }
}

impl Document<'_> {
    /// Whether a part takes a value; `None` where that is not certain.
    fn takes(&self, part: &Value, value: &Value, depth: usize) -> Option<bool> {
        let object = match part {
            Value::Bool(all) => return Some(*all),
            Value::Object(object) if depth < MAX_DEPTH => object,
            _ => return None,
        };
        let keywords = object.iter().filter(|(key, _)| *key != "$ref");
        let rest = every(keywords.map(|(key, rule)| self.keyword(object, key, rule, value, depth + 1)));
        let Some(reference) = object.get("$ref") else { return rest };
        let target = reference.as_str()?.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))?;
        // up to draft 7, what stands beside a reference does not count
        match self.takes(target, value, depth + 1) {
            Some(true) => rest.filter(|takes| *takes),
            other => other,
        }
    }

    fn keyword(&self, part: &Map<String, Value>, key: &str, rule: &Value, value: &Value, depth: usize) -> Option<bool> {
        self.count()?;
        let takes = |part: &Value, value: &Value| self.takes(part, value, depth);
        match (key, value) {
            ("const", _) => Some(same(rule, value)),
            ("enum", _) => some(rule.as_array()?.iter().map(|listed| self.count().map(|()| same(listed, value)))),
            ("type", _) => {
                let types = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                Some(is_of_any(value, &types.iter().filter_map(Value::as_str).collect()))
            }
            ("not", _) => takes(rule, value).map(|takes| !takes),
            ("allOf", _) => every(rule.as_array()?.iter().map(|part| takes(part, value))),
            ("anyOf", _) => some(rule.as_array()?.iter().map(|part| takes(part, value))),
            ("oneOf", _) => {
                let each: Option<Vec<bool>> = rule.as_array()?.iter().map(|part| takes(part, value)).collect();
                Some(each?.into_iter().filter(|takes| *takes).count() == 1)
            }
            ("minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum", Value::Number(number)) => {
                within(part, key, rule, number.as_f64()?)
            }
            ("minLength", Value::String(text)) => Some(text.chars().count() as f64 >= rule.as_f64()?),
            ("maxLength", Value::String(text)) => Some(text.chars().count() as f64 <= rule.as_f64()?),
            ("minItems", Value::Array(items)) => Some(items.len() as f64 >= rule.as_f64()?),
            ("maxItems", Value::Array(items)) => Some(items.len() as f64 <= rule.as_f64()?),
            ("items", Value::Array(items)) if !rule.is_array() && !part.contains_key("prefixItems") => {
                every(items.iter().map(|item| takes(rule, item)))
            }
            ("required", Value::Object(fields)) => {
                Some(rule.as_array()?.iter().filter_map(Value::as_str).all(|name| fields.contains_key(name)))
            }
            ("properties", Value::Object(fields)) => {
                let named = rule.as_object()?;
                every(fields.iter().filter_map(|(name, field)| Some(takes(named.get(name)?, field))))
            }
            ("additionalProperties", Value::Object(fields)) if !part.contains_key("patternProperties") => {
                let named = part.get("properties").and_then(Value::as_object);
                let others = fields.iter().filter(|(name, _)| !named.is_some_and(|named| named.contains_key(*name)));
                every(others.map(|(_, field)| takes(rule, field)))
            }
            _ if UNCERTAIN.contains(&key) => None,
            _ => Some(true),
        }
    }

    fn count(&self) -> Option<()> {
        self.looked_at.set(self.looked_at.get() + 1);
        (self.looked_at.get() <= MOST).then_some(())
    }
}

/// Keywords that may refuse a value for a reason that is not looked into.
const UNCERTAIN: [&str; 24] = [
    "$dynamicRef",
    "$recursiveRef",
    "additionalItems",
    "additionalProperties",
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "items",
    "maxContains",
    "maxProperties",
    "minContains",
    "minProperties",
    "multipleOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// Whether a number is within a bound. In draft 4, the exclusive keyword says what the other one means.
fn within(part: &Map<String, Value>, key: &str, rule: &Value, number: f64) -> Option<bool> {
    if rule.is_boolean() {
        return Some(true);
    }
    let limit = rule.as_f64()?;
    let is_open = |exclusive: &str| part.get(exclusive).is_some_and(Value::is_boolean);
    match key {
        "minimum" if number == limit && is_open("exclusiveMinimum") => None,
        "maximum" if number == limit && is_open("exclusiveMaximum") => None,
        "minimum" => Some(number >= limit),
        "maximum" => Some(number <= limit),
        "exclusiveMinimum" => Some(number > limit),
        _ => Some(number < limit),
    }
}

/// Whether all are true; false where one surely is not.
fn every(each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for one in each {
        match one {
            Some(true) => {}
            Some(false) => return Some(false),
            None => all = None,
        }
    }
    all
}

/// Whether one is true; false where none surely is.
fn some(each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    every(each.map(|one| one.map(|one| !one))).map(|none| !none)
}

/// Equality as JSON Schema has it: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}
