//! What a decision about a JobFlow is made from.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::ObjectMeta;
use tributary_blueprints::world::Refusal;
use tributary_crds::{JobFlowSpec, JobFlowStatus, Template};

use super::frozen::Frozen;
use crate::{
    family::{Jobs, Pods},
    pace::Pace,
    revision::Revisions,
};

/// Everything that a decision about one JobFlow may know.
#[derive(Debug, Default)]
pub struct World {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    pub spec: Arc<JobFlowSpec>,
    /// Its last status.
    pub status: JobFlowStatus,
    /// The JobTemplates that the spec refers to, as far as they exist.
    pub templates: BTreeMap<String, Template>,
    /// Its revisions: what its runs were frozen from. Those of the run under way and of the one before are thawed.
    pub revisions: Revisions<Frozen>,
    /// Its Jobs, and strangers that have their names.
    pub jobs: Jobs,
    /// Pods of its Jobs.
    pub pods: Pods,
    /// The Lease of its mutex.
    pub lease: Option<ObjectMeta>,
    /// Writes that the apiserver refused.
    pub refusals: Vec<Refusal>,
    /// How soon mere progress may be written.
    pub pace: Pace,
}

impl World {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }
}
