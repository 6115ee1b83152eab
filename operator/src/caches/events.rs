//! What an event of a watch changes, and whom it wakes.

use std::{collections::HashSet, sync::Arc};

use kube::{core::DynamicObject, runtime::watcher::Event};
use serde_json::Value;
use tokio::time::Instant;
use tributary_blueprints::object::{Gvk, ObjectKey, field};
use tributary_crds::{GROUP, names};
use tributary_flows::goes_on_as_before;

use super::{
    Caches, Expect, Primary, PrimaryKind, Scope, StoreId, Sync, place,
    store::{Store, is_of_flow, name_of, templates_of},
};
use crate::queue::Lane;

impl Caches {
    /// Takes in what the watch of `id` says.
    pub(super) fn on_event(self: &Arc<Self>, id: &StoreId, event: Event<DynamicObject>) {
        match event {
            Event::Init => {
                self.expectations().list_begins(id, Instant::now());
                self.with_store(id, Store::begin_list);
            }
            Event::Apply(object) => self.there(id, object, Lane::Urgent),
            Event::InitApply(object) => self.there(id, object, Lane::Normal),
            Event::Delete(object) => {
                let old = self.with_store(id, |store| store.deleted(&object)).flatten();
                self.gone(id, &old.unwrap_or_else(|| Arc::new(object)));
            }
            Event::InitDone => {
                let first = self.with_store(id, |store| store.sync != Sync::Synced).unwrap_or_default();
                let gone = self.with_store(id, |store| store.end_list(Instant::now())).unwrap_or_default();
                for object in &gone {
                    self.gone(id, object);
                }
                self.queues.add(self.expectations().list_ended(id), Lane::Urgent);
                if first {
                    tracing::debug!(kind = id.kind, "first list complete");
                    PrimaryKind::ALL.into_iter().for_each(|kind| self.wake_all(kind));
                }
            }
        }
    }

    fn there(self: &Arc<Self>, id: &StoreId, object: DynamicObject, lane: Lane) {
        if let Some(Some((old, new))) = self.with_store(id, |store| store.watched(object)) {
            self.changed(id, old.as_ref(), &new, lane);
            kinds_made_by(id, &new).into_iter().for_each(|kind| self.want(kind));
        }
    }

    fn changed(&self, id: &StoreId, old: Option<&Arc<DynamicObject>>, new: &Arc<DynamicObject>, lane: Lane) {
        if !is_old_news(id, old, new) {
            // an edit is looked at in its turn
            let is_edited = old.is_some_and(|old| old.metadata.generation != new.metadata.generation);
            let own = if is_edited { Lane::Normal } else { own_lane(new) };
            self.wake(id, old.into_iter().chain([new]), lane, own);
            self.wake_templates(id, old, Some(new));
        }
        self.queues.add(self.expectations().seen(&place(id, new), Some(new)), lane);
    }

    /// Takes in the answer to a write that `by` asked for at `since`. Where the cache cannot show it yet, decisions on `by` wait.
    pub fn wrote(&self, by: &Primary, scope: Scope, key: &ObjectKey, written: &DynamicObject, since: Instant) {
        let id = StoreId::new(&key.group, &key.kind, scope);
        let object = scope.holds(written.metadata.labels.as_ref()).then(|| written.clone());
        let taken = object.and_then(|object| self.with_store(&id, |store| store.written(object, since)).flatten());
        if let Some((old, new)) = taken {
            return self.changed(&id, old.as_ref(), &new, Lane::Urgent);
        }
        let metadata = &written.metadata;
        if let (Some(uid), Some(version)) = (&metadata.uid, &metadata.resource_version) {
            let expect = Expect::Version { uid: uid.clone(), resource_version: version.clone() };
            self.expect(by, scope, key.clone(), expect);
        }
    }

    fn gone(&self, id: &StoreId, object: &Arc<DynamicObject>) {
        self.wake(id, [object], Lane::Urgent, Lane::Normal);
        self.wake_templates(id, Some(object), None);
        self.queues.add(self.expectations().deleted(&place(id, object), object), Lane::Urgent);
    }

    /// The watch of `id` does not come about until somebody does something. What was seen before is not forgotten for an
    /// apiserver that is in trouble.
    pub(super) fn on_trouble(&self, id: &StoreId, new: Sync) {
        let changed = self.with_store(id, |store| {
            let changed = store.sync != new && !(store.sync == Sync::Synced && matches!(new, Sync::Failing(_)));
            if changed {
                store.sync = new;
            }
            changed
        });
        if changed == Some(true) {
            self.wake_all(PrimaryKind::Pipeline);
        }
    }

    /// Wakes whom a change from or to these versions of an object concerns: those whom it belongs to in this lane, itself in its own.
    fn wake<'a>(
        &self,
        id: &StoreId,
        objects: impl IntoIterator<Item = &'a Arc<DynamicObject>>,
        lane: Lane,
        own_lane: Lane,
    ) {
        let (mut begun_it, mut others, mut own) = (HashSet::new(), HashSet::new(), HashSet::new());
        let inner = self.read();
        for object in objects {
            begun_it.extend(begun_by(object));
            own.extend(itself(object));
            others.extend(inner.mentions.by(&place(id, object).1).cloned());
            if let Some(watched) = inner.stores.get(id) {
                others.extend(watched.store.rivals_of(object).filter_map(|rival| itself(&rival)));
            }
        }
        drop(inner);
        self.queues.add(begun_it, lane);
        self.queues.add(others, Lane::Normal);
        self.queues.add(own, own_lane);
    }

    /// Wakes the JobTemplates that a flow begins or ends to refer to, and every DaemonJob where a node changes.
    fn wake_templates(&self, id: &StoreId, old: Option<&Arc<DynamicObject>>, new: Option<&Arc<DynamicObject>>) {
        if id.group.is_empty() && id.kind == "Node" {
            return self.wake_all(PrimaryKind::DaemonJob);
        }
        let is_flow = id.group == GROUP && id.kind == PrimaryKind::JobFlow.as_str();
        let generation = |o: Option<&Arc<DynamicObject>>| o.and_then(|o| o.metadata.generation);
        if !is_flow || generation(old) == generation(new) {
            return;
        }
        for object in old.into_iter().chain(new) {
            let (namespace, _) = name_of(object);
            let kind = PrimaryKind::JobTemplate;
            let templates = templates_of(object).into_iter();
            self.queues.add(templates.map(|name| Primary { kind, namespace: namespace.clone(), name }), Lane::Normal);
        }
    }
}

/// The kinds of what a Pipeline has made. A replica that does not lead watches them, too, so that it can take over at once.
fn kinds_made_by(id: &StoreId, object: &DynamicObject) -> HashSet<StoreId> {
    let is_pipeline = id.group == GROUP && id.kind == PrimaryKind::Pipeline.as_str();
    let inventory = field(object, &["status", "inventory"]).filter(|_| is_pipeline).and_then(Value::as_array);
    let kind = |item: &Value| {
        let gvk = Gvk::parse(item.get("apiVersion")?.as_str()?, item.get("kind")?.as_str()?);
        Some(StoreId::new(&gvk.group, &gvk.kind, Scope::All))
    };
    inventory.into_iter().flatten().filter_map(kind).collect()
}

pub(super) fn itself(object: &DynamicObject) -> Option<Primary> {
    let types = object.types.as_ref()?;
    let (group, _) = types.api_version.split_once('/')?;
    let (namespace, name) = name_of(object);
    Some(Primary { kind: PrimaryKind::of(group, &types.kind)?, namespace, name })
}

/// When it is the turn of a primary that was edited, or of which nothing has been said yet: one that belongs to another has begun
/// with that.
pub(super) fn own_lane(object: &DynamicObject) -> Lane {
    let metadata = &object.metadata;
    // a Pipeline has it from its birth
    let is_pipeline = itself(object).is_some_and(|primary| primary.kind == PrimaryKind::Pipeline);
    let is_guarded = metadata.finalizers.iter().flatten().any(|f| f == names::FINALIZER) && !is_pipeline;
    let is_new = object.data.get("status").is_none() && metadata.deletion_timestamp.is_none() && !is_guarded;
    let is_ours = field(object, &["spec", "managedBy"]).is_none_or(|by| by == names::MANAGER);
    if is_new && is_ours && begun_by(object).is_empty() { Lane::New } else { Lane::Normal }
}

/// The primaries that an object belongs to: its owners, and those of its labels.
fn begun_by(object: &DynamicObject) -> Vec<Primary> {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let primary = |kind, name: &String| Primary { kind, namespace: namespace.clone(), name: name.clone() };
    let mut all = Vec::new();
    for owner in object.metadata.owner_references.iter().flatten() {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        all.extend(PrimaryKind::of(group, &owner.kind).map(|kind| primary(kind, &owner.name)));
    }
    let labels = object.metadata.labels.as_ref();
    all.extend(labels.and_then(|l| l.get(names::PIPELINE)).map(|name| primary(PrimaryKind::Pipeline, name)));
    all.extend(labels.and_then(|l| l.get(names::JOB)).map(|name| primary(PrimaryKind::MapReduceJob, name)));
    all.extend(labels.and_then(|l| l.get(names::FLOW)).map(|name| primary(PrimaryKind::JobFlow, name)));
    all.extend(labels.and_then(|l| l.get(names::DAEMON_JOB)).map(|name| primary(PrimaryKind::DaemonJob, name)));
    all
}

/// Whether nobody has anything to decide because of a change.
fn is_old_news(id: &StoreId, old: Option<&Arc<DynamicObject>>, new: &Arc<DynamicObject>) -> bool {
    old.is_some_and(|old| says_the_same(id, old, new)) || is_pod_of_flow(id, old, new) && goes_on_as_before(old, new)
}

/// Whether it is a pod of a flow or a DaemonJob, before the change and after it, and of no Pipeline, whose rules may read all of it.
fn is_pod_of_flow(id: &StoreId, old: Option<&Arc<DynamicObject>>, new: &DynamicObject) -> bool {
    let labels = &new.metadata.labels;
    matches!(id.scope, Scope::OfFlows | Scope::OfDaemonJobs)
        && id.kind == "Pod"
        && old.is_none_or(|old| old.metadata.labels == *labels)
        && !labels.iter().flatten().any(|(name, _)| name == names::PIPELINE)
}

/// Whether decisions see the same in both. Nodes, pods and Jobs change all the time in ways that are of no interest here, and a pass
/// over a large flow is dear.
fn says_the_same(id: &StoreId, old: &DynamicObject, new: &DynamicObject) -> bool {
    let (before, after) = (&old.metadata, &new.metadata);
    // of a component all may be read: by its rules, and its finalizers are told
    let is_component = after.labels.as_ref().is_some_and(|labels| labels.contains_key(names::PIPELINE));
    // its version and its finalizers count where it is decided about
    itself(new).is_none()
        && before.uid == after.uid
        && before.labels == after.labels
        && before.annotations == after.annotations
        && before.owner_references == after.owner_references
        && before.deletion_timestamp == after.deletion_timestamp
        && (before.finalizers == after.finalizers || !is_component)
        && match (id.group.as_str(), id.kind.as_str()) {
            _ if is_component => old.data == new.data,
            ("", "Pod") => {
                POD_STATUS.iter().all(|name| status(old, name) == status(new, name)) && unmet(old).eq(unmet(new))
            }
            ("batch", "Job") if is_of_flow(new) => {
                JOB_STATUS.iter().all(|name| status(old, name) == status(new, name))
                    && verdicts(old).eq(verdicts(new))
                    && old.data.get("spec") == new.data.get("spec")
            }
            _ => old.data == new.data,
        }
}

/// What is read of a pod, beside the conditions that are not met.
const POD_STATUS: [&str; 5] = ["phase", "reason", "message", "containerStatuses", "initContainerStatuses"];
/// What is read of a step's or a node's Job, beside its conditions.
const JOB_STATUS: [&str; 2] = ["failed", "succeeded"];

fn status<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a Value> {
    object.data.get("status")?.get(name)
}

fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    status(object, "conditions").and_then(Value::as_array).into_iter().flatten()
}

fn unmet(pod: &DynamicObject) -> impl Iterator<Item = &Value> {
    conditions(pod).filter(|condition| condition["status"] == "False")
}

/// The conditions of a Job but `SuccessCriteriaMet`: it comes before the Job has ended, and says what its pods have said.
fn verdicts(job: &DynamicObject) -> impl Iterator<Item = &Value> {
    conditions(job).filter(|condition| condition["type"] != "SuccessCriteriaMet")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_primary_is_new_until_something_is_said_of_it_or_it_has_begun() {
        let lane = |kind: &str, change: Value| {
            let mut object = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind, "metadata": {"name": "p", "namespace": "n"}});
            jsonpatch::merge(&mut object, &change);
            own_lane(&serde_json::from_value(object).unwrap())
        };
        let guarded = json!({"metadata": {"finalizers": [names::FINALIZER]}});
        assert_eq!(lane("Pipeline", json!({})), Lane::New);
        // which it has from admission
        assert_eq!(lane("Pipeline", guarded.clone()), Lane::New);
        // which comes with the first pass
        assert_eq!(lane("MapReduceJob", guarded), Lane::Normal);
        assert_eq!(lane("Pipeline", json!({"status": {}})), Lane::Normal);
        assert_eq!(lane("Pipeline", json!({"spec": {"managedBy": "example.com/other"}})), Lane::Normal);
        assert_eq!(lane("JobFlow", json!({"metadata": {"labels": {(names::PIPELINE): "p"}}})), Lane::Normal);
    }
}
