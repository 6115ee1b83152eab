//! Statuses of mere progress: written while further decisions are made without them, so that no step of a large flow waits for the
//! apiserver to store what is said of the others.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tributary_blueprints::plan::Event;

use super::Context;
use crate::{
    act::{ActError, Target},
    queue::Lane,
};

/// The writes that are under way beside the passes of a controller.
#[derive(Debug, Default)]
pub struct Background {
    tasks: TaskTracker,
    at_once: CancellationToken,
}

/// How a write went, when it is over.
type Ended = Arc<OnceLock<Result<(), ActError>>>;

/// One of them.
#[derive(Debug)]
pub struct Late {
    ended: Ended,
    task: JoinHandle<()>,
}

impl Background {
    /// Writes that are given up when `at_once` is cancelled.
    pub fn new(at_once: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), at_once }
    }

    /// Writes the status and sends the events, then wakes the object: what has changed meanwhile is still to be said.
    pub fn write(&self, context: &Context, mut target: Target, status: Value, events: Vec<Event>) -> Late {
        let ended = Ended::default();
        let (act, tell) = (context.act.clone(), ended.clone());
        let queue = context.caches.queues().of(target.primary.kind);
        let write = async move {
            let result = act.status(&mut target, &status).await;
            if result.is_ok() {
                act.events.send(&target, &events);
            }
            // nobody else sets it
            let _ = tell.set(result);
            queue.add(target.primary, Lane::Normal);
        };
        let at_once = self.at_once.clone();
        let task = self.tasks.spawn(async move { at_once.run_until_cancelled(write).await.unwrap_or_default() });
        Late { ended, task }
    }

    /// Waits for all of them.
    pub async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Late {
    /// How it went; nothing while it is under way.
    pub fn ended(&self) -> Option<&Result<(), ActError>> {
        self.ended.get()
    }

    /// Waits for its end.
    pub async fn end(self) {
        // one that was given up has ended, too
        let _ = self.task.await;
    }
}
