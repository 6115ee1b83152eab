//! What is to be done: the answer of every `evaluate`.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Condition, Reason};

use crate::object::{Gvk, ObjectKey};

/// What is to be done about one object. `act` carries it out in order, creations of one kind that follow each other at once, and
/// stops where an action fails; any of it may be lost after that, since the next decision starts from the next World.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes, in order.
    pub actions: Vec<Action>,
    /// The whole status, where it differs from the one in the World; written after the actions.
    pub status: Option<Value>,
    /// The status tells mere progress, which is read again off the children: decisions need not wait for its write.
    pub is_progress: bool,
    /// Were neither the status nor the events told, a later decision would say the same or more: nothing is kept in them.
    pub may_wait: bool,
    /// All that the object begins has begun, or has ended, or it waits for somebody else: nothing more follows by itself.
    pub is_settled: bool,
    /// Events about the object.
    pub events: Vec<Event>,
    /// Decide again after this time, even if nothing changes.
    pub requeue: Option<Duration>,
}

impl Plan {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.status.is_none()
    }

    /// Leaves the status as it is, and says nothing of it.
    pub fn drop_status(&mut self) {
        self.status = None;
        (self.is_progress, self.may_wait, self.is_settled) = (false, false, false);
        self.events.clear();
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// POST. That it exists already is no error: the next World shows it.
    Create(Box<DynamicObject>),
    /// Server-side apply of the fields in `object`, on the object of this uid and no other.
    Apply {
        /// What is meant, pruned to that; `metadata.uid` and `metadata.resourceVersion` are the preconditions.
        object: Box<DynamicObject>,
    },
    /// DELETE in the background, of the object of this uid and no other.
    Delete {
        /// Kind, with its version.
        gvk: Gvk,
        /// The object.
        key: ObjectKey,
        /// Its uid.
        uid: String,
        /// Its resourceVersion, where the decision depends on more than its existence.
        resource_version: Option<String>,
    },
    /// Replaces the finalizers of the object that the plan is about.
    Finalizers(Vec<String>),
}

impl Action {
    /// Whether the other one may be under way beside this one: objects of one kind are made without regard to each other.
    pub fn may_go_beside(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Create(a), Self::Create(b)) if a.types == b.types)
    }
}

/// An event about the object that the plan is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Warning instead of Normal.
    pub warning: bool,
    /// Reason.
    pub reason: String,
    /// Note.
    pub note: String,
}

/// The events of a change of phase and of conditions: a condition that changed its status or reason and is bad gives a
/// warning.
pub fn events_of_change(
    old_phase: &str,
    new_phase: &str,
    message: &str,
    old: &[Condition],
    new: &[Condition],
) -> Vec<Event> {
    let mut events = Vec::new();
    if old_phase != new_phase {
        events.push(Event { warning: new_phase == "Failed", reason: new_phase.into(), note: message.into() });
    }
    for condition in new {
        let bad = match condition.type_.as_str() {
            "Failed" => condition.status == "True",
            _ => condition.status == "False" && !is_waiting(&condition.reason),
        };
        let same = old
            .iter()
            .any(|c| c.type_ == condition.type_ && c.status == condition.status && c.reason == condition.reason);
        if bad && !same && !events.iter().any(|e| e.note == condition.message) {
            let (reason, note) = (condition.reason.clone(), condition.message.clone());
            events.push(Event { warning: true, reason, note });
        }
    }
    events
}

/// Reasons of a condition that is False only because its time has not come.
fn is_waiting(reason: &str) -> bool {
    [
        Reason::DependencyPending,
        Reason::TopicsPending,
        Reason::ComponentsRunning,
        Reason::StepsRunning,
        Reason::NodesRunning,
        Reason::TemplateNotFound,
        Reason::WaitingForMutex,
        Reason::WaitingForSchedule,
        Reason::Created,
        Reason::PodsStarting,
        Reason::Mapping,
        Reason::Reducing,
        Reason::Committing,
        Reason::AsExpected,
        Reason::Succeeded,
        Reason::ComponentsSucceeded,
        Reason::SuspendedBySpec,
        Reason::WaitingForChildren,
        Reason::UpdateWaiting,
        Reason::RevisionPinned,
        Reason::RevisionPending,
    ]
    .iter()
    .any(|r| r.as_str() == reason)
}
