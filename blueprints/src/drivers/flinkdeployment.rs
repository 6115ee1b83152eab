//! FlinkDeployment of Flink's Kubernetes operator: one job of its own, or a cluster for sessions.

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_crds::Health;

use super::conditions::{text, up_to_date};
use super::{Component, Definition, GRACE, Lifetime, Port, Report, START, Switch, object_at, pods};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct FlinkDeploymentDriver;

/// The container that Flink's operator completes.
const MAIN: &str = "flink-main-container";

impl Component for FlinkDeploymentDriver {
    fn definition(&self) -> Definition {
        Definition { group: "flink.apache.org", kind: "FlinkDeployment", versions: &["v1beta1"] }
    }

    /// Only of a job in Flink's batch mode it is known that it ends.
    fn lifetime(&self, template: &Value) -> Lifetime {
        if is_batch(template) { Lifetime::Batch } else { Lifetime::Stream }
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![
            ("jobId", Type::String),
            ("jobName", Type::String),
            ("jobState", Type::String),
            ("webUIAddress", Type::String),
        ]
    }

    /// Flink's operator refuses longer ones.
    fn max_name(&self) -> usize {
        45
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        if ports.is_empty() {
            return;
        }
        let Some(pod) = object_at(object, &["spec", "podTemplate", "spec"]) else { return };
        let containers = pod.entry("containers").or_insert_with(|| json!([]));
        if let Some(containers) = containers.as_array_mut()
            && !containers.iter().any(|c| c.get("name").and_then(Value::as_str) == Some(MAIN))
        {
            containers.push(json!({"name": MAIN}));
        }
        pods::wire(object, "/spec/podTemplate/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let job = text(child, &["status", "jobStatus", "state"]);
        let error = text(child, &["status", "error"]);
        let has_job = field(child, &["spec", "job"]).is_some_and(Value::is_object);
        let mut report = match text(child, &["status", "lifecycleState"]) {
            "" => Report::new(Health::Pending, "", said(error, "Flink's operator has not looked at it yet"))
                .at_most(START),
            // an edit of the spec heals it
            "FAILED" if !is_batch(&child.data) => Report::new(Health::Failed, reason(job, "FAILED"), error),
            "FAILED" => Report::finished(Health::Failed, reason(job, "FAILED"), error),
            _ if !up_to_date(child) => Report::new(Health::Progressing, "", error),
            state @ "CREATED" => Report::new(Health::Pending, state, error).at_most(START),
            state @ "SUSPENDED" => Report::new(Health::Suspended, state, error),
            state @ ("UPGRADING" | "ROLLING_BACK" | "DELETING" | "DELETED") => {
                Report::new(Health::Progressing, state, error)
            }
            state @ "ROLLED_BACK" => Report::new(
                Health::Failed,
                state,
                said(error, "Flink's operator went back to the last spec that worked"),
            ),
            "DEPLOYED" | "STABLE" if has_job => of_job(child, job, error),
            "DEPLOYED" | "STABLE" => of_cluster(child, error),
            other => Report::new(Health::Unknown, other, error).at_most(GRACE),
        };
        report.percent = (report.health == Health::Succeeded).then_some(100);
        report.outputs = outputs(child);
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        if new.pointer("/spec/job").is_some_and(Value::is_object)
            != old.pointer("/spec/job").is_some_and(Value::is_object)
        {
            return Change::new(
                Effect::Replace,
                "a cluster for sessions cannot become one with a job, nor the other way",
            );
        }
        match new.pointer("/spec/job/upgradeMode").and_then(Value::as_str) {
            Some("savepoint" | "last-state") => {
                Change::new(Effect::Restart, "Flink's operator starts it again from its state, as upgradeMode says")
            }
            _ => Change::new(
                Effect::Restart,
                "Flink's operator starts it again without its state: upgradeMode is stateless",
            ),
        }
    }

    fn switch(&self) -> Switch {
        Switch::JobState
    }
}

fn is_batch(object: &Value) -> bool {
    let job = object.pointer("/spec/job").is_some_and(Value::is_object);
    let flat = object.pointer("/spec/flinkConfiguration").and_then(|c| c.get("execution.runtime-mode"));
    let nested = object.pointer("/spec/flinkConfiguration/execution/runtime-mode");
    let mode = flat.or(nested).and_then(Value::as_str);
    job && mode.is_some_and(|m| m.eq_ignore_ascii_case("BATCH"))
}

fn of_job(child: &DynamicObject, job: &str, error: &str) -> Report {
    let ends = is_batch(&child.data);
    let stable = text(child, &["status", "lifecycleState"]) == "STABLE";
    match job {
        "FINISHED" if ends => Report::finished(Health::Succeeded, job, error),
        // an edit of the spec starts it again
        "FINISHED" => Report::new(Health::Succeeded, job, error),
        "FAILED" | "CANCELED" if ends => Report::finished(Health::Failed, job, error),
        "FAILED" | "CANCELED" => Report::new(Health::Failed, job, error),
        "RUNNING" if stable => Report::new(Health::Ready, job, error),
        "RUNNING" => Report::new(Health::Progressing, job, error),
        "" | "CREATED" | "INITIALIZING" | "RECONCILING" | "RESTARTING" | "FAILING" | "CANCELLING" => {
            let manager = text(child, &["status", "jobManagerDeploymentStatus"]);
            Report::new(Health::Progressing, reason(job, manager), error)
        }
        "SUSPENDED" => Report::new(Health::Suspended, job, error),
        other => Report::new(Health::Unknown, other, error).at_most(GRACE),
    }
}

fn of_cluster(child: &DynamicObject, error: &str) -> Report {
    let health = |state: &str| match state {
        "READY" => Health::Ready,
        "DEPLOYED_NOT_READY" | "DEPLOYING" | "MISSING" | "" => Health::Progressing,
        "ERROR" => Health::Failed,
        _ => Health::Unknown,
    };
    let state = text(child, &["status", "jobManagerDeploymentStatus"]);
    Report::new(health(state), state, error)
}

fn outputs(child: &DynamicObject) -> std::collections::BTreeMap<String, Value> {
    let (name, namespace) = (child.metadata.name.as_deref(), child.metadata.namespace.as_deref());
    let address = match (text(child, &["status", "jobManagerDeploymentStatus"]), name, namespace) {
        ("READY", Some(name), Some(namespace)) => format!("http://{name}-rest.{namespace}:8081"),
        _ => String::new(),
    };
    let texts = [
        ("jobId", text(child, &["status", "jobStatus", "jobId"])),
        ("jobName", text(child, &["status", "jobStatus", "jobName"])),
        ("jobState", text(child, &["status", "jobStatus", "state"])),
        ("webUIAddress", address.as_str()),
    ];
    texts.into_iter().filter(|(_, v)| !v.is_empty()).map(|(name, v)| (name.to_owned(), v.into())).collect()
}

/// The first that says something.
fn reason<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}

fn said(error: &str, own: &str) -> String {
    reason(error, own).to_owned()
}
