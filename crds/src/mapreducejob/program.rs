//! What a MapReduceJob does with records.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
