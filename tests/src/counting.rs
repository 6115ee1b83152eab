//! Counting by a watch: asking for thousands of objects again and again would be work of its own for the apiserver.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::task::JoinHandle;

/// How many objects of a namespace have come to be in some state. It ends with this.
pub struct Counter {
    count: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counter {
    /// Counts from now on, and those that are there, by KUBECONFIG.
    pub async fn start(
        namespace: &str,
        gvk: &GroupVersionKind,
        holds: impl Fn(&DynamicObject) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let api: Api<DynamicObject> = Api::namespaced_with(client().await?, namespace, &ApiResource::from_gvk(gvk));
        let count = Arc::new(AtomicUsize::new(0));
        let shared = count.clone();
        let task = tokio::spawn(async move {
            let mut seen = HashSet::new();
            let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
                    && holds(&object)
                    && seen.insert(object.metadata.uid)
                {
                    shared.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { count, task })
    }

    /// How many there have been.
    pub fn get(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// A client of the cluster that KUBECONFIG names.
pub async fn client() -> anyhow::Result<Client> {
    Ok(Client::try_default().await?)
}
