//! Outputs of a step: what its container left as its termination message.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_blueprints::object::field;
use tributary_crds::{Any, OutputSource};

use crate::job;

/// Bytes that all outputs of a run may have together.
pub(super) const MOST_BYTES: usize = 256 * 1024;

/// Why there are no outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// No pod that succeeded is to be seen.
    Pod,
    /// The program did not leave what was asked for; in words.
    Value(String),
}

/// The outputs that a Job's pod left.
pub(super) fn read(
    wanted: &BTreeMap<String, OutputSource>,
    pods: &[Arc<DynamicObject>],
) -> Result<BTreeMap<String, Any>, Missing> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let succeeded = |p: &&Arc<DynamicObject>| job::phase(p) == Some("Succeeded");
    // of several pods the last by name, whichever order the cache has them in
    let pod = pods.iter().filter(succeeded).max_by_key(|p| &p.metadata.name).ok_or(Missing::Pod)?;
    wanted.iter().map(|(name, source)| Ok((name.clone(), Any(value(name, source, pod)?)))).collect()
}

fn value(name: &str, source: &OutputSource, pod: &DynamicObject) -> Result<Value, Missing> {
    let statuses =
        field(pod, &["status", "containerStatuses"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_name = |c: &&Value| source.container.as_deref().is_none_or(|n| c["name"] == n);
    let container = statuses.iter().find(of_name);
    let message = container.and_then(|c| c.pointer("/state/terminated/message")).and_then(Value::as_str);
    let shown = source.container.as_deref().unwrap_or("the first container");
    let message =
        message.ok_or_else(|| Missing::Value(format!("output {name}: {shown} left no termination message")))?;
    if source.key.is_empty() {
        return Ok(Value::String(message.trim_end_matches('\n').to_owned()));
    }
    let parsed: Value = serde_json::from_str(message)
        .map_err(|_| Missing::Value(format!("output {name}: the termination message of {shown} is no JSON object")))?;
    let found = parsed.get(&source.key).cloned();
    found.ok_or_else(|| {
        Missing::Value(format!("output {name}: the termination message of {shown} has no key `{}`", source.key))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(phase: &str, message: Option<&str>) -> Arc<DynamicObject> {
        let state = json!({"terminated": {"exitCode": 0, "message": message}});
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": "p"},
                "status": {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}}))
            .unwrap(),
        )
    }

    fn read_one(key: &str, pod: Arc<DynamicObject>) -> Result<Value, Missing> {
        let source = OutputSource { key: key.into(), container: None };
        read(&BTreeMap::from([("x".into(), source)]), &[pod]).map(|mut o| o.remove("x").unwrap().0)
    }

    #[test]
    fn a_message_is_read_whole_or_by_key() {
        assert_eq!(read_one("", pod("Succeeded", Some("42\n"))), Ok(json!("42")));
        assert_eq!(read_one("rows", pod("Succeeded", Some(r#"{"rows": [1]}"#))), Ok(json!([1])));
        assert_eq!(read_one("", pod("Running", None)), Err(Missing::Pod));
        for (key, message) in [("", None), ("rows", Some("42")), ("rows", Some("{}"))] {
            assert!(matches!(read_one(key, pod("Succeeded", message)), Err(Missing::Value(_))));
        }
    }
}
