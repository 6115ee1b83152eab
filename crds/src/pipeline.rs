//! Pipeline: one deployment of a blueprint.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Any, BlueprintSpec, Condition, DeletionPolicy, KafkaConnection, ObjectRef, ProblemStatus, S3Connection};

/// One deployment of a blueprint.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tributary.dev",
    version = "v1alpha1",
    kind = "Pipeline",
    namespaced,
    status = "PipelineStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "pl",
    category = "all",
    category = "tributary",
    doc = "One deployment of a blueprint.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Lag", type_ = "string", json_path = ".status.lag"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name must have at most 40 characters: the names of its children are made from it")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.blueprintRef) != has(self.blueprint)")
    .message("exactly one of blueprintRef and blueprint must be set"))]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
    .message("timeZone goes with schedule").field_path(".timeZone"))]
pub struct PipelineSpec {
    /// A Blueprint of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint_ref: Option<BlueprintRef>,
    /// The blueprint itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<BlueprintSpec>,
    /// Values of the blueprint's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub parameters: BTreeMap<String, Any>,
    /// Kafka clusters, and who manages topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<PipelineKafka>,
    /// S3 services, by the name that datasets call them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub stores: BTreeMap<String, S3Connection>,
    /// The ServiceAccount in whose name the children are created; the default is `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub service_account_name: Option<String>,
    /// Stop the components, in reverse order; topics and offsets stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// Another controller's name: this operator then leaves the Pipeline alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("managedBy is immutable"))]
    #[schemars(length(max = 63))]
    pub managed_by: Option<String>,
    /// Whether an edit takes effect by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// What becomes of topics that do not say it themselves (`retain`). What is in datasets stays in any case.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Run this revision of the resolved blueprint instead of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub revision: Option<i64>,
    /// A greater number than the last one starts a new run of the batch components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub run: Option<i64>,
    /// Start a run of the batch components by this cron expression, once the last one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub schedule: Option<String>,
    /// The schedule's time zone, such as `Europe/Zurich`; the default is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,
    /// How many finished runs, and how many former revisions, are kept; the defaults are 3 and 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: Option<i32>,
}

/// A Blueprint of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueprintRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kafka clusters, and who manages topics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineKafka {
    /// Clusters, by the name that topics call them.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    pub clusters: BTreeMap<String, KafkaConnection>,
    /// Who manages topics.
    #[serde(default)]
    pub topics: TopicProvider,
}

/// Who manages topics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.provider != 'Strimzi' || has(self.cluster)")
    .message("provider Strimzi needs cluster: the name of Strimzi's Kafka resource").field_path(".cluster"))]
pub struct TopicProvider {
    /// Strimzi, Tributary, or Auto: Strimzi only where `cluster` is named and its kind is served.
    #[serde(default)]
    pub provider: Provider,
    /// Name of Strimzi's Kafka resource (the label `strimzi.io/cluster`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub cluster: Option<String>,
    /// Namespace that Strimzi's topic operator watches; the default is the Pipeline's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A topic provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// Decided once for each Pipeline, and kept in its status.
    #[default]
    Auto,
    /// KafkaTopic.
    Strimzi,
    /// Topic.
    Tributary,
}

impl PipelineSpec {
    /// The update policy, or its default. The right to `use` an account is asked of whoever writes the Pipeline, and nothing of
    /// whoever writes its Blueprint: under a named account, an edit of the latter waits for a word in the former.
    pub fn effective_update_policy(&self) -> UpdatePolicy {
        let account = self.service_account_name.as_deref().is_some_and(|name| name != "default");
        let guarded = account && self.blueprint_ref.is_some();
        self.update_policy.unwrap_or(if guarded { UpdatePolicy::Manual } else { UpdatePolicy::Automatic })
    }
}

/// Whether an edit takes effect by itself. The default is Automatic, and Manual where `blueprintRef` is set together with
/// `serviceAccountName`: who may edit the Blueprint need not have the right to use that account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdatePolicy {
    /// At once.
    Automatic,
    /// When `spec.revision` names the new revision.
    Manual,
}

/// What is observed of a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct PipelineStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Counts the changes of this status, components looked at: what children carry (`tributary.dev/ended-before`) counts until the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// Where the Pipeline is.
    #[serde(default)]
    pub phase: PipelinePhase,
    /// The phase's reason, for people; of a failure, the component and its own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Components that are as they should be, such as `3/4`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ready: String,
    /// Of the batch work, such as `45%`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub progress: String,
    /// Records that streams have yet to read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lag: String,
    /// Conditions: Verified, UpToDate, TopicsReady, Ready, Failed, Suspended, Deleting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// A line a component, in the order of the graph.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<ComponentStatus>,
    /// A line a topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<PipelineTopicStatus>,
    /// Every object that this Pipeline made and that is not known to be gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<ObjectRef>,
    /// Who manages topics, decided once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_provider: Option<Provider>,
    /// The revision that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The run under way, or the last one; counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// When the run began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When the run ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// When the schedule starts the next run (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_time: Option<String>,
    /// The last `tributary.dev/retry` that was answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub retry: String,
    /// Up to 100 problems of the blueprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ProblemStatus>,
    /// Finished runs, the newest first, as many as `historyLimit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RunStatus>,
}

/// Where a Pipeline is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PipelinePhase {
    /// Nothing exists yet.
    #[default]
    Pending,
    /// Topics or components are on their way.
    Progressing,
    /// All streams are up, all batch work is done.
    Running,
    /// There are only batch components, and all are done.
    Succeeded,
    /// A component failed, or the blueprint is wrong.
    Failed,
    /// Stopped by `spec.suspend`.
    Suspended,
    /// Being deleted.
    Deleting,
}

/// A component, as it is seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Name within the blueprint.
    pub name: String,
    /// Kind of its child.
    #[serde(default)]
    pub kind: String,
    /// Name of its child.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub child: String,
    /// UID of the child that its state was read from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// How it is.
    #[serde(default)]
    pub health: Health,
    /// The child's own reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The child's own message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// From 0 to 100, where the kind tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// Since when its child has been in states that may not last for ever (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// The run that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Tries after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The retry with which a user's wish to try again began; the limit counts from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried: Option<u32>,
    /// What the last edit came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ComponentChange>,
    /// The child's fields as they were when it was last as it should be: two hashes, of what is wanted and of what is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fields: String,
    /// Hash of the resolved template that the child was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template_hash: String,
    /// The outcome is final for this run and template, whatever becomes of the child.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latched: bool,
    /// Values that other components may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Any>,
}

/// What an edit came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentChange {
    /// The revision that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// `in place`, `restart`, `drain` or `replace`.
    pub effect: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Health {
    /// It does not run yet.
    #[default]
    Pending,
    /// On its way.
    Progressing,
    /// It serves.
    Ready,
    /// It ended well.
    Succeeded,
    /// It ended badly, or cannot go on without an edit.
    Failed,
    /// Stopped on request.
    Suspended,
    /// Left out by `when`.
    Skipped,
    /// Its state cannot be read.
    Unknown,
}

/// A topic, as it is seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PipelineTopicStatus {
    /// Name within the blueprint.
    pub name: String,
    /// Name in Kafka.
    pub topic_name: String,
    /// How it is.
    #[serde(default)]
    pub health: Health,
    /// The resource's own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A finished run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// Counted from 1.
    pub run: i64,
    /// How it ended.
    pub phase: PipelinePhase,
    /// When it began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
