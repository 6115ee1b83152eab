//! MapReduceJob: batch or continuous map-reduce.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, KafkaConnection, S3Location, Template};

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

/// What is read: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.s3), has(self.kafka), has(self.strings)].filter(x, x).size() == 1")
    .message("exactly one of s3, kafka and strings must be set"))]
pub struct Input {
    /// S3 objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Input>,
    /// A Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaInput>,
    /// Plain strings, a record each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000), inner(length(max = 65_536)))]
    pub strings: Option<Vec<String>>,
}

/// Every object below a prefix, in the order of its names; names that begin with `_` or `.` are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.format != 'FixedLength' || has(self.recordLength)")
    .message("format FixedLength needs recordLength").field_path(".recordLength"))]
pub struct S3Input {
    /// The prefix.
    #[serde(flatten)]
    pub location: S3Location,
    /// Where records begin and end.
    #[serde(default)]
    pub format: Format,
    /// Bytes of a record of format FixedLength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub record_length: Option<u32>,
    /// How the objects are compressed; `Auto` goes by the name's ending (`.gz`, `.zst`).
    #[serde(default)]
    pub compression: Compression,
    /// Bytes a map task reads at most of one uncompressed object, such as `64Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$"))]
    pub split_size: Option<String>,
}

/// Where records begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// A record a line.
    #[default]
    Lines,
    /// A JSON value a line.
    JsonLines,
    /// Records of `recordLength` bytes.
    FixedLength,
    /// A record an object.
    WholeObject,
}

/// How objects are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Compression {
    /// By the ending of the name.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// A Kafka topic, wholly or a range of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaInput {
    /// How to reach the cluster.
    #[serde(flatten)]
    pub connection: KafkaConnection,
    /// The topic.
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    pub topic: String,
    /// Where the range begins; the default is the earliest offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<KafkaStart>,
    /// Where the range ends; absent only for a continuous job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<KafkaEnd>,
    /// See records of open or aborted transactions too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_uncommitted: bool,
    /// Offsets that a map task reads at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub split_records: Option<i64>,
}

/// Where a range begins: at most one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.offsets), has(self.timestamp), has(self.latest)].filter(x, x).size() <= 1")
    .message("at most one of offsets, timestamp and latest may be set"))]
pub struct KafkaStart {
    /// Partition to offset (the first that is read); partitions not named begin at their earliest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<BTreeMap<String, i64>>,
    /// RFC 3339: the first record at or after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub timestamp: Option<String>,
    /// What is written from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<bool>,
}

/// Where a range ends: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.offsets), has(self.timestamp), has(self.highWatermark), has(self.records)].filter(x, x).size() == 1")
    .message("exactly one of offsets, timestamp, highWatermark and records must be set"))]
pub struct KafkaEnd {
    /// Partition to offset (the first that is not read); partitions not named are not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets: Option<BTreeMap<String, i64>>,
    /// RFC 3339: up to the first record at or after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub timestamp: Option<String>,
    /// What is there when the job starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("highWatermark is true or absent"))]
    pub high_watermark: Option<bool>,
    /// After so many records; the job waits until they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub records: Option<i64>,
}

/// What is done with each record: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.operator), has(self.cel), has(self.command), has(self.function)].filter(x, x).size() == 1")
    .message("exactly one of operator, cel, command and function must be set"))]
#[x_kube(validation = Rule::new("!has(self.operator) || self.operator != 'Grep' || has(self.pattern)")
    .message("operator Grep needs pattern").field_path(".pattern"))]
pub struct MapStep {
    /// A built-in operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<MapOperator>,
    /// The regular expression of operator Grep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub pattern: Option<String>,
    /// Expressions over a JSON record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<CelMap>,
    /// A program that reads records on stdin and writes `key TAB value` lines on stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub command: Option<Vec<String>>,
    /// A function of an image built with the SDK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub function: Option<String>,
}

/// A built-in map operator. A line without a key is `key TAB value`, or all key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MapOperator {
    /// Each run of bytes that are not white space, with the value 1.
    Words,
    /// The record as it is.
    Identity,
    /// The records that match `pattern`.
    Grep,
}

/// Expressions over a JSON record, bound to `record`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CelMap {
    /// Records for which it is false are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub filter: Option<String>,
    /// The key.
    #[schemars(length(max = 4096))]
    pub key: String,
    /// The value; the default is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
}

/// What is done with the values of each key: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.operator), has(self.command), has(self.function)].filter(x, x).size() == 1")
    .message("exactly one of operator, command and function must be set"))]
pub struct ReduceStep {
    /// A built-in operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<ReduceOperator>,
    /// How many keys operator Top keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub limit: Option<u32>,
    /// A program that reads `key TAB value` lines on stdin, sorted by key, and writes lines on stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub command: Option<Vec<String>>,
    /// A function of an image built with the SDK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub function: Option<String>,
}

/// A built-in reduce operator. Numbers are 64-bit integers, or decimals for Mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReduceOperator {
    /// The sum of the values.
    Sum,
    /// How many values there are.
    Count,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The mean of the values.
    Mean,
    /// The keys with the greatest sums.
    Top,
    /// Each key once, with no value.
    Distinct,
    /// Every value as it is, ordered by key.
    Identity,
    /// The same, by its other name.
    Sort,
}

/// Where the result goes. With neither field it goes nowhere but `results`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.s3) || has(self.kafka) || has(self.results)")
    .message("at least one of s3, kafka and results must be set"))]
pub struct Output {
    /// Objects `part-r-00000`... below a prefix, `_SUCCESS` last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Output>,
    /// A Kafka topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaOutput>,
    /// The first rows into `status.engine.results`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
}

/// Output objects in S3.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Output {
    /// The prefix.
    #[serde(flatten)]
    pub location: S3Location,
    /// How a record is written.
    #[serde(default)]
    pub format: OutputFormat,
    /// What happens where the prefix is not empty.
    #[serde(default)]
    pub if_exists: IfExists,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OutputFormat {
    /// `key TAB value`, or the key alone where the value is empty.
    #[default]
    Lines,
    /// `{"key": ..., "value": ...}`.
    JsonLines,
}

/// What happens where the output's place is not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfExists {
    /// The job fails before its first task.
    #[default]
    Fail,
    /// At the commit, what was there before is deleted.
    Replace,
}

/// Output to a Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaOutput {
    /// How to reach the cluster.
    #[serde(flatten)]
    pub connection: KafkaConnection,
    /// The topic.
    #[schemars(length(min = 1, max = 249), regex(pattern = r"^[a-zA-Z0-9._-]+$"))]
    pub topic: String,
}

/// The first rows of the result, kept in the status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// How many rows at most, by key; at most 1,000 and 64 KiB in all.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1, max = 1_000))]
    pub limit: u32,
}

fn hundred() -> u32 {
    100
}

/// A job that never ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Continuous {
    /// How often an epoch is committed, such as `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub commit_interval: Option<String>,
    /// The window over event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// ExactlyOnce, or AtLeastOnce with lower latency.
    #[serde(default)]
    pub delivery: Delivery,
}

/// What a record's effect is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Each record counts once.
    #[default]
    ExactlyOnce,
    /// A record may count again after a failure.
    AtLeastOnce,
}

/// A window over event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Tumbling, Sliding or Session.
    #[serde(rename = "type")]
    pub type_: WindowType,
    /// Length, such as `1m`; of a session, its gap.
    #[schemars(length(max = 32))]
    pub size: String,
    /// Step of a sliding window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub slide: Option<String>,
    /// How late a record may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub allowed_lateness: Option<String>,
}

/// The kind of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowType {
    /// Back to back.
    #[default]
    Tumbling,
    /// Overlapping.
    Sliding,
    /// Ended by a gap.
    Session,
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

/// What is observed of a MapReduceJob.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MapReduceJobStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the job is.
    #[serde(default)]
    pub phase: JobPhase,
    /// The phase's reason, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Conditions: CoordinatorReady, WorkersReady, Complete, Failed, Suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When the first pod was asked for (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When the job ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// What the job's coordinator says; nobody else writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineStatus>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobPhase {
    /// Nothing runs yet.
    #[default]
    Pending,
    /// Pods are up or coming up.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Stopped by `spec.suspend`.
    Suspended,
}

/// Where the engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnginePhase {
    /// Lists the input, or waits for it.
    #[default]
    Planning,
    /// Map tasks run.
    Mapping,
    /// Reduce tasks run.
    Reducing,
    /// The output is being committed.
    Committing,
    /// The output is there.
    Succeeded,
    /// It is not going to be.
    Failed,
}

/// What a job's coordinator says. Bounded whatever the number of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EngineStatus {
    /// Where the engine is.
    pub phase: EnginePhase,
    /// Why, for people: what it waits for, or the error that ended it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A word for `message` that a condition can carry, such as `TaskFailed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How many coordinators have served this job.
    pub epoch: u32,
    /// The map tasks.
    pub map: TaskCounts,
    /// The reduce tasks.
    pub reduce: TaskCounts,
    /// Records read by finished map tasks.
    pub records_read: i64,
    /// Bytes read by finished map tasks.
    pub bytes_read: i64,
    /// Records in the output.
    pub records_written: i64,
    /// Bytes in the output.
    pub bytes_written: i64,
    /// Bad records skipped.
    pub records_skipped: i64,
    /// Workers that have a lease.
    pub workers: u32,
    /// When the first map task began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_task_time: Option<String>,
    /// When the engine ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Up to 10 failed attempts, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<AttemptFailure>,
    /// The manifest's key, once it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The first rows, where `output.results` asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<KeyValue>,
}

/// Counts of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskCounts {
    /// `finished/all`.
    pub done: String,
    /// All.
    pub total: u32,
    /// Finished.
    pub finished: u32,
    /// With an attempt under way.
    pub running: u32,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Attempts that were lost with their worker.
    pub lost_attempts: u32,
}

impl TaskCounts {
    /// The counts, `done` made from them.
    pub fn new(total: u32, finished: u32, running: u32, failed_attempts: u32, lost_attempts: u32) -> Self {
        Self { done: format!("{finished}/{total}"), total, finished, running, failed_attempts, lost_attempts }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptFailure {
    /// The task, such as `map-3`.
    pub task: String,
    /// The attempt, such as `1-7`: the coordinator's epoch and a number.
    pub attempt: String,
    /// The worker.
    pub worker: String,
    /// The error, cut at 1,024 bytes.
    pub message: String,
}

/// A row of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyValue {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// The value, likewise.
    pub value: String,
}
