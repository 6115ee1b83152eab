//! The watch of one kind.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Config, Error, Event},
};
use rand::RngExt;
use tokio_util::sync::CancellationToken;
use tributary_crds::names;

use super::{Caches, Scope, StoreId, Sync};
use crate::act::words;

/// Watches until stopped.
pub(super) fn start(caches: Arc<Caches>, id: StoreId, resource: ApiResource, stop: CancellationToken) {
    tokio::spawn(async move {
        let api: Api<DynamicObject> = Api::all_with(caches.client.clone(), &resource);
        let of_jobs = Config::default().labels(names::JOB);
        let labelled = |label| watcher::watcher(api.clone(), Config::default().labels(label));
        match id.scope {
            Scope::All => follow(watcher::watcher(api, Config::default()), &caches, &id, &stop).await,
            Scope::OfJobs => follow(labelled(names::JOB), &caches, &id, &stop).await,
            Scope::OfFlows => follow(labelled(names::FLOW), &caches, &id, &stop).await,
            Scope::OfDaemonJobs => follow(labelled(names::DAEMON_JOB), &caches, &id, &stop).await,
            Scope::SparkDrivers => follow(labelled("spark-role=driver"), &caches, &id, &stop).await,
            Scope::OfPipelines => follow(labelled(names::PIPELINE), &caches, &id, &stop).await,
            Scope::OfJobsMetadata => {
                let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(caches.client.clone(), &resource);
                let metadata = watcher::watcher(api, of_jobs).map_ok(|event| map(event, of_metadata));
                follow(metadata, &caches, &id, &stop).await;
            }
        }
    });
}

async fn follow(
    events: impl Stream<Item = Result<Event<DynamicObject>, Error>>,
    caches: &Arc<Caches>,
    id: &StoreId,
    stop: &CancellationToken,
) {
    let mut events = std::pin::pin!(events);
    let (mut pause, mut told) = (Pause::default(), String::new());
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(event) => {
                // the beginning of a list is not yet an answer
                if !matches!(event, Event::Init) {
                    pause.reset();
                }
                caches.on_event(id, event);
            }
            Err(error) => {
                let words = said(&error);
                if is_forbidden(&error) {
                    caches.on_trouble(id, Sync::Forbidden(words.clone()));
                } else if pause.tries >= PATIENCE {
                    caches.on_trouble(id, Sync::Failing(words.clone()));
                }
                if words != told {
                    tracing::warn!(kind = id.kind, error = words, "watch; trying again");
                    told = words;
                }
                stop.run_until_cancelled(tokio::time::sleep(pause.next())).await;
            }
        }
    }
}

/// Tries of a list after which it is told that it fails: some seconds.
const PATIENCE: u32 = 6;

/// Pauses between tries: 0.1 s, doubled up to 10 s, with jitter.
#[derive(Default)]
pub(super) struct Pause {
    tries: u32,
}

impl Pause {
    /// The next one.
    pub(super) fn next(&mut self) -> Duration {
        let longest = Duration::from_millis(100 << self.tries.min(7)).min(Duration::from_secs(10));
        self.tries += 1;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// It went well.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

/// The client's error, where there is one.
fn cause(error: &Error) -> Option<&kube::Error> {
    match error {
        Error::InitialListFailed(cause) | Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => Some(cause),
        _ => None,
    }
}

fn said(error: &Error) -> String {
    match cause(error) {
        Some(kube::Error::Api(status)) => status.message.clone(),
        Some(other) => words(other),
        None => error.to_string(),
    }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(cause(error), Some(kube::Error::Api(status)) if status.code == 403)
}

fn map<A: Debug, B>(event: Event<A>, f: impl Fn(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(f(object)),
        Event::Delete(object) => Event::Delete(f(object)),
        Event::InitApply(object) => Event::InitApply(f(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

fn of_metadata(partial: PartialObjectMeta<DynamicObject>) -> DynamicObject {
    DynamicObject { types: None, metadata: partial.metadata, data: serde_json::Value::Object(serde_json::Map::new()) }
}
