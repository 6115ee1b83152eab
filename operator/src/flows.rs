//! What the controllers of JobFlow, JobTemplate and DaemonJob share: what they have read of large objects, and when
//! they last wrote a status. All of it may be lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::core::{DynamicObject, ObjectMeta};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tributary_flows::Revision;

use crate::caches::{Primary, StoreId, View};

/// The part of an object at this name.
pub(crate) fn part<T: DeserializeOwned>(object: &DynamicObject, name: &str) -> Result<T, serde_json::Error> {
    T::deserialize(object.data.get(name).unwrap_or(&Value::Null))
}

/// The status of an object; the default where there is none.
pub(crate) fn status<T: DeserializeOwned + Default>(object: &DynamicObject) -> Result<T, serde_json::Error> {
    if object.data.get("status").is_none_or(Value::is_null) { Ok(T::default()) } else { part(object, "status") }
}

/// Values by what they were read from.
#[derive(Debug)]
pub(crate) struct Memo<T>(Mutex<HashMap<Primary, HashMap<String, Arc<T>>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Memo<T> {
    /// The value of `key`, made if it is not known.
    pub(crate) fn get<E>(&self, of: &Primary, key: String, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let known = |map: &HashMap<Primary, HashMap<String, Arc<T>>>| map.get(of)?.get(&key).cloned();
        if let Some(value) = known(&self.lock()) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        self.lock().entry(of.clone()).or_default().insert(key, value.clone());
        Ok(value)
    }

    /// Forgets all but these values of a primary.
    pub(crate) fn keep(&self, of: &Primary, keys: &[String]) {
        if let Some(known) = self.lock().get_mut(of) {
            known.retain(|key, _| keys.contains(key));
        }
    }

    /// Forgets a primary.
    pub(crate) fn forget(&self, of: &Primary) {
        self.lock().remove(of);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Primary, HashMap<String, Arc<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the status of each primary was last written.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<HashMap<(String, String), Instant>>);

impl Written {
    fn key(metadata: &ObjectMeta) -> (String, String) {
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    /// It is written now.
    pub(crate) fn now(&self, metadata: &ObjectMeta) {
        self.lock().insert(Self::key(metadata), Instant::now());
    }

    /// How long ago.
    pub(crate) fn age(&self, metadata: &ObjectMeta) -> Option<Duration> {
        self.lock().get(&Self::key(metadata)).map(Instant::elapsed)
    }

    /// Forgets a primary.
    pub(crate) fn forget(&self, of: &Primary) {
        self.lock().remove(&(of.namespace.clone(), of.name.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The revisions of a primary by their run; the two newest are thawed.
pub(crate) fn revisions<F>(
    memo: &Memo<F>,
    primary: &Primary,
    owner: &ObjectMeta,
    (view, store, label): (&View<'_>, &StoreId, &'static str),
    thaw: impl Fn(&DynamicObject) -> Option<F>,
) -> tributary_flows::Revisions<F> {
    const THAWED: usize = 2;
    let ours = |o: &&Arc<DynamicObject>| {
        o.metadata.owner_references.iter().flatten().any(|r| Some(&r.uid) == owner.uid.as_ref())
    };
    let all = view.labelled(store, &primary.namespace, label, &primary.name).filter(ours);
    let mut all: Vec<(i64, &Arc<DynamicObject>)> =
        all.filter_map(|o| Some((tributary_flows::jobflow::run_of(&o.metadata)?, o))).collect();
    all.sort_by_key(|(run, _)| -run);
    let uid = |o: &DynamicObject| o.metadata.uid.clone().unwrap_or_default();
    let newest: Vec<String> = all.iter().take(THAWED).map(|(_, o)| uid(o)).collect();
    memo.keep(primary, &newest);
    let revision = |(i, (run, object)): (usize, (i64, &Arc<DynamicObject>))| {
        let frozen = || memo.get(primary, uid(object), || thaw(object).ok_or(())).ok();
        let frozen = if i < THAWED { frozen() } else { None };
        (run, Revision { metadata: object.metadata.clone(), frozen })
    };
    all.into_iter().enumerate().map(revision).collect()
}
