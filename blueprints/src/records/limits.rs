//! Keywords of JSON Schema that bound a number, a length or a count.

use serde_json::{Map, Value};

/// A keyword that bounds from below or from above.
pub(super) struct Limit {
    pub(super) key: &'static str,
    /// The keyword of the bound that is not itself allowed.
    exclusive: Option<&'static str>,
    is_upper: bool,
    /// What holds without the keyword.
    default: Option<f64>,
    /// What is wrong where the writer's bound is wider.
    pub(super) rule: &'static str,
}

const fn lower(key: &'static str, exclusive: Option<&'static str>, default: Option<f64>) -> Limit {
    Limit { key, exclusive, is_upper: false, default, rule: "the writer may write less" }
}

const fn upper(key: &'static str, exclusive: Option<&'static str>) -> Limit {
    Limit { key, exclusive, is_upper: true, default: None, rule: "the writer may write more" }
}

pub(super) const MINIMUM: Limit = lower("minimum", Some("exclusiveMinimum"), None);
pub(super) const MAXIMUM: Limit = upper("maximum", Some("exclusiveMaximum"));
pub(super) const MIN_LENGTH: Limit = lower("minLength", None, Some(0.0));
pub(super) const MAX_LENGTH: Limit = upper("maxLength", None);
pub(super) const MIN_ITEMS: Limit = lower("minItems", None, Some(0.0));
pub(super) const MAX_ITEMS: Limit = upper("maxItems", None);

/// Where values begin: a greater one is a stricter one. Upper bounds are negated.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Bound {
    at: f64,
    /// It is not itself allowed.
    is_open: bool,
}

impl Limit {
    /// The bound that a schema sets; of the whole numbers within it where `whole`.
    pub(super) fn of(&self, schema: &Map<String, Value>, whole: bool) -> Option<Bound> {
        let stricter = self.written(schema)?;
        let next = |bound: Bound| if bound.is_open { bound.at.floor() + 1.0 } else { bound.at.ceil() };
        Some(if whole { Bound { at: next(stricter), is_open: false } } else { stricter })
    }

    fn written(&self, schema: &Map<String, Value>) -> Option<Bound> {
        let sign = if self.is_upper { -1.0 } else { 1.0 };
        let read = |key: &str| schema.get(key).and_then(Value::as_f64).map(|at| at * sign);
        let exclusive = self.exclusive.and_then(|key| schema.get(key));
        // in draft 4, the exclusive keyword says what the other one means
        let is_open = exclusive == Some(&Value::Bool(true));
        let closed = read(self.key).or(self.default).map(|at| Bound { at, is_open });
        let open = self.exclusive.and_then(read).map(|at| Bound { at, is_open: true });
        [closed, open].into_iter().flatten().reduce(|a, b| if a < b { b } else { a })
    }

    /// The bound that a schema sets, in words, such as `minimum 1`, `exclusiveMinimum 0` or `no minimum`.
    pub(super) fn show(&self, schema: &Map<String, Value>) -> String {
        let Some(bound) = self.written(schema) else { return format!("no {}", self.key) };
        let key = if bound.is_open { self.exclusive.unwrap_or(self.key) } else { self.key };
        // from 0.0, so that there is no -0
        let at = if self.is_upper { 0.0 - bound.at } else { 0.0 + bound.at };
        format!("{key} {at}")
    }
}
