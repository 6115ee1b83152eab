//! A job in one process: the coordinator, the workers and the protocol of a cluster, without the network.

use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tributary_crds::{EnginePhase, EngineStatus, MapReduceJobSpec};
use tributary_mapreduce_core::job::WorkerId;

use crate::coordinator::{self, End, Keep};
use crate::input::Topics;
use crate::places::context;
use crate::spec::JobSpec;
use crate::store::StoreResolver;
use crate::worker;

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
    let prepared =
        JobSpec::new(&job.uid, &job.spec).map_err(|e| ("InvalidSpec", e.to_string())).and_then(|mut spec| {
            spec.slots = u32::try_from(job.threads.get()).unwrap_or(u32::MAX);
            context(spec, &*job.stores, job.topics.clone()).map_err(|e| ("StoreError", e.to_string()))
        });
    let context = match prepared {
        Ok(context) => context,
        Err((reason, message)) => {
            let status = failed(&EngineStatus::default(), reason, message);
            observer(&status);
            return Ok(status);
        }
    };
    let (link, requests) = coordinator::link();
    let (sender, mut status) = watch::channel(EngineStatus::default());
    let stop = job.cancel.child_token();
    let config = coordinator::Config { context: context.clone(), holder: format!("{:032x}", rand::random::<u128>()) };
    let coordinating = tokio::spawn(coordinator::run(config, requests, sender, stop.clone()));
    let worker = worker::Config {
        id: WorkerId { name: "local".to_owned(), incarnation: "1".to_owned() },
        slots: u32::try_from(job.threads.get()).unwrap_or(u32::MAX),
        context: context.clone(),
    };
    let working = tokio::spawn(worker::run(worker, Arc::new(link), stop.clone()));
    while status.changed().await.is_ok() {
        observer(&status.borrow_and_update().clone());
    }
    let ended = coordinating.await.map_err(|e| Error::Internal(e.to_string()))?;
    stop.cancel();
    working.await.map_err(|e| Error::Internal(e.to_string()))?.map_err(|e| Error::Internal(e.to_string()))?;
    let last = status.borrow().clone();
    match ended {
        Ok(End::Finished) => {
            coordinator::clean(&context, Keep::DeadLetters).await;
            Ok(last)
        }
        Ok(End::Stopped) => {
            coordinator::clean(&context, Keep::Nothing).await;
            Err(Error::Cancelled)
        }
        Ok(End::Fenced) => Err(Error::Internal("another coordinator runs the same job".to_owned())),
        Err(error) => {
            let status = failed(&last, error.reason(), error.to_string());
            observer(&status);
            Ok(status)
        }
    }
}

/// The status of a job that cannot be run.
pub(crate) fn failed(last: &EngineStatus, reason: &str, message: String) -> EngineStatus {
    EngineStatus {
        phase: EnginePhase::Failed,
        reason: reason.to_owned(),
        message,
        completion_time: Some(Timestamp::now().to_string()),
        ..last.clone()
    }
}
