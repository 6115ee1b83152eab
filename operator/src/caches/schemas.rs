//! Schemas of foreign kinds, read only when a blueprint has a component of the kind: they are the largest part of most
//! CustomResourceDefinitions.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use kube::Client;
use serde_json::Value;
use tokio::sync::Notify;
use tributary_blueprints::{object::Gvk, world::Served};
use tributary_crds::GROUP;

use super::Caches;

/// Group and kind.
pub(super) type Key = (String, String);
/// Schemas by version.
pub(super) type Schemas = BTreeMap<String, Arc<Value>>;

/// Which schemas are asked for, and which need no asking any more: read, or not to be had.
#[derive(Debug, Default)]
pub(super) struct Demand {
    pub(super) wanted: HashSet<Key>,
    pub(super) settled: HashSet<Key>,
}

impl Demand {
    /// Those of the kinds that others define and that nobody has looked for.
    pub(super) fn open(&self, kinds: &BTreeSet<Gvk>, served: &Served) -> Vec<Key> {
        let foreign = kinds.iter().filter(|gvk| gvk.group.contains('.') && gvk.group != GROUP);
        let keys = foreign.map(|gvk| (gvk.group.clone(), gvk.kind.clone()));
        keys.filter(|key| served.get(&key.0, &key.1).is_some() && !self.settled.contains(key)).collect()
    }
}

impl Caches {
    /// Asks for the schemas of these kinds. Whoever waits for them is woken.
    pub fn want_schemas(&self, kinds: &BTreeSet<Gvk>) {
        let new = {
            let mut inner = self.write();
            let open = inner.schemas.open(kinds, &inner.served);
            inner.schemas.wanted.extend(open.iter().cloned());
            !open.is_empty()
        };
        if new {
            self.schemas_wanted.notify_one();
        }
    }

    /// Returns once the schemas of these kinds are known, or known not to be had.
    pub async fn schemas_of(&self, kinds: &BTreeSet<Gvk>) {
        let mut settled = std::pin::pin!(self.schemas_settled.notified());
        loop {
            settled.as_mut().enable();
            self.want_schemas(kinds);
            {
                let inner = self.read();
                if inner.schemas.open(kinds, &inner.served).is_empty() {
                    return;
                }
            }
            settled.as_mut().await;
            settled.set(self.schemas_settled.notified());
        }
    }

    /// Those that somebody waits for.
    pub(super) fn asked(&self) -> Vec<Key> {
        let schemas = &self.read().schemas;
        schemas.wanted.difference(&schemas.settled).cloned().collect()
    }

    /// Nobody need wait for these any more.
    pub(super) fn settle(&self, keys: Vec<Key>) {
        self.write().schemas.settled.extend(keys);
        self.schemas_settled.notify_waiters();
        self.wake_verified();
    }

    /// Those that have ever been asked for: what is known of them may be out of date.
    pub(super) fn wanted_schemas(&self) -> Vec<Key> {
        self.read().schemas.wanted.iter().cloned().collect()
    }

    /// This one could not be read: whoever needs it asks again.
    pub(super) fn unsettle(&self, key: &Key) {
        self.write().schemas.settled.remove(key);
    }
}

/// Wakes those who wait for a schema, and who ask for one.
pub(super) type Bell = Notify;

/// The schemas of a CustomResourceDefinition's versions; none where they cannot be had for good.
///
/// # Errors
/// What may pass.
pub(super) async fn read(client: &Client, definition: &str) -> Result<Schemas, kube::Error> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
    let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let definition: Value = match client.request(request).await {
        Ok(definition) => definition,
        Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
            tracing::warn!(definition, message = %status.message, "without its schema");
            return Ok(Schemas::default());
        }
        Err(error) => return Err(error),
    };
    let mut served = Served::default();
    if let Err(reason) = served.add_definition(&definition) {
        tracing::warn!(%reason, "a CustomResourceDefinition");
    }
    Ok(served.0.into_values().next().map(|kind| kind.schemas).unwrap_or_default())
}
