//! A worker: asks for tasks, runs them, reports what became of them.

mod error;
mod fetch;
mod map;
mod reduce;
mod scratch;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tributary_mapreduce_core::job::{
    Acknowledged, Assignment, AttemptId, Outcome, Poll, Reply, Report, Running, TaskId, WorkerId, Work,
};

use crate::context::JobContext;

/// The pause after a poll that failed, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a coordinator that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a worker that leaves waits for the answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a poll has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The coordinator is not there, or not yet.
    #[error("the coordinator does not answer: {0}")]
    Unavailable(String),
    /// The coordinator does not take this worker for one of its job's.
    #[error("the coordinator refuses this worker: {0}")]
    Refused(String),
}

/// A coordinator, as a worker sees it.
#[async_trait]
pub trait Coordinator: Send + Sync {
    /// Says what the worker does and takes what it shall do; waits a while for something to do.
    async fn poll(&self, poll: Poll) -> Result<Reply, PollError>;
}

/// A worker that has been told of no task yet.
pub struct Worker {
    job: Arc<JobContext>,
    coordinator: Arc<dyn Coordinator>,
    id: WorkerId,
    slots: usize,
    seq: u64,
    running: BTreeMap<AttemptId, (TaskId, CancellationToken)>,
    reports: Vec<Report>,
    sender: mpsc::UnboundedSender<Ended>,
    receiver: mpsc::UnboundedReceiver<Ended>,
}

/// An attempt that has ended; without an outcome if it was told to.
struct Ended {
    task: TaskId,
    attempt: AttemptId,
    outcome: Option<Outcome>,
}

impl Worker {
    /// A worker that runs so many tasks at once.
    pub fn new(job: Arc<JobContext>, coordinator: Arc<dyn Coordinator>, id: WorkerId, slots: usize) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (running, reports) = (BTreeMap::new(), Vec::new());
        Self { job, coordinator, id, slots: slots.max(1), seq: 0, running, reports, sender, receiver }
    }

    /// Works until the job has ended, or until `stop`: then the tasks go back to the coordinator.
    ///
    /// # Errors
    /// The coordinator refuses the worker, or has not answered for ten minutes.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), PollError> {
        let mut backoff = BACKOFF.0;
        let mut heard = Instant::now();
        loop {
            let poll = self.next_poll(false);
            let coordinator = self.coordinator.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.receiver.recv() => {
                    self.ended(ended).await;
                    while let Ok(ended) = self.receiver.try_recv() {
                        self.ended(ended).await;
                    }
                }
                answer = coordinator.poll(poll) => match answer {
                    Ok(reply) => {
                        (heard, backoff) = (Instant::now(), BACKOFF.0);
                        if self.heard(reply).await {
                            self.drop_all().await;
                            return Ok(());
                        }
                    }
                    Err(PollError::Unavailable(message)) if heard.elapsed() < PATIENCE => {
                        tracing::debug!(message, "the coordinator does not answer");
                        tokio::select! {
                            () = stop.cancelled() => break,
                            () = tokio::time::sleep(backoff) => {}
                        }
                        backoff = (backoff * 2).min(BACKOFF.1);
                    }
                    Err(error) => {
                        self.drop_all().await;
                        return Err(error);
                    }
                },
            }
        }
        self.leave().await;
        Ok(())
    }

    fn next_poll(&mut self, leaving: bool) -> Poll {
        self.seq += 1;
        let running = self.running.iter().map(|(&attempt, (task, _))| Running { task: *task, attempt });
        Poll {
            worker: self.id.clone(),
            seq: self.seq,
            free: if leaving { 0 } else { u32::try_from(self.slots - self.running.len().min(self.slots)).unwrap_or(0) },
            running: if leaving { Vec::new() } else { running.collect() },
            reports: self.reports.clone(),
            leaving,
        }
    }

    /// Takes an answer; true if the job has ended.
    async fn heard(&mut self, reply: Reply) -> bool {
        for Acknowledged { attempt, kept } in reply.acknowledged {
            let Some(at) = self.reports.iter().position(|report| report.attempt == attempt) else { continue };
            let report = self.reports.swap_remove(at);
            if !kept {
                self.discard(report.outcome).await;
            }
        }
        for attempt in reply.cancel {
            if let Some((task, cancel)) = self.running.remove(&attempt) {
                tracing::info!(%task, %attempt, "cancelled");
                cancel.cancel();
            }
        }
        for assignment in reply.assign {
            self.start(assignment);
        }
        reply.done
    }

    fn start(&mut self, assignment: Assignment) {
        let Assignment { task, attempt, work } = assignment;
        if self.running.contains_key(&attempt) || self.reports.iter().any(|report| report.attempt == attempt) {
            return;
        }
        tracing::info!(%task, %attempt, "started");
        let cancel = CancellationToken::new();
        self.running.insert(attempt, (task, cancel.clone()));
        let (job, sender, handle) = (self.job.clone(), self.sender.clone(), Handle::current());
        tokio::spawn(async move {
            let run = move || {
                let run = map::Attempt { job: &job, handle: &handle, task, attempt, cancel: &cancel };
                match &work {
                    Work::Map { input } => run.map(input),
                    Work::Reduce { inputs } => run.reduce(inputs),
                }
            };
            let outcome = match tokio::task::spawn_blocking(run).await {
                Ok(Ok(outcome)) => Some(outcome),
                Ok(Err(error)) => error.outcome(),
                Err(error) => Some(Outcome::Failed { message: panicked(error), fatal: false }),
            };
            // nobody listens any more once the worker has left
            let _ = sender.send(Ended { task, attempt, outcome });
        });
    }

    async fn ended(&mut self, ended: Ended) {
        let Ended { task, attempt, outcome } = ended;
        let known = self.running.remove(&attempt).is_some();
        let Some(outcome) = outcome else { return };
        if !known {
            return self.discard(outcome).await;
        }
        match &outcome {
            Outcome::Failed { message, .. } | Outcome::SegmentLost { message, .. } => {
                tracing::warn!(%task, %attempt, message, "failed");
            }
            Outcome::Mapped { .. } | Outcome::Reduced { .. } => tracing::info!(%task, %attempt, "finished"),
        }
        self.reports.push(Report { task, attempt, outcome });
    }

    /// Takes away what an attempt wrote that nobody needs. Where that fails, the coordinator does it at the job's end.
    async fn discard(&self, outcome: Outcome) {
        let discarded = match (outcome, &self.job.output) {
            (Outcome::Mapped { segment, .. }, _) => {
                let workspace = &self.job.workspace;
                workspace.store.delete(&[workspace.key(&segment.name)]).await
            }
            (Outcome::Reduced { output: Some(part), .. }, Some(output)) => {
                output.store.abort_upload(&output.key(&part.name), &part.upload).await
            }
            _ => Ok(()),
        };
        if let Err(error) = discarded {
            tracing::debug!(%error, "what a needless attempt wrote is left behind");
        }
    }

    /// Stops what runs. What is not reported yet is of no use any more.
    async fn drop_all(&mut self) {
        for (_, cancel) in self.running.values() {
            cancel.cancel();
        }
        let running = self.running.len();
        for _ in 0..running {
            let ended = tokio::time::timeout(FAREWELL, self.receiver.recv()).await;
            let Ok(Some(ended)) = ended else { break };
            if let Some(outcome) = ended.outcome {
                self.discard(outcome).await;
            }
        }
        self.running.clear();
    }

    /// Gives the tasks back.
    async fn leave(&mut self) {
        let poll = self.next_poll(true);
        if tokio::time::timeout(FAREWELL, self.coordinator.poll(poll)).await.is_err() {
            tracing::debug!("left without an answer");
        }
        self.drop_all().await;
    }
}

fn panicked(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the attempt was stopped".to_owned() };
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
    format!("panicked: {}", message.unwrap_or_default())
}
