//! Reading `status.conditions` and generations, as Kubernetes' API conventions have them.

use kube::core::DynamicObject;
use serde_json::Value;

use crate::object::field;

/// One condition of a foreign object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    pub(super) status: &'a str,
    pub(super) reason: &'a str,
    pub(super) message: &'a str,
    pub(super) time: Option<&'a str>,
}

impl Seen<'_> {
    pub(super) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(super) fn is_false(&self) -> bool {
        self.status == "False"
    }
}

/// The condition of a type, wherever in the list it stands.
pub(super) fn condition<'a>(child: &'a DynamicObject, type_: &str) -> Option<Seen<'a>> {
    let list = field(child, &["status", "conditions"])?.as_array()?;
    let found = list.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(type_))?;
    let text = |name| found.get(name).and_then(Value::as_str);
    Some(Seen {
        status: text("status").unwrap_or("Unknown"),
        reason: text("reason").unwrap_or_default(),
        message: text("message").unwrap_or_default(),
        time: text("lastTransitionTime"),
    })
}

/// Whether the child's controller has seen its newest spec; true for kinds that do not tell.
pub(super) fn up_to_date(child: &DynamicObject) -> bool {
    let observed = field(child, &["status", "observedGeneration"]).and_then(Value::as_i64);
    match (observed, child.metadata.generation) {
        (Some(observed), Some(generation)) => observed >= generation,
        _ => true,
    }
}

/// A whole number of the status; absent means 0.
pub(super) fn count(child: &DynamicObject, path: &[&str]) -> i64 {
    field(child, path).and_then(Value::as_i64).unwrap_or(0)
}

/// A string of the object; absent means empty.
pub(super) fn text<'a>(child: &'a DynamicObject, path: &[&str]) -> &'a str {
    field(child, path).and_then(Value::as_str).unwrap_or_default()
}

/// `done` of `all` in percent; `None` where there is nothing to do.
pub(super) fn percent(done: i64, all: i64) -> Option<i32> {
    (all > 0).then(|| i32::try_from(done.clamp(0, all).saturating_mul(100) / all).unwrap_or(100))
}
