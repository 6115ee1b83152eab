//! Schemas with references to others, as the apiserver's OpenAPI v3 documents and schemars have them, as one tree.

use serde_json::{Map, Value, json};

/// Types that the apiserver reads in more forms than their schema says, or that may hold anything.
const LENIENT: [&str; 5] = [
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
];

/// `schema` with every `$ref` replaced by what it refers to in `document`, such as `#/components/schemas/X`. What refers
/// to itself is left open. Descriptions are left out.
pub fn structural(schema: &Value, document: &Value) -> Value {
    inlined(schema, document, &mut Vec::new())
}

fn open() -> Value {
    json!({"x-kubernetes-preserve-unknown-fields": true})
}

fn inlined<'a>(schema: &'a Value, document: &'a Value, path: &mut Vec<&'a str>) -> Value {
    let Some(object) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
        let lenient = reference.rsplit('/').next().is_some_and(|name| LENIENT.contains(&name));
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        let Some(target) = target.filter(|_| !lenient && !path.contains(&reference)) else { return open() };
        path.push(reference);
        let mut found = inlined(target, document, path);
        path.pop();
        merge(&mut found, object, document, path);
        return found;
    }
    let mut found = Value::Object(Map::new());
    merge(&mut found, object, document, path);
    found
}

/// Adds the keywords of `object` to `found`, all schemas within it inlined. `allOf` of a single schema is that schema:
/// so the apiserver writes a reference that has a default.
fn merge<'a>(found: &mut Value, object: &'a Map<String, Value>, document: &'a Value, path: &mut Vec<&'a str>) {
    let mut all = |name: &str, value: &'a Value| match (name, value) {
        ("properties", Value::Object(fields)) => {
            fields.iter().map(|(k, v)| (k.clone(), inlined(v, document, path))).collect::<Map<_, _>>().into()
        }
        ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
            items.iter().map(|item| inlined(item, document, path)).collect::<Vec<_>>().into()
        }
        ("items" | "additionalProperties" | "not", Value::Object(_)) => inlined(value, document, path),
        _ => value.clone(),
    };
    let Some(into) = found.as_object_mut() else { return };
    for (name, value) in object {
        match (name.as_str(), value) {
            ("$ref" | "description" | "$schema" | "$defs" | "title" | "example", _) => {}
            ("allOf", Value::Array(items)) if items.len() == 1 => {
                if let Value::Array(mut one) = all("allOf", value)
                    && let Some(Value::Object(one)) = one.pop()
                {
                    one.into_iter().for_each(|(name, value)| {
                        into.entry(name).or_insert(value);
                    });
                }
            }
            _ => {
                into.insert(name.clone(), all(name, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_loops_left_open() {
        let document = json!({"components": {"schemas": {
            "A": {"type": "object", "properties": {
                "b": {"allOf": [{"$ref": "#/components/schemas/B"}], "default": {}},
                "again": {"$ref": "#/components/schemas/A"},
                "q": {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"},
            }},
            "B": {"type": "object", "description": "words", "properties": {"n": {"type": "integer"}}},
        }}});
        let found = structural(&json!({"$ref": "#/components/schemas/A"}), &document);
        let expected = json!({"type": "object", "properties": {
            "b": {"type": "object", "properties": {"n": {"type": "integer"}}, "default": {}},
            "again": {"x-kubernetes-preserve-unknown-fields": true},
            "q": {"x-kubernetes-preserve-unknown-fields": true},
        }});
        assert_eq!(found, expected);
    }
}
