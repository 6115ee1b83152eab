//! JobFlow: a DAG of Jobs. Its YAML takes that of job-deploy-operator, with another apiVersion.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Any, Condition, Retry, Template};

/// A DAG of Jobs.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "JobFlow",
    namespaced,
    status = "JobFlowStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "jf",
    category = "all",
    category = "tributary",
    doc = "A DAG of Jobs.",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Done", type_ = "string", json_path = ".status.done"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 52")
        .message("metadata.name must have at most 52 characters: Job names are made from it"),
    validation = Rule::new("self.spec.flows.all(f, size(self.metadata.name) + size(f.name) <= 62)")
        .message("spec.flows: a Job is named <metadata.name>-<flow>, which has at most 63 characters: shorten either"),
    validation = Rule::new("!has(self.spec.finally) || self.spec.finally.all(f, size(self.metadata.name) + size(f.name) <= 62)")
        .message("spec.finally: a Job is named <metadata.name>-<flow>, which has at most 63 characters: shorten either")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
    .message("timeZone goes with schedule").field_path(".timeZone"))]
pub struct JobFlowSpec {
    /// What every Job gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_params: Option<GlobalParams>,
    /// Values for `${parameters.x}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub parameters: BTreeMap<String, Any>,
    /// The steps.
    #[schemars(length(min = 1, max = 10_000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub flows: Vec<FlowStep>,
    /// Steps that run when the rest has ended, whatever the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub finally: Vec<FlowStep>,
    /// Volumes (core/v1 Volume) that steps mount by `shareVolumeMounts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub share_volumes: Vec<Template>,
    /// A Job that runs when a step has failed and the others have ended. It does not run after a stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_handler: Option<ErrorHandler>,
    /// After a failed step none begins that does not depend on it; what runs ends by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// `globalParams` replaces a container's own values, as job-deploy-operator does, instead of giving way to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_compatibility: bool,
    /// No new Job while true; running ones are suspended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Stop: running Jobs are deleted, `finally` runs, the flow ends Failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop: bool,
    /// Another controller's name: this operator then leaves the flow alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("managedBy is immutable"))]
    #[schemars(length(max = 63))]
    pub managed_by: Option<String>,
    /// A greater number than the last one starts a new run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub run: Option<i64>,
    /// What a new run does with steps that succeeded in the last one.
    #[serde(default)]
    pub rerun: Rerun,
    /// Jobs at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<i32>,
    /// Fails the flow when a run has not ended this many seconds after its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Deletes the flow this many seconds after its end; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// Flows of a namespace with one mutex run one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub mutex: Option<String>,
    /// Start a run by this cron expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub schedule: Option<String>,
    /// The schedule's time zone; the default is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// What happens when a run is due and the last one still goes on.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How many finished runs are kept beside the last one, with their Jobs; the default is 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: Option<i32>,
}

/// What every Job gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GlobalParams {
    /// Environment (core/v1 EnvVar) of every container, init containers too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub env: Vec<Template>,
    /// The node that the pods run on, by affinity, so that resources and taints still count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node_name: Option<String>,
    /// Labels of Jobs and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of Jobs and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A step of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.jobTemplate) || has(self.jobTemplateRef)")
    .message("jobTemplate or jobTemplateRef must be set"))]
pub struct FlowStep {
    /// Name within the flow.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A JobSpec (batch/v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_template: Option<Template>,
    /// Name of a JobTemplate; it wins over `jobTemplate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub job_template_ref: Option<String>,
    /// Steps that must have succeeded, unless `runWhen` says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000))]
    pub dependencies: Vec<String>,
    /// Boolean expression over steps: `a.succeeded && (b.failed || c.skipped)`; a name with a hyphen is written
    /// `steps["my-step"].completed`. `completed` is succeeded or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub run_when: Option<String>,
    /// The step is skipped where this CEL expression is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub when: Option<String>,
    /// One Job an item of this list, bound to `each`: CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub for_each: Option<String>,
    /// Jobs of `forEach` at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<i32>,
    /// What happens when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Fails the step, without another try, when a Job of it has not ended this many seconds after its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Mounts (core/v1 VolumeMount) of the flow's `shareVolumes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub share_volume_mounts: Vec<Template>,
    /// Output to the place it comes from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub outputs: BTreeMap<String, OutputSource>,
}

/// Where an output comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputSource {
    /// Key of the JSON object in the container's termination message (the file at its `terminationMessagePath`); empty
    /// means the whole message, a string.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub key: String,
    /// Container; the default is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
}

/// A Job that runs when the flow has failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorHandler {
    /// A JobSpec (batch/v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_template: Option<Template>,
    /// Name of a JobTemplate; it wins over `jobTemplate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub job_template_ref: Option<String>,
}

/// What a new run does with steps that succeeded in the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rerun {
    /// They run again.
    #[default]
    All,
    /// They are kept.
    Failed,
}

/// What happens when a run is due and the last one still goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The new run waits for the old one.
    #[default]
    Forbid,
    /// The old run is stopped.
    Replace,
}

/// What is observed of a JobFlow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct JobFlowStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the flow is.
    #[serde(default)]
    pub state: FlowState,
    /// `ended/all` steps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub done: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Conditions: Verified, Complete, Failed, Suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The run under way, or the last one; counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// When the run began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When the run ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// The spec that the run was frozen from: name of a ControllerRevision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// A byte a step, in the order of `flows`, `finally`, `errorHandler`: `.` pending, `r` running, `s` succeeded,
    /// `f` failed, `k` skipped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub steps: String,
    /// The same for the items of each step with `forEach` that is under way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items: BTreeMap<String, String>,
    /// Tries after the first one of steps under way.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tries: BTreeMap<String, u32>,
    /// The failing and the active steps, up to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<StepStatus>,
    /// Outputs of finished steps: step to output to value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, BTreeMap<String, Any>>,
    /// Finished runs, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<FlowRun>,
}

/// Where a flow is, in job-deploy-operator's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FlowState {
    /// No step has begun.
    #[default]
    Pending,
    /// Steps run.
    Running,
    /// All steps ended well.
    Succeed,
    /// A step ended badly.
    Failed,
    /// Being stopped or deleted.
    Terminating,
    /// Stopped by `spec.suspend`.
    Suspended,
}

/// A failing or active step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// The step, with `-<index>` for an item of `forEach`.
    pub name: String,
    /// UID of its living Job.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Tries after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// When it came to this, where that counts (RFC 3339).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub since: String,
    /// The Job's or pod's own reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Its message and the last lines of its log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A finished run of a flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowRun {
    /// Counted from 1.
    pub run: i64,
    /// How it ended.
    pub state: FlowState,
    /// When it began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// A byte a step, as in `steps`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub steps: String,
}
