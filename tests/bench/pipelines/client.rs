//! The cluster by a client of its own: kubectl would be the bottleneck.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tributary_tests::counting::{Counter, client};

use super::objects::{self, GROUP};

/// Requests at a time.
const AT_ONCE: usize = 32;

fn widgets() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Widget"))
}

fn pipelines() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("tributary.dev", "v1alpha1", "Pipeline"))
}

/// A namespace of the cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    /// By KUBECONFIG.
    pub async fn new(namespace: &str) -> anyhow::Result<Self> {
        Ok(Self { client: client().await?, namespace: namespace.into() })
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    async fn create(&self, resource: &ApiResource, objects: Vec<Value>) -> anyhow::Result<()> {
        let api = self.api(resource);
        let params = PostParams::default();
        stream::iter(objects.into_iter().map(anyhow::Ok))
            .try_for_each_concurrent(AT_ONCE, async |object| {
                api.create(&params, &serde_json::from_value(object)?).await?;
                Ok(())
            })
            .await
    }

    /// Creates widgets.
    pub async fn create_widgets(&self, objects: Vec<Value>) -> anyhow::Result<()> {
        self.create(&widgets(), objects).await
    }

    /// Creates Pipelines.
    pub async fn create_pipelines(&self, objects: Vec<Value>) -> anyhow::Result<()> {
        self.create(&pipelines(), objects).await
    }

    /// Creates Pipelines that the operator leaves alone, and the children of each.
    pub async fn create_bare(&self, pipelines: usize) -> anyhow::Result<()> {
        let (of_pipelines, of_widgets) = (self.api(&self::pipelines()), self.api(&widgets()));
        let params = PostParams::default();
        stream::iter((0..pipelines).map(anyhow::Ok))
            .try_for_each_concurrent(AT_ONCE, async |i| {
                let mut pipeline = objects::pipeline(&format!("b-{i}"));
                pipeline["spec"]["managedBy"] = json!("example.com/nobody");
                let owner = of_pipelines.create(&params, &serde_json::from_value(pipeline)?).await?;
                for name in objects::NAMES {
                    let child = objects::child(&owner, name);
                    of_widgets.create(&params, &serde_json::from_value(child)?).await?;
                }
                Ok(())
            })
            .await
    }

    /// The uid of every widget, by name.
    pub async fn uids(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let list = self.api(&widgets()).list_metadata(&ListParams::default()).await?;
        list.items.into_iter().map(|o| Ok((o.metadata.name.context("name")?, o.metadata.uid.context("uid")?))).collect()
    }

    /// Marks every widget of a Pipeline done as it comes: a stand-in for its operator, as fast as the apiserver lets it. By the patch
    /// that controller-runtime's clients send, which costs the apiserver less than server-side apply.
    pub fn mark_done(&self) -> JoinHandle<()> {
        let api = self.api(&widgets());
        let config = watcher::Config::default().labels("tributary.dev/pipeline");
        tokio::spawn(async move {
            let done = json!({"status": {
                "conditions": [{"type": "Complete", "status": "True", "reason": "Done", "message": ""}]}});
            let params = PatchParams::default();
            let events = watcher::watcher(api.clone(), config);
            let new = events.filter_map(async |event| match event {
                Ok(Event::Apply(o) | Event::InitApply(o)) if o.data.get("status").is_none() => o.metadata.name,
                _ => None,
            });
            new.for_each_concurrent(AT_ONCE, async |name| {
                // one that is gone again needs no mark
                let _ = api.patch_status(&name, &params, &Patch::Merge(&done)).await;
            })
            .await;
        })
    }

    /// Counts the widgets that are done.
    pub async fn count_done(&self) -> anyhow::Result<Counter> {
        Counter::start(&self.namespace, &GroupVersionKind::gvk(GROUP, "v1", "Widget"), |_| true).await
    }

    /// Counts the Pipelines that have Succeeded.
    pub async fn count_succeeded(&self) -> anyhow::Result<Counter> {
        let gvk = GroupVersionKind::gvk("tributary.dev", "v1alpha1", "Pipeline");
        Counter::start(&self.namespace, &gvk, |status| status["phase"] == "Succeeded").await
    }
}
