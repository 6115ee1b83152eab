//! StatefulSet of Kubernetes' apps group.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{count, text, up_to_date};
use super::{Component, Definition, Lifetime, Port, Report, Switch, edited, pods};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct StatefulSetDriver;

/// The fields of the spec that the apiserver does not let change.
const FIXED: [&str; 4] = ["selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"];

impl Component for StatefulSetDriver {
    fn definition(&self) -> Definition {
        Definition { group: "apps", kind: "StatefulSet", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("readyReplicas", Type::Int), ("serviceName", Type::String)]
    }

    /// Its pods carry the name with a hash of ten digits as a label.
    fn max_name(&self) -> usize {
        52
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/template/spec", ports);
    }

    /// As `kubectl rollout status` has it; there is no condition that tells of a rollout that does not get on.
    fn read(&self, child: &DynamicObject) -> Report {
        let wanted = field(child, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1);
        let of = |name| count(child, &["status", name]);
        let (ready, updated) = (of("readyReplicas"), of("updatedReplicas"));
        let on_delete = text(child, &["spec", "updateStrategy", "type"]) == "OnDelete";
        let partition = count(child, &["spec", "updateStrategy", "rollingUpdate", "partition"]);
        let to_update = if on_delete { 0 } else { (wanted - partition).max(0) };
        let words = format!("{ready}/{wanted} replicas are ready");
        let mut report = if !up_to_date(child) || field(child, &["status", "observedGeneration"]).is_none() {
            Report::new(Health::Pending, "", "")
        } else if ready < wanted {
            Report::new(Health::Progressing, "ReplicasNotReady", words)
        } else if updated < to_update {
            let words = format!("{updated}/{to_update} replicas are updated");
            Report::new(Health::Progressing, "RollingUpdate", words)
        } else {
            Report::new(Health::Ready, "ReplicasReady", words)
        };
        report.outputs = [("readyReplicas".to_owned(), ready.into())].into();
        if let Some(service) = field(child, &["spec", "serviceName"]) {
            report.outputs.insert("serviceName".into(), service.clone());
        }
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        if let Some(fixed) = edited(&FIXED, old, new) {
            let reason = format!("spec.{fixed} of a StatefulSet cannot be changed; the claims of its pods stay");
            Change::new(Effect::Replace, reason)
        } else if old.pointer("/spec/template") != new.pointer("/spec/template") {
            Change::new(Effect::Restart, "its pods are replaced one after the other")
        } else {
            Change::new(Effect::InPlace, "its pods go on")
        }
    }

    fn switch(&self) -> Switch {
        Switch::Replicas
    }
}
