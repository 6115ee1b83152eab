//! A worker: polls its job's coordinator, and runs what it is told to on threads of its own.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tributary_mapreduce_core::job::{Assignment, AttemptId, Outcome, Poll, Reply, Report, Running, TaskId, WorkerId};

use crate::link::{Link, LinkError};
use crate::task::{self, Context};

/// The pause after a poll without an answer, doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The least between two polls that had nothing to say and nothing to hear.
const IDLE: Duration = Duration::from_millis(50);
/// How long a worker that leaves waits for the coordinator to hear of it.
const FAREWELL: Duration = Duration::from_secs(2);
/// Refusals in a row after which the keys are taken to differ for good.
const REFUSALS: u32 = 10;

/// A worker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub id: WorkerId,
    /// Tasks at once.
    pub slots: u32,
    /// What the tasks need.
    pub context: Context,
}

/// How a worker ended that was not told why.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The coordinator does not take it for one of its own.
    #[error(transparent)]
    Refused(LinkError),
}

/// Works until the job has ended, or until `cancel`: then it tells the coordinator that it leaves.
///
/// # Errors
/// The coordinator refuses it.
pub async fn run(config: Config, link: Arc<dyn Link>, cancel: CancellationToken) -> Result<(), WorkerError> {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let mut worker = Worker { config, sender, running: HashMap::new(), reports: Vec::new(), seq: 0 };
    let (mut pause, mut refusals) = (PAUSE.0, 0);
    loop {
        let poll = worker.poll(false);
        let asked = Instant::now();
        let reply = tokio::select! {
            reply = link.poll(&poll) => reply,
            Some(end) = ended.recv() => {
                // a newer poll says more
                worker.ended(end);
                while let Ok(end) = ended.try_recv() {
                    worker.ended(end);
                }
                continue;
            }
            () = cancel.cancelled() => break,
        };
        match reply {
            Ok(reply) if reply.done => break,
            Ok(reply) => {
                (pause, refusals) = (PAUSE.0, 0);
                let idle = reply.is_empty() && asked.elapsed() < IDLE;
                worker.take(reply);
                if idle {
                    worker.rest(IDLE, &mut ended, &cancel).await;
                }
            }
            Err(error) => {
                refusals = if matches!(error, LinkError::Unauthenticated(_)) { refusals + 1 } else { 0 };
                if refusals >= REFUSALS {
                    worker.stop();
                    return Err(WorkerError::Refused(error));
                }
                tracing::debug!(%error, "no answer to a poll");
                worker.rest(pause, &mut ended, &cancel).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
    worker.stop();
    if cancel.is_cancelled() {
        let farewell = worker.poll(true);
        let _ = timeout(FAREWELL, link.poll(&farewell)).await;
    }
    Ok(())
}

/// An attempt's end; no outcome where it was cancelled.
struct End {
    task: TaskId,
    attempt: AttemptId,
    outcome: Option<Outcome>,
}

struct Worker {
    config: Config,
    sender: mpsc::UnboundedSender<End>,
    running: HashMap<AttemptId, (TaskId, CancellationToken)>,
    reports: Vec<Report>,
    seq: u64,
}

impl Worker {
    fn poll(&mut self, leaving: bool) -> Poll {
        self.seq += 1;
        let busy = u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let running = self.running.iter().map(|(&attempt, (task, _))| Running { task: *task, attempt });
        Poll {
            worker: self.config.id.clone(),
            seq: self.seq,
            free: if leaving { 0 } else { self.config.slots.saturating_sub(busy) },
            running: running.collect(),
            reports: self.reports.clone(),
            leaving,
        }
    }

    fn take(&mut self, reply: Reply) {
        self.reports.retain(|report| !reply.acknowledged.iter().any(|a| a.attempt == report.attempt));
        for attempt in reply.cancel {
            if let Some((task, cancel)) = self.running.remove(&attempt) {
                tracing::info!(%task, %attempt, "cancelled");
                cancel.cancel();
            }
        }
        for assignment in reply.assign {
            self.start(assignment);
        }
    }

    fn start(&mut self, assignment: Assignment) {
        let (id, attempt) = (assignment.task, assignment.attempt);
        if self.running.contains_key(&attempt) || self.reports.iter().any(|r| r.attempt == attempt) {
            return;
        }
        let cancel = CancellationToken::new();
        self.running.insert(attempt, (id, cancel.clone()));
        let (context, sender) = (self.config.context.clone(), self.sender.clone());
        tracing::info!(task = %id, %attempt, "begins");
        let runtime = Handle::current();
        let work = tokio::task::spawn_blocking(move || task::run(&context, &assignment, &runtime, &cancel));
        tokio::spawn(async move {
            let outcome = work.await.unwrap_or_else(|e| {
                let message = if e.is_panic() { panicked(e.into_panic().as_ref()) } else { e.to_string() };
                Some(Outcome::Failed { message, fatal: false })
            });
            // nobody hears it where the worker has ended
            let _ = sender.send(End { task: id, attempt, outcome });
        });
    }

    fn ended(&mut self, end: End) {
        let End { task, attempt, outcome } = end;
        let known = self.running.remove(&attempt).is_some();
        if let (true, Some(outcome)) = (known, outcome) {
            if let Outcome::Failed { message, .. } | Outcome::SegmentLost { message, .. } = &outcome {
                tracing::warn!(%task, %attempt, message, "failed");
            } else {
                tracing::info!(%task, %attempt, "ended");
            }
            self.reports.push(Report { task, attempt, outcome });
        }
    }

    /// Waits for a while, or until an attempt ends.
    async fn rest(&mut self, time: Duration, ended: &mut mpsc::UnboundedReceiver<End>, cancel: &CancellationToken) {
        tokio::select! {
            () = sleep(time) => {}
            Some(end) = ended.recv() => self.ended(end),
            () = cancel.cancelled() => {}
        }
    }

    fn stop(&mut self) {
        for (_, cancel) in std::mem::take(&mut self.running).into_values() {
            cancel.cancel();
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the task panicked: {}", text.unwrap_or_else(|| "without a word".to_owned()))
}
