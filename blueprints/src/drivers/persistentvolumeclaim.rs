//! PersistentVolumeClaim: what is on its volume goes with it, unless the volume's own policy says otherwise.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{condition, text};
use super::{Component, Definition, Lifetime, Report, edited};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct PersistentVolumeClaimDriver;

/// The fields of the spec that the apiserver does not let change.
const FIXED: [&str; 7] =
    ["accessModes", "dataSource", "dataSourceRef", "selector", "storageClassName", "volumeMode", "volumeName"];

impl Component for PersistentVolumeClaimDriver {
    fn definition(&self) -> Definition {
        Definition { group: "", kind: "PersistentVolumeClaim", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    /// What waits for it must not wait until it is bound: where its StorageClass waits for the first consumer, that would
    /// be never.
    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Static
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("capacity", Type::String), ("volumeName", Type::String)]
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let resizing = ["Resizing", "FileSystemResizePending"].into_iter().find_map(|type_| {
            let found = condition(child, type_).filter(|c| c.is_true())?;
            Some((type_, found.message))
        });
        let mut report = match (text(child, &["status", "phase"]), resizing) {
            // the volume serves while it grows
            ("Bound", Some((type_, message))) => Report::new(Health::Ready, type_, message),
            (phase @ "Bound", None) => Report::new(Health::Ready, phase, ""),
            (phase @ ("" | "Pending"), _) => Report::new(
                Health::Progressing,
                phase,
                "it has no volume yet: one is found or made, with some storage classes only once a pod uses it",
            ),
            (phase @ "Lost", _) => Report::new(Health::Failed, phase, "the volume that it was bound to is gone"),
            (other, _) => Report::new(Health::Unknown, other, ""),
        };
        let known = [("capacity", &["status", "capacity", "storage"][..]), ("volumeName", &["spec", "volumeName"][..])];
        let known = known.into_iter().filter_map(|(name, path)| Some((name.to_owned(), field(child, path)?.clone())));
        report.outputs = known.collect();
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        match edited(&FIXED, old, new) {
            Some(fixed) => {
                let reason = format!(
                    "spec.{fixed} of a claim cannot be changed, and a new claim would lose the data; give the component \
                     another name to have both"
                );
                Change::new(Effect::Refused, reason)
            }
            None => Change::new(Effect::InPlace, "its volume may grow, where its storage class allows that"),
        }
    }

    fn holds_data(&self) -> bool {
        true
    }
}
