//! Secret: it is there. Nothing of what it holds is ever in a report.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::configmap::data_change;
use super::{Component, Definition, Lifetime, Report, says_otherwise};
use crate::change::{Change, Effect};

pub(super) struct SecretDriver;

impl Component for SecretDriver {
    fn definition(&self) -> Definition {
        Definition { group: "", kind: "Secret", versions: &["v1"] }
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
        if says_otherwise(old.get("type"), new.get("type")) {
            return Change::new(Effect::Replace, "the type of a Secret cannot be changed");
        }
        // the apiserver keeps stringData under data
        data_change(old, new, &["data", "stringData"])
    }
}
