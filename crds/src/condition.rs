//! Condition types and reasons, all of them, and the one way a list of conditions changes.

use std::fmt;

use crate::{Condition, Time, Timestamp};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),* }

        impl $name {
            /// The word as it stands in a status.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a condition is about.
    ConditionType {
        /// The blueprint, its parameters and its graph hold together.
        Verified,
        /// What runs is what the spec says now.
        UpToDate,
        /// The topics that are needed exist.
        TopicsReady,
        /// All is as the spec demands: streams run, batch work is done.
        Ready,
        /// Something is on its way to the desired state.
        Progressing,
        /// The work ended well.
        Complete,
        /// The work ended badly, or cannot go on without an edit.
        Failed,
        /// Stopped on request.
        Suspended,
        /// A deletion is under way; says what it waits for.
        Deleting,
        /// The job's coordinator pod runs.
        CoordinatorReady,
        /// The job's worker pods run.
        WorkersReady,
        /// The topic is left alone, as its annotation demands.
        Unmanaged,
        /// The topic is left alone, as `spec.suspend` demands.
        ReconciliationPaused,
    }
}

words! {
    /// Why a condition is as it is.
    Reason {
        /// Nothing is wrong.
        AsExpected,
        /// The blueprint has problems; the message lists the first ones.
        InvalidBlueprint,
        /// The spec says something that cannot be.
        InvalidSpec,
        /// The referenced Blueprint does not exist (yet).
        BlueprintNotFound,
        /// A newer revision waits for `spec.revision` to name it.
        UpdateWaiting,
        /// `spec.revision` names an older revision.
        RevisionPinned,
        /// `spec.revision` names a revision that is not kept.
        RevisionNotFound,
        /// What the spec says is too large to be kept as a revision.
        RevisionTooLarge,
        /// A revision is being kept before it runs.
        RevisionPending,
        /// A change would delete data; it waits to be confirmed.
        DestructiveChange,
        /// An older Pipeline has the same topic, or writes the same dataset.
        ClaimedByOther,
        /// Fields of a child were changed by somebody else.
        Drifted,
        /// The kind is not served by the apiserver (yet).
        KindNotInstalled,
        /// An object of the wanted name exists and belongs to somebody else.
        NameTaken,
        /// The apiserver refuses the operator the right to do it.
        Forbidden,
        /// The apiserver cannot list the kind.
        WatchFailing,
        /// The apiserver rejects the object.
        Rejected,
        /// Waits for what it depends on.
        DependencyPending,
        /// What it depends on failed.
        DependencyFailed,
        /// Topics are being created or changed.
        TopicsPending,
        /// A topic cannot be had.
        TopicFailed,
        /// Components are running.
        ComponentsRunning,
        /// A component failed.
        ComponentFailed,
        /// All components are done.
        ComponentsSucceeded,
        /// All streams are up.
        StreamsReady,
        /// Steps of a flow are running, or waiting for each other.
        StepsRunning,
        /// A step of a flow failed.
        StepFailed,
        /// A Job is running on nodes.
        NodesRunning,
        /// A node's Job failed.
        NodeFailed,
        /// Stopped by `spec.stop`.
        Stopped,
        /// A later run took its place.
        Replaced,
        /// A referenced JobTemplate does not exist (yet).
        TemplateNotFound,
        /// Another flow has the mutex.
        WaitingForMutex,
        /// The schedule says later.
        WaitingForSchedule,
        /// The outcome of a child was lost.
        OutcomeLost,
        /// Created, not yet looked at.
        Created,
        /// Pods are being started.
        PodsStarting,
        /// Pods cannot start; the message has the kubelet's own words.
        PodsBlocked,
        /// Map tasks are running.
        Mapping,
        /// Reduce tasks are running.
        Reducing,
        /// The output is being committed.
        Committing,
        /// The work is done.
        Succeeded,
        /// A task failed too often.
        TaskFailed,
        /// The coordinator cannot work; the message has its words.
        CoordinatorFailed,
        /// A deadline passed.
        DeadlineExceeded,
        /// The store cannot write conditionally.
        StoreUnsafe,
        /// The output's place is not empty.
        OutputExists,
        /// Suspended by `spec.suspend`.
        SuspendedBySpec,
        /// Waits for children to go.
        WaitingForChildren,
        /// Kafka says no.
        KafkaError,
        /// The change is not one that can be made.
        NotSupported,
        /// Another resource has the same topic.
        ResourceConflict,
        /// The topic is not managed.
        Unmanaged,
        /// Reconciliation is paused.
        ReconciliationPaused,
        /// Another controller manages it.
        ManagedByOther,
    }
}

/// A condition as a decision: no time, no generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Type.
    pub type_: ConditionType,
    /// `Some(true)` is True, `Some(false)` False, `None` Unknown.
    pub status: Option<bool>,
    /// Reason.
    pub reason: Reason,
    /// For people; may be empty.
    pub message: String,
}

impl Wanted {
    /// A condition that is True.
    pub fn yes(type_: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status: Some(true), reason, message: message.into() }
    }

    /// A condition that is False.
    pub fn no(type_: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status: Some(false), reason, message: message.into() }
    }

    /// A condition that is Unknown.
    pub fn unknown(type_: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status: None, reason, message: message.into() }
    }
}

/// The longest message a condition takes (the apiserver's own limit for conditions).
pub const MAX_MESSAGE: usize = 32_768;

/// The list of conditions after `wanted`: what is not in `wanted` goes, and `lastTransitionTime` moves only where the
/// status does.
pub fn conditions_with(
    old: &[Condition],
    wanted: &[Wanted],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    wanted
        .iter()
        .map(|w| {
            let status = match w.status {
                Some(true) => "True",
                Some(false) => "False",
                None => "Unknown",
            };
            let before = old.iter().find(|c| c.type_ == w.type_.as_str());
            let last_transition_time = match before {
                Some(c) if c.status == status => c.last_transition_time.clone(),
                _ => Time(now),
            };
            Condition {
                type_: w.type_.as_str().into(),
                status: status.into(),
                reason: w.reason.as_str().into(),
                message: truncated(&w.message, MAX_MESSAGE),
                observed_generation: generation,
                last_transition_time,
            }
        })
        .collect()
}

/// `text`, cut at a character's border so that it has at most `limit` bytes.
pub fn truncated(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}
