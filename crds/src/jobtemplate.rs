//! JobTemplate: a reusable Job.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Condition, Template};

/// A reusable Job, referenced by JobFlows.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "JobTemplate",
    namespaced,
    status = "JobTemplateStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "jt",
    category = "all",
    category = "tributary",
    doc = "A reusable Job, referenced by JobFlows.",
    printcolumn(name = "Used", type_ = "integer", json_path = ".status.references"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct JobTemplateSpec {
    /// A JobSpec (batch/v1).
    pub job_template: Template,
}

/// What is known of a JobTemplate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct JobTemplateStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many JobFlows refer to it.
    #[serde(default)]
    pub references: i64,
    /// Up to 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
    /// Conditions: Verified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
