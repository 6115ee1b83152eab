//! Wiring of pod templates: environment variables that name what each port is bound to.

use serde_json::{Value, json};

use super::{Port, Target};

/// Adds, to every container of the pod spec at `pointer`, `TRIBUTARY_<PORT>_TOPIC`, `_BOOTSTRAP_SERVERS`, `_SCHEMA` and
/// `_URI` as far as they apply. A variable that a container sets itself stays as it is.
pub(super) fn wire(object: &mut Value, pointer: &str, ports: &[Port<'_>]) {
    let variables: Vec<(String, String)> = ports.iter().flat_map(environment).collect();
    if variables.is_empty() {
        return;
    }
    let Some(spec) = object.pointer_mut(pointer) else { return };
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            let env = container.entry("env").or_insert_with(|| Value::Array(Vec::new()));
            let Some(env) = env.as_array_mut() else { continue };
            for (name, value) in &variables {
                if !env.iter().any(|e| e.get("name").and_then(Value::as_str) == Some(name)) {
                    env.push(json!({"name": name, "value": value}));
                }
            }
        }
    }
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
