//! Any kind: the usual conventions.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{Seen, condition, up_to_date};
use super::{Component, Definition, Lifetime, Report, Switch};
use crate::object::field;

pub(super) struct Generic;

impl Component for Generic {
    fn definition(&self) -> Definition {
        Definition { group: "", kind: "", versions: &[] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Either
    }

    fn read(&self, child: &DynamicObject) -> Report {
        by_convention(child)
    }

    fn switch(&self) -> Switch {
        Switch::SuspendIfThere
    }
}

/// kstatus' order: the end, then progress, then readiness; an object without conditions is ready by being there.
fn by_convention(child: &DynamicObject) -> Report {
    let is = |type_: &str| condition(child, type_).filter(Seen::is_true);
    let not = |type_: &str| condition(child, type_).filter(Seen::is_false);
    let words = |health, c: Seen<'_>| Report::new(health, c.reason, c.message);
    if let Some(c) = is("Failed") {
        return Report { finished: true, ..words(Health::Failed, c) };
    }
    if let Some(c) = is("Complete").or_else(|| is("Completed")).or_else(|| is("Succeeded")) {
        return Report { finished: true, ..words(Health::Succeeded, c) };
    }
    if let Some(c) = is("Suspended") {
        return words(Health::Suspended, c);
    }
    if !up_to_date(child) {
        return Report::new(Health::Progressing, "", "its controller has not seen the newest spec yet");
    }
    // until an edit
    if let Some(c) = is("Stalled") {
        return words(Health::Failed, c);
    }
    if let Some(c) = is("Ready").or_else(|| is("Available")) {
        return words(Health::Ready, c);
    }
    if let Some(c) = not("Ready").or_else(|| not("Available")).or_else(|| is("Progressing")) {
        return words(Health::Progressing, c);
    }
    by_phase(child)
}

fn by_phase(child: &DynamicObject) -> Report {
    let status = field(child, &["status"]).and_then(Value::as_object).filter(|s| !s.is_empty());
    let phase = status.and_then(|s| s.get("phase").or_else(|| s.get("state"))).and_then(Value::as_str);
    match (status, phase) {
        // kinds of Kubernetes itself without a status (ConfigMap, Secret, ...) are there once they exist; a custom one
        // that has a spec is somebody's work to do, and that somebody has not looked yet
        (None, _) if is_custom(child) && field(child, &["spec"]).is_some() => Report::new(
            Health::Pending,
            "",
            "it has no status yet; if its kind never has one, give the component `status` rules",
        ),
        (None, _) => Report::new(Health::Ready, "", ""),
        (_, Some(word @ ("Bound" | "Active" | "Ready" | "Available" | "Healthy"))) => {
            Report::new(Health::Ready, word, "")
        }
        (_, Some(word @ ("Succeeded" | "Completed" | "Complete"))) => Report::finished(Health::Succeeded, word, ""),
        (_, Some(word @ ("Failed" | "Error"))) => Report::finished(Health::Failed, word, ""),
        (_, Some(word @ "Pending")) => Report::new(Health::Pending, word, ""),
        (_, Some(word @ ("Running" | "Progressing"))) => Report::new(Health::Progressing, word, ""),
        (_, Some(word)) => Report::new(Health::Unknown, word, ""),
        (Some(_), None) => Report::new(Health::Ready, "", ""),
    }
}

/// Whether a kind comes from a CustomResourceDefinition: its group is a domain outside of Kubernetes' own.
fn is_custom(child: &DynamicObject) -> bool {
    let api_version = child.types.as_ref().map_or("", |t| t.api_version.as_str());
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    group.contains('.') && !group.ends_with(".k8s.io")
}
