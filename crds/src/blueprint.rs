//! Blueprint: the reusable definition of a data application.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Any, Condition, Format, IntOrExpression, KafkaConfig, Retry, Template};

/// The reusable definition of a data application: topics, datasets, schemas and components.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "Blueprint",
    namespaced,
    status = "BlueprintStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "bp",
    category = "all",
    category = "tributary",
    doc = "The reusable definition of a data application: topics, datasets, schemas and components.",
    printcolumn(
        name = "Verified",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Verified")].status"#
    ),
    printcolumn(name = "Components", type_ = "integer", json_path = ".status.components"),
    printcolumn(name = "Topics", type_ = "integer", json_path = ".status.topics"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueprintSpec {
    /// Parameters: name to OpenAPI v3 schema (`type`, `default`, `pattern`, `enum`, `description`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub parameters: BTreeMap<String, Template>,
    /// Schemas of records, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub schemas: BTreeMap<String, RecordSchema>,
    /// Kafka topics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub topics: Vec<BlueprintTopic>,
    /// Datasets: places in the Pipeline's stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub datasets: Vec<Dataset>,
    /// The components.
    #[schemars(length(min = 1, max = 5_000), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<Component>,
    /// Components that run when the rest has ended, whatever the outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub finally: Vec<Component>,
}

/// The schema of records: exactly one of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// CEL cannot see fields without a type, so the count is what makes it one of them
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct RecordSchema {
    /// An Avro schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avro: Option<Any>,
    /// A JSON Schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<Any>,
    /// A .proto file's text and the message within it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protobuf: Option<Protobuf>,
}

/// A Protobuf message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protobuf {
    /// The .proto file's text.
    pub file: String,
    /// The message's full name.
    pub message: String,
}

/// A Kafka topic of a blueprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueprintTopic {
    /// Name within the blueprint.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The topic's name in Kafka; the default is `<namespace>.<pipeline>.<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub topic_name: Option<String>,
    /// One of the Pipeline's Kafka clusters; the default is its only one, or the one called `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub cluster: Option<String>,
    /// Name of the schema of its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub schema: Option<String>,
    /// Partitions; the default is the broker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<IntOrExpression>,
    /// Replicas; the default is the broker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<IntOrExpression>,
    /// Configuration.
    #[serde(default, skip_serializing_if = "KafkaConfig::is_empty")]
    pub config: KafkaConfig,
    /// Whether the topic outlives the Pipeline; where this is missing, the Pipeline's `deletionPolicy` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<bool>,
    /// The topic is somebody else's: it is neither created nor changed nor deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
}

/// A place in one of the Pipeline's stores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// Name within the blueprint.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// One of the Pipeline's stores; the default is its only one, or the one called `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub store: Option<String>,
    /// `bucket/prefix`.
    #[schemars(length(min = 1, max = 1_024))]
    pub location: String,
    /// Where records begin and end.
    #[serde(default)]
    pub format: Format,
    /// Name of the schema of its records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub schema: Option<String>,
}

/// A component: a lower-level resource, and how it hangs together with the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// Name within the blueprint.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// One component an item of a list parameter, bound to `each`: the expression that yields the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub for_each: Option<String>,
    /// Port to topic or dataset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub reads: BTreeMap<String, String>,
    /// Port to topic or dataset.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub writes: BTreeMap<String, String>,
    /// Port to the name of the schema that the program itself reads or writes there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub ports: BTreeMap<String, String>,
    /// Components that it waits for, beside those that reads, writes and expressions imply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000), extend("x-kubernetes-list-type" = "set"))]
    pub after: Vec<String>,
    /// The component is left out where this expression is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub when: Option<String>,
    /// What happens when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long its child may be Pending or Unknown before that counts as a failure, such as `10m`: until it begins after
    /// all, or for good where a retry is left. By default 30m for what a Spark or Flink operator has not begun with, 10m for
    /// a state that cannot be read, and without end for other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub start_deadline: Option<String>,
    /// The resource: `apiVersion`, `kind`, and what its kind has. `${...}` is CEL in any string of it.
    pub template: Template,
    /// How to read the child's status; of a kind with a driver, in place of what the driver reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusRules>,
}

/// CEL over the child, bound to `self`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusRules {
    /// It serves. Where `succeeded` is not said, the component is one that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub ready: Option<String>,
    /// It ended well. Where this is said, the component is one that ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub succeeded: Option<String>,
    /// It ended badly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub failed: Option<String>,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub progress: Option<String>,
    /// The reason and message to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4_096))]
    pub message: Option<String>,
    /// Output to expression.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub outputs: BTreeMap<String, String>,
}

/// What is known of a Blueprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct BlueprintStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Number of components.
    #[serde(default)]
    pub components: i64,
    /// Number of topics.
    #[serde(default)]
    pub topics: i64,
    /// Up to 100 problems, in the order of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemStatus>,
    /// Conditions: Verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A problem of a blueprint, as the verification words it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemStatus {
    /// Stable code.
    pub code: String,
    /// JSON path.
    pub path: String,
    /// What is wrong, why, and what may have been meant.
    pub message: String,
}
