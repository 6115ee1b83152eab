//! What identifies objects and stores.

use std::collections::BTreeMap;

use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_crds::{GROUP, VERSION, names};

/// The kinds that decisions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PrimaryKind {
    /// Pipeline.
    Pipeline,
    /// Blueprint.
    Blueprint,
    /// MapReduceJob.
    MapReduceJob,
    /// Topic.
    Topic,
    /// JobFlow.
    JobFlow,
    /// JobTemplate.
    JobTemplate,
    /// DaemonJob.
    DaemonJob,
}

impl PrimaryKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pipeline,
        Self::Blueprint,
        Self::MapReduceJob,
        Self::Topic,
        Self::JobFlow,
        Self::JobTemplate,
        Self::DaemonJob,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pipeline => "Pipeline",
            Self::Blueprint => "Blueprint",
            Self::MapReduceJob => "MapReduceJob",
            Self::Topic => "Topic",
            Self::JobFlow => "JobFlow",
            Self::JobTemplate => "JobTemplate",
            Self::DaemonJob => "DaemonJob",
        }
    }

    /// The kind with its group and version.
    pub fn gvk(self) -> Gvk {
        Gvk::new(GROUP, VERSION, self.as_str())
    }

    pub(super) fn of(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| group == GROUP && kind == k.as_str())
    }
}

/// An object that decisions are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Primary {
    /// Kind.
    pub kind: PrimaryKind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Primary {
    /// The same as a key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.kind.gvk(), &self.namespace, &self.name)
    }
}

/// Which objects of a kind are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All of them.
    All,
    /// Those that carry the label of a MapReduceJob.
    OfJobs,
    /// The same, without spec and status.
    OfJobsMetadata,
    /// Those that carry the label of a JobFlow.
    OfFlows,
    /// Those that carry the label of a DaemonJob.
    OfDaemonJobs,
    /// Those that Spark labels as the pod of a driver.
    SparkDrivers,
    /// Those that carry the label of a Pipeline.
    OfPipelines,
}

impl Scope {
    /// Whether objects with these labels are watched, and as a whole.
    pub(super) fn holds(self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let has = |label| labels.is_some_and(|labels| labels.contains_key(label));
        match self {
            Self::All => true,
            Self::OfJobs => has(names::JOB),
            Self::OfFlows => has(names::FLOW),
            Self::OfDaemonJobs => has(names::DAEMON_JOB),
            Self::OfPipelines => has(names::PIPELINE),
            Self::OfJobsMetadata | Self::SparkDrivers => false,
        }
    }
}

/// One store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Which objects.
    pub scope: Scope,
}

impl StoreId {
    /// The store of this kind.
    pub fn new(group: &str, kind: &str, scope: Scope) -> Self {
        Self { group: group.into(), kind: kind.into(), scope }
    }
}

/// An object's place in a store.
pub type Place = (Scope, ObjectKey);
