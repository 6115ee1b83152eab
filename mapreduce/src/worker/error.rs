//! Why an attempt stopped.

use tributary_mapreduce_core::job::{Outcome, ReduceInput};
use tributary_mapreduce_core::kernel::{self, BoxError};

use crate::input::TopicError;
use crate::store::StoreError;

/// Why an attempt stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error("the attempt was cancelled")]
    Cancelled,
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error("{place}: {message}")]
    Decode { place: String, message: String },
    #[error("map-{} of attempt {}: {message}", .input.map, .input.attempt)]
    SegmentLost { input: ReduceInput, message: String },
}

impl TaskError {
    /// The error of a reduce task: a segment that is gone or damaged is its map task's fault.
    pub fn of_reduce(error: kernel::Error, inputs: &[ReduceInput]) -> Self {
        let (input, message) = match &error {
            kernel::Error::Segment { input, error } => (*input, error.to_string()),
            kernel::Error::Source { input, error } if is_gone(error) => (*input, error.to_string()),
            _ => return Self::Kernel(error),
        };
        match inputs.get(input) {
            Some(input) => Self::SegmentLost { input: input.clone(), message },
            None => Self::Kernel(error),
        }
    }

    /// What a worker reports of it; nothing of an attempt that was told to stop.
    pub fn outcome(self) -> Option<Outcome> {
        let message = self.to_string();
        match self {
            Self::Cancelled => None,
            Self::SegmentLost { input, .. } => {
                Some(Outcome::SegmentLost { map: input.map, attempt: input.attempt, message })
            }
            other => Some(Outcome::Failed { message, fatal: other.is_fatal() }),
        }
    }

    /// Whether another attempt would fail likewise.
    fn is_fatal(&self) -> bool {
        match self {
            Self::Kernel(kernel::Error::Sink(e) | kernel::Error::Source { error: e, .. }) => {
                e.downcast_ref::<StoreError>().is_some_and(is_final)
            }
            Self::Kernel(
                kernel::Error::BadRecord { .. } | kernel::Error::RecordTooLarge { .. } | kernel::Error::Overflow { .. },
            )
            | Self::Decode { .. } => true,
            Self::Store(e) => is_final(e),
            Self::Topic(e) => matches!(e, TopicError::OutOfRange { .. } | TopicError::UnknownTopic { .. }),
            Self::Kernel(_) | Self::Cancelled | Self::SegmentLost { .. } => false,
        }
    }
}

fn is_gone(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::NotFound { .. }))
}

fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::Changed { .. } | StoreError::NoSuchBucket { .. } | StoreError::Invalid { .. })
}
