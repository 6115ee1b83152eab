//! Components: whether each takes part, and its line in the status.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::condition::truncated;
use tributary_crds::{ComponentStatus, Health, Reason, Timestamp};

use super::child::{Ownership, TTL, annotation, ownership};
use super::pass::Pass;
use crate::drivers::Lifetime;
use crate::expr::Stop;
use crate::object::ObjectKey;
use crate::resolve::Component;
use crate::resolve::scope::ComponentNode;
use crate::resolve::template::{self, Rendered};
use crate::world::Verb;

/// The longest message of a component.
const MAX_MESSAGE: usize = 1_024;

/// Whether a component takes part.
enum Part {
    Yes,
    /// Left out; says why.
    No(String),
    /// Not known yet; says what it waits for.
    Open(String),
    /// `when` is wrong; says why.
    Wrong(String),
}

impl<'a> Pass<'a> {
    /// Sees to every component, each after those it waits for.
    pub(super) fn components(&mut self) {
        for index in 0..self.resolved.components.len() {
            let line = self.component(index);
            let component = &self.resolved.components[index];
            let known = matches!(line.health, Health::Ready | Health::Succeeded);
            let outputs = known.then(|| line.outputs.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect());
            let child = self.world.children.get(&component.key(&self.resolved.namespace));
            let node = ComponentNode {
                name: component.name.clone(),
                child: component.child.clone().into(),
                outputs: outputs.map(Value::Object),
                status: child.and_then(|c| c.data.get("status")).cloned(),
                skipped: line.health == Health::Skipped,
            };
            self.nodes.by_base.entry(component.base.clone()).or_default().push(component.name.clone());
            self.nodes.by_name.insert(component.name.clone(), node);
            self.lines.push(line);
        }
    }

    fn component(&mut self, index: usize) -> ComponentStatus {
        let component = &self.resolved.components[index];
        let key = component.key(&self.resolved.namespace);
        let run = if component.lifetime == Lifetime::Batch { self.resolved.run } else { 1 };
        let old = self.old_lines.get(component.name.as_str()).copied();
        let mut line = ComponentStatus {
            name: component.name.clone(),
            kind: component.gvk.kind.clone(),
            child: component.child.clone(),
            run: (component.lifetime == Lifetime::Batch).then_some(run),
            change: old.and_then(|o| o.change.clone()),
            ..ComponentStatus::default()
        };
        line.template_hash.clone_from(&component.hash);
        let prior = old.filter(|o| o.template_hash == line.template_hash && o.run == line.run);
        line.retried = prior.and_then(|p| p.retried);
        let child = self.world.children.get(&key);
        let latched = prior.filter(|p| p.latched);
        let carried = match (latched, child) {
            (None, None) => self.ended_before(&line),
            _ => None,
        };
        let latched = latched.or(carried.as_ref());
        match self.part(component, latched.is_some()) {
            Part::No(why) => return told(line, Health::Skipped, "", why),
            Part::Wrong(why) => {
                self.desired.insert(key);
                return told(line, Health::Failed, Reason::InvalidSpec.as_str(), why);
            }
            Part::Open(what) if child.is_none() && latched.is_none() => {
                return told(line, Health::Pending, Reason::DependencyPending.as_str(), what);
            }
            Part::Open(_) | Part::Yes => {}
        }
        self.desired.insert(key.clone());
        match (latched, child) {
            (Some(failed), child) if self.retry && failed.health == Health::Failed => {
                self.again(line, failed, child, &key)
            }
            (Some(latched), child) => self.finished(latched.clone(), child, &key),
            (None, Some(child)) => self.existing(index, line, prior, child, &key),
            (None, None) => self.missing(index, line, prior, &key),
        }
    }

    fn part(&self, component: &Component, latched: bool) -> Part {
        let Some(when) = &component.when else { return Part::Yes };
        // what is done stays done, whatever becomes of the others since
        if latched && when.references().iter().any(|r| r.root() == "components") {
            return Part::Yes;
        }
        match when.holds(&self.resolved.scope.within(component.each.as_ref(), Some(&self.nodes))) {
            Ok(true) => Part::Yes,
            Ok(false) => Part::No(format!("left out: `{}` is false", when.source())),
            Err(Stop::Unknown(what)) => Part::Open(what),
            Err(stop @ Stop::Skipped(_)) => Part::No(format!("left out: {stop}")),
            Err(Stop::Error(reason)) => Part::Wrong(format!("`{}` has no value: {reason}", when.source())),
        }
    }

    /// A failed component that a user wants to have tried again: the status counts the try, with a limit of its own, and
    /// later passes delete the failed child and create the next, as for any other retry.
    fn again(
        &mut self,
        mut line: ComponentStatus,
        failed: &ComponentStatus,
        child: Option<&DynamicObject>,
        key: &ObjectKey,
    ) -> ComponentStatus {
        if let Some(child) = child.filter(|c| ownership(&self.world.pipeline, c) == Ownership::Ours) {
            self.keep(child, key);
        }
        line.retries = Some(failed.retries.unwrap_or(0) + 1);
        line.retried = line.retries;
        self.look_again(Duration::ZERO);
        told(line, Health::Pending, "Retrying", "tried again on request")
    }

    /// A component whose outcome is final: only its child's time to go is still to be seen to.
    fn finished(&mut self, line: ComponentStatus, child: Option<&DynamicObject>, key: &ObjectKey) -> ComponentStatus {
        let Some(child) = child.filter(|c| ownership(&self.world.pipeline, c) == Ownership::Ours) else { return line };
        self.keep(child, key);
        let ttl = annotation(child, TTL).and_then(|t| t.parse::<u64>().ok());
        if let Some(ttl) = ttl {
            let driver = crate::drivers::of(&key.group, &key.kind);
            let ended = driver.observe(child, None).finished_at.unwrap_or(self.now);
            match left(ended, Duration::from_secs(ttl), self.now) {
                None => self.delete(child, key),
                Some(left) => self.look_again(left),
            }
        }
        line
    }

    pub(super) fn rendered(&self, component: &Component) -> Result<Rendered, Stop> {
        let scope = self.resolved.scope.within(component.each.as_ref(), Some(&self.nodes));
        template::object(component, self.resolved, &scope)
    }

    /// A line that shows what the apiserver said to the last try.
    pub(super) fn refused(&self, line: ComponentStatus, key: &ObjectKey, verb: Verb) -> ComponentStatus {
        match self.refusal(key, verb) {
            Some((reason, message)) if line.health != Health::Succeeded => {
                told(line, Health::Failed, reason.as_str(), message)
            }
            _ => line,
        }
    }

    /// Retries that a component may have in all.
    pub(super) fn limit(component: &Component, line: &ComponentStatus) -> u32 {
        component.retry.limit.saturating_add(line.retried.unwrap_or(0))
    }
}

pub(super) fn counted(tries: u32) -> Option<u32> {
    (tries > 0).then_some(tries)
}

pub(super) fn told(
    mut line: ComponentStatus,
    health: Health,
    reason: &str,
    message: impl AsRef<str>,
) -> ComponentStatus {
    line.health = health;
    line.reason = reason.to_owned();
    line.message = truncated(message.as_ref(), MAX_MESSAGE);
    line
}

/// What is left of `pause` since `from`; `None` once it has passed.
pub(super) fn left(from: Timestamp, pause: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(from)).unwrap_or_default();
    pause.checked_sub(passed).filter(|d| !d.is_zero())
}

/// ` (finalizers: a, b)`, for a child whose deletion waits for somebody.
pub(super) fn finalizers(child: &DynamicObject) -> String {
    match child.metadata.finalizers.as_deref() {
        None | Some([]) => String::new(),
        Some(list) => format!(" (finalizers: {})", list.join(", ")),
    }
}
