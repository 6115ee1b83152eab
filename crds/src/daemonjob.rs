//! DaemonJob: a Job on every node. Its YAML takes that of job-deploy-operator, with another apiVersion.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConcurrencyPolicy, Condition, FlowState, GlobalParams, Retry, Template};

/// A Job on every node that matches.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "DaemonJob",
    namespaced,
    status = "DaemonJobStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "dj",
    category = "all",
    category = "tributary",
    doc = "A Job on every node that matches.",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Done", type_ = "string", json_path = ".status.done"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 52")
        .message("metadata.name must have at most 52 characters: Job names are made from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
    .message("timeZone goes with schedule").field_path(".timeZone"))]
pub struct DaemonJobSpec {
    /// What every Job gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global_params: Option<GlobalParams>,
    /// Nodes that get none: names separated by commas, spaces ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    pub exclude_node_list: Option<String>,
    /// The same, as a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000), inner(length(max = 253)))]
    pub exclude_nodes: Vec<String>,
    /// The pods' template (core/v1 PodTemplateSpec). Its node selector, affinity and tolerations choose the nodes.
    pub template: Template,
    /// Pods at once on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub parallelism: Option<i32>,
    /// Pods that must succeed on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub completions: Option<i32>,
    /// NonIndexed or Indexed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub completion_mode: Option<String>,
    /// Failed pods that a Job tolerates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub backoff_limit: Option<i32>,
    /// Seconds that a node's Job may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after which a finished Job may go; what it came to is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i64>,
    /// Which failures count (batch/v1 PodFailurePolicy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_failure_policy: Option<Template>,
    /// Accepted as job-deploy-operator does; the Jobs' selectors are their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Template>,
    /// Accepted as job-deploy-operator does; it has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_selector: Option<bool>,
    /// No pods while true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Another controller's name: this operator then leaves it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("managedBy is immutable"))]
    #[schemars(length(max = 63))]
    pub managed_by: Option<String>,
    /// Nodes at once, in the order of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<i32>,
    /// What happens when a node's Job fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// A greater number than the last one starts a new run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub run: Option<i64>,
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
    /// How many finished runs are kept beside the last one, with their Jobs; the default is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: Option<i32>,
}

/// What is observed of a DaemonJob. Bounded whatever the number of nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct DaemonJobStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is.
    #[serde(default)]
    pub state: FlowState,
    /// `ended/all` nodes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub done: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Conditions: Complete, Failed, Suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The run under way, or the last one; counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// The spec that the run was frozen from: name of a ControllerRevision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Nodes that match.
    #[serde(default)]
    pub nodes: i32,
    /// Nodes whose Job runs.
    #[serde(default)]
    pub running: i32,
    /// Nodes whose Job succeeded.
    #[serde(default)]
    pub succeeded: i32,
    /// Nodes whose Job failed.
    #[serde(default)]
    pub failed: i32,
    /// Failing and running nodes, up to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<NodeStatus>,
    /// What has come to each node: names of ConfigMaps that list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<String>,
    /// When the run began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When the run ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
}

/// A failing or running node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node.
    pub node: String,
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
    /// Its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
