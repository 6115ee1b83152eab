//! Stand-ins for operators that do not run here: they walk the states that the real ones walk, over the real Kafka and S3.

pub mod spark;
pub mod spark_submit;
pub mod strimzi;

use anyhow::Context;
use futures::StreamExt;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::counting::client;
use crate::{kubectl, root};

/// Installs the types of the other operators.
pub async fn install() -> anyhow::Result<()> {
    kubectl::install_types(&root().join("tests/crds")).await?;
    strimzi::install().await
}

/// The kind in one namespace, by KUBECONFIG.
async fn api(namespace: &str, gvk: &GroupVersionKind) -> anyhow::Result<Api<DynamicObject>> {
    Ok(Api::namespaced_with(client().await?, namespace, &ApiResource::from_gvk(gvk)))
}

/// A running stand-in; it ends with this.
pub struct StandIn(JoinHandle<()>);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Calls `see` with every version of every object, one after the other. What goes wrong is printed, and tried again with the
/// object's next version.
fn follow<F>(api: Api<DynamicObject>, see: impl Fn(Api<DynamicObject>, DynamicObject) -> F + Send + 'static) -> StandIn
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    StandIn(tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher::watcher(api.clone(), watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
                && let Err(error) = see(api.clone(), object).await
            {
                eprintln!("stand-in: {error:#}");
            }
        }
    }))
}

async fn set_status(api: &Api<DynamicObject>, name: &str, status: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn name(object: &DynamicObject) -> anyhow::Result<&str> {
    object.metadata.name.as_deref().context("an object without a name")
}
