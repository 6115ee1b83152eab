//! The Jobs and pods of a flow or a DaemonJob, as decisions see them: a copy costs nothing, however many there are.

use std::{collections::BTreeMap, fmt, ops::Bound, sync::Arc};

use imbl::{HashMap, OrdMap};
use kube::core::{DynamicObject, ObjectMeta};
use tributary_crds::names;

use crate::job;

/// Objects of one kind that carry the label of one flow or DaemonJob.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// By `<uid of the owner>/<name>`.
    objects: OrdMap<Arc<str>, Arc<DynamicObject>>,
    /// How many there are of each step, by run.
    steps: OrdMap<i64, HashMap<Arc<str>, usize>>,
}

impl Family {
    /// Takes an object in. One of the same name is to be removed before.
    pub fn insert(&mut self, object: Arc<DynamicObject>) {
        if let Some((run, step)) = step_of(&object.metadata) {
            *self.steps.entry(run).or_default().entry(step.into()).or_default() += 1;
        }
        self.objects.insert(place_of(&object.metadata), object);
    }

    /// Takes an object out, in the version that was taken in.
    pub fn remove(&mut self, object: &DynamicObject) {
        if self.objects.remove(&place_of(&object.metadata)).is_none() {
            return;
        }
        let Some((run, step)) = step_of(&object.metadata) else { return };
        let Some(steps) = self.steps.get_mut(&run) else { return };
        match steps.get_mut(step) {
            Some(count) if *count > 1 => *count -= 1,
            _ => _ = steps.remove(step),
        }
        if steps.is_empty() {
            self.steps.remove(&run);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DynamicObject>> {
        self.objects.values()
    }

    fn of_owner(&self, uid: &str) -> impl Iterator<Item = &Arc<DynamicObject>> {
        let prefix = format!("{uid}/");
        let from = self.objects.range::<_, str>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        from.take_while(move |(place, _)| place.starts_with(&prefix)).map(|(_, object)| object)
    }
}

impl FromIterator<Arc<DynamicObject>> for Family {
    fn from_iter<T: IntoIterator<Item = Arc<DynamicObject>>>(iter: T) -> Self {
        let mut all = Self::default();
        iter.into_iter().for_each(|object| all.insert(object));
        all
    }
}

fn place_of(object: &ObjectMeta) -> Arc<str> {
    let owners = || object.owner_references.iter().flatten();
    let owner = owners().find(|o| o.controller == Some(true)).or_else(|| owners().next());
    let uid = owner.map_or("", |o| o.uid.as_str());
    format!("{uid}/{}", object.name.as_deref().unwrap_or_default()).into()
}

fn step_of(object: &ObjectMeta) -> Option<(i64, &str)> {
    Some((job::run_of(object)?, job::label(object, names::STEP)?))
}

/// Jobs of a namespace by their names, whosesoever they are.
pub trait Named: fmt::Debug + Send + Sync {
    /// The Job of this name.
    fn get(&self, name: &str) -> Option<Arc<DynamicObject>>;
}

impl Named for BTreeMap<String, Arc<DynamicObject>> {
    fn get(&self, name: &str) -> Option<Arc<DynamicObject>> {
        BTreeMap::get(self, name).cloned()
    }
}

/// The Jobs of a flow or a DaemonJob, and strangers that have their names.
#[derive(Clone, Debug)]
pub struct Jobs {
    named: Arc<dyn Named>,
    family: Family,
}

impl Jobs {
    /// Those of a family, and what is in its namespace.
    pub fn new(named: Arc<dyn Named>, family: Family) -> Self {
        Self { named, family }
    }

    /// The Job of this name.
    pub fn get(&self, name: &str) -> Option<Arc<DynamicObject>> {
        self.named.get(name)
    }

    /// All that say they belong to it.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<DynamicObject>> {
        self.family.iter()
    }

    /// Whether some Job says that it is of this step in this run.
    pub(crate) fn has_step(&self, run: i64, step: &str) -> bool {
        self.family.steps.get(&run).is_some_and(|steps| steps.contains_key(step))
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self::from_iter([])
    }
}

impl FromIterator<Arc<DynamicObject>> for Jobs {
    fn from_iter<T: IntoIterator<Item = Arc<DynamicObject>>>(iter: T) -> Self {
        let named = iter.into_iter().filter_map(|job| Some((job.metadata.name.clone()?, job)));
        let named: BTreeMap<String, Arc<DynamicObject>> = named.collect();
        Self { family: named.values().cloned().collect(), named: Arc::new(named) }
    }
}

/// The pods of their Jobs.
#[derive(Clone, Debug, Default)]
pub struct Pods(Family);

impl Pods {
    /// Those of a Job, by name.
    pub fn of(&self, job: &DynamicObject) -> Vec<Arc<DynamicObject>> {
        job.metadata.uid.iter().flat_map(|uid| self.0.of_owner(uid)).cloned().collect()
    }
}

impl From<Family> for Pods {
    fn from(family: Family) -> Self {
        Self(family)
    }
}

impl FromIterator<Arc<DynamicObject>> for Pods {
    fn from_iter<T: IntoIterator<Item = Arc<DynamicObject>>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn job(name: usize, step: usize, run: i64, version: usize) -> Arc<DynamicObject> {
        let labels = json!({names::STEP: format!("s{step}"), names::RUN: run.to_string()});
        let owner = json!([{"apiVersion": "v1", "kind": "JobFlow", "name": "f", "uid": format!("u{}", step % 2)}]);
        let metadata = json!({"name": format!("n{name}"), "labels": labels, "ownerReferences": owner, "resourceVersion": version.to_string()});
        Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    proptest! {
        #[test]
        fn it_is_what_was_taken_in_and_not_out_and_copies_stay_as_they_were(
            changes in prop::collection::vec((0..8_usize, 0..4_usize, 1..3_i64, any::<bool>()), 0..60),
        ) {
            let (mut family, mut known) = (Family::default(), HashMap::<usize, (Arc<DynamicObject>, usize, i64)>::new());
            let mut copies = Vec::new();
            for (version, (name, step, run, comes)) in changes.into_iter().enumerate() {
                if let Some((old, ..)) = known.remove(&name) {
                    family.remove(&old);
                }
                if comes {
                    let object = job(name, step, run, version);
                    family.insert(object.clone());
                    known.insert(name, (object, step, run));
                }
                copies.push((family.clone(), family.iter().cloned().collect::<Vec<_>>()));
                let jobs = Jobs::new(Arc::new(BTreeMap::new()), family.clone());
                for (run, step) in (1..3).flat_map(|run| (0..4).map(move |step| (run, step))) {
                    let expected = known.values().any(|(_, s, r)| (*s, *r) == (step, run));
                    prop_assert_eq!(jobs.has_step(run, &format!("s{step}")), expected);
                }
                let of_owner = |uid| known.values().filter(|(_, step, _)| step % 2 == uid).count();
                prop_assert_eq!((family.of_owner("u0").count(), family.of_owner("u1").count()), (of_owner(0), of_owner(1)));
                prop_assert_eq!((family.iter().count(), family.is_empty()), (known.len(), known.is_empty()));
            }
            for (copy, then) in copies {
                prop_assert!(copy.iter().eq(then.iter()));
            }
        }
    }
}
