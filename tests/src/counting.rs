//! Watching thousands of objects: asking for them again and again would be work of its own for the apiserver, and kubectl
//! would take a core from what is measured.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use kube::core::object::NotUsed;
use kube::core::{ApiResource, GroupVersionKind, Object};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::Value;
use tokio::task::JoinHandle;

/// An object whose spec nobody asks for.
pub type Seen = Object<NotUsed, Value>;

/// A watch under way; it ends with this.
pub struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Watch {
    /// Shows every object of a kind in a namespace whenever it comes or changes, by KUBECONFIG.
    pub async fn start(
        namespace: &str,
        gvk: &GroupVersionKind,
        mut see: impl FnMut(&Seen) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let api: Api<Seen> = Api::namespaced_with(client().await?, namespace, &ApiResource::from_gvk(gvk));
        Ok(Self(tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                    see(&object);
                }
            }
        })))
    }
}

/// How many objects of a namespace have come to be in some state.
pub struct Counter {
    count: Arc<AtomicUsize>,
    _watch: Watch,
}

impl Counter {
    /// Counts those whose status is such, from now on, and those that are there.
    pub async fn start(
        namespace: &str,
        gvk: &GroupVersionKind,
        holds: impl Fn(&Value) -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let count = Arc::new(AtomicUsize::new(0));
        let shared = count.clone();
        let mut counted = HashSet::new();
        let see = move |object: &Seen| {
            if object.status.as_ref().is_some_and(&holds) && counted.insert(object.metadata.uid.clone()) {
                shared.fetch_add(1, Ordering::Relaxed);
            }
        };
        Ok(Self { count, _watch: Watch::start(namespace, gvk, see).await? })
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
