//! Who looked an object up when last deciding. There are many of these, so that keys are kept as their hashes: two of one hash wake each
//! other's readers, which is no harm.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tributary_blueprints::object::ObjectKey;

use super::Primary;

/// Objects and those who looked them up.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    hasher: RandomState,
    by: HashMap<u64, Vec<Arc<Primary>>>,
    of: HashMap<Arc<Primary>, Box<[u64]>>,
}

impl Mentions {
    /// What stands for an object.
    pub(super) fn hash(&self, key: &ObjectKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Those who looked it up.
    pub(super) fn by(&self, key: &ObjectKey) -> impl Iterator<Item = &Primary> {
        self.by.get(&self.hash(key)).into_iter().flatten().map(|primary| &**primary)
    }

    /// Whether it looked up just these.
    pub(super) fn is(&self, primary: &Primary, keys: &BTreeSet<u64>) -> bool {
        let known = self.of.get(primary).map_or(&[][..], |known| known);
        known.iter().eq(keys)
    }

    /// It has looked up these, and no others any more.
    pub(super) fn set(&mut self, primary: &Primary, keys: BTreeSet<u64>) {
        for key in self.of.remove(primary).into_iter().flatten() {
            if let Some(primaries) = self.by.get_mut(&key) {
                primaries.retain(|by| **by != *primary);
                if primaries.is_empty() {
                    self.by.remove(&key);
                }
            }
        }
        if keys.is_empty() {
            return;
        }
        let primary = Arc::new(primary.clone());
        for key in &keys {
            self.by.entry(*key).or_insert_with(|| Vec::with_capacity(1)).push(primary.clone());
        }
        self.of.insert(primary, keys.into_iter().collect());
    }
}
