//! KafkaTopic of Strimzi, `v1` since its 1.0 and `v1beta2` before.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{condition, up_to_date};
use super::topic::kafka_name;
use super::{Component, Definition, Lifetime, Ports, Rate, Report};
use crate::expr::Type;

/// Driver of KafkaTopic.
pub struct KafkaTopicDriver;

impl KafkaTopicDriver {
    /// Strimzi's API group.
    pub const GROUP: &str = "kafka.strimzi.io";
    /// The label that says which of Strimzi's clusters a topic is in.
    pub const CLUSTER: &str = "strimzi.io/cluster";
}

impl Component for KafkaTopicDriver {
    fn definition(&self) -> Definition {
        Definition { group: Self::GROUP, kind: "KafkaTopic", versions: &["v1", "v1beta2"] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn ports(&self) -> Ports {
        Ports::Named { reads: &[], writes: &[] }
    }

    /// Strimzi's topic operator works off 10 to 30 events a second, each topic being several, and stops itself when its queue of
    /// about a thousand is full.
    fn creation_rate(&self) -> Option<Rate> {
        Some(Rate { per_second: 20, burst: 200 })
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("topicName", Type::String)]
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let is = |type_: &str| condition(child, type_).filter(|c| c.is_true());
        let mut report = if is("Unmanaged").is_some() {
            Report::new(Health::Unknown, "Unmanaged", "strimzi.io/managed is false: Strimzi leaves the topic alone")
        } else if is("ReconciliationPaused").is_some() {
            Report::new(Health::Suspended, "ReconciliationPaused", "strimzi.io/pause-reconciliation is set")
        } else {
            match condition(child, "Ready") {
                None => Report::new(Health::Pending, "", "Strimzi has not looked at it yet"),
                _ if !up_to_date(child) => Report::new(Health::Progressing, "", ""),
                Some(c) if c.is_true() => Report::new(Health::Ready, c.reason, c.message),
                Some(c) if matches!(c.reason, "NotSupported" | "ResourceConflict") => {
                    Report::new(Health::Failed, c.reason, c.message)
                }
                Some(c) => Report::new(Health::Pending, c.reason, c.message),
            }
        };
        let name = kafka_name(child);
        if !name.is_empty() {
            report.outputs.insert("topicName".into(), name.into());
        }
        report
    }
}
