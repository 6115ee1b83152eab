//! Components: whether each may begin, what its child is to be, and how it is.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::condition::truncated;
use tributary_crds::{Any, ComponentStatus, Health, Reason, Timestamp, names};

use super::child::{self, ATTEMPT, Ownership, TTL, WAVE, annotation, ownership};
use super::pass::Pass;
use crate::change::Effect;
use crate::drivers::{Lifetime, Report};
use crate::expr::Stop;
use crate::graph::Wait;
use crate::object::ObjectKey;
use crate::resolve::scope::ComponentNode;
use crate::resolve::template::{self, Rendered};
use crate::resolve::{Component, bound, hash};
use crate::world::Verb;

/// The longest message of a component.
const MAX_MESSAGE: usize = 1_024;
/// The largest value of an output.
const MAX_OUTPUT: usize = 16 * 1_024;

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

impl Pass<'_> {
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
        let mut line = ComponentStatus {
            name: component.name.clone(),
            kind: component.gvk.kind.clone(),
            child: component.child.clone(),
            run: (component.lifetime == Lifetime::Batch).then_some(run),
            ..ComponentStatus::default()
        };
        line.template_hash.clone_from(&component.hash);
        let old = self.old_lines.get(component.name.as_str()).copied();
        let prior = old.filter(|o| o.template_hash == line.template_hash && o.run == line.run);
        let latched = prior.filter(|p| p.latched);
        let child = self.world.children.get(&key);
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

    fn existing(
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
            Ownership::Foreign => {
                let message =
                    format!("{key} exists and does not belong to this Pipeline; delete or rename one of the two");
                return told(line, Health::Failed, Reason::NameTaken.as_str(), message);
            }
        }
        self.keep(child, key);
        let tries = prior.and_then(|p| p.retries).unwrap_or(0);
        if child.metadata.deletion_timestamp.is_some() {
            line.uid = prior.map_or_else(String::new, |p| p.uid.clone());
            line.retries = counted(tries);
            let message = format!("{} is being deleted{}", key.name, finalizers(child));
            return told(line, Health::Pending, Reason::WaitingForChildren.as_str(), message);
        }
        let outdated = component.is_immutable() && annotation(child, names::TEMPLATE_HASH) != Some(&line.template_hash);
        let retried = child::attempt(child) < tries;
        if outdated || retried {
            self.delete(child, key);
            line.retries = counted(tries);
            let (reason, message) = if outdated {
                ("Replacing", "its template has changed: it is deleted and created again")
            } else {
                ("Retrying", "the failed one is deleted")
            };
            return self.refused(told(line, Health::Pending, reason, message), key, Verb::Delete);
        }
        line.uid = child.metadata.uid.clone().unwrap_or_default();
        line.retries = counted(child::attempt(child));
        self.observed(index, line, child, key)
    }

    /// A child that is as it should be, or can be made so in place.
    fn observed(
        &mut self,
        index: usize,
        mut line: ComponentStatus,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> ComponentStatus {
        let component = &self.resolved.components[index];
        let retry = component.retry;
        let attempt = child::attempt(child);
        let report = self.reading(component, &mut line, child);
        if report.finished && report.health == Health::Failed && attempt < retry.limit {
            return self.retried(line, report, attempt, component);
        }
        let changed = if report.finished { None } else { self.adjusted(index, child, key) };
        line.latched = report.finished && component.lifetime != Lifetime::Stream;
        line.percent = report.percent;
        let outputs = report.outputs.into_iter().filter(|(_, v)| v.to_string().len() <= MAX_OUTPUT);
        line.outputs = outputs.map(|(k, v)| (k, Any(v))).collect();
        let stopped = !report.finished && component.driver().suspended(&child.data) == Some(true);
        let line = match changed {
            Some(Err(reason)) => told(line, Health::Failed, Reason::InvalidSpec.as_str(), reason),
            Some(Ok(())) => told(line, Health::Progressing, "Changing", "is being changed"),
            None if stopped => told(line, Health::Suspended, &report.reason, report.message),
            None => told(line, report.health, &report.reason, report.message),
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
        let (next, limit) = (attempt + 1, component.retry.limit);
        let words = if report.message.is_empty() { report.reason } else { report.message };
        let ended = report.finished_at.unwrap_or(Timestamp::UNIX_EPOCH);
        match left(ended, component.retry.pause(next), self.now) {
            Some(left) => {
                self.look_again(left);
                let message = format!("retry {next} of {limit} follows: {words}");
                told(line, Health::Progressing, "Retrying", message)
            }
            None => {
                line.uid = String::new();
                line.retries = counted(next);
                self.look_again(Duration::ZERO);
                told(line, Health::Pending, "Retrying", format!("retry {next} of {limit}: {words}"))
            }
        }
    }

    /// Applies what may be changed in place, and what stops the child or lets it go. `None` where nothing is to be done.
    fn adjusted(&mut self, index: usize, child: &DynamicObject, key: &ObjectKey) -> Option<Result<(), String>> {
        let component = &self.resolved.components[index];
        let driver = component.driver();
        let stopped = driver.suspended(&child.data);
        let rendered = self.rendered(component);
        let own = rendered.as_ref().ok().and_then(|r| driver.suspended(&r.object)).unwrap_or(false);
        let wished = stopped.map(|stopped| {
            let wanted = own || self.world.pipeline.spec.suspend;
            if wanted != stopped && self.may_turn(index, wanted) { wanted } else { stopped }
        });
        if component.is_immutable() {
            if wished == stopped {
                return None;
            }
            let mut part = serde_json::json!({
                "apiVersion": component.gvk.api_version(),
                "kind": component.gvk.kind,
                "metadata": {"name": component.child, "namespace": self.resolved.namespace},
            });
            driver.suspend(&mut part, wished == Some(true));
            self.apply(part, child);
            return Some(Ok(()));
        }
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(Stop::Error(reason)) => return Some(Err(reason)),
            Err(Stop::Unknown(_) | Stop::Skipped(_)) => return None,
        };
        let hash = hash::whole(&rendered.template, &bound(component, self.resolved));
        if annotation(child, names::TEMPLATE_HASH) == Some(&hash) && wished == stopped {
            return None;
        }
        if annotation(child, names::TEMPLATE_HASH) != Some(&hash) {
            let change = component.driver().change(&child.data, &rendered.object);
            match change.effect {
                Effect::Replace => {
                    self.delete(child, key);
                    return Some(Ok(()));
                }
                Effect::Refused => return Some(Err(change.reason)),
                _ => {}
            }
        }
        let mut object = self.complete(component, rendered, &hash, child::attempt(child));
        if wished == Some(true) || (wished == Some(false) && own) {
            driver.suspend(&mut object, wished == Some(true));
        }
        self.apply(object, child);
        Some(Ok(()))
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

    fn missing(
        &mut self,
        index: usize,
        mut line: ComponentStatus,
        prior: Option<&ComponentStatus>,
        key: &ObjectKey,
    ) -> ComponentStatus {
        let component = &self.resolved.components[index];
        let mut tries = prior.and_then(|p| p.retries).unwrap_or(0);
        line.retries = counted(tries);
        if !self.world.served.serves(&component.gvk) {
            line.uid = prior.map_or_else(String::new, |p| p.uid.clone());
            let message = format!("kind {} is not installed", component.gvk);
            return told(line, Health::Pending, Reason::KindNotInstalled.as_str(), message);
        }
        if let Some((reason, message)) = self.refusal(key, Verb::Watch) {
            line.uid = prior.map_or_else(String::new, |p| p.uid.clone());
            return told(line, Health::Pending, reason.as_str(), message);
        }
        if prior.is_some_and(|p| is_lost(component, p)) {
            if tries >= component.retry.limit {
                line.latched = true;
                let message =
                    format!("{key} was deleted before its outcome was seen; a greater spec.run starts it again");
                return told(line, Health::Failed, Reason::OutcomeLost.as_str(), message);
            }
            // counted before the next is created, as in `retried`
            tries += 1;
            line.retries = counted(tries);
            self.look_again(Duration::ZERO);
            let message = format!("{key} was deleted before its outcome was seen");
            return told(line, Health::Pending, "Retrying", message);
        }
        if self.world.pipeline.spec.suspend {
            return told(line, Health::Pending, Reason::SuspendedBySpec.as_str(), "begins when spec.suspend is false");
        }
        if let Some((reason, message)) = self.blocked(index) {
            return told(line, Health::Pending, reason.as_str(), message);
        }
        match self.rendered(component) {
            Err(Stop::Unknown(what)) => told(line, Health::Pending, Reason::DependencyPending.as_str(), what),
            Err(stop @ Stop::Skipped(_)) => told(line, Health::Skipped, "", format!("left out: {stop}")),
            Err(Stop::Error(reason)) => told(line, Health::Failed, Reason::InvalidSpec.as_str(), reason),
            Ok(rendered) => {
                let hash = if component.is_immutable() {
                    line.template_hash.clone()
                } else {
                    hash::whole(&rendered.template, &bound(component, self.resolved))
                };
                let object = self.complete(component, rendered, &hash, tries);
                self.create(object, &component.gvk, key);
                let line = told(line, Health::Pending, Reason::Created.as_str(), "is being created");
                self.refused(line, key, Verb::Create)
            }
        }
    }

    fn rendered(&self, component: &Component) -> Result<Rendered, Stop> {
        let scope = self.resolved.scope.within(component.each.as_ref(), Some(&self.nodes));
        template::object(component, self.resolved, &scope)
    }

    /// The object with its labels, annotations and owner.
    fn complete(&self, component: &Component, rendered: Rendered, hash: &str, attempt: u32) -> Value {
        let Rendered { mut object, ttl, .. } = rendered;
        let mut labels = vec![
            (names::MANAGED_BY, names::MANAGER.to_owned()),
            (names::PIPELINE, self.resolved.pipeline.clone()),
            (names::COMPONENT, component.name.clone()),
        ];
        if component.lifetime == Lifetime::Batch {
            labels.push((names::RUN, self.resolved.run.to_string()));
        }
        let mut annotations = vec![(names::TEMPLATE_HASH, hash.to_owned()), (WAVE, component.wave.to_string())];
        if attempt > 0 {
            annotations.push((ATTEMPT, attempt.to_string()));
        }
        annotations.extend(ttl.map(|t| (TTL, t.to_string())));
        child::mark(&mut object, &labels, &annotations);
        object["metadata"]["ownerReferences"] = child::owner(&self.world.pipeline);
        object
    }

    /// Why a component may not begin; `None` where it may.
    fn blocked(&self, index: usize) -> Option<(Reason, String)> {
        let component = &self.resolved.components[index];
        let mut waiting = Vec::new();
        for edge in &self.edges_to[index] {
            let edge = &self.resolved.graph.edges[*edge];
            let upstream = &self.lines[edge.from];
            match state(edge.wait, upstream) {
                State::Met => {}
                State::Never => {
                    return Some((Reason::DependencyFailed, format!("`{}` has not come off", upstream.name)));
                }
                State::Open => waiting.push(format!("`{}`", upstream.name)),
            }
        }
        if component.finally
            && !self.lines.iter().zip(&self.resolved.components).all(|(l, c)| c.finally || has_ended(l))
        {
            waiting.push("all others".into());
        }
        if !waiting.is_empty() {
            let more = waiting.len().saturating_sub(3);
            waiting.truncate(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return Some((Reason::DependencyPending, format!("waits for {}{more}", waiting.join(", "))));
        }
        let mut topics =
            component.topics.iter().filter_map(|name| Some(&self.topics[*self.topic_index.get(name.as_str())?]));
        let topic = topics.find(|t| t.status.health != Health::Ready)?;
        let TopicReason(reason, verb) = TopicReason::of(topic.status.health, topic.reason);
        let words = if topic.status.message.is_empty() { "" } else { ": " };
        Some((reason, format!("{verb} topic `{}`{words}{}", topic.status.name, topic.status.message)))
    }

    /// A line that shows what the apiserver said to the last try.
    fn refused(&self, line: ComponentStatus, key: &ObjectKey, verb: Verb) -> ComponentStatus {
        match self.refusal(key, verb) {
            Some((reason, message)) if line.health != Health::Succeeded => {
                told(line, Health::Failed, reason.as_str(), message)
            }
            _ => line,
        }
    }
}

struct TopicReason(Reason, &'static str);

impl TopicReason {
    fn of(health: Health, reason: Reason) -> Self {
        match (health, reason) {
            (Health::Failed, _) => Self(Reason::TopicFailed, "cannot have"),
            (_, Reason::KindNotInstalled) => Self(Reason::KindNotInstalled, "waits for"),
            _ => Self(Reason::TopicsPending, "waits for"),
        }
    }
}

/// Whether an edge is met.
enum State {
    Met,
    Open,
    Never,
}

fn state(wait: Wait, upstream: &ComponentStatus) -> State {
    // one that has failed since has begun all the same
    let begun = matches!(upstream.health, Health::Progressing | Health::Ready | Health::Succeeded)
        || (upstream.health == Health::Failed && (upstream.latched || !upstream.uid.is_empty()));
    let met = match (wait, upstream.health) {
        (_, Health::Skipped | Health::Succeeded) => true,
        (Wait::Ready | Wait::Either, Health::Ready) => true,
        (Wait::Started, _) => begun,
        (Wait::Ended, _) => has_ended(upstream),
        _ => false,
    };
    if met {
        State::Met
    } else if upstream.health == Health::Failed || upstream.reason == Reason::DependencyFailed.as_str() {
        State::Never
    } else {
        State::Open
    }
}

/// Whether nothing more will come of a component by itself.
pub(super) fn has_ended(line: &ComponentStatus) -> bool {
    matches!(line.health, Health::Succeeded | Health::Failed | Health::Skipped)
        || (line.health == Health::Pending && line.reason == Reason::DependencyFailed.as_str())
}

/// A child that was seen, whose end was not, and that is gone. What goes on is simply created again.
fn is_lost(component: &Component, prior: &ComponentStatus) -> bool {
    let unfinished = match component.lifetime {
        Lifetime::Batch => true,
        Lifetime::Stream | Lifetime::Static => false,
        Lifetime::Either => prior.health != Health::Ready,
    };
    unfinished && !prior.uid.is_empty() && !prior.latched
}

fn counted(tries: u32) -> Option<u32> {
    (tries > 0).then_some(tries)
}

fn told(mut line: ComponentStatus, health: Health, reason: &str, message: impl AsRef<str>) -> ComponentStatus {
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
