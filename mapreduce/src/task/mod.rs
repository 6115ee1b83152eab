//! Running an assignment: the kernel between stores and topics.

mod fetch;
mod map;
mod reduce;
mod scratch;
mod upload;
mod zstd;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tributary_mapreduce_core::job::{Assignment, Outcome, Work};
use tributary_mapreduce_core::kernel::{self, BoxError};

use crate::input::{TopicError, Topics};
use crate::spec::JobSpec;
use crate::store::{Place, StoreError};

/// What the tasks of a job have in common.
#[derive(Clone, Debug)]
pub struct Context {
    /// The job.
    pub spec: Arc<JobSpec>,
    /// Where its objects are, where it reads objects.
    pub input: Option<Place>,
    /// Where its output goes, where that is a store.
    pub output: Option<Place>,
    /// The job's own workspace.
    pub workspace: Place,
    /// The topics that it may read.
    pub topics: Arc<dyn Topics>,
    /// Where runs are spilled.
    pub scratch: PathBuf,
}

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The attempt is cancelled: nobody waits for its outcome.
    #[error("the attempt was cancelled")]
    Cancelled,
    /// A map task's output, by its index in the reduce task's inputs, is gone or damaged.
    #[error("{message}")]
    Segment { input: usize, message: String },
    /// The kernel.
    #[error(transparent)]
    Kernel(kernel::Error),
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// An object that is not what its name says.
    #[error("{place}: {message}")]
    Decompress { place: String, message: String },
}

impl From<kernel::Error> for Stop {
    fn from(error: kernel::Error) -> Self {
        match error {
            kernel::Error::Segment { input, error } => Self::Segment { input, message: error.to_string() },
            kernel::Error::Source { input, error } => match unboxed(error) {
                Self::Store(e @ (StoreError::NotFound { .. } | StoreError::Changed { .. })) => {
                    Self::Segment { input, message: e.to_string() }
                }
                other => other,
            },
            kernel::Error::Sink(error) => unboxed(error),
            other => Self::Kernel(other),
        }
    }
}

/// What a source or a sink gave the kernel.
fn unboxed(error: BoxError) -> Stop {
    match error.downcast::<Stop>() {
        Ok(stop) => *stop,
        Err(error) => Stop::Kernel(kernel::Error::Sink(error)),
    }
}

impl Stop {
    /// Whether another attempt would stop likewise.
    fn is_fatal(&self) -> bool {
        match self {
            Self::Kernel(e) => matches!(
                e,
                kernel::Error::BadRecord { .. } | kernel::Error::RecordTooLarge { .. } | kernel::Error::Overflow { .. }
            ),
            Self::Store(e) => {
                matches!(e, StoreError::Changed { .. } | StoreError::Invalid { .. } | StoreError::NoSuchBucket { .. })
            }
            Self::Topic(e) => matches!(e, TopicError::OutOfRange { .. }),
            Self::Decompress { .. } => true,
            Self::Cancelled | Self::Segment { .. } => false,
        }
    }
}

/// Runs an assignment to its outcome; `None` where it is cancelled. Blocks: call it on a thread that may. What it does
/// with stores and topics goes on `runtime`.
pub fn run(
    context: &Context,
    assignment: &Assignment,
    runtime: &Handle,
    cancel: &CancellationToken,
) -> Option<Outcome> {
    let task = Task { context, assignment, runtime, cancel };
    let done = match &assignment.work {
        Work::Map { input } => task.map(input),
        Work::Reduce { inputs } => match task.reduce(inputs) {
            Err(Stop::Segment { input, message }) if input < inputs.len() => {
                let (map, attempt) = (inputs[input].map, inputs[input].attempt);
                Ok(Outcome::SegmentLost { map, attempt, message })
            }
            other => other,
        },
    };
    match done {
        Ok(outcome) => Some(outcome),
        Err(Stop::Cancelled) => None,
        Err(_) if cancel.is_cancelled() => None,
        Err(stop) => Some(Outcome::Failed { message: stop.to_string(), fatal: stop.is_fatal() }),
    }
}

/// An attempt that runs.
struct Task<'a> {
    context: &'a Context,
    assignment: &'a Assignment,
    runtime: &'a Handle,
    cancel: &'a CancellationToken,
}

impl Task<'_> {
    fn check(&self) -> Result<(), Stop> {
        if self.cancel.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }
}
