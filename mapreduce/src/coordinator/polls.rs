//! Workers' polls: one of each worker waits for an answer until there is something to say, or its time is over.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tributary_mapreduce_core::job::{Poll, Reply, WorkerId};

use crate::link::{Link, LinkError};

/// Polls on their way to a coordinator.
pub type Requests = mpsc::Receiver<Request>;

/// A poll, and where its answer goes.
#[derive(Debug)]
pub struct Request {
    poll: Poll,
    answer: oneshot::Sender<Reply>,
}

/// A line to a coordinator of this process.
#[derive(Clone, Debug)]
pub struct CoordinatorLink(mpsc::Sender<Request>);

/// A line, and its end.
pub fn link() -> (CoordinatorLink, Requests) {
    let (sender, requests) = mpsc::channel(1_024);
    (CoordinatorLink(sender), requests)
}

#[async_trait]
impl Link for CoordinatorLink {
    async fn poll(&self, poll: &Poll) -> Result<Reply, LinkError> {
        let gone = || LinkError::Unavailable("the coordinator has ended".to_owned());
        let (answer, reply) = oneshot::channel();
        self.0.send(Request { poll: poll.clone(), answer }).await.map_err(|_| gone())?;
        reply.await.map_err(|_| gone())
    }
}

struct Held {
    poll: Poll,
    answer: oneshot::Sender<Reply>,
    until: Instant,
}

/// The polls that wait, by worker.
pub(super) struct Polls {
    requests: Requests,
    held: HashMap<String, Held>,
    /// Every worker that has polled, and whether it knows that the job has ended.
    told: HashMap<String, bool>,
    hold: Duration,
}

impl Polls {
    /// Polls wait for `hold` at most.
    pub(super) fn new(requests: Requests, hold: Duration) -> Self {
        Self { requests, held: HashMap::new(), told: HashMap::new(), hold }
    }

    /// The next poll that comes; `None` when there can be no more.
    pub(super) async fn next(&mut self) -> Option<Poll> {
        let Request { poll, answer } = self.requests.recv().await?;
        let name = poll.worker.name.clone();
        self.told.entry(name.clone()).or_insert(false);
        let until = Instant::now() + self.hold;
        // a poll that is not its worker's newest needs no answer
        self.held.insert(name, Held { poll: poll.clone(), answer, until });
        Some(poll)
    }

    /// The polls that wait and whose askers still do.
    pub(super) fn held(&mut self) -> Vec<Poll> {
        self.held.retain(|_, held| !held.answer.is_closed());
        self.held.values().map(|held| held.poll.clone()).collect()
    }

    /// Answers a poll, or keeps it where there is nothing to say yet.
    pub(super) fn answer(&mut self, worker: &WorkerId, seq: u64, reply: Reply) {
        let Some(held) = self.held.get(&worker.name) else { return };
        if held.poll.worker != *worker || held.poll.seq != seq {
            return;
        }
        if reply.is_empty() && !held.poll.leaving && Instant::now() < held.until {
            return;
        }
        if let Some(held) = self.held.remove(&worker.name) {
            let done = reply.done;
            if held.answer.send(reply).is_ok() && done {
                self.told.insert(worker.name.clone(), true);
            }
        }
    }

    /// Whether every worker knows that the job has ended.
    pub(super) fn all_done(&self) -> bool {
        self.told.values().all(|told| *told)
    }
}
