//! Topic of our own group: a Kafka topic where Strimzi does not manage it.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{GROUP, Health, VERSION};

use super::conditions::{condition, text, up_to_date};
use super::{Component, Definition, Lifetime, Ports, Report, Switch};
use crate::expr::Type;
use crate::object::field;

/// Driver of Topic.
pub struct TopicDriver;

impl Component for TopicDriver {
    fn definition(&self) -> Definition {
        Definition { group: GROUP, kind: "Topic", versions: &[VERSION] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn ports(&self) -> Ports {
        Ports::Named { reads: &[], writes: &[] }
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("partitions", Type::Int), ("topicName", Type::String)]
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let ready = condition(child, "Ready");
        let mut report = if let Some(c) = condition(child, "Unmanaged").filter(|c| c.is_true()) {
            Report::new(Health::Unknown, "Unmanaged", c.message)
        } else if let Some(c) = condition(child, "ReconciliationPaused").filter(|c| c.is_true()) {
            Report::new(Health::Suspended, "ReconciliationPaused", c.message)
        } else {
            match ready {
                _ if !up_to_date(child) => Report::new(Health::Progressing, "", ""),
                None => Report::new(Health::Pending, "", ""),
                Some(c) if c.is_true() => Report::new(Health::Ready, c.reason, c.message),
                // an edit must put these right; everything else is tried again
                Some(c) if matches!(c.reason, "NotSupported" | "ResourceConflict" | "InvalidSpec") => {
                    Report::new(Health::Failed, c.reason, c.message)
                }
                Some(c) => Report::new(Health::Pending, c.reason, c.message),
            }
        };
        for name in ["partitions", "topicName"] {
            if let Some(value) = field(child, &["status", name]) {
                report.outputs.insert(name.into(), value.clone());
            }
        }
        report
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}

/// The Kafka name that a topic resource stands for, where its status tells.
pub(super) fn kafka_name(child: &DynamicObject) -> &str {
    text(child, &["status", "topicName"])
}
