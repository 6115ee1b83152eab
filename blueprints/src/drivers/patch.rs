//! Completing and comparing objects.

use serde_json::Value;

use super::quantity::same_quantity;

/// Fills `object` with what `given` has and it has not; where both are objects, field by field.
pub(crate) fn fill(object: &mut Value, given: Value) {
    match (object, given) {
        (Value::Object(object), Value::Object(given)) => {
            for (key, value) in given {
                match object.get_mut(&key) {
                    Some(existing) => fill(existing, value),
                    None => {
                        object.insert(key, value);
                    }
                }
            }
        }
        (object @ Value::Null, given) => *object = given,
        _ => {}
    }
}

/// The object at a path of fields, made where it is missing; `None` where something else stands in the way.
pub(super) fn object_at<'a>(value: &'a mut Value, path: &[&str]) -> Option<&'a mut serde_json::Map<String, Value>> {
    let mut current = value;
    for name in path {
        let object = current.as_object_mut()?;
        current = object.entry(*name).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    current.as_object_mut()
}

/// Whether `new` says something else than `old` has. What it does not say may be there: the apiserver fills in defaults,
/// and other controllers have fields of their own. Quantities are compared by their value, as the apiserver rewrites them.
pub(super) fn says_otherwise(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (_, None | Some(Value::Null)) => false,
        (None, Some(_)) => true,
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            new.iter().any(|(name, value)| says_otherwise(old.get(name), Some(value)))
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            old.len() != new.len() || old.iter().zip(new).any(|(old, new)| says_otherwise(Some(old), Some(new)))
        }
        (Some(old), Some(new)) => old != new && !same_quantity(old, new),
    }
}

/// The first of these fields of the spec of which `new` says something else than `old` has.
pub(super) fn edited<'f>(fields: &[&'f str], old: &Value, new: &Value) -> Option<&'f str> {
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let (old, new) = (spec(old), spec(new));
    fields.iter().copied().find(|name| says_otherwise(old.get(name), new.get(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_said_counts() {
        let old = json!({"a": 1, "b": {"c": "1Gi", "default": true}, "l": [{"n": "x", "filled": 1}]});
        for same in [json!({}), json!({"a": 1}), json!({"b": {"c": "1024Mi"}}), json!({"l": [{"n": "x"}], "z": null})] {
            assert!(!says_otherwise(Some(&old), Some(&same)), "{same}");
        }
        for other in
            [json!({"a": 2}), json!({"b": {"c": "2Gi"}}), json!({"l": []}), json!({"l": [{"n": "y"}]}), json!({"z": 1})]
        {
            assert!(says_otherwise(Some(&old), Some(&other)), "{other}");
        }
        assert!(says_otherwise(None, Some(&json!({}))) && !says_otherwise(Some(&old), None));
    }
}
