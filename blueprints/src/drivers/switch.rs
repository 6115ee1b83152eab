//! How objects are stopped by their spec.

use serde_json::Value;

use super::patch::object_at;

/// The field by which a kind is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It cannot be stopped.
    None,
    /// `spec.suspend`; absent means false.
    Suspend,
    /// `spec.suspend` of an object that has it; where it is absent, the kind or its version may not know it and would
    /// refuse it.
    SuspendIfThere,
    /// `spec.replicas`, which is 0 while it is stopped. Letting go is the template's own number, which the object then
    /// holds already.
    Replicas,
}

impl Switch {
    /// Whether an object is stopped; `None` for one that cannot be.
    pub(super) fn is_off(self, object: &Value) -> Option<bool> {
        let suspend = object.pointer("/spec/suspend").and_then(Value::as_bool);
        match self {
            Self::None => None,
            Self::Suspend => Some(suspend.unwrap_or(false)),
            Self::SuspendIfThere => suspend,
            Self::Replicas => Some(object.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0)),
        }
    }

    /// Stops an object, or lets it go.
    pub(super) fn turn(self, object: &mut Value, off: bool) {
        let Some(spec) = object_at(object, &["spec"]) else { return };
        match self {
            Self::Suspend | Self::SuspendIfThere => drop(spec.insert("suspend".into(), off.into())),
            Self::Replicas if off => drop(spec.insert("replicas".into(), 0.into())),
            Self::Replicas | Self::None => {}
        }
    }
}
