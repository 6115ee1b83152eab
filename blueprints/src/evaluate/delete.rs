//! Deletion: in reverse waves, from what exists and not from what the blueprint says now; the blocker named.

use std::collections::HashSet;

use kube::core::DynamicObject;
use tributary_crds::names::{FINALIZER, TOPIC};
use tributary_crds::{ConditionType, ObjectRef, PipelinePhase, Reason, Wanted};

use super::child::{Ownership, RETAIN, WAVE, annotation, gvk_of, is_own_topic, label, ownership, reference};
use super::components::finalizers;
use super::pass::{deletion, refusal};
use super::{Draft, without};
use crate::object::ObjectKey;
use crate::plan::Action;
use crate::world::{Verb, World};

/// What one step of the deletion is: the writes, and what it waits for.
pub(super) fn delete(draft: &mut Draft<'_>) {
    let pipeline = &draft.world.pipeline;
    let held = pipeline.metadata.finalizers.iter().flatten().any(|f| f == FINALIZER);
    if !held {
        draft.release();
        return;
    }
    let mine = deletable(draft.world);
    let Some(last) = mine.iter().map(|(_, child)| wave(child)).max() else {
        let rest = without(pipeline.metadata.finalizers.as_deref().unwrap_or_default(), FINALIZER);
        draft.plan.actions.push(Action::Finalizers(rest));
        draft.release();
        return;
    };
    let current: Vec<_> = mine.iter().filter(|(_, child)| wave(child) == last).collect();
    draft.plan.actions.extend(current.iter().filter_map(|(key, child)| deletion(child, key)));
    let message = waiting(draft.world, &current);
    draft.status.inventory = mine.iter().map(|(key, child)| entry(key, child)).collect();
    draft.status.phase = PipelinePhase::Deleting;
    draft.status.message.clone_from(&message);
    draft.wanted.push(Wanted::yes(ConditionType::Deleting, Reason::WaitingForChildren, message));
}

/// The objects that go with the Pipeline: those that it owns, those that its inventory names, and topics that are not
/// retained.
fn deletable(world: &World) -> Vec<(&ObjectKey, &DynamicObject)> {
    let inventory: HashSet<(ObjectKey, &str)> = world
        .pipeline
        .status
        .iter()
        .flat_map(|s| &s.inventory)
        .filter(|r| !r.uid.is_empty())
        .map(|r| (ObjectKey::of_ref(r), r.uid.as_str()))
        .collect();
    let goes = |key: &ObjectKey, child: &DynamicObject| {
        if label(child, TOPIC).is_some() && label(child, RETAIN).is_some() {
            return is_own_topic(&world.pipeline, child) && label(child, RETAIN) == Some("false");
        }
        let uid = child.metadata.uid.as_deref().unwrap_or_default();
        ownership(&world.pipeline, child) == Ownership::Ours || inventory.contains(&(key.clone(), uid))
    };
    world.children.0.iter().filter(|(key, child)| goes(key, child)).collect()
}

/// Topics go last: components may still write to them.
fn wave(child: &DynamicObject) -> i64 {
    annotation(child, WAVE).and_then(|w| w.parse().ok()).unwrap_or(if label(child, TOPIC).is_some() { -1 } else { 0 })
}

fn entry(key: &ObjectKey, child: &DynamicObject) -> ObjectRef {
    reference(&gvk_of(child), key, child.metadata.uid.as_deref().unwrap_or_default())
}

fn waiting(world: &World, current: &[&(&ObjectKey, &DynamicObject)]) -> String {
    let mut names: Vec<String> = current
        .iter()
        .map(|(key, child)| match refusal(world, key, Verb::Delete) {
            Some((_, words)) => format!("{key} ({words})"),
            None => format!("{key}{}", finalizers(child)),
        })
        .collect();
    let more = names.len().saturating_sub(5);
    names.truncate(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("waits for {}{more} to go", names.join(", "))
}
