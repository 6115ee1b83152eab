//! The schemas of our own kinds, from the types themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::expr::Expression;
use crate::object::Gvk;

fn all() -> &'static BTreeMap<String, Arc<Value>> {
    static ALL: OnceLock<BTreeMap<String, Arc<Value>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let schema_of = |crd| {
            let crd = serde_json::to_value(crd).ok()?;
            let kind = crd.pointer("/spec/names/kind")?.as_str()?.to_owned();
            Some((kind, Arc::new(crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone())))
        };
        tributary_crds::schema::all().into_iter().filter_map(schema_of).collect()
    })
}

/// The kinds of our own group.
pub(crate) fn kinds() -> Vec<&'static str> {
    all().keys().map(String::as_str).collect()
}

/// The OpenAPI v3 schema of a kind of our own group.
pub(super) fn of(gvk: &Gvk) -> Option<Arc<Value>> {
    all().get(&gvk.kind).cloned()
}

/// A rule of these schemas, parsed once; `None` where it is beyond what expressions can say.
pub(crate) fn rule(source: &str) -> Option<&'static Expression> {
    static RULES: OnceLock<BTreeMap<String, Expression>> = OnceLock::new();
    let parse_all = || {
        let mut found = BTreeMap::new();
        let mut stack: Vec<&Value> = all().values().map(Arc::as_ref).collect();
        while let Some(value) = stack.pop() {
            match value {
                Value::Array(items) => stack.extend(items),
                Value::Object(object) => {
                    if let Some(source) = object.get("rule").and_then(Value::as_str)
                        && let Ok(expression) = Expression::parse(source)
                    {
                        found.insert(source.to_owned(), expression);
                    }
                    stack.extend(object.values());
                }
                _ => {}
            }
        }
        found
    };
    RULES.get_or_init(parse_all).get(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_can_be_evaluated_here() {
        let mut stack: Vec<&Value> = all().values().map(Arc::as_ref).collect();
        let mut rules = 0;
        while let Some(value) = stack.pop() {
            match value {
                Value::Array(items) => stack.extend(items),
                Value::Object(object) => {
                    if let (Some(source), true) =
                        (object.get("rule").and_then(Value::as_str), object.contains_key("message"))
                    {
                        rules += 1;
                        assert!(rule(source).is_some(), "{source}");
                    }
                    stack.extend(object.values());
                }
                _ => {}
            }
        }
        assert!(rules > 10);
    }
}
