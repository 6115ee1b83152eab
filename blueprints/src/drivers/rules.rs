//! The rules of a blueprint's component: CEL over the child.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Health, StatusRules};

use super::Report;
use super::conditions::up_to_date;
use crate::expr::scope::OneName;
use crate::expr::{Expression, functions};
use crate::object::field;

/// How a child is by its rules. `read` tells it where they say neither when it serves nor when it has ended well; failure,
/// message, progress and outputs of the rules count in either case.
pub(super) fn observe(rules: &StatusRules, child: &DynamicObject, read: impl FnOnce() -> Report) -> Report {
    let object = serde_json::to_value(child).unwrap_or_default();
    let scope = OneName { name: "self", value: &object };
    // a field that is not there yet makes a rule not hold, as anywhere in Kubernetes
    let of = |rule: &str| Expression::parse_rule(rule).ok()?.evaluate(&scope).ok();
    let value = |rule: &Option<String>| of(rule.as_deref()?);
    let holds = |rule: &Option<String>| value(rule) == Some(Value::Bool(true));
    let mut report = if holds(&rules.failed) {
        Report::finished(Health::Failed, "", "")
    } else if rules.ready.is_none() && rules.succeeded.is_none() {
        read()
    } else if holds(&rules.succeeded) {
        Report::finished(Health::Succeeded, "", "")
    } else if !up_to_date(child) {
        Report::new(Health::Progressing, "", "")
    } else if holds(&rules.ready) {
        Report::new(Health::Ready, "", "")
    } else if field(child, &["status"]).is_none() {
        Report::new(Health::Pending, "", "")
    } else {
        Report::new(Health::Progressing, "", "")
    };
    if let Some(message) = value(&rules.message) {
        report.message = functions::text(&message);
    }
    if let Some(share) = value(&rules.progress).and_then(|v| v.as_f64()) {
        #[allow(clippy::cast_possible_truncation)]
        let percent = (share.clamp(0.0, 1.0) * 100.0) as i32;
        report.percent = Some(percent);
    }
    let outputs = rules.outputs.iter().filter_map(|(name, rule)| Some((name.clone(), of(rule)?)));
    report.outputs.extend(outputs);
    report
}
