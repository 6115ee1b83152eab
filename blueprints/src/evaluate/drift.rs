//! Drift: fields that the Pipeline owns and that somebody else has changed.
//!
//! An apiserver writes values in its own way (`0.5` CPUs become `500m`), so that a child is not compared with its template
//! but with how it was when it was last as it should be: the line in the status keeps a hash of the wanted object and one
//! of the child's values at its fields. Fields that the template does not say are others' business.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use crate::change::differences;
use crate::resolve::hash;

/// Hexadecimal digits of a hash.
const DIGITS: usize = 16;

/// Whether a child has drifted, and what is remembered of it.
pub(super) struct Drift {
    /// For the line: the hash of what is wanted, of the values, and of those that a try to put right has not changed.
    pub(super) record: String,
    /// The fields that differ from what is wanted; `None` where nothing has changed.
    pub(super) fields: Option<String>,
    /// It was tried to put just this right.
    pub(super) tried: bool,
}

impl Drift {
    /// Holds a child against what it was when `record` was made.
    pub(super) fn of(wanted: &Value, child: &DynamicObject, record: &str) -> Self {
        let wanted = meant(wanted);
        let live = projected(&live(child), &wanted);
        let (key, values) = (hash::digest(&wanted), hash::digest(&live));
        let part = |from: usize| record.get(from..from + DIGITS).unwrap_or_default();
        let (known, before, tried) = (part(0) == key, part(DIGITS), part(2 * DIGITS));
        if !known || before == values {
            return Self { record: format!("{key}{values}"), fields: None, tried: false };
        }
        let mut fields = Vec::new();
        differences(&wanted, &live, "", &mut fields);
        let words = if fields.is_empty() { "a field".to_owned() } else { fields.join(", ") };
        Self { record: format!("{key}{before}{values}"), fields: Some(words), tried: tried == values }
    }
}

/// What a template owns of an object: all but its name and kind.
fn meant(object: &Value) -> Value {
    let Some(fields) = object.as_object() else { return Value::Null };
    let mut meant: Map<String, Value> =
        fields.iter().filter(|(k, _)| !matches!(k.as_str(), "apiVersion" | "kind" | "metadata")).map(clone).collect();
    let of = |name: &str| object.pointer(&format!("/metadata/{name}")).cloned();
    let marks: Map<String, Value> =
        ["labels", "annotations"].into_iter().filter_map(|n| Some((n.to_owned(), of(n)?))).collect();
    if !marks.is_empty() {
        meant.insert("metadata".into(), marks.into());
    }
    meant.into()
}

fn clone((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn live(child: &DynamicObject) -> Value {
    let mut live = child.data.clone();
    if let Some(fields) = live.as_object_mut() {
        let marks = json!({"labels": child.metadata.labels, "annotations": child.metadata.annotations});
        fields.insert("metadata".into(), marks);
    }
    live
}

/// `live` at the fields that `wanted` has. Elements of a list are matched by their `name` where all wanted ones have one,
/// so that a container that somebody adds is nobody's drift; otherwise a list is one value.
fn projected(live: &Value, wanted: &Value) -> Value {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let null = Value::Null;
            wanted.iter().map(|(k, w)| (k.clone(), projected(live.get(k).unwrap_or(&null), w))).collect()
        }
        (Value::Array(live), Value::Array(wanted))
            if !wanted.is_empty() && wanted.iter().all(|w| name(w).is_some()) =>
        {
            let null = Value::Null;
            let of = |w: &Value| projected(live.iter().find(|l| name(l) == name(w)).unwrap_or(&null), w);
            wanted.iter().map(of).collect()
        }
        (Value::Array(live), Value::Array(wanted)) if live.len() == wanted.len() => {
            live.iter().zip(wanted).map(|(l, w)| projected(l, w)).collect()
        }
        (live, _) => live.clone(),
    }
}

fn name(value: &Value) -> Option<&str> {
    value.get("name")?.as_str()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn child(spec: &Value) -> DynamicObject {
        serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "labels": {"a": "b", "c": "d"}},
            "spec": spec, "status": {"n": 1}}),
        )
        .unwrap()
    }

    #[test]
    fn only_changes_of_wanted_fields_count_and_only_since_they_were_seen() {
        let wanted = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {"cpu": "0.5", "containers": [{"name": "main", "image": "i"}], "args": ["a"]}});
        let spec = json!({"cpu": "500m", "containers": [{"name": "main", "image": "i", "more": 1}], "args": ["a"], "replicas": 1});
        let first = Drift::of(&wanted, &child(&spec), "");
        assert!(first.fields.is_none(), "what the apiserver made of it is the measure");
        let with = |change: fn(&mut Value)| {
            let mut spec = spec.clone();
            change(&mut spec);
            Drift::of(&wanted, &child(&spec), &first.record)
        };
        let foreign: [fn(&mut Value); 3] = [
            |s| s["replicas"] = 3.into(),
            |s| s["containers"][0]["more"] = 2.into(),
            |s| s["containers"].as_array_mut().unwrap().insert(0, json!({"name": "sidecar"})),
        ];
        for change in foreign {
            assert!(with(change).fields.is_none());
        }
        type Change = fn(&mut Value);
        let ours: [(Change, &str); 4] = [
            (|s| s["cpu"] = "600m".into(), "cpu"),
            (|s| s["containers"][0]["image"] = "j".into(), "spec.containers[0].image"),
            (|s| s["containers"] = json!([]), "containers"),
            (|s| s["args"].as_array_mut().unwrap().push("b".into()), "args"),
        ];
        for (change, field) in ours {
            let drift = with(change);
            assert!(drift.fields.as_ref().unwrap().contains(field) && !drift.tried, "{:?}", drift.fields);
            let mut spec = spec.clone();
            change(&mut spec);
            let again = Drift::of(&wanted, &child(&spec), &drift.record);
            assert!(again.fields.is_some() && again.tried, "what stays so is tried once");
            assert!(Drift::of(&wanted, &child(&json!(null)), &again.record).fields.is_some());
        }
        let mut other = wanted;
        other["spec"]["cpu"] = "1".into();
        assert!(Drift::of(&other, &child(&spec), &first.record).fields.is_none(), "another wish is another measure");
    }
}
