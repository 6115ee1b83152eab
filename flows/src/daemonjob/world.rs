//! What a decision about a DaemonJob is made from.

use std::{collections::BTreeSet, sync::Arc};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};
use tributary_blueprints::{duration, schedule::Schedule, world::Refusal};
use tributary_crds::{DaemonJobSpec, DaemonJobStatus};

use crate::{
    Node, Pace, Problem,
    family::{Jobs, Pods},
    names,
    revision::Revisions,
};

/// Everything that a decision about one DaemonJob may know.
#[derive(Debug, Default)]
pub struct World {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    pub spec: Arc<DaemonJobSpec>,
    /// Its last status.
    pub status: DaemonJobStatus,
    /// Its revisions: what its runs were frozen from. The last one is thawed.
    pub revisions: Revisions<Frozen>,
    /// All nodes of the cluster.
    pub nodes: Vec<Node>,
    /// Its Jobs, and strangers that have their names.
    pub jobs: Jobs,
    /// Pods of its Jobs.
    pub pods: Pods,
    /// The ConfigMap that keeps what came to each node.
    pub record: Option<Arc<DynamicObject>>,
    /// Writes that the apiserver refused.
    pub refusals: Vec<Refusal>,
    /// How soon mere progress may be written.
    pub pace: Pace,
}

impl World {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }
}

/// The spec of a run, checked and made ready.
#[derive(Debug)]
pub struct Frozen {
    pub(super) spec: DaemonJobSpec,
    /// The JobSpec of every node's Job.
    pub(super) job: Value,
    pub(super) excluded: BTreeSet<String>,
    pub(super) hash: String,
}

impl Frozen {
    /// Checks a spec and makes it ready.
    ///
    /// # Errors
    /// Every problem.
    pub fn new(spec: DaemonJobSpec) -> Result<Self, Vec<Problem>> {
        let problems = problems(&spec);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut job = json!({"template": spec.template.to_value()});
        let fields = [
            ("parallelism", json!(spec.parallelism)),
            ("completions", json!(spec.completions)),
            ("completionMode", json!(spec.completion_mode)),
            ("backoffLimit", json!(spec.backoff_limit)),
            ("activeDeadlineSeconds", json!(spec.active_deadline_seconds)),
            ("podFailurePolicy", json!(spec.pod_failure_policy)),
        ];
        for (name, value) in fields.into_iter().filter(|(_, v)| !v.is_null()) {
            job[name] = value;
        }
        let hash = names::short_hash(&json!({"job": job, "globals": spec.global_params}).to_string(), 10);
        Ok(Self { excluded: excluded(&spec), job, hash, spec })
    }

    /// The pods' spec.
    pub(super) fn pod(&self) -> &Value {
        self.job.pointer("/template/spec").unwrap_or(&Value::Null)
    }
}

/// The nodes that get none: of the comma string, spaces trimmed, and of the list.
pub(super) fn excluded(spec: &DaemonJobSpec) -> BTreeSet<String> {
    let listed = spec.exclude_node_list.as_deref().unwrap_or_default().split(',').map(str::trim);
    listed.filter(|n| !n.is_empty()).map(str::to_owned).chain(spec.exclude_nodes.iter().cloned()).collect()
}

/// Everything that is wrong with a DaemonJob.
pub fn problems(spec: &DaemonJobSpec) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(expression) = &spec.schedule
        && let Err(reason) = Schedule::parse(expression, spec.time_zone.as_deref())
    {
        found.push(Problem::new("spec.schedule", reason));
    }
    let retry = spec.retry.iter().flat_map(|r| [("backoff", &r.backoff), ("maxBackoff", &r.max_backoff)]);
    for (field, text) in retry.filter_map(|(f, t)| Some((f, t.as_ref()?))) {
        if let Err(reason) = duration::parse(text) {
            found.push(Problem::new(format!("spec.retry.{field}"), reason));
        }
    }
    if spec.template.to_value().pointer("/spec/containers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        found.push(Problem::new("spec.template.spec.containers", "there must be at least one container"));
    }
    found
}

/// The part of a spec that a run goes by. The rest takes effect at once.
pub(super) fn frozen_spec(spec: &DaemonJobSpec) -> DaemonJobSpec {
    DaemonJobSpec {
        suspend: false,
        managed_by: None,
        run: None,
        schedule: None,
        time_zone: None,
        concurrency_policy: Default::default(),
        history_limit: None,
        max_parallel: None,
        ..spec.clone()
    }
}
