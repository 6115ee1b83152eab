//! Events about primaries. They are a help to people and never hold anything up: what cannot be sent is dropped.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event as KubeEvent, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tributary_blueprints::plan::Event;
use tributary_crds::condition::truncated;

use super::Target;

/// Events that wait to be sent at most.
const BACKLOG: usize = 1_024;
/// The longest note that the apiserver takes, in bytes.
const LONGEST_NOTE: usize = 1_024;

/// Sends events, one after the other, in the background.
#[derive(Clone)]
pub struct Events(Arc<mpsc::Sender<(KubeEvent, ObjectReference)>>);

impl Events {
    /// Sends as `instance`, a pod's name.
    pub fn new(client: Client, instance: String) -> Self {
        let (sender, mut receiver) = mpsc::channel::<(KubeEvent, ObjectReference)>(BACKLOG);
        let recorder =
            Recorder::new(client, Reporter { controller: "tributary.dev/operator".into(), instance: Some(instance) });
        tokio::spawn(async move {
            while let Some((event, about)) = receiver.recv().await {
                if let Err(error) = recorder.publish(&event, &about).await {
                    tracing::debug!(reason = event.reason, name = about.name, %error, "event not sent");
                }
            }
        });
        Self(Arc::new(sender))
    }

    /// Events about `target`.
    pub fn send(&self, target: &Target, events: &[Event]) {
        let gvk = target.primary.kind.gvk();
        let about = ObjectReference {
            api_version: Some(gvk.api_version()),
            kind: Some(gvk.kind),
            namespace: Some(target.primary.namespace.clone()),
            name: Some(target.primary.name.clone()),
            uid: Some(target.uid.clone()),
            ..ObjectReference::default()
        };
        for event in events {
            let event = KubeEvent {
                type_: if event.warning { EventType::Warning } else { EventType::Normal },
                reason: event.reason.clone(),
                note: Some(truncated(&event.note, LONGEST_NOTE)),
                action: "Reconcile".into(),
                secondary: None,
            };
            if self.0.try_send((event, about.clone())).is_err() {
                tracing::debug!(name = about.name, "an event is dropped: too many wait");
            }
        }
    }
}
