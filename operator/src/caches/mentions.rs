//! Who looked an object up when last deciding. There are many of these, so that keys are kept as their hashes: two of one hash wake each
//! other's readers, which is no harm.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tributary_blueprints::object::ObjectKey;

use super::Primary;

/// Objects and those who looked them up.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    hasher: RandomState,
    by: HashMap<u64, Readers>,
    of: HashMap<Arc<Primary>, Box<[u64]>>,
}

/// Most objects are looked up by one, some by thousands.
#[derive(Debug)]
enum Readers {
    One(Arc<Primary>),
    Many(HashSet<Arc<Primary>>),
}

impl Mentions {
    /// What stands for an object.
    pub(super) fn hash(&self, key: &ObjectKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Those who looked it up.
    pub(super) fn by(&self, key: &ObjectKey) -> impl Iterator<Item = &Primary> {
        let (one, many) = match self.by.get(&self.hash(key)) {
            Some(Readers::One(one)) => (Some(one), None),
            Some(Readers::Many(many)) => (None, Some(many)),
            None => (None, None),
        };
        one.into_iter().chain(many.into_iter().flatten()).map(|primary| &**primary)
    }

    /// Whether it looked up just these.
    pub(super) fn is(&self, primary: &Primary, keys: &BTreeSet<u64>) -> bool {
        self.known(primary).iter().eq(keys)
    }

    /// It has looked up these, and no others any more.
    pub(super) fn set(&mut self, primary: &Primary, keys: &BTreeSet<u64>) {
        let known = self.of.remove_entry(primary);
        let (primary, known) = known.unwrap_or_else(|| (Arc::new(primary.clone()), Box::default()));
        for key in known.iter().filter(|key| !keys.contains(key)) {
            self.forget(*key, &primary);
        }
        for key in keys.iter().filter(|key| known.binary_search(key).is_err()) {
            self.add(*key, &primary);
        }
        if !keys.is_empty() {
            self.of.insert(primary, keys.iter().copied().collect());
        }
    }

    fn known(&self, primary: &Primary) -> &[u64] {
        self.of.get(primary).map_or(&[], |known| known)
    }

    fn add(&mut self, key: u64, primary: &Arc<Primary>) {
        match self.by.get_mut(&key) {
            None => _ = self.by.insert(key, Readers::One(primary.clone())),
            Some(Readers::Many(many)) => _ = many.insert(primary.clone()),
            Some(readers @ Readers::One(_)) => {
                let mut many = HashSet::from([primary.clone()]);
                if let Readers::One(one) = readers {
                    many.insert(one.clone());
                }
                *readers = Readers::Many(many);
            }
        }
    }

    fn forget(&mut self, key: u64, primary: &Arc<Primary>) {
        let is_last = match self.by.get_mut(&key) {
            Some(Readers::One(one)) => one == primary,
            Some(Readers::Many(many)) => {
                many.remove(primary);
                many.is_empty()
            }
            None => false,
        };
        if is_last {
            self.by.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::PrimaryKind;

    #[test]
    fn whoever_looks_an_object_up_is_known_until_it_does_no_more() {
        let mut mentions = Mentions::default();
        let of = |name: &str| Primary { kind: PrimaryKind::Pipeline, namespace: "ns".into(), name: name.into() };
        let key = |name: &str| ObjectKey { name: name.into(), ..ObjectKey::default() };
        let read = |mentions: &mut Mentions, by: &str, names: &[&str]| {
            let keys = names.iter().map(|name| mentions.hash(&key(name))).collect();
            mentions.set(&of(by), &keys);
            assert!(mentions.is(&of(by), &keys));
        };
        let by = |mentions: &Mentions, name: &str| {
            let mut all: Vec<String> = mentions.by(&key(name)).map(|primary| primary.name.clone()).collect();
            all.sort();
            all.concat()
        };
        read(&mut mentions, "p", &["a", "b"]);
        read(&mut mentions, "q", &["b", "c"]);
        read(&mut mentions, "r", &["b"]);
        assert_eq!(["a", "b", "c", "d"].map(|name| by(&mentions, name)), ["p", "pqr", "q", ""]);
        read(&mut mentions, "p", &["a", "c"]);
        read(&mut mentions, "q", &[]);
        assert_eq!(["a", "b", "c"].map(|name| by(&mentions, name)), ["p", "r", "p"]);
        read(&mut mentions, "p", &[]);
        read(&mut mentions, "r", &[]);
        assert!(mentions.by.is_empty() && mentions.of.is_empty());
    }
}
