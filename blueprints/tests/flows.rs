//! JobFlow and DaemonJob as components: each state that their controllers show.
#![allow(clippy::unwrap_used)]

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::drivers::{self, Lifetime, Report};
use tributary_crds::Health;

fn report(kind: &str, spec: Value, status: Value) -> Report {
    let child: DynamicObject = serde_json::from_value(json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind,
        "metadata": {"name": "x", "generation": 2}, "spec": spec, "status": status}))
    .unwrap();
    drivers::of("tributary.dev", kind).observe(&child, None)
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    json!([{"type": "Verified", "status": "True", "reason": "AsExpected"}, {"type": type_, "status": status, "reason": reason}])
}

#[test]
fn each_state_has_its_reading() {
    let at = |state: &str, conditions: Value| {
        json!({"observedGeneration": 2, "state": state, "message": "words", "done": "2/5", "conditions": conditions,
            "completionTime": "2026-01-01T00:00:00Z"})
    };
    let rows = [
        (json!({}), Health::Pending, "", false, None),
        (
            at("Pending", condition("Progressing", "False", "TemplateNotFound")),
            Health::Pending,
            "TemplateNotFound",
            false,
            Some(40),
        ),
        (
            at("Running", condition("Progressing", "True", "StepsRunning")),
            Health::Progressing,
            "StepsRunning",
            false,
            Some(40),
        ),
        (
            at("Suspended", condition("Suspended", "True", "SuspendedBySpec")),
            Health::Suspended,
            "SuspendedBySpec",
            false,
            Some(40),
        ),
        (
            at("Terminating", condition("Progressing", "True", "StepsRunning")),
            Health::Progressing,
            "StepsRunning",
            false,
            Some(40),
        ),
        (at("Succeed", condition("Complete", "True", "Succeeded")), Health::Succeeded, "Succeeded", true, Some(100)),
        (at("Failed", condition("Failed", "True", "StepFailed")), Health::Failed, "StepFailed", true, Some(40)),
        (at("Failed", condition("Failed", "True", "InvalidSpec")), Health::Failed, "InvalidSpec", false, Some(40)),
    ];
    for (status, health, reason, finished, percent) in rows {
        for kind in ["JobFlow", "DaemonJob"] {
            let report = report(kind, json!({}), status.clone());
            let seen = (report.health, report.reason.as_str(), report.finished, report.percent);
            assert_eq!(seen, (health, reason, finished, percent), "{kind} {status}");
        }
    }
}

#[test]
fn one_with_a_schedule_is_a_stream_that_serves() {
    let spec = json!({"schedule": "@daily"});
    let flow = drivers::of("tributary.dev", "JobFlow");
    assert_eq!(flow.lifetime(&json!({"spec": spec})), Lifetime::Stream);
    let status =
        json!({"observedGeneration": 2, "state": "Succeed", "conditions": condition("Complete", "True", "Succeeded")});
    assert_eq!(report("JobFlow", spec, status).health, Health::Ready);
}

#[test]
fn outputs_are_those_of_the_steps_and_the_counts_of_the_nodes() {
    let status = json!({"state": "Succeed", "run": 2, "outputs": {"count": {"rows": 12}}, "nodes": 3, "succeeded": 3});
    let flow = report("JobFlow", json!({}), status.clone());
    assert_eq!((&flow.outputs["steps"]["count"]["rows"], &flow.outputs["run"]), (&json!(12), &json!(2)));
    let daemon = report("DaemonJob", json!({}), status);
    assert_eq!((&daemon.outputs["nodes"], &daemon.outputs["failed"]), (&json!(3), &json!(0)));
    for kind in ["JobFlow", "DaemonJob"] {
        let declared: Vec<&str> = drivers::of("tributary.dev", kind).outputs().iter().map(|(n, _)| *n).collect();
        let report = report(kind, json!({}), json!({"state": "Succeed"}));
        assert_eq!(report.outputs.keys().map(String::as_str).collect::<Vec<_>>(), declared);
    }
}
