//! Strimzi's topic operator: unidirectional, with its finalizer, and `Ready` with a reason.

use std::path::Path;

use anyhow::Context;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{StandIn, api, follow, name, set_status};
use crate::{env, kafka, kubectl};

/// The stable version that this release of Strimzi serves.
const VERSION: &str = "v1beta2";
const FINALIZER: &str = "strimzi.io/topic-operator";

/// Installs Strimzi's type, as its own generator wrote it.
pub async fn install() -> anyhow::Result<()> {
    kubectl::install_types(Path::new(&env("TRIBUTARY_STRIMZI_CRD")?)).await
}

/// Runs it in a namespace.
pub async fn run(namespace: &str) -> anyhow::Result<StandIn> {
    let gvk = GroupVersionKind::gvk("kafka.strimzi.io", VERSION, "KafkaTopic");
    Ok(follow(api(namespace, &gvk).await?, see))
}

async fn see(api: Api<DynamicObject>, topic: DynamicObject) -> anyhow::Result<()> {
    let resource = name(&topic)?;
    let in_kafka = topic.data["spec"]["topicName"].as_str().unwrap_or(resource);
    if topic.metadata.deletion_timestamp.is_some() {
        if kafka::partitions(in_kafka)?.is_some() {
            kafka::delete(in_kafka).await?;
        }
        return finalizers(&api, resource, &[]).await;
    }
    if !topic.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER) {
        finalizers(&api, resource, &[FINALIZER]).await?;
    }
    let (status, reason, message) = match settle(&topic, in_kafka).await {
        Ok(()) => ("True", "", String::new()),
        Err(refusal) => ("False", "NotSupported", refusal.to_string()),
    };
    let condition = json!({"type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let status =
        json!({"observedGeneration": topic.metadata.generation, "topicName": in_kafka, "conditions": [condition]});
    if topic.data["status"] != status { set_status(&api, resource, status).await } else { Ok(()) }
}

/// Creates the topic in Kafka; what cannot be done to one that exists is refused.
async fn settle(topic: &DynamicObject, in_kafka: &str) -> anyhow::Result<()> {
    if let Some(known) = topic.data["status"]["topicName"].as_str() {
        anyhow::ensure!(known == in_kafka, "Changing spec.topicName is not supported");
    }
    let wanted = topic.data["spec"]["partitions"].as_i64().unwrap_or(1);
    match kafka::partitions(in_kafka)? {
        None => kafka::create(in_kafka, i32::try_from(wanted)?).await,
        Some(there) => {
            let there = i64::try_from(there).context("partitions")?;
            anyhow::ensure!(wanted == there, "Decreasing partitions not supported");
            Ok(())
        }
    }
}

async fn finalizers(api: &Api<DynamicObject>, name: &str, list: &[&str]) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": list}}));
    api.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}
