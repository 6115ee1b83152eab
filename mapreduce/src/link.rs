//! How a worker speaks to its job's coordinator: in the same process, or over the network.

use async_trait::async_trait;
use tributary_mapreduce_core::job::{Poll, Reply};

/// Why a poll had no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered; a later poll may do better.
    #[error("the coordinator cannot be reached: {0}")]
    Unavailable(String),
    /// The two do not have the same key.
    #[error("worker and coordinator do not have the same key: {0}")]
    Unauthenticated(String),
}

/// A worker's line to the coordinator.
#[async_trait]
pub trait Link: Send + Sync {
    /// Puts a poll. The answer may take as long as the coordinator has nothing to say, but not as long as a lease.
    async fn poll(&self, poll: &Poll) -> Result<Reply, LinkError>;
}
