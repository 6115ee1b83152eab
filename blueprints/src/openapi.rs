//! Values against OpenAPI v3 schemas: a subset of JSON Schema, with Kubernetes' extensions.
//!
//! Serves parameters (whose schemas users write) and templates (whose schemas are those of CustomResourceDefinitions).

use serde_json::{Map, Value};

use crate::expr::{Text, child_path, functions};
use crate::problem::{Code, nearest};

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub code: Code,
    /// Path below the one that was given.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

/// How strings that hold `${...}` are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// As strings.
    Literal,
    /// As values that are not known yet: a single expression may be of any type, a longer text is some string.
    Expressions,
}

/// Checks `value` against `schema`.
pub fn check<'a>(value: &'a Value, schema: &'a Value, path: &str, strings: Strings, found: &mut Vec<Finding>) {
    Check { strings, found, root: path, below: Vec::new() }.value(value, schema);
}

/// A step from a value to one within it.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A field.
    Field(&'a str),
    /// An element.
    Element(usize),
}

/// The path of a value, as text.
pub(crate) fn path_of(root: &str, steps: &[Step<'_>]) -> String {
    steps.iter().fold(root.to_owned(), |path, step| match step {
        Step::Field(name) => child_path(&path, name),
        Step::Element(i) => format!("{path}[{i}]"),
    })
}

struct Check<'a, 'f> {
    strings: Strings,
    found: &'f mut Vec<Finding>,
    root: &'f str,
    below: Vec<Step<'a>>,
}

impl<'a> Check<'a, '_> {
    fn add(&mut self, code: Code, message: String) {
        self.suggest(code, message, None);
    }

    fn suggest(&mut self, code: Code, message: String, suggestion: Option<String>) {
        let path = path_of(self.root, &self.below);
        self.found.push(Finding { code, path, message, suggestion });
    }

    fn within(&mut self, step: Step<'a>, check: impl FnOnce(&mut Self)) {
        self.below.push(step);
        check(self);
        self.below.pop();
    }

    fn value(&mut self, value: &'a Value, schema: &'a Value) {
        if value.is_null() && flag(schema, "nullable") {
            return;
        }
        if let (Value::String(s), Strings::Expressions) = (value, self.strings)
            && Text::is_dynamic(s)
        {
            return self.text(s, schema);
        }
        if flag(schema, "x-kubernetes-int-or-string") {
            if !(value.is_i64() || value.is_string()) {
                let message = format!("must be an integer or a string, not {}", functions::type_name(value));
                self.add(Code::WrongType, message);
            }
            return;
        }
        if let Some(wanted) = schema.get("type").and_then(Value::as_str)
            && !is_of(value, wanted)
        {
            let message = format!("must be of type {wanted}, not {}", functions::type_name(value));
            return self.add(Code::WrongType, message);
        }
        self.allowed(value, schema);
        match value {
            Value::Object(object) => self.object(object, schema),
            Value::Array(items) => {
                self.length("minItems", "maxItems", items.len(), schema);
                if let Some(item) = schema.get("items") {
                    for (i, value) in items.iter().enumerate() {
                        self.within(Step::Element(i), |check| check.value(value, item));
                    }
                }
            }
            Value::String(s) => {
                self.length("minLength", "maxLength", s.chars().count(), schema);
                self.pattern(s, schema);
            }
            Value::Number(n) => self.range(n.as_f64().unwrap_or_default(), schema),
            _ => {}
        }
    }

    /// A string whose value is not known yet.
    fn text(&mut self, source: &str, schema: &Value) {
        let whole = Text::parse(source).is_ok_and(|t| t.single().is_some());
        let wants = schema.get("type").and_then(Value::as_str);
        if let (false, Some(wants)) = (whole, wants.filter(|w| *w != "string")) {
            let message = format!("must be of type {wants}, but text around an expression makes a string");
            self.add(Code::WrongType, message);
        }
    }

    fn allowed(&mut self, value: &Value, schema: &Value) {
        let Some(all) = schema.get("enum").and_then(Value::as_array) else { return };
        if all.contains(value) {
            return;
        }
        let words: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
        let shown: Vec<String> = all.iter().map(functions::text).collect();
        let suggestion = value.as_str().and_then(|s| nearest(s, words));
        self.suggest(Code::WrongValue, format!("{value} is not one of {}", shown.join(", ")), suggestion);
    }

    fn object(&mut self, object: &'a Map<String, Value>, schema: &'a Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        self.length("minProperties", "maxProperties", object.len(), schema);
        for (key, value) in object {
            let step = Step::Field(key);
            if let Some(schema) = properties.and_then(|p| p.get(key)) {
                self.within(step, |check| check.value(value, schema));
            } else if let Some(schema) = others.filter(|o| o.is_object()) {
                self.within(step, |check| check.value(value, schema));
            } else if !keeps_unknown(schema, properties, others) {
                let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                let suggestion = nearest(key, known);
                let message = format!("there is no field `{key}` here");
                self.within(step, |check| check.suggest(Code::UnknownField, message, suggestion));
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let defaulted = properties.and_then(|p| p.get(name)).is_some_and(|p| p.get("default").is_some());
            if !object.contains_key(name) && !defaulted {
                self.within(Step::Field(name), |check| check.add(Code::MissingField, "is required".into()));
            }
        }
    }

    fn length(&mut self, min: &str, max: &str, length: usize, schema: &Value) {
        let limit = |which: &str| schema.get(which).and_then(Value::as_u64);
        let unit = match max {
            "maxLength" => "characters",
            "maxItems" => "elements",
            _ => "fields",
        };
        if let Some(min) = limit(min).filter(|min| (length as u64) < *min) {
            self.add(Code::WrongValue, format!("must have at least {min} {unit}, but has {length}"));
        }
        if let Some(max) = limit(max).filter(|max| (length as u64) > *max) {
            self.add(Code::WrongValue, format!("must have at most {max} {unit}, but has {length}"));
        }
    }

    fn pattern(&mut self, s: &str, schema: &Value) {
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
        if functions::compiled(pattern).is_ok_and(|regex| !regex.is_match(s)) {
            self.add(Code::WrongValue, format!("\"{s}\" does not match the pattern {pattern}"));
        }
    }

    fn range(&mut self, n: f64, schema: &Value) {
        let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(min) = limit("minimum").filter(|min| n < *min || (n <= *min && flag(schema, "exclusiveMinimum"))) {
            self.add(Code::WrongValue, format!("must be {min} or more, but is {n}"));
        }
        if let Some(max) = limit("maximum").filter(|max| n > *max || (n >= *max && flag(schema, "exclusiveMaximum"))) {
            self.add(Code::WrongValue, format!("must be {max} or less, but is {n}"));
        }
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn keeps_unknown(schema: &Value, properties: Option<&Map<String, Value>>, others: Option<&Value>) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
        || others.and_then(Value::as_bool) == Some(true)
        // a schema that says nothing of fields forbids none
        || (properties.is_none() && others.is_none())
}

fn is_of(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

/// Fills in the defaults of a schema, as the apiserver does before it validates.
pub fn apply_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(object) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default")
                    && object.get(name).is_none_or(|v| v.is_null() && !flag(property, "nullable"))
                {
                    object.insert(name.clone(), default.clone());
                }
                if let Some(inner) = object.get_mut(name) {
                    apply_defaults(inner, property);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| apply_defaults(item, schema));
            }
        }
        _ => {}
    }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings(value: Value, schema: Value, strings: Strings) -> Vec<String> {
        let mut found = Vec::new();
        check(&value, &schema, "x", strings, &mut found);
        found.into_iter().map(|f| format!("{} {} {}", f.code, f.path, f.suggestion.unwrap_or_default())).collect()
    }

    #[test]
    fn every_misfit_is_found_at_its_place() {
        let schema = json!({"type": "object", "required": ["uri"], "properties": {
            "uri": {"type": "string", "pattern": "^s3://"},
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "mode": {"type": "string", "enum": ["Fast", "Slow"]},
            "list": {"type": "array", "maxItems": 1, "items": {"type": "boolean"}},
        }});
        let value = json!({"uri": "http://x", "size": 11, "mode": "fast", "list": [true, 1], "siez": 1});
        let expected = [
            "WrongValue x.list ",
            "WrongType x.list[1] ",
            "WrongValue x.mode Fast",
            "UnknownField x.siez size",
            "WrongValue x.size ",
            "WrongValue x.uri ",
        ];
        let mut found = findings(value, schema.clone(), Strings::Literal);
        found.sort_by_key(|f| f.split(' ').nth(1).unwrap().to_owned());
        assert_eq!(found, expected);
        assert_eq!(findings(json!({}), schema, Strings::Literal), ["MissingField x.uri "]);
    }

    #[test]
    fn an_expression_may_be_of_any_type_but_text_is_a_string() {
        let schema = json!({"type": "integer"});
        assert!(findings(json!("${a.b}"), schema.clone(), Strings::Expressions).is_empty());
        assert_eq!(findings(json!("x${a.b}"), schema.clone(), Strings::Expressions).len(), 1);
        assert_eq!(findings(json!("${a.b}"), schema, Strings::Literal).len(), 1);
    }

    #[test]
    fn a_schema_is_checked_itself() {
        let schema = json!({"type": "integre", "defualt": 1, "pattern": "("});
        let found = check_schema(schema.as_object().unwrap(), "p");
        let suggestions: Vec<_> = found.iter().filter_map(|f| f.suggestion.as_deref()).collect();
        assert_eq!(found.len(), 3);
        assert!(suggestions.contains(&"integer") && suggestions.contains(&"default"), "{suggestions:?}");
        let schema = json!({"type": "integer", "default": "x", "enum": [1, "two"]});
        let found = check_schema(schema.as_object().unwrap(), "p");
        assert!(found.iter().all(|f| f.code == Code::BadDefault));
        assert_eq!(found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["p.default", "p.enum"]);
    }

    #[test]
    fn defaults_go_in_before_rules() {
        let schema = json!({"properties": {"a": {"default": {}, "properties": {"b": {"default": 3}}}}});
        let mut value = json!({});
        apply_defaults(&mut value, &schema);
        assert_eq!(value, json!({"a": {"b": 3}}));
    }
}
