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
    /// `spec.job.state` of Flink, of an object that has a job.
    JobState,
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
            Self::JobState => {
                let job = object.pointer("/spec/job")?.as_object()?;
                Some(job.get("state").and_then(Value::as_str) == Some("suspended"))
            }
        }
    }

    /// Stops an object, or lets it go.
    pub(super) fn turn(self, object: &mut Value, off: bool) {
        let (path, field, value): (&[&str], _, Value) = match self {
            Self::Suspend | Self::SuspendIfThere => (&["spec"], "suspend", off.into()),
            Self::Replicas if off => (&["spec"], "replicas", 0.into()),
            Self::JobState => (&["spec", "job"], "state", if off { "suspended" } else { "running" }.into()),
            Self::Replicas | Self::None => return,
        };
        if let Some(fields) = object_at(object, path) {
            fields.insert(field.into(), value);
        }
    }

    /// The field, for people; empty where there is none.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Suspend => "`spec.suspend`",
            Self::SuspendIfThere => "`spec.suspend`, where the template has it",
            Self::Replicas => "`spec.replicas`",
            Self::JobState => "`spec.job.state`",
        }
    }
}
