//! Values against OpenAPI v3 schemas: a subset of JSON Schema, with Kubernetes' extensions.
//!
//! Serves parameters (whose schemas users write) and templates (whose schemas are those of CustomResourceDefinitions).

use serde_json::{Map, Value};

use crate::expr::{Text, child_path, functions};
use crate::problem::{Code, nearest};

mod structural;
mod types;
mod user;

pub use structural::structural;
pub(crate) use types::{misfit, strings};
pub use user::check_schema;

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
    /// As values that are not known yet, which fit anything here: their types are checked apart. A field that is null
    /// counts as left out, as the apiserver takes it.
    Expressions,
}

/// Checks `value` against `schema`.
pub fn check<'a>(value: &'a Value, schema: &'a Value, path: &str, strings: Strings, found: &mut Vec<Finding>) {
    Check { strings, found, root: path, below: Vec::new(), junctor: false }.value(value, schema);
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
    /// Inside `anyOf` and its like, which say nothing of the fields that there are.
    junctor: bool,
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
        if value.is_null() && (flag(schema, "nullable") || (self.expressions() && schema.get("type").is_some())) {
            return;
        }
        if self.is_open(value) {
            return;
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
        self.junctors(value, schema);
    }

    fn expressions(&self) -> bool {
        self.strings == Strings::Expressions
    }

    /// Whether a value is a string that is not known yet.
    fn is_open(&self, value: &Value) -> bool {
        self.expressions() && value.as_str().is_some_and(Text::is_dynamic)
    }

    /// `allOf`, `anyOf`, `oneOf` and `not`, where everything in the value is known.
    fn junctors(&mut self, value: &'a Value, schema: &'a Value) {
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        if ["allOf", "anyOf", "oneOf", "not"].iter().all(|name| schema.get(name).is_none())
            || (self.expressions() && holds_expressions(value))
        {
            return;
        }
        for schema in list("allOf").into_iter().flatten() {
            let before = std::mem::replace(&mut self.junctor, true);
            self.value(value, schema);
            self.junctor = before;
        }
        let misfits = |schema: &'a Value| {
            let mut found = Vec::new();
            let mut check = Check { found: &mut found, root: "", below: Vec::new(), junctor: true, ..*self };
            check.value(value, schema);
            found
        };
        let (any, one) = (list("anyOf"), list("oneOf"));
        let reasons = |all: &'a [Value]| all.iter().map(misfits).filter(|m| !m.is_empty()).collect::<Vec<_>>();
        let mut message = None;
        if let Some(any) = any {
            let found = reasons(any);
            if !any.is_empty() && found.len() == any.len() {
                message = Some(format!("must be one of several kinds, but {}", alternatives(&found)));
            }
        }
        if let Some(one) = one {
            let found = reasons(one);
            match one.len() - found.len() {
                0 if !one.is_empty() => {
                    message = Some(format!("must be exactly one of several kinds, but {}", alternatives(&found)));
                }
                n if n > 1 => message = Some(format!("must be exactly one of several kinds, but is {n} of them")),
                _ => {}
            }
        }
        if schema.get("not").is_some_and(|not| misfits(not).is_empty()) {
            message = Some("is what the schema says that it must not be".into());
        }
        if let Some(message) = message {
            self.add(Code::WrongValue, message);
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
            } else if !self.junctor && !keeps_unknown(schema, properties, others) {
                let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                let suggestion = nearest(key, known);
                let message = format!("there is no field `{key}` here");
                self.within(step, |check| check.suggest(Code::UnknownField, message, suggestion));
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            let defaulted = properties.and_then(|p| p.get(name)).is_some_and(|p| p.get("default").is_some());
            let given = object.get(name).is_some_and(|v| !(v.is_null() && self.expressions()));
            if !given && !defaulted {
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
        let int32 = schema.get("format").and_then(Value::as_str) == Some("int32");
        if int32 && !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&n) {
            self.add(Code::WrongValue, format!("must be an integer of 32 bits, but is {n}"));
        }
        if let Some(min) = limit("minimum").filter(|min| n < *min || (n <= *min && flag(schema, "exclusiveMinimum"))) {
            self.add(Code::WrongValue, format!("must be {min} or more, but is {n}"));
        }
        if let Some(max) = limit("maximum").filter(|max| n > *max || (n >= *max && flag(schema, "exclusiveMaximum"))) {
            self.add(Code::WrongValue, format!("must be {max} or less, but is {n}"));
        }
    }
}

/// Whether a string in a value holds an expression.
pub(crate) fn holds_expressions(value: &Value) -> bool {
    match value {
        Value::String(s) => Text::is_dynamic(s),
        Value::Array(items) => items.iter().any(holds_expressions),
        Value::Object(object) => object.values().any(holds_expressions),
        _ => false,
    }
}

/// The first reason of each alternative that does not fit.
fn alternatives(found: &[Vec<Finding>]) -> String {
    let first = |all: &Vec<Finding>| {
        let finding = all.first()?;
        let path = finding.path.trim_start_matches('.');
        Some(if path.is_empty() { finding.message.clone() } else { format!("{path} {}", finding.message) })
    };
    let mut all: Vec<String> = found.iter().filter_map(first).collect();
    all.dedup();
    all.join("; or ")
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
    fn junctors_hold_of_what_is_known() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {"properties": {"a": {"enum": [7]}}, "required": ["a"]}});
        let count = |value: Value| findings(value, schema.clone(), Strings::Expressions).len();
        assert_eq!([json!({"a": 1}), json!({"b": "x"})].map(count), [0, 0]);
        assert_eq!([json!({}), json!({"a": 1, "b": "x"}), json!({"a": 7})].map(count), [1, 1, 1]);
        assert_eq!(count(json!({"a": 7, "b": "${x}"})), 0);
    }

    #[test]
    fn a_null_is_left_out_where_it_may_not_stand() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "array"}, "b": {"type": "array"}}});
        assert_eq!(
            findings(json!({"a": null, "b": null}), schema.clone(), Strings::Expressions),
            ["MissingField x.a "]
        );
        assert_eq!(findings(json!({"a": null, "b": null}), schema, Strings::Literal).len(), 2);
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
