//! What a job reads: objects, topics, strings.

#[cfg(feature = "kafka")]
mod kafka;
mod memory;
mod plan;
mod range;
mod topics;

#[cfg(feature = "kafka")]
pub use kafka::{KafkaSecrets, KafkaTopics};
pub use memory::MemoryTopics;
pub use plan::{PlanError, plan};
pub use range::RangeError;
pub use topics::{Offsets, TopicError, TopicRecord, Topics};
