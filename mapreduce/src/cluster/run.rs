//! The two processes of a job on a cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tributary_crds::{EnginePhase, EngineStatus};
use tributary_mapreduce_core::job::WorkerId;

use super::auth::{Key, KeyError};
use super::client::HttpLink;
use super::job_file::{JobFile, JobFileError};
use super::server::serve;
use super::status::{Seen, StatusWriter};
use crate::coordinator::{self, End, Keep};
use crate::input::{KafkaSecrets, KafkaTopics, MemoryTopics, Topics};
use crate::local::failed;
use crate::places::context;
use crate::spec::JobSpec;
use crate::store::{S3Stores, Use};
use crate::task::Context;
use crate::worker;

/// The least between two writes of the status in one phase.
const WRITES: Duration = Duration::from_millis(500);
/// The pause after a write of the status that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the status is tried to be read at first.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// How long the last status is tried to be written.
const LAST_WORD: Duration = Duration::from_secs(300);

/// What both processes are told.
#[derive(Clone, Debug)]
pub struct Files {
    /// `job.json`.
    pub job: PathBuf,
    /// The job's key.
    pub key: PathBuf,
}

/// Why a process ends without its work done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The job's file.
    #[error(transparent)]
    Job(#[from] JobFileError),
    /// The key's file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The port.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The apiserver.
    #[error("the apiserver: {0}")]
    Apiserver(#[from] kube::Error),
    /// The worker.
    #[error(transparent)]
    Worker(#[from] worker::WorkerError),
    /// The line to the coordinator.
    #[error(transparent)]
    Link(#[from] crate::link::LinkError),
    /// Told to stop before the job's end, or followed by another coordinator.
    #[error("stopped before the job's end")]
    Stopped,
    /// The last status could not be written.
    #[error("the job has ended, and the apiserver does not take its status")]
    Unheard,
    /// A bug.
    #[error("the engine stopped without an outcome: {0}")]
    Internal(#[from] tokio::task::JoinError),
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The job's context, or a word for a condition and the reason that there is none.
async fn prepared(job: &JobFile) -> Result<Context, (&'static str, String)> {
    let spec = JobSpec::new(&job.uid, &job.spec).map_err(|e| ("InvalidSpec", e.to_string()))?;
    let stores = S3Stores::new(variable, spec.workspace_of.unwrap_or(Use::Workspace)).await;
    let topics: Arc<dyn Topics> = match &job.spec.input.kafka {
        Some(kafka) => {
            let secrets = KafkaSecrets::from_env(variable);
            Arc::new(KafkaTopics::new(&kafka.connection, &secrets, kafka.read_uncommitted))
        }
        None => Arc::new(MemoryTopics::new()),
    };
    context(spec, &stores, topics).map_err(|e| ("StoreError", e.to_string()))
}

/// Coordinates the job until it has ended, and its last status is written. The coordinator's pod is to be started anew
/// where this is an error.
///
/// # Errors
/// The job has not ended, or nobody knows.
pub async fn coordinate(files: Files, listen: String, stop: CancellationToken) -> Result<(), RunError> {
    let (job, key) = (JobFile::read(&files.job)?, Key::read(&files.key)?);
    let writer = StatusWriter::new(Client::try_default().await?, &job.namespace, &job.name, &job.uid);
    let listener = TcpListener::bind(&listen).await;
    let listener = listener.map_err(|source| RunError::Listen { address: listen.clone(), source })?;
    let (mut before, seen) = read(&writer).await?;
    if matches!(before.phase, EnginePhase::Succeeded | EnginePhase::Failed) {
        // a coordinator before this one came to the end, but not to its own
        if let Ok(context) = prepared(&job).await {
            coordinator::clean(&context, Keep::DeadLetters).await;
        }
        return Ok(());
    }
    let context = match prepared(&job).await {
        Ok(context) => context,
        Err((reason, message)) => {
            before.epoch = before.epoch.max(1);
            return last_word(&writer, &failed(&before, reason, message)).await;
        }
    };
    if seen == Seen::Deleted {
        coordinator::clean(&context, Keep::Nothing).await;
        return Ok(());
    }
    let (link, requests) = coordinator::link();
    let (sender, status) = watch::channel(before);
    let (ending, deleted) = (stop.child_token(), CancellationToken::new());
    let serving = tokio::spawn(serve(listener, Arc::new(link), key, ending.clone()));
    let telling = tokio::spawn(tell(writer.clone(), status.clone(), ending.clone(), deleted.clone()));
    let holder = format!("{}/{:016x}", variable("POD_NAME").unwrap_or_default(), rand::random::<u64>());
    let config = coordinator::Config { context: context.clone(), holder };
    let ended = tokio::select! {
        ended = coordinator::run(config, requests, sender, ending.clone()) => ended,
        () = deleted.cancelled() => Ok(End::Stopped),
    };
    ending.cancel();
    telling.await?;
    serving.abort();
    let last = status.borrow().clone();
    match ended {
        _ if deleted.is_cancelled() => {
            coordinator::clean(&context, Keep::Nothing).await;
            Ok(())
        }
        Ok(End::Finished) => {
            last_word(&writer, &last).await?;
            coordinator::clean(&context, Keep::DeadLetters).await;
            Ok(())
        }
        Ok(End::Fenced) => Err(RunError::Stopped),
        Ok(End::Stopped) => {
            if writer.look().await.is_ok_and(|seen| seen == Seen::Deleted) {
                coordinator::clean(&context, Keep::Nothing).await;
                return Ok(());
            }
            Err(RunError::Stopped)
        }
        Err(error) => last_word(&writer, &failed(&last, error.reason(), error.to_string())).await,
    }
}

/// Writes the status as it changes, until `ending`; cancels `deleted` where the job is gone.
async fn tell(
    writer: StatusWriter,
    mut status: watch::Receiver<EngineStatus>,
    ending: CancellationToken,
    deleted: CancellationToken,
) {
    let mut ticks = interval(WRITES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut phase = None;
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
        if phase == Some(status.borrow().phase) {
            // within a phase, not more often than that
            tokio::select! {
                () = ending.cancelled() => return,
                _ = ticks.tick() => {}
            }
        }
        let now = status.borrow_and_update().clone();
        phase = Some(now.phase);
        match writer.write(&now).await {
            Ok(Seen::Alive) => {}
            Ok(Seen::Deleted) => return deleted.cancel(),
            Err(error) => {
                tracing::warn!(%error, "the status is not written");
                status.mark_changed();
                sleep(PAUSE).await;
            }
        }
    }
}

/// The status before, and whether the job is still there; tried again while the apiserver is away.
async fn read(writer: &StatusWriter) -> Result<(EngineStatus, Seen), RunError> {
    let since = Instant::now();
    loop {
        match writer.read().await {
            Err(error) if since.elapsed() < FIRST_WORD => {
                tracing::warn!(%error, "the job's status is not read");
                sleep(PAUSE).await;
            }
            done => return Ok(done?),
        }
    }
}

/// Writes the last status, however long the apiserver is away.
async fn last_word(writer: &StatusWriter, status: &EngineStatus) -> Result<(), RunError> {
    let told = timeout(LAST_WORD, async {
        while let Err(error) = writer.write(status).await {
            tracing::warn!(%error, "the last status is not written");
            sleep(PAUSE).await;
        }
    });
    told.await.map_err(|_| RunError::Unheard)
}

/// Works for the coordinator at `url` until the job has ended or `stop`.
///
/// # Errors
/// The job cannot be worked for.
pub async fn work(files: Files, url: &str, slots: u32, stop: CancellationToken) -> Result<(), RunError> {
    let (job, key) = (JobFile::read(&files.job)?, Key::read(&files.key)?);
    // what is wrong with the job, the coordinator says
    let Ok(context) = prepared(&job).await else { return Ok(()) };
    let lease = Duration::from_millis(context.spec.config.lease.0);
    let link = HttpLink::new(url, key, lease)?;
    let id = WorkerId {
        name: variable("POD_NAME").unwrap_or_else(|| "worker".to_owned()),
        incarnation: format!("{:016x}", rand::random::<u64>()),
    };
    Ok(worker::run(worker::Config { id, slots, context }, Arc::new(link), stop).await?)
}
