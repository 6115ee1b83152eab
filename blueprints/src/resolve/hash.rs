//! Hashes of what children are made from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::drivers::{Port, Target};
use crate::expr::{Fields, Text, texts_of, value_at};

/// The hash of a template as far as it is settled before anything runs: rendered, but for what other components give,
/// whose values may change from one moment to the next.
pub(crate) fn settled(rendered: &Value, scope: &dyn Fields, ports: &[Port<'_>]) -> String {
    let mut open = Vec::new();
    texts_of(rendered, "", &mut |_, source| {
        for expression in Text::parse(source).iter().flat_map(Text::expressions) {
            let settled = expression.references().iter().filter(|r| r.root() != "components");
            open.extend(settled.map(|r| value_at(scope, &r.path)));
        }
    });
    if open.is_empty() { whole(rendered, ports) } else { whole(&json!([rendered, open]), ports) }
}

/// A hash of what a child is made from: its template as rendered, and what its ports are bound to. How a driver turns
/// that into fields is left out, so that a newer operator does not take finished work for changed.
pub(crate) fn whole(rendered: &Value, ports: &[Port<'_>]) -> String {
    let bound: Map<String, Value> = ports
        .iter()
        .map(|port| {
            let target = match port.target {
                Target::Topic(t) => json!({"topic": t.topic_name, "connection": t.connection}),
                Target::Dataset(d) => json!({"uri": d.uri, "connection": d.connection, "format": d.format}),
            };
            (format!("{}.{}", port.direction.field(), port.name), target)
        })
        .collect();
    digest(&json!({"template": rendered, "ports": bound}))
}

/// The first 16 hexadecimal digits of the SHA-256 of a value, keys in order.
pub(crate) fn digest(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// JSON with the keys of objects in order, whatever order they are kept in.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            out.push('{');
            for (key, value) in sorted {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
