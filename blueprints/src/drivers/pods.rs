//! Pods: environment variables that name what each port is bound to, and why a pod does not run.

use serde_json::{Map, Value, json};

use super::{Port, Target};

/// Adds, to every container of the pod spec at `pointer`, `TRIBUTARY_<PORT>_TOPIC`, `_BOOTSTRAP_SERVERS`, `_SCHEMA` and
/// `_URI` as far as they apply. A variable that a container sets itself stays as it is.
pub(super) fn wire(object: &mut Value, pointer: &str, ports: &[Port<'_>]) {
    let variables = variables(ports);
    if variables.is_empty() {
        return;
    }
    let Some(spec) = object.pointer_mut(pointer) else { return };
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            set(container, &variables);
        }
    }
}

/// Adds variables to `env` of a container, or of what else has such a list; those that it has stay.
pub(super) fn set(container: &mut Map<String, Value>, variables: &[(String, String)]) {
    if variables.is_empty() {
        return;
    }
    let env = container.entry("env").or_insert_with(|| Value::Array(Vec::new()));
    let Some(env) = env.as_array_mut() else { return };
    for (name, value) in variables {
        if !env.iter().any(|e| e.get("name").and_then(Value::as_str) == Some(name)) {
            env.push(json!({"name": name, "value": value}));
        }
    }
}

/// The variables of all ports.
pub(super) fn variables(ports: &[Port<'_>]) -> Vec<(String, String)> {
    ports.iter().flat_map(environment).collect()
}

/// The variables of one port.
fn environment(port: &Port<'_>) -> Vec<(String, String)> {
    let prefix = format!("TRIBUTARY_{}", variable(port.name));
    let mut all = match port.target {
        Target::Topic(topic) => vec![
            (format!("{prefix}_TOPIC"), topic.topic_name.clone()),
            (format!("{prefix}_BOOTSTRAP_SERVERS"), topic.connection.bootstrap_servers.clone()),
        ],
        Target::Dataset(dataset) => vec![(format!("{prefix}_URI"), dataset.uri.clone())],
    };
    all.extend(port.schema.map(|schema| (format!("{prefix}_SCHEMA"), schema.to_owned())));
    all
}

/// A port's name as part of a variable's: upper case, with `_` for what a variable cannot have.
pub(crate) fn variable(port: &str) -> String {
    port.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Why a pod with this status does not run, where it tells: reason and message. A container that is merely being made says
/// nothing.
pub(super) fn waiting(status: &Value) -> Option<(&str, &str)> {
    let of = ["initContainerStatuses", "containerStatuses"];
    let statuses = of.into_iter().flat_map(|list| status.get(list).and_then(Value::as_array).into_iter().flatten());
    let mut told = statuses.filter_map(|c| words(c.pointer("/state/waiting")?));
    if let Some(words) = told.find(|(reason, _)| !matches!(*reason, "" | "PodInitializing" | "ContainerCreating")) {
        return Some(words);
    }
    let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    let mut unscheduled = conditions.filter(|c| {
        let is = |field: &str, word: &str| c.get(field).and_then(Value::as_str) == Some(word);
        is("type", "PodScheduled") && is("status", "False")
    });
    words(unscheduled.next()?)
}

/// Reason and message; absent means empty.
fn words(value: &Value) -> Option<(&str, &str)> {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    value.is_object().then(|| (text("reason"), text("message")))
}
