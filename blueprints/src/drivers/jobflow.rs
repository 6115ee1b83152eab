//! JobFlow: ports become environment variables of every step.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_crds::{GROUP, Health, VERSION};

use super::conditions::{condition, text, up_to_date};
use super::{Component, Definition, Lifetime, Port, Report, Switch, pods};
use crate::expr::Type;
use crate::object::field;

pub(super) struct JobFlowDriver;

impl Component for JobFlowDriver {
    fn definition(&self) -> Definition {
        Definition { group: GROUP, kind: "JobFlow", versions: &[VERSION] }
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        lifetime(template)
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("run", Type::Int), ("steps", Type::map(Type::map(Type::Dyn)))]
    }

    fn max_name(&self) -> usize {
        52
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        for list in ["flows", "finally"] {
            let steps = object.pointer(&format!("/spec/{list}")).and_then(Value::as_array).map_or(0, Vec::len);
            for i in 0..steps {
                pods::wire(object, &format!("/spec/{list}/{i}/jobTemplate/template/spec"), ports);
            }
        }
        pods::wire(object, "/spec/errorHandler/jobTemplate/template/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let mut report = report(child);
        if report.health == Health::Succeeded {
            let steps = field(child, &["status", "outputs"]).cloned().unwrap_or_else(|| json!({}));
            let run = field(child, &["status", "run"]).cloned().unwrap_or_else(|| json!(1));
            report.outputs = BTreeMap::from([("run".to_owned(), run), ("steps".to_owned(), steps)]);
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

/// One with a schedule goes on.
pub(super) fn lifetime(template: &Value) -> Lifetime {
    match template.pointer("/spec/schedule") {
        None | Some(Value::Null) => Lifetime::Batch,
        Some(_) => Lifetime::Stream,
    }
}

/// The state of a JobFlow or DaemonJob, in its own words.
pub(super) fn report(child: &DynamicObject) -> Report {
    let told = ["Failed", "Complete", "Suspended", "Progressing"];
    let condition =
        told.into_iter().find_map(|type_| condition(child, type_).filter(|c| c.is_true() || type_ == "Progressing"));
    let reason = condition.map_or("", |c| c.reason);
    let message = text(child, &["status", "message"]);
    let is_scheduled = matches!(lifetime(&child.data), Lifetime::Stream);
    let mut report = match text(child, &["status", "state"]) {
        "Succeed" | "Pending" | "Running" if is_scheduled && up_to_date(child) => {
            Report::new(Health::Ready, reason, message)
        }
        "Succeed" => Report::finished(Health::Succeeded, reason, message),
        // an edit of the spec heals it
        "Failed" if reason == "InvalidSpec" || is_scheduled => Report::new(Health::Failed, reason, message),
        "Failed" => Report::finished(Health::Failed, reason, message),
        _ if !up_to_date(child) => Report::new(Health::Progressing, reason, message),
        "" | "Pending" => Report::new(Health::Pending, reason, message),
        "Running" | "Terminating" => Report::new(Health::Progressing, reason, message),
        "Suspended" => Report::new(Health::Suspended, reason, message),
        other => Report::new(Health::Unknown, other, message),
    };
    let done = text(child, &["status", "done"])
        .split_once('/')
        .and_then(|(n, all)| Some((n.parse().ok()?, all.parse().ok()?)));
    report.percent = match report.health {
        Health::Succeeded => Some(100),
        _ => done.and_then(|(n, all)| super::conditions::percent(n, all)),
    };
    report.finished_at = text(child, &["status", "completionTime"]).parse().ok().filter(|_| report.finished);
    report
}
