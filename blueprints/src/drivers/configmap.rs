//! ConfigMap: it is there.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::{Component, Definition, Lifetime, Report, says_otherwise};
use crate::change::{Change, Effect};

pub(super) struct ConfigMapDriver;

impl Component for ConfigMapDriver {
    fn definition(&self) -> Definition {
        Definition { group: "", kind: "ConfigMap", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Static
    }

    fn read(&self, _: &DynamicObject) -> Report {
        Report::new(Health::Ready, "", "")
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        data_change(old, new, &["data", "binaryData"])
    }
}

/// What an edit of a ConfigMap or a Secret comes to: one that says `immutable` must be made anew.
pub(super) fn data_change(old: &Value, new: &Value, fields: &[&str]) -> Change {
    let fixed = old.get("immutable").and_then(Value::as_bool) == Some(true);
    let lets_go = new.get("immutable").and_then(Value::as_bool) == Some(false);
    let edited = lets_go || fields.iter().any(|f| says_otherwise(old.get(f), new.get(f)));
    if fixed && edited {
        Change::new(Effect::Replace, "it is immutable")
    } else {
        Change::new(
            Effect::InPlace,
            "pods that mount it see the edit; what is in their environment stays until they restart",
        )
    }
}
