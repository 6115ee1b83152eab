//! A user's pod template over the default one: objects field by field, lists whose items have a name by that name (as
//! the strategic merge patch of Kubernetes has it), other lists and values replaced, `null` deletes.

use serde_json::{Map, Value};

/// The field that identifies the items of a list, by the list's own name.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "resourceClaims" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "ports" => Some("containerPort"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

/// `over` laid over `base`.
pub fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => merge_objects(base, over),
        (base, over) => *base = over.clone(),
    }
}

fn merge_objects(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match (base.get_mut(name), value) {
            (_, Value::Null) => {
                base.remove(name);
            }
            (Some(Value::Array(old)), Value::Array(new)) if merge_key(name).is_some() => {
                merge_lists(old, new, merge_key(name).unwrap_or_default());
            }
            (Some(old), new) => merge(old, new),
            (None, new) => {
                base.insert(name.clone(), without_nulls(new));
            }
        }
    }
}

/// Items of `over` that `base` has not come first, in their order where they are new variables: a variable may refer to
/// those before it.
fn merge_lists(base: &mut Vec<Value>, over: &[Value], key: &str) {
    for item in over {
        match base.iter_mut().find(|b| b.get(key).is_some() && b.get(key) == item.get(key)) {
            // an environment variable is a value or a source, never a mixture of both
            Some(old) if key == "name" && is_variable(item) => *old = item.clone(),
            Some(old) => merge(old, item),
            None => base.push(without_nulls(item)),
        }
    }
}

fn is_variable(item: &Value) -> bool {
    item.get("value").is_some() || item.get("valueFrom").is_some()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut base: Value, over: Value) -> Value {
        merge(&mut base, &over);
        base
    }

    #[test]
    fn containers_and_variables_merge_by_name() {
        let base = json!({"spec": {"containers": [{"name": "worker", "image": "ours", "args": ["a", "b"],
            "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "value": "2"}]}]}});
        let over = json!({"spec": {"containers": [
            {"name": "worker", "image": "theirs", "args": ["c"], "env": [{"name": "A", "value": "1"}, {"name": "C", "value": "3"}]},
            {"name": "sidecar", "image": "s"}], "nodeSelector": {"disk": "ssd"}}});
        assert_eq!(
            merged(base, over),
            json!({"spec": {"containers": [
                {"name": "worker", "image": "theirs", "args": ["c"],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]},
                {"name": "sidecar", "image": "s"}], "nodeSelector": {"disk": "ssd"}}})
        );
    }

    #[test]
    fn other_lists_are_replaced_and_null_deletes() {
        let base =
            json!({"spec": {"tolerations": [{"key": "a"}], "securityContext": {"runAsUser": 1, "runAsNonRoot": true}}});
        let over =
            json!({"spec": {"tolerations": [{"key": "b"}], "securityContext": {"runAsUser": null}, "hostname": null}});
        assert_eq!(
            merged(base, over),
            json!({"spec": {"tolerations": [{"key": "b"}], "securityContext": {"runAsNonRoot": true}}})
        );
    }

    #[test]
    fn mounts_merge_by_path_and_nothing_over_something_changes_nothing() {
        let base = json!({"volumeMounts": [{"name": "job", "mountPath": "/a", "readOnly": true}]});
        let over =
            json!({"volumeMounts": [{"name": "mine", "mountPath": "/b"}, {"mountPath": "/a", "readOnly": false}]});
        assert_eq!(
            merged(base.clone(), over),
            json!({"volumeMounts": [{"name": "job", "mountPath": "/a", "readOnly": false}, {"name": "mine", "mountPath": "/b"}]})
        );
        assert_eq!(merged(base.clone(), json!({})), base);
    }
}
