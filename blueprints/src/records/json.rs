//! JSON Schema: whether every record that one schema describes is one of another.
//!
//! A writer is taken to write the fields that its schema names, and others only where `additionalProperties` says so.
//! Only what is certain is told: keywords that compare no more than by trying (`not`, `if`, two different patterns)
//! are let through. Values that a writer lists are tried.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::keywords::TYPES;
use super::limits::{Limit, MAX_ITEMS, MAX_LENGTH, MAXIMUM, MIN_ITEMS, MIN_LENGTH, MINIMUM};
use super::values::Values;
use super::{Compare, Misfit, Walk};

/// Where `reader` cannot take what `writer` writes.
pub(super) fn misfits(writer: &Value, reader: &Value) -> Vec<Misfit> {
    let values = Values::new(writer, reader);
    let mut comparison = Comparison { writer, reader, values, walk: Walk::default() };
    comparison.pair(writer, reader);
    comparison.walk.found
}

struct Comparison<'a> {
    writer: &'a Value,
    reader: &'a Value,
    values: Values<'a>,
    walk: Walk,
}

/// A schema's target, through its references within the document; `None` for one outside of it.
fn resolved<'v>(schema: &'v Value, root: &'v Value) -> Option<&'v Value> {
    let mut current = schema;
    for _ in 0..16 {
        let Some(reference) = current.get("$ref").and_then(Value::as_str) else { return Some(current) };
        current = root.pointer(reference.strip_prefix('#')?)?;
    }
    None
}

impl<'a> Compare<'a> for Comparison<'a> {
    type Node = Value;

    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }

    fn pair(&mut self, writer: &'a Value, reader: &'a Value) {
        let whole = writer;
        let (Some(writer), Some(reader)) = (resolved(writer, self.writer), resolved(reader, self.reader)) else {
            return;
        };
        if !self.walk.is_new(writer, reader) || writer == &Value::Bool(false) {
            return;
        }
        static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));
        let writer = if writer == &Value::Bool(true) { &*ANY } else { writer };
        let (w, r) = match (writer, reader) {
            (_, Value::Bool(true)) => return,
            (_, Value::Bool(false)) => return self.fails(name_of(writer), "nothing", "the reader takes no value here"),
            (Value::Object(w), Value::Object(r)) => (w, r),
            _ => return,
        };
        if let Some(values) = listed(w) {
            return self.each(&values, whole, reader);
        }
        // what stands beside a reference narrows it further
        if is_narrowed(whole, self.writer) {
            return;
        }
        if let Some(branches) = ["anyOf", "oneOf"].iter().find_map(|k| w.get(*k)).and_then(Value::as_array) {
            // what stands beside the branches narrows them further: only plain unions are compared
            if is_plain(writer, "anyOf") || is_plain(writer, "oneOf") {
                branches.iter().for_each(|branch| self.pair(branch, reader));
            }
            return;
        }
        for all in r.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.pair(writer, all);
        }
        if w.contains_key("allOf") || w.contains_key("not") || w.contains_key("if") {
            return;
        }
        if let Some(branches) = ["anyOf", "oneOf"].iter().find_map(|k| r.get(*k)).and_then(Value::as_array) {
            self.unions(writer, branches, reader);
        }
        self.values(w, r);
    }
}

impl<'a> Comparison<'a> {
    fn fails(&mut self, writer: impl Into<String>, reader: impl Into<String>, rule: impl Into<String>) {
        self.walk.fails(writer.into(), reader.into(), rule.into());
    }

    /// A writer that lists its values: the reader takes each or does not.
    fn each(&mut self, values: &[Value], writer: &'a Value, reader: &'a Value) {
        let other: Vec<String> = values
            .iter()
            .filter(|value| self.values.only_writer(value, writer, reader))
            .map(Value::to_string)
            .collect();
        if !other.is_empty() {
            let rule = format!("the reader does not take {}", other.join(", "));
            self.fails(one_of(values), name_of(reader), rule);
        }
    }

    /// A writer without branches against a reader's.
    fn unions(&mut self, writer: &'a Value, branches: &'a [Value], reader: &'a Value) {
        if branches.iter().any(|branch| self.takes(writer, branch)) {
            return;
        }
        let (written, read) = (possible(writer, self.writer, 0), possible(reader, self.reader, 0));
        let other: Vec<&str> = written.iter().filter(|t| !covers(&read, t)).copied().collect();
        if !other.is_empty() {
            let rule = format!("none of the reader's alternatives takes {}", other.join(", "));
            return self.fails(name_of(writer), name_of(reader), rule);
        }
        let takes_it = |b: &&'a Value| {
            let read = possible(b, self.reader, 0);
            written.iter().any(|t| covers(&read, t))
        };
        let near: Vec<&'a Value> = branches.iter().filter(takes_it).collect();
        // several of its type may take it together
        if let [only] = near.as_slice() {
            self.pair(writer, only);
        }
    }

    fn values(&mut self, w: &'a Map<String, Value>, r: &'a Map<String, Value>) {
        if let Some(allowed) = listed(r) {
            return self.fails(words(w), one_of(&allowed), "the writer may write other values");
        }
        let (written, read) = (types(w), types(r));
        let other: Vec<&str> = written.iter().filter(|t| !covers(&read, t)).copied().collect();
        if !other.is_empty() {
            let rule = match (other.as_slice(), read.contains("integer")) {
                (["number"], true) => "a number may have a fraction".to_owned(),
                (["null"], _) => "the writer may write null".to_owned(),
                _ => format!("the reader takes no {}", other.join(", ")),
            };
            return self.fails(words(w), words(r), rule);
        }
        if written.contains("object") {
            self.objects(w, r);
        }
        if written.contains("array") {
            self.arrays(w, r);
        }
        if written.contains("string") {
            self.limits(w, r, &MIN_LENGTH, true);
            self.limits(w, r, &MAX_LENGTH, true);
            if let (None, Some(pattern)) = (w.get("pattern"), r.get("pattern")) {
                self.fails("any string", format!("strings like {pattern}"), "the writer may write other strings");
            }
        }
        if written.contains("integer") || written.contains("number") {
            let whole = !written.contains("number");
            // between a bound and its first multiple nothing is written
            if !w.contains_key("multipleOf") {
                self.limits(w, r, &MINIMUM, whole);
                self.limits(w, r, &MAXIMUM, whole);
            }
        }
    }

    fn objects(&mut self, w: &'a Map<String, Value>, r: &'a Map<String, Value>) {
        let empty = Map::new();
        let of = |schema: &'a Map<String, Value>| schema.get("properties").and_then(Value::as_object);
        let required = |schema: &'a Map<String, Value>| -> BTreeSet<&'a str> {
            let names = schema.get("required").and_then(Value::as_array);
            names.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let always = required(w);
        let fields = of(w);
        for name in required(r).difference(&always) {
            let written = fields.unwrap_or(&empty).get(*name).map_or_else(|| "nothing".to_owned(), name_of);
            let read = of(r).and_then(|p| p.get(*name)).map_or_else(|| "any value".to_owned(), name_of);
            let written = if written == "nothing" { written } else { format!("{written}, or left out") };
            self.within(&format!(".{name}"), |this| {
                this.fails(written, read, "the reader requires a field that the writer may leave out");
            });
        }
        if r.contains_key("patternProperties") {
            return;
        }
        let others = r.get("additionalProperties");
        for (name, written) in fields.into_iter().flatten() {
            let read = of(r).and_then(|p| p.get(name)).or(others);
            self.within(&format!(".{name}"), |this| match read {
                Some(Value::Bool(false)) if written != &Value::Bool(false) => {
                    this.fails(name_of(written), "nothing", "the reader takes no other fields");
                }
                Some(read) => this.pair(written, read),
                None => {}
            });
        }
        let Some(written) = w.get("additionalProperties").filter(|o| **o != Value::Bool(false)) else { return };
        for (name, read) in
            of(r).into_iter().flatten().filter(|(name, _)| !fields.is_some_and(|f| f.contains_key(*name)))
        {
            self.within(&format!(".{name}"), |this| this.pair(written, read));
        }
        if let Some(read) = others {
            self.within(".*", |this| this.pair(written, read));
        }
    }

    fn arrays(&mut self, w: &'a Map<String, Value>, r: &'a Map<String, Value>) {
        self.limits(w, r, &MIN_ITEMS, true);
        self.limits(w, r, &MAX_ITEMS, true);
        if [w, r].iter().any(|s| s.contains_key("prefixItems") || s.get("items").is_some_and(Value::is_array)) {
            return;
        }
        if let Some(read) = r.get("items") {
            static ANY: Value = Value::Bool(true);
            let written = w.get("items").unwrap_or(&ANY);
            self.within("[]", |this| this.pair(written, read));
        }
    }

    fn limits(&mut self, w: &Map<String, Value>, r: &Map<String, Value>, which: &Limit, whole: bool) {
        let (written, read) = (which.of(w, whole), which.of(r, whole));
        if read.is_some_and(|read| written.is_none_or(|written| written < read)) {
            self.fails(which.show(w), which.show(r), which.rule);
        }
    }
}

/// Whether something stands beside one of the references that lead to a schema's target.
fn is_narrowed(schema: &Value, root: &Value) -> bool {
    let target = |schema: &Value| root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?);
    let chain = std::iter::successors(Some(schema), |schema| target(schema)).take(16);
    chain.take_while(|schema| schema.get("$ref").is_some()).any(|schema| !is_plain(schema, "$ref"))
}

/// Whether a schema says nothing of values but by this keyword.
fn is_plain(schema: &Value, keyword: &str) -> bool {
    let says_nothing =
        |key: &str| matches!(key, "title" | "description" | "$comment" | "$id" | "$schema" | "$defs" | "definitions");
    schema.as_object().is_some_and(|object| object.keys().all(|key| key == keyword || says_nothing(key)))
}

/// The types that a schema allows; one that says only what objects or lists look like means those.
fn types(schema: &Map<String, Value>) -> BTreeSet<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => [one.as_str()].into(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ if ["properties", "required", "additionalProperties"].iter().any(|k| schema.contains_key(*k)) => {
            ["object"].into()
        }
        _ if schema.contains_key("items") => ["array"].into(),
        _ => TYPES.into_iter().collect(),
    }
}

/// The types that a value of a schema may have, its alternatives and listed values looked into.
fn possible<'v>(schema: &'v Value, root: &'v Value, depth: usize) -> BTreeSet<&'v str> {
    let every = || TYPES.into_iter().collect();
    let Some(Value::Object(object)) = resolved(schema, root).filter(|_| depth < 16) else {
        return if schema == &Value::Bool(false) { BTreeSet::new() } else { every() };
    };
    if let Some(values) = listed(object) {
        return TYPES.into_iter().filter(|t| values.iter().any(|v| is_of_any(v, &[*t].into()))).collect();
    }
    let own = types(object);
    match ["anyOf", "oneOf"].iter().find_map(|k| object.get(*k)).and_then(Value::as_array) {
        Some(branches) => {
            let of: BTreeSet<&str> = branches.iter().flat_map(|b| possible(b, root, depth + 1)).collect();
            own.intersection(&of).copied().collect()
        }
        None => own,
    }
}

/// Whether every value of one type is of some of others.
fn covers(types: &BTreeSet<&str>, type_: &str) -> bool {
    types.contains(type_) || (type_ == "integer" && types.contains("number"))
}

pub(super) fn is_of_any(value: &Value, types: &BTreeSet<&str>) -> bool {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() && n.as_f64().is_some_and(|f| f.fract() != 0.0) => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    covers(types, own)
}

/// The values that a schema lists; `None` where it lists none.
fn listed(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    let one = schema.get("const").map(|v| vec![v.clone()]);
    one.or_else(|| schema.get("enum").and_then(Value::as_array).cloned())
}

fn one_of(values: &[Value]) -> String {
    let shown: Vec<String> = values.iter().take(6).map(Value::to_string).collect();
    let more = if values.len() > 6 { ", ..." } else { "" };
    format!("one of {}{more}", shown.join(", "))
}

fn words(schema: &Map<String, Value>) -> String {
    let all = types(schema);
    if all.len() == TYPES.len() { "any value".into() } else { all.into_iter().collect::<Vec<_>>().join(" or ") }
}

/// A schema in a few words.
fn name_of(schema: &Value) -> String {
    match schema {
        Value::Object(object) => match (listed(object), object.get("$ref").and_then(Value::as_str)) {
            (Some(values), _) => one_of(&values),
            (None, Some(reference)) => reference.rsplit('/').next().unwrap_or(reference).to_owned(),
            (None, None) => {
                let branches = ["anyOf", "oneOf"].iter().find_map(|k| object.get(*k)).and_then(Value::as_array);
                match branches {
                    Some(branches) => branches.iter().map(name_of).collect::<Vec<_>>().join(" or "),
                    None => words(object),
                }
            }
        },
        other if *other == json!(false) => "nothing".into(),
        _ => "any value".into(),
    }
}
