//! A job in one process: the coordinator, the workers and the protocol of a cluster, without the network.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tributary_crds::{EngineStatus, MapReduceJobSpec};

use crate::input::Topics;
use crate::store::StoreResolver;

/// A job and what surrounds it.
#[derive(Clone)]
pub struct LocalJob {
    /// Names the job in messages and logs.
    pub name: String,
    /// Names it in the stores: another run of the same job has another one.
    pub uid: String,
    /// What to do.
    pub spec: MapReduceJobSpec,
    /// Where the locations of the spec are.
    pub stores: Arc<dyn StoreResolver>,
    /// The topics of the cluster that the spec names.
    pub topics: Arc<dyn Topics>,
    /// Tasks at once. `spec.workers` is about pods and does not count here.
    pub threads: NonZeroUsize,
    /// Stops the job: [`Error::Cancelled`], nothing of it remains.
    pub cancel: CancellationToken,
}

/// Why a local run came to no outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// By [`LocalJob::cancel`].
    #[error("the job was cancelled")]
    Cancelled,
    /// A bug.
    #[error("the engine stopped without an outcome: {0}")]
    Internal(String),
}

/// Runs a job to its end, on a multi-threaded tokio runtime. `observer` sees the status whenever it changes, a few times
/// a second at most, and last of all the one that is returned. A job that fails is no error: its status says
/// [`Failed`](tributary_crds::EnginePhase::Failed), with a reason and a message.
pub async fn run(job: LocalJob, mut observer: impl FnMut(&EngineStatus) + Send) -> Result<EngineStatus, Error> {
    let _ = job;
    let status = EngineStatus::default();
    observer(&status);
    Err(Error::Internal("not wired up yet".to_owned()))
}
