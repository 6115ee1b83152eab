//! Read your writes: what the caches have yet to show of the writes that were made.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Place, Primary, StoreId};
use kube::core::DynamicObject;
use tokio::time::Instant;

/// A watch that shows nothing for so long is given up: names and preconditions make a decision on old data safe, and
/// waiting for ever would not be.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the cache must show of an object before the next decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This version of it, or a later one.
    Version {
        /// Its uid.
        uid: String,
        /// Its resourceVersion, as the write's answer gave it.
        resource_version: String,
    },
    /// That the object of this uid is gone or going.
    Gone {
        /// Its uid.
        uid: String,
    },
}

impl Expect {
    /// Whether the cache's object (or that there is none) fulfils it.
    pub(super) fn is_met(&self, seen: Option<&DynamicObject>) -> bool {
        match (self, seen) {
            (Self::Gone { uid }, Some(o)) => {
                o.metadata.uid.as_deref() != Some(uid) || o.metadata.deletion_timestamp.is_some()
            }
            (Self::Gone { .. }, None) => true,
            (Self::Version { resource_version, .. }, Some(o)) => {
                let seen = o.metadata.resource_version.as_deref().unwrap_or_default();
                reached(seen, resource_version)
            }
            (Self::Version { .. }, None) => false,
        }
    }
}

/// Whether `seen` is `wanted` or later. Versions of one kind are decimal numbers that grow; what is not a number is
/// compared for being the same.
fn reached(seen: &str, wanted: &str) -> bool {
    match (seen.parse::<u128>(), wanted.parse::<u128>()) {
        (Ok(seen), Ok(wanted)) => seen >= wanted,
        _ => seen == wanted,
    }
}

#[derive(Debug)]
struct Awaited {
    expect: Expect,
    by: Primary,
    since: Instant,
}

/// All that is awaited.
#[derive(Debug, Default)]
pub struct Expectations {
    awaited: HashMap<Place, Vec<Awaited>>,
    of: HashMap<Primary, HashSet<Place>>,
    /// When the list that is under way for a store began.
    lists: HashMap<StoreId, Instant>,
}

impl Expectations {
    /// `by` awaits this of `key`.
    pub fn add(&mut self, by: Primary, key: Place, expect: Expect, now: Instant) {
        self.of.entry(by.clone()).or_default().insert(key.clone());
        let list = self.awaited.entry(key).or_default();
        list.retain(|a| a.by != by);
        list.push(Awaited { expect, by, since: now });
    }

    /// The cache shows `seen` for `key` now; gives those who waited for it.
    pub fn seen(&mut self, key: &Place, seen: Option<&DynamicObject>) -> Vec<Primary> {
        self.settle(key, |a| a.expect.is_met(seen))
    }

    /// An object was deleted: whatever version of it was awaited is past.
    pub fn deleted(&mut self, key: &Place, object: &DynamicObject) -> Vec<Primary> {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.settle(key, |a| match &a.expect {
            Expect::Version { uid: wanted, .. } | Expect::Gone { uid: wanted } => wanted == uid,
        })
    }

    /// A list of this store's objects begins.
    pub fn list_begins(&mut self, id: &StoreId, now: Instant) {
        self.lists.insert(id.clone(), now);
    }

    /// It has ended: it shows every write that was made before it began.
    pub fn list_ended(&mut self, id: &StoreId) -> Vec<Primary> {
        let Some(began) = self.lists.remove(id) else { return Vec::new() };
        let of = |(scope, key): &Place| *scope == id.scope && key.group == id.group && key.kind == id.kind;
        let keys: Vec<Place> = self.awaited.keys().filter(|place| of(place)).cloned().collect();
        keys.iter().flat_map(|key| self.settle(key, |a| a.since <= began)).collect()
    }

    /// What `by` still waits for; what it has waited for too long is given up.
    pub fn pending(&mut self, by: &Primary, now: Instant) -> Option<Place> {
        let keys: Vec<Place> = self.of.get(by)?.iter().cloned().collect();
        for key in &keys {
            let old = self.settle(key, |a| &a.by == by && now.duration_since(a.since) > PATIENCE);
            if !old.is_empty() {
                tracing::warn!(key = %key.1, "the watch has not shown a write for {PATIENCE:?}; going on without it");
            }
        }
        self.of.get(by)?.iter().next().cloned()
    }

    fn settle(&mut self, key: &Place, met: impl Fn(&Awaited) -> bool) -> Vec<Primary> {
        let Some(list) = self.awaited.get_mut(key) else { return Vec::new() };
        let mut done = Vec::new();
        list.retain(|a| {
            let met = met(a);
            if met {
                done.push(a.by.clone());
            }
            !met
        });
        if list.is_empty() {
            self.awaited.remove(key);
        }
        for primary in &done {
            if let Some(keys) = self.of.get_mut(primary) {
                keys.remove(key);
                if keys.is_empty() {
                    self.of.remove(primary);
                }
            }
        }
        done
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::caches::{PrimaryKind, Scope};
    use serde_json::json;
    use tributary_blueprints::object::{Gvk, ObjectKey};

    fn key() -> Place {
        (Scope::All, ObjectKey::new(&Gvk::new("batch", "v1", "Job"), "ns", "a"))
    }

    fn jobs() -> StoreId {
        StoreId::new("batch", "Job", Scope::All)
    }

    fn primary(name: &str) -> Primary {
        Primary { kind: PrimaryKind::Pipeline, namespace: "ns".into(), name: name.into() }
    }

    fn object(uid: &str, version: &str, deleting: bool) -> DynamicObject {
        let mut value = json!({"metadata": {"name": "a", "uid": uid, "resourceVersion": version}});
        if deleting {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(value).unwrap()
    }

    fn version(uid: &str, version: &str) -> Expect {
        Expect::Version { uid: uid.into(), resource_version: version.into() }
    }

    #[test]
    fn a_write_is_awaited_until_the_cache_has_reached_it() {
        let (mut all, now) = (Expectations::default(), Instant::now());
        all.add(primary("p"), key(), version("u", "10"), now);
        assert_eq!(all.pending(&primary("p"), now), Some(key()));
        assert_eq!(all.pending(&primary("q"), now), None);
        assert!(all.seen(&key(), Some(&object("u", "9", false))).is_empty());
        assert_eq!(all.seen(&key(), Some(&object("u", "11", false))), [primary("p")]);
        assert_eq!(all.pending(&primary("p"), now), None);
        assert!(all.awaited.is_empty() && all.of.is_empty());
    }

    #[test]
    fn a_write_to_an_object_that_is_deleted_meanwhile_is_not_awaited_for_ever() {
        let (mut all, now) = (Expectations::default(), Instant::now());
        all.add(primary("p"), key(), version("u", "10"), now);
        assert_eq!(all.deleted(&key(), &object("u", "9", false)), [primary("p")]);
    }

    #[test]
    fn a_deletion_is_seen_by_the_timestamp_by_absence_or_by_a_successor() {
        let (mut all, now) = (Expectations::default(), Instant::now());
        for seen in [None, Some(object("u", "1", true)), Some(object("v", "1", false))] {
            all.add(primary("p"), key(), Expect::Gone { uid: "u".into() }, now);
            assert!(all.seen(&key(), Some(&object("u", "12", false))).is_empty());
            assert_eq!(all.seen(&key(), seen.as_ref()), [primary("p")]);
        }
    }

    #[test]
    fn a_list_settles_only_writes_from_before_it_began() {
        let (mut all, now, step) = (Expectations::default(), Instant::now(), Duration::from_millis(1));
        all.add(primary("before"), key(), version("u", "10"), now);
        all.list_begins(&jobs(), now + step);
        all.add(primary("after"), key(), version("u", "20"), now + step * 2);
        assert_eq!(all.list_ended(&jobs()), [primary("before")]);
        assert!(all.pending(&primary("after"), now + step * 3).is_some());
    }

    #[test]
    fn patience_ends() {
        let (mut all, now) = (Expectations::default(), Instant::now());
        all.add(primary("p"), key(), version("u", "10"), now);
        assert_eq!(all.pending(&primary("p"), now + PATIENCE), Some(key()));
        assert_eq!(all.pending(&primary("p"), now + PATIENCE + Duration::from_secs(1)), None);
    }
}
