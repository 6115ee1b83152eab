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
use tributary_flows::{Pace, Revision};

use crate::{
    bucket::Bucket,
    caches::{Primary, StoreId, View},
};

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

/// Statuses of all objects of a kind together that are written a second where there is more to say than that.
const RATE: f64 = 5.0;
/// The longest that mere progress stays unwritten, in seconds.
const LONGEST: f64 = 60.0;

/// When the status of each primary was last written.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Writes>);

#[derive(Debug)]
struct Writes {
    of: HashMap<(String, String), Instant>,
    lately: Bucket,
}

impl Default for Writes {
    fn default() -> Self {
        Self { of: HashMap::new(), lately: Bucket::new(RATE) }
    }
}

impl Written {
    fn key(metadata: &ObjectMeta) -> (String, String) {
        (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
    }

    /// Its status is written now.
    pub(crate) fn now(&self, metadata: &ObjectMeta) {
        let (mut writes, now) = (self.lock(), Instant::now());
        writes.of.insert(Self::key(metadata), now);
        // more than that would only make it stay so for longer
        _ = writes.lately.try_add(RATE * LONGEST, now);
    }

    /// How soon its progress may be written. What was written lately has to sink first, so that with `n` objects that always
    /// have something to say each is written every `n / RATE` seconds: Jobs come before news of them.
    pub(crate) fn pace(&self, metadata: &ObjectMeta) -> Pace {
        let (writes, now) = (self.lock(), Instant::now());
        let age = writes.of.get(&Self::key(metadata)).map(|at| now - *at);
        let apart = (writes.lately.level(now) / RATE).min(LONGEST);
        Pace { age, apart: Duration::from_secs_f64(apart) }
    }

    /// Forgets a primary.
    pub(crate) fn forget(&self, of: &Primary) {
        self.lock().of.remove(&(of.namespace.clone(), of.name.clone()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Writes> {
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
    let ours = |o: &Arc<DynamicObject>| {
        o.metadata.owner_references.iter().flatten().any(|r| Some(&r.uid) == owner.uid.as_ref())
    };
    let all = view.labelled(store, &primary.namespace, label, &primary.name).filter(ours);
    let mut all: Vec<(i64, Arc<DynamicObject>)> =
        all.filter_map(|o| Some((tributary_flows::jobflow::run_of(&o.metadata)?, o))).collect();
    all.sort_by_key(|(run, _)| -run);
    let uid = |o: &DynamicObject| o.metadata.uid.clone().unwrap_or_default();
    let newest: Vec<String> = all.iter().take(THAWED).map(|(_, o)| uid(o)).collect();
    memo.keep(primary, &newest);
    let revision = |(i, (run, object)): (usize, (i64, Arc<DynamicObject>))| {
        let frozen = || memo.get(primary, uid(&object), || thaw(&object).ok_or(())).ok();
        let frozen = if i < THAWED { frozen() } else { None };
        (run, Revision { metadata: object.metadata.clone(), frozen })
    };
    all.into_iter().enumerate().map(revision).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_of_many_is_written_as_often_as_the_rate_says_and_of_few_at_once() {
        for (flows, least, most) in [(2_u32, 200, 300), (100, 120, 300), (3_000, 120, 300)] {
            let written = Written::default();
            let of = |i: u32| ObjectMeta { name: Some(format!("f{i}")), ..ObjectMeta::default() };
            (0..flows).for_each(|i| written.now(&of(i)));
            assert!(written.pace(&of(0)).apart <= Duration::from_secs(60));
            let mut count = 0;
            for _ in 0..590 {
                tokio::time::advance(Duration::from_millis(100)).await;
                for i in 0..flows {
                    let pace = written.pace(&of(i));
                    if pace.age.is_some_and(|age| age >= pace.apart) {
                        written.now(&of(i));
                        count += 1;
                    }
                }
            }
            assert!((least..=most).contains(&count), "{flows} flows: {count} writes in 59 s");
        }
    }
}
