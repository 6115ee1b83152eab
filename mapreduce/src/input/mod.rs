//! What a job reads: objects, topics, strings.

#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod topics;

#[cfg(feature = "kafka")]
pub use kafka::{KafkaSecrets, KafkaTopics};
pub use memory::MemoryTopics;
pub use topics::{Offsets, TopicError, TopicRecord, Topics};
