//! Deployment of Kubernetes' apps group.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{condition, count, up_to_date};
use super::{Component, Definition, Lifetime, Port, Report, Switch, pods};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct DeploymentDriver;

impl Component for DeploymentDriver {
    fn definition(&self) -> Definition {
        Definition { group: "apps", kind: "Deployment", versions: &["v1"] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("readyReplicas", Type::Int)]
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/template/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let wanted = field(child, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1);
        let of = |name| count(child, &["status", name]);
        let (updated, available) = (of("updatedReplicas"), of("availableReplicas"));
        let progressing = condition(child, "Progressing");
        let failure = condition(child, "ReplicaFailure").filter(|c| c.is_true());
        let mut report = if !up_to_date(child) || field(child, &["status", "observedGeneration"]).is_none() {
            Report::new(Health::Pending, "", "")
        } else if let Some(c) = progressing.filter(|c| c.is_false()) {
            Report::new(Health::Failed, c.reason, c.message)
        } else if let Some(c) = failure {
            Report::new(Health::Progressing, c.reason, c.message)
        } else if updated >= wanted && available >= wanted && of("replicas") <= updated {
            Report::new(
                Health::Ready,
                "MinimumReplicasAvailable",
                format!("{available}/{wanted} replicas are available"),
            )
        } else {
            let reason = progressing.map_or("", |c| c.reason);
            Report::new(Health::Progressing, reason, format!("{available}/{wanted} replicas are available"))
        };
        report.outputs = [("readyReplicas".to_owned(), of("readyReplicas").into())].into();
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        let differs = |pointer: &str| old.pointer(pointer) != new.pointer(pointer);
        if differs("/spec/selector") {
            Change::new(Effect::Replace, "spec.selector of a Deployment cannot be changed")
        } else if differs("/spec/template") {
            Change::new(Effect::Restart, "its pods are replaced one after the other")
        } else {
            Change::new(Effect::InPlace, "its pods go on")
        }
    }

    fn switch(&self) -> Switch {
        Switch::Replicas
    }
}
