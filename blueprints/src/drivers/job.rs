//! Job of Kubernetes' batch group.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{condition, count, percent, text};
use super::{Component, Definition, Lifetime, Port, Report, Switch, pods};
use crate::expr::Type;
use crate::object::field;

pub(super) struct JobDriver;

impl Component for JobDriver {
    fn definition(&self) -> Definition {
        Definition { group: "batch", kind: "Job", versions: &["v1"] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Batch
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("failed", Type::Int), ("succeeded", Type::Int)]
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/template/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let is = |type_: &str| condition(child, type_).filter(|c| c.is_true());
        let (active, succeeded) = (count(child, &["status", "active"]), count(child, &["status", "succeeded"]));
        let completions = field(child, &["spec", "completions"]).and_then(Value::as_i64).unwrap_or(1);
        let mut report = if let Some(c) = is("Complete") {
            Report::finished(Health::Succeeded, c.reason, c.message)
        } else if let Some(c) = is("Failed") {
            Report::finished(Health::Failed, c.reason, c.message)
        } else if let Some(c) = is("SuccessCriteriaMet").or_else(|| is("FailureTarget")) {
            Report::new(Health::Progressing, c.reason, c.message)
        } else if let Some(c) = is("Suspended") {
            Report::new(Health::Suspended, c.reason, c.message)
        } else if active > 0 || succeeded > 0 {
            Report::new(Health::Progressing, "Running", format!("{active} pods run"))
        } else {
            Report::new(Health::Pending, "", "")
        };
        report.percent = if report.health == Health::Succeeded { Some(100) } else { percent(succeeded, completions) };
        report.finished_at = match report.health {
            Health::Succeeded => text(child, &["status", "completionTime"]).parse().ok(),
            Health::Failed => condition(child, "Failed").and_then(|c| c.time?.parse().ok()),
            _ => None,
        };
        if report.finished {
            report.outputs = [("failed", count(child, &["status", "failed"])), ("succeeded", succeeded)]
                .map(|(name, n)| (name.to_owned(), n.into()))
                .into();
        }
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn ttl_field(&self) -> Option<&'static str> {
        Some("ttlSecondsAfterFinished")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}
