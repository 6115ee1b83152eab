//! Where a MapReduceJob writes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{KafkaConnection, S3Location};

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
