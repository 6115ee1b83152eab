//! Which topics outlive their Pipeline.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tributary_blueprints::resolve;
use tributary_crds::Pipeline;

/// Whether the only topic of a Pipeline is retained.
fn retained(policy: Value, retain: Value) -> bool {
    let mut topic = json!({"name": "t", "partitions": 1, "replicas": 1});
    topic.as_object_mut().unwrap().extend(retain.as_object().unwrap().clone());
    let mut spec = json!({
        "kafka": {"clusters": {"default": {"bootstrapServers": "b:9092"}}},
        "blueprint": {
            "topics": [topic],
            "components": [{"name": "c", "template": {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}}],
        },
    });
    spec.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    let pipeline: Pipeline = serde_json::from_value(json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "ns"}, "spec": spec,
    }))
    .unwrap();
    let resolved = resolve(&pipeline, pipeline.spec.blueprint.as_ref().unwrap()).unwrap();
    resolved.topics[0].retain
}

#[test]
fn a_topic_says_it_or_the_pipeline_does() {
    let (keep, delete) = (json!({"deletionPolicy": "Retain"}), json!({"deletionPolicy": "Delete"}));
    assert!(retained(json!({}), json!({})), "data stays unless somebody says otherwise");
    assert!(retained(keep.clone(), json!({})));
    assert!(!retained(delete.clone(), json!({})));
    assert!(retained(delete, json!({"retain": true})));
    assert!(!retained(keep, json!({"retain": false})));
}
