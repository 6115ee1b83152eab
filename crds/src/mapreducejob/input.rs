//! What a MapReduceJob reads.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KafkaConnection, S3Location};

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
