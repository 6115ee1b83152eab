//! MapReduceJob: batch or continuous map-reduce.

mod continuous;
mod input;
mod output;
mod program;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{S3Location, Template};

pub use continuous::{Continuous, Delivery, Window, WindowType};
pub use input::{Compression, Format, Input, KafkaEnd, KafkaInput, KafkaStart, S3Input};
pub use output::{IfExists, KafkaOutput, Output, OutputFormat, Results, S3Output};
pub use program::{CelMap, MapOperator, MapStep, ReduceOperator, ReduceStep};
pub use status::{AttemptFailure, EnginePhase, EngineStatus, JobPhase, KeyValue, MapReduceJobStatus, TaskCounts};

/// A map-reduce over S3 objects, Kafka topics or plain strings.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "MapReduceJob",
    namespaced,
    status = "MapReduceJobStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "mrj",
    category = "all",
    category = "tributary",
    doc = "A map-reduce over S3 objects, Kafka topics or plain strings.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Map", type_ = "string", json_path = ".status.engine.map.done"),
    printcolumn(name = "Reduce", type_ = "string", json_path = ".status.engine.reduce.done"),
    printcolumn(name = "Records", type_ = "integer", json_path = ".status.engine.recordsRead"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 50")
        .message("metadata.name must have at most 50 characters: the names of the job's pods are made from it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.input == oldSelf.input && self.map == oldSelf.map && self.output == oldSelf.output")
    .message("spec.input, spec.map and spec.output are immutable: create another job"))]
#[x_kube(validation = Rule::new("!has(self.output.s3) || !has(self.output.kafka)")
    .message("spec.output has s3 or kafka, not both").field_path(".output"))]
#[x_kube(validation = Rule::new("has(self.continuous) || !has(self.input.kafka) || has(self.input.kafka.end)")
    .message("a job that is not continuous needs spec.input.kafka.end: offsets, timestamp, highWatermark or records")
    .field_path(".input"))]
#[x_kube(validation = Rule::new("has(self.workspace) || has(self.output.s3) || has(self.input.s3) || has(self.input.strings)")
    .message("spec.workspace is needed: neither input nor output is in S3, so the shuffle has no place"))]
pub struct MapReduceJobSpec {
    /// Who hands out the tasks.
    #[serde(default)]
    pub coordination: Coordination,
    /// What is read.
    pub input: Input,
    /// What is done with each record.
    pub map: MapStep,
    /// What is done with the values of each key; absent means the map's output is the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduce: Option<ReduceStep>,
    /// Reduce also on the map's side, before the shuffle, where the reduce step allows it.
    #[serde(default = "yes")]
    pub combine: bool,
    /// Number of reduce tasks, and of output objects.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: u32,
    /// Where the result goes.
    pub output: Output,
    /// Where segments and the journal live; the default is `.tributary/` in the bucket of the output, else of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<S3Location>,
    /// Never ends: epochs over Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous: Option<Continuous>,
    /// The worker pods.
    #[serde(default)]
    pub workers: Workers,
    /// The coordinator pod.
    #[serde(default)]
    pub coordinator: CoordinatorPod,
    /// What is tolerated.
    #[serde(default)]
    pub failure: FailurePolicy,
    /// No pods while true; finished tasks are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Another controller's name: this operator then leaves the job alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("managedBy is immutable"))]
    #[schemars(length(max = 63))]
    pub managed_by: Option<String>,
    /// Fails the job when it has not ended this many seconds after its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub active_deadline_seconds: Option<i64>,
    /// Deletes the job this many seconds after its end; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i64>,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

/// Who hands out the tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Coordination {
    /// By the number of tasks.
    #[default]
    Auto,
    /// A coordinator pod, a journal in the store.
    Coordinator,
    /// No coordinator: tasks live in the resource's status, workers claim them by JSON Patch. At most 500 tasks.
    Resource,
}

/// The worker pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Workers {
    /// How many pods.
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: u32,
    /// Tasks a pod runs at once; absent means one a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub slots: Option<u32>,
    /// Memory of a task's sort buffer before it spills, such as `256Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$"))]
    pub sort_memory: Option<String>,
    /// A PodTemplateSpec merged over the default one; the container that does the work is called `worker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

impl Default for Workers {
    fn default() -> Self {
        Self { replicas: 2, slots: None, sort_memory: None, template: None }
    }
}

/// The coordinator pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CoordinatorPod {
    /// A PodTemplateSpec merged over the default one; the container that does the work is called `coordinator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// What is tolerated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailurePolicy {
    /// Attempts a task has; one lost to an eviction does not count.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Seconds without a word after which a worker is taken for dead.
    #[schemars(range(min = 1, max = 3_600))]
    pub lease_seconds: u32,
    /// Start a second attempt of a task that is much slower than the others.
    pub speculation: bool,
    /// Bad records that are skipped before the job fails; they go to `dead-letter/` in the workspace
    /// and stay there when the job has ended.
    #[schemars(range(min = 0))]
    pub skip_bad_records: i64,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self { max_attempts: 4, lease_seconds: 10, speculation: true, skip_bad_records: 0 }
    }
}
