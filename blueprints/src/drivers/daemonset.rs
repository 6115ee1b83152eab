//! DaemonSet of Kubernetes' apps group. It cannot be stopped: it has as many pods as there are nodes.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{count, text, up_to_date};
use super::{Component, Definition, Lifetime, Port, Report, pods, says_otherwise};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct DaemonSetDriver;

impl Component for DaemonSetDriver {
    fn definition(&self) -> Definition {
        Definition { group: "apps", kind: "DaemonSet", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("nodes", Type::Int), ("ready", Type::Int)]
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/template/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let of = |name| count(child, &["status", name]);
        let (nodes, available) = (of("desiredNumberScheduled"), of("numberAvailable"));
        let updated = of("updatedNumberScheduled");
        let on_delete = text(child, &["spec", "updateStrategy", "type"]) == "OnDelete";
        let words = format!("its pod is available on {available}/{nodes} nodes");
        let mut report = if !up_to_date(child) || field(child, &["status", "observedGeneration"]).is_none() {
            Report::new(Health::Pending, "", "")
        } else if available < nodes {
            Report::new(Health::Progressing, "PodsUnavailable", words)
        } else if updated < nodes && !on_delete {
            Report::new(Health::Progressing, "RollingUpdate", format!("its pod is updated on {updated}/{nodes} nodes"))
        } else {
            Report::new(Health::Ready, "PodsAvailable", words)
        };
        report.outputs = [("nodes", nodes), ("ready", of("numberReady"))].map(|(k, n)| (k.to_owned(), n.into())).into();
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        let (selector, template) = ("/spec/selector", "/spec/template");
        if says_otherwise(old.pointer(selector), new.pointer(selector)) {
            Change::new(Effect::Replace, "spec.selector of a DaemonSet cannot be changed")
        } else if old.pointer(template) != new.pointer(template) {
            Change::new(Effect::Restart, "its pods are replaced one after the other")
        } else {
            Change::new(Effect::InPlace, "its pods go on")
        }
    }
}
