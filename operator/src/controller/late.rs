//! Statuses of mere progress: written while further decisions are made without them, so that no step of a large flow waits for the
//! apiserver to store what is said of the others.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tributary_blueprints::plan::Event;

use super::Context;
use crate::{
    act::Target,
    caches::{Expect, Scope, reached},
    queue::Lane,
};

/// The writes that are under way beside the passes of a controller.
#[derive(Debug, Default)]
pub struct Background {
    tasks: TaskTracker,
    at_once: CancellationToken,
}

/// One of them.
#[derive(Debug)]
pub struct Late {
    uid: String,
    /// The version of the object that it came to; `None` where it failed.
    ended: Arc<OnceLock<Option<String>>>,
    task: JoinHandle<()>,
}

impl Background {
    /// Writes that are given up when `at_once` is cancelled.
    pub fn new(at_once: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), at_once }
    }

    /// Writes the status and sends the events, then wakes the object: what has changed meanwhile is still to be said.
    pub fn write(&self, context: &Context, target: Target, status: Value, events: Vec<Event>) -> Late {
        let (uid, ended) = (target.uid.clone(), Arc::new(OnceLock::new()));
        let (act, tell) = (context.act.clone(), ended.clone());
        let queue = context.caches.queues().of(target.primary.kind);
        let write = async move {
            let version = match act.status_unawaited(&target, &status).await {
                Ok(version) => {
                    act.events.send(&target, &events);
                    Some(version)
                }
                Err(error) => {
                    tracing::debug!(primary = %target.primary.key(), %error, "progress is told later");
                    None
                }
            };
            // nobody else sets it
            let _ = tell.set(version);
            queue.add(target.primary, Lane::Normal);
        };
        let at_once = self.at_once.clone();
        let task = self.tasks.spawn(async move { at_once.run_until_cancelled(write).await.unwrap_or_default() });
        Late { uid, ended, task }
    }

    /// Waits for all of them.
    pub async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Late {
    /// Whether an object at version `seen` does not show it, and yet may.
    pub fn is_under_way(&self, seen: &str) -> bool {
        match self.ended.get() {
            None => true,
            Some(version) => version.as_ref().is_some_and(|version| !reached(seen, version)),
        }
    }

    /// Waits for its end; the next pass over the object waits until the cache shows it.
    pub async fn end(self, context: &Context, target: &Target) {
        // one that was given up has nothing to show
        let _ = self.task.await;
        if let Some(Some(version)) = self.ended.get() {
            let expect = Expect::Version { uid: self.uid, resource_version: version.clone() };
            context.caches.expect(&target.primary, Scope::All, target.primary.key(), expect);
        }
    }
}
