//! What a job reads: objects, topics, strings.

mod memory;
mod topics;

pub use memory::MemoryTopics;
pub use topics::{Offsets, TopicError, TopicRecord, Topics};
