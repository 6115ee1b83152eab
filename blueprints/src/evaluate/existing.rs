//! Components whose child is there: what an edit comes to, stopping and letting go, retries, and how it is.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Any, ComponentChange, ComponentStatus, Health, Reason, Timestamp, names};

use super::child::{self, Ownership, annotation, ownership};
use super::components::{counted, finalizers, left, told};
use super::drift::Drift;
use super::pass::Pass;
use crate::change::{self, Change, Effect};
use crate::drivers::{Lifetime, Report};
use crate::expr::Stop;
use crate::object::ObjectKey;
use crate::plan::Event;
use crate::resolve::template::Rendered;
use crate::resolve::{Component, Topic, bound, hash};
use crate::world::Verb;

/// The largest value of an output.
const MAX_OUTPUT: usize = 16 * 1_024;

/// What comes of holding a child against its template.
enum Adjusted {
    /// It is as it should be, or cannot be made so now.
    AsItIs,
    /// It is being changed.
    Changing,
    /// It is being replaced.
    Replacing(ComponentStatus),
    /// The template is wrong; why.
    Wrong(String),
    /// Fields were changed by somebody else, and stay so; says which.
    Drifted(String),
}

impl Pass<'_> {
    pub(super) fn existing(
        &mut self,
        index: usize,
        mut line: ComponentStatus,
        prior: Option<&ComponentStatus>,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> ComponentStatus {
        let component = &self.resolved.components[index];
        match ownership(&self.world.pipeline, child) {
            Ownership::Ours => {}
            Ownership::Former => {
                let message = format!("{key} of a former Pipeline of this name still goes away");
                return told(line, Health::Pending, Reason::WaitingForChildren.as_str(), message);
            }
            Ownership::Foreign => return self.foreign(index, line, child, key),
        }
        self.keep(child, key);
        let tries = prior.and_then(|p| p.retries).unwrap_or(0);
        if child.metadata.deletion_timestamp.is_some() {
            line.uid = prior.map_or_else(String::new, |p| p.uid.clone());
            line.retries = counted(tries);
            let message = format!("{} is being deleted{}", key.name, finalizers(child));
            return told(line, Health::Pending, Reason::WaitingForChildren.as_str(), message);
        }
        if component.is_immutable() && annotation(child, names::TEMPLATE_HASH) != Some(&line.template_hash) {
            line.retries = counted(tries);
            let change = change::of_object(component, &child.data, &child.data);
            return self.replaced(component, line, &change, child, key);
        }
        if child::attempt(child) < tries {
            self.delete(child, key);
            line.retries = counted(tries);
            let line = told(line, Health::Pending, "Retrying", "the failed one is deleted");
            return self.refused(line, key, Verb::Delete);
        }
        line.uid = child.metadata.uid.clone().unwrap_or_default();
        let before = self.old_lines.get(component.name.as_str()).filter(|o| o.uid == line.uid);
        line.fields = before.map_or_else(String::new, |o| o.fields.clone());
        line.retries = counted(child::attempt(child));
        self.observed(index, line, child, key)
    }

    /// A child that is as it should be, or can be made so.
    fn observed(
        &mut self,
        index: usize,
        mut line: ComponentStatus,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> ComponentStatus {
        let component = &self.resolved.components[index];
        let attempt = child::attempt(child);
        let report = self.reading(component, &mut line, child);
        if report.finished && report.health == Health::Failed && attempt < Self::limit(component, &line) {
            return self.retried(line, report, attempt, component);
        }
        let adjusted = if report.finished { Adjusted::AsItIs } else { self.adjusted(index, &mut line, child, key) };
        line.latched = report.finished && component.lifetime != Lifetime::Stream;
        line.percent = report.percent;
        let outputs = report.outputs.into_iter().filter(|(_, v)| v.to_string().len() <= MAX_OUTPUT);
        line.outputs = outputs.map(|(k, v)| (k, Any(v))).collect();
        let stopped = !report.finished && component.driver().suspended(&child.data) == Some(true);
        let line = match adjusted {
            Adjusted::Wrong(reason) => told(line, Health::Failed, Reason::InvalidSpec.as_str(), reason),
            Adjusted::Changing => told(line, Health::Progressing, "Changing", "is being changed"),
            Adjusted::Replacing(line) => return line,
            Adjusted::Drifted(words) => told(line, report.health, Reason::Drifted.as_str(), words),
            Adjusted::AsItIs if stopped => told(line, Health::Suspended, &report.reason, report.message),
            Adjusted::AsItIs => told(line, report.health, &report.reason, report.message),
        };
        self.refused(line, key, Verb::Apply)
    }

    /// A failed child that may be tried again. After a pause the status counts the retry; a pass that sees it counted
    /// deletes the child, and a later one creates the next. Counted afterwards, the retry would be forgotten where the
    /// write of the status is lost, since the child that carried the number is gone.
    fn retried(
        &mut self,
        mut line: ComponentStatus,
        report: Report,
        attempt: u32,
        component: &Component,
    ) -> ComponentStatus {
        let (base, limit) = (line.retried.unwrap_or(0), component.retry.limit);
        let (next, of) = (attempt + 1, (attempt + 1).saturating_sub(base));
        let words = if report.message.is_empty() { report.reason } else { report.message };
        let ended = report.finished_at.unwrap_or(Timestamp::UNIX_EPOCH);
        match left(ended, component.retry.pause(of), self.now) {
            Some(left) => {
                self.look_again(left);
                let message = format!("retry {of} of {limit} follows: {words}");
                told(line, Health::Progressing, "Retrying", message)
            }
            None => {
                line.uid = String::new();
                line.retries = counted(next);
                self.look_again(std::time::Duration::ZERO);
                told(line, Health::Pending, "Retrying", format!("retry {of} of {limit}: {words}"))
            }
        }
    }

    /// Applies what may be changed in place, and what stops the child or lets it go.
    fn adjusted(
        &mut self,
        index: usize,
        line: &mut ComponentStatus,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> Adjusted {
        let component = &self.resolved.components[index];
        let driver = component.driver();
        let stopped = driver.suspended(&child.data);
        let rendered = match self.rendered(component) {
            Err(Stop::Error(reason)) if !component.is_immutable() => return Adjusted::Wrong(reason),
            rendered => rendered.ok(),
        };
        let own = rendered.as_ref().and_then(|r| driver.suspended(&r.object)).unwrap_or(false);
        let wished = stopped.map(|stopped| {
            let wanted = own || self.world.pipeline.spec.suspend;
            if wanted != stopped && self.may_turn(index, wanted) { wanted } else { stopped }
        });
        if component.is_immutable() && wished != stopped {
            let mut part = self.bare(component, &line.template_hash);
            driver.suspend(&mut part, wished == Some(true));
            self.apply(part, child);
            return Adjusted::Changing;
        }
        let Some(mut rendered) = rendered else { return Adjusted::AsItIs };
        let hash = hash::whole(&rendered.template, &bound(component, self.resolved));
        let edited = !component.is_immutable() && annotation(child, names::TEMPLATE_HASH) != Some(&hash);
        let change = change::of_object(component, &child.data, &rendered.object);
        if wished == Some(true) || (wished == Some(false) && own) {
            driver.suspend(&mut rendered.object, wished == Some(true));
        }
        if !edited && wished == stopped {
            return self.drifted(component, line, child, rendered, &hash);
        }
        if edited && change.effect == Effect::Refused {
            return Adjusted::Wrong(change.reason);
        }
        if edited && matches!(change.effect, Effect::Replace | Effect::Drain) {
            return Adjusted::Replacing(self.replaced(component, line.clone(), &change, child, key));
        }
        if edited {
            self.note(line, &change);
        }
        let object = self.complete(component, rendered, &hash, child::attempt(child));
        self.apply(object, child);
        Adjusted::Changing
    }

    /// A child that nobody has edited through the Pipeline: whether somebody else has.
    fn drifted(
        &mut self,
        component: &Component,
        line: &mut ComponentStatus,
        child: &DynamicObject,
        rendered: Rendered,
        hash: &str,
    ) -> Adjusted {
        let drift = Drift::of(&rendered.object, child, &line.fields);
        line.fields = drift.record;
        let Some(fields) = drift.fields else { return Adjusted::AsItIs };
        let change = change::of_object(component, &child.data, &rendered.object);
        let before = self.old_lines.get(component.name.as_str());
        let told_before = before.is_some_and(|o| o.reason == Reason::Drifted.as_str());
        if matches!(change.effect, Effect::Replace | Effect::Drain | Effect::Refused) || drift.tried {
            let words = format!("{fields} was changed by somebody else and cannot be put right in place");
            if !told_before {
                self.tell(true, "Drifted", &component.name, &words);
            }
            return Adjusted::Drifted(words);
        }
        self.tell(true, "Drifted", &component.name, &format!("{fields} was changed by somebody else; it is put right"));
        let object = self.complete(component, rendered, hash, child::attempt(child));
        self.apply(object, child);
        Adjusted::Changing
    }

    /// Notes in a line, and says in an event, what an edit comes to.
    pub(super) fn note(&mut self, line: &mut ComponentStatus, change: &Change) {
        let change = ComponentChange {
            revision: self.status.revision,
            effect: change.effect.as_str().into(),
            reason: change.reason.clone(),
        };
        if line.change.as_ref() != Some(&change) {
            let words = format!("{}: {}", change.effect, change.reason);
            self.tell(false, "Changed", &line.name, &words);
            line.change = Some(change);
        }
    }

    /// An event about a topic.
    pub(super) fn tell_of_topic(&mut self, topic: &Topic, words: &str) {
        let note = format!("topic `{}`: {words}", topic.name);
        self.events.push(Event { warning: false, reason: "Adopted".into(), note });
    }

    /// An event about a component.
    pub(super) fn tell(&mut self, warning: bool, reason: &str, component: &str, words: &str) {
        let note = format!("component `{component}`: {words}");
        self.events.push(Event { warning, reason: reason.into(), note });
    }

    /// Stopping goes against the edges: those that wait for it first. Letting go goes along them.
    fn may_turn(&self, index: usize, stop: bool) -> bool {
        if !stop {
            return self.blocked(index).is_none();
        }
        let downstream = self.edges_from[index].iter().map(|e| &self.resolved.components[*e]);
        downstream.filter_map(|c| Some((c, self.world.children.get(&c.key(&self.resolved.namespace))?))).all(
            |(c, child)| {
                ownership(&self.world.pipeline, child) != Ownership::Ours
                    || c.driver().suspended(&child.data) != Some(false)
                    || c.driver().observe(child, c.status.as_ref()).finished
            },
        )
    }
}

/// The whole of an object as an apply takes it: without status, and of its metadata what is meant.
pub(super) fn as_applied(child: &DynamicObject) -> Value {
    let mut object = child.data.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        let types = child.types.clone().unwrap_or_default();
        fields.insert("apiVersion".into(), types.api_version.into());
        fields.insert("kind".into(), types.kind.into());
        let m = &child.metadata;
        let metadata = serde_json::json!({"name": m.name, "namespace": m.namespace, "labels": m.labels,
            "annotations": m.annotations, "ownerReferences": m.owner_references});
        fields.insert("metadata".into(), metadata);
    }
    object
}
