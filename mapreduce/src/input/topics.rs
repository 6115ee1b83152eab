//! Topics as a job's input: what is asked of a Kafka cluster, also of an in-process log.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::{ControlFlow, Range};

use async_trait::async_trait;

/// Why a topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The topic is not there.
    #[error("topic {topic} does not exist on {place}")]
    UnknownTopic {
        /// The topic.
        topic: String,
        /// The brokers asked.
        place: String,
    },
    /// Offsets of the range are gone (retention, DeleteRecords) or have not been written.
    #[error("topic {topic}, partition {partition}: offset {offset} is out of range; the broker has {low} to {high}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// The earliest offset there is.
        low: i64,
        /// The offset after the last.
        high: i64,
    },
    /// No broker answers.
    #[error("{place} cannot be reached: {message}")]
    Unavailable {
        /// The brokers asked.
        place: String,
        /// What was seen.
        message: String,
    },
    /// Anything else.
    #[error("topic {topic} on {place}: {message}")]
    Other {
        /// The topic.
        topic: String,
        /// The brokers asked.
        place: String,
        /// What was seen.
        message: String,
    },
}

/// Offsets of a partition: from the earliest that is there to the one after the last that can be read.
pub type Offsets = Range<i64>;

/// A record of a topic.
#[derive(Clone, Copy, Debug)]
pub struct TopicRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; that of a tombstone is empty.
    pub value: &'a [u8],
}

/// The topics of one cluster.
#[async_trait]
pub trait Topics: Send + Sync + Debug {
    /// What there is of each partition of a topic.
    async fn offsets(&self, topic: &str) -> Result<BTreeMap<i32, Offsets>, TopicError>;

    /// Of each partition, the offset of the first record at or after a time (milliseconds since 1970), else the end.
    async fn offsets_at(&self, topic: &str, time: i64) -> Result<BTreeMap<i32, i64>, TopicError>;

    /// Shows `each` record of a range of offsets in order, until it breaks. Blocks. Offsets without a record
    /// (compaction, transactions) are skipped; offsets that are gone are an error, never passed over.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        range: Offsets,
        each: &mut dyn FnMut(TopicRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TopicError>;
}
