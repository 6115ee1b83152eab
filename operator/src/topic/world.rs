//! What a decision about a Topic is made from.

use std::collections::BTreeMap;

use tributary_blueprints::world::Refusal;
use tributary_crds::{Timestamp, Topic};

/// Everything that a decision about one Topic may know.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The Topic.
    pub topic: Topic,
    /// Other Topics that stand for the same Kafka topic.
    pub rivals: Vec<Topic>,
    /// What is known of the Kafka topic.
    pub kafka: Known,
    /// Writes that the apiserver refused.
    pub refusals: Vec<Refusal>,
}

/// What the poller knows of a Kafka topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// A request about it is under way, and will wake the Topic when it is answered.
    pub busy: bool,
    /// What the cluster said last, and when.
    pub seen: Option<(Seen, Timestamp)>,
    /// The last actions failed.
    pub failure: Option<Failure>,
}

/// What a Kafka cluster says of a topic.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It does not exist.
    Absent,
    /// It does.
    Present(Description),
    /// The cluster does not answer, or not to this question.
    Unknown {
        /// Its words, or the client's.
        message: String,
        /// When to ask again.
        retry_at: Timestamp,
    },
}

/// A Kafka topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its id.
    pub id: String,
    /// Replicas of each partition, by the partition's number.
    pub replicas: BTreeMap<i32, usize>,
    /// What is set on the topic itself.
    pub config: BTreeMap<String, String>,
}

impl Description {
    /// How many partitions it has.
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.replicas.len()).unwrap_or(i32::MAX)
    }

    /// Replicas of its first partition.
    pub fn replication(&self) -> i32 {
        self.replicas.values().next().map_or(0, |n| i32::try_from(*n).unwrap_or(i32::MAX))
    }
}

/// Something to do to a Kafka topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaAction {
    /// Look at it.
    Describe,
    /// Create it. That it exists is no failure.
    Create {
        /// `None` is the broker's default.
        partitions: Option<i32>,
        /// `None` is the broker's default.
        replicas: Option<i32>,
        /// Configuration.
        config: BTreeMap<String, String>,
    },
    /// Grow it to so many partitions.
    Grow {
        /// In all.
        partitions: i32,
    },
    /// Change its configuration, key by key.
    Configure {
        /// Keys to set.
        set: BTreeMap<String, String>,
        /// Keys to give back to the broker's default.
        delete: Vec<String>,
    },
    /// Delete it. That it does not exist is no failure.
    Delete,
}

/// Actions that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The actions: others are tried at once.
    pub actions: Vec<KafkaAction>,
    /// Kafka's words.
    pub message: String,
    /// When to try these again.
    pub retry_at: Timestamp,
}
