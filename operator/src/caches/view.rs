//! What `observe` sees of the caches.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    world::Served,
};
use tributary_crds::names;
use tributary_flows::{Family, Jobs};

use super::{Inner, Scope, StoreId, Sync};

/// The caches at one moment; keeps a record of the objects that were looked up by name.
pub struct View<'a> {
    inner: &'a Inner,
    /// The keys' hashes: two of one hash wake each other's readers, which is no harm.
    keys: RefCell<BTreeSet<u64>>,
}

impl<'a> View<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner, keys: RefCell::default() }
    }

    pub(super) fn into_keys(self) -> BTreeSet<u64> {
        self.keys.into_inner()
    }

    /// The kinds that are served.
    pub fn served(&self) -> &Arc<Served> {
        &self.inner.served
    }

    /// Whether schemas of these kinds are still to be asked for.
    pub fn lacks_schemas(&self, kinds: &BTreeSet<Gvk>) -> bool {
        !self.inner.schemas.open(kinds, &self.inner.served).is_empty()
    }

    /// Whether discovery has been read.
    pub fn is_discovered(&self) -> bool {
        self.inner.discovered
    }

    /// How far the store is; `None` where the kind is not watched, or not served.
    pub fn sync(&self, id: &StoreId) -> Option<&Sync> {
        self.inner.stores.get(id).map(|watched| &watched.store.sync)
    }

    /// One object. Whoever observes is woken when it comes, changes or goes.
    pub fn get(&self, scope: Scope, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
        self.mention(key);
        let watched = self.inner.stores.get(&StoreId::new(&key.group, &key.kind, scope))?;
        watched.store.get(&key.namespace, &key.name)
    }

    /// The same as the type it is of; an error where it is not.
    pub fn read<T: DeserializeOwned>(&self, scope: Scope, key: &ObjectKey) -> Option<Result<T, serde_json::Error>> {
        self.mention(key);
        let watched = self.inner.stores.get(&StoreId::new(&key.group, &key.kind, scope))?;
        watched.store.read(&key.namespace, &key.name)
    }

    /// Whoever observes is woken when this object comes, changes or goes.
    pub fn mention(&self, key: &ObjectKey) {
        self.keys.borrow_mut().insert(self.inner.mentions.hash(key));
    }

    /// All objects of a kind.
    pub fn all(&self, id: &StoreId) -> impl Iterator<Item = Arc<DynamicObject>> + use<'a> {
        self.inner.stores.get(id).into_iter().flat_map(|watched| watched.store.all())
    }

    /// All objects of a kind as the type they are of; those that are not are left out.
    pub fn read_all<T: DeserializeOwned>(&self, id: &StoreId) -> impl Iterator<Item = T> + use<'a, T> {
        self.inner.stores.get(id).into_iter().flat_map(|watched| watched.store.read_all())
    }

    /// Objects of every wholly watched kind in the namespace that carry the Pipeline's label.
    pub fn of_pipeline(&self, namespace: &str, pipeline: &str) -> impl Iterator<Item = Arc<DynamicObject>> {
        let stores = self.inner.stores.iter().filter(|(id, _)| id.scope == Scope::All);
        stores.flat_map(move |(_, watched)| watched.store.labelled(namespace, names::PIPELINE, pipeline))
    }

    /// Objects of a kind in the namespace that carry the MapReduceJob's label.
    pub fn of_job(&self, id: &StoreId, namespace: &str, job: &str) -> impl Iterator<Item = Arc<DynamicObject>> {
        let store = self.inner.stores.get(id);
        store.into_iter().flat_map(move |watched| watched.store.labelled(namespace, names::JOB, job))
    }

    /// Objects of a kind in the namespace that carry one of the indexed labels with this value.
    pub fn labelled(
        &self,
        id: &StoreId,
        namespace: &str,
        label: &'static str,
        value: &str,
    ) -> impl Iterator<Item = Arc<DynamicObject>> {
        let store = self.inner.stores.get(id);
        store.into_iter().flat_map(move |watched| watched.store.labelled(namespace, label, value))
    }

    /// Objects of a kind in the namespace that carry the label of a JobFlow or a DaemonJob with this value, as they are now.
    pub fn family(&self, id: &StoreId, namespace: &str, label: &'static str, value: &str) -> Family {
        let store = self.inner.stores.get(id).map(|watched| &watched.store);
        store.map(|store| store.family(namespace, label, value)).unwrap_or_default()
    }

    /// The same with all others of the namespace, by their names. Whoever observes is woken for those only that name it as
    /// their owner.
    pub fn jobs(&self, id: &StoreId, namespace: &str, label: &'static str, value: &str) -> Jobs {
        let Some(watched) = self.inner.stores.get(id) else { return Jobs::default() };
        let named = Arc::new(watched.store.in_namespace(namespace));
        Jobs::new(named, watched.store.family(namespace, label, value))
    }

    /// Names of the JobFlows of the namespace that refer to this JobTemplate.
    pub fn users_of(&self, id: &StoreId, namespace: &str, template: &str) -> impl Iterator<Item = &'a str> {
        let store = self.inner.stores.get(id);
        store.into_iter().flat_map(move |watched| watched.store.users_of(namespace, template))
    }

    /// Those of the stores that are not complete.
    pub fn unsynced(&self, ids: impl IntoIterator<Item = StoreId>) -> Vec<StoreId> {
        ids.into_iter().filter(|id| self.sync(id) != Some(&Sync::Synced)).collect()
    }

    /// Topics that stand for the same Kafka topic as this one, itself included.
    pub fn rivals_of(&self, id: &StoreId, topic: &DynamicObject) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.inner.stores.get(id).into_iter().flat_map(move |watched| watched.store.rivals_of(topic))
    }
}
