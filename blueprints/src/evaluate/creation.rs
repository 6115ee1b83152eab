//! Components without a child: whether it may be created, and what it is to be.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_crds::{ComponentStatus, Health, Reason, names};

use super::child::{self, ATTEMPT, ENDED_BEFORE, TTL, WAVE};
use super::components::{counted, told};
use super::pass::Pass;
use crate::drivers::Lifetime;
use crate::expr::Stop;
use crate::object::ObjectKey;
use crate::resolve::template::Rendered;
use crate::resolve::{Component, bound, hash};
use crate::world::Verb;

impl Pass<'_> {
    pub(super) fn missing(
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
            if tries >= Self::limit(component, &line) {
                line.latched = true;
                let message = format!(
                    "{key} was deleted before its outcome was seen; the annotation {} starts it again",
                    names::RETRY
                );
                return told(line, Health::Failed, Reason::OutcomeLost.as_str(), message);
            }
            // counted before the next is created, as in `retried`
            tries += 1;
            line.retries = counted(tries);
            self.look_again(Duration::ZERO);
            let message = format!("{key} was deleted before its outcome was seen");
            return told(line, Health::Pending, "Retrying", message);
        }
        if let Some((reason, message)) = self.may_begin(index) {
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
                let mut object = self.complete(component, rendered, &hash, tries);
                if let Some(ends) = self.carry() {
                    child::mark(&mut object, &[], &[(ENDED_BEFORE, ends)]);
                }
                self.create(object, &component.gvk, key);
                let line = told(line, Health::Pending, Reason::Created.as_str(), "is being created");
                self.refused(line, key, Verb::Create)
            }
        }
    }

    /// Why a component does not begin now; `None` where it does.
    fn may_begin(&self, index: usize) -> Option<(Reason, String)> {
        if self.world.pipeline.spec.suspend {
            return Some((Reason::SuspendedBySpec, "begins when spec.suspend is false".into()));
        }
        if self.awaits_first_run && self.resolved.components[index].lifetime == Lifetime::Batch {
            let at = self.status.next_run_time.as_deref().map_or(String::new(), |at| format!(": {at}"));
            return Some((Reason::WaitingForSchedule, format!("begins when the schedule says{at}")));
        }
        self.blocked(index)
    }

    /// The object with its labels, annotations and owner.
    pub(super) fn complete(&self, component: &Component, rendered: Rendered, hash: &str, attempt: u32) -> Value {
        let Rendered { mut object, ttl, .. } = rendered;
        self.marked(component, &mut object, hash);
        let mut annotations = Vec::new();
        if attempt > 0 {
            annotations.push((ATTEMPT, attempt.to_string()));
        }
        annotations.extend(ttl.map(|t| (TTL, t.to_string())));
        child::mark(&mut object, &[], &annotations);
        object
    }

    /// Nothing of a child but what makes it ours: what an apply of it leaves out stays whoever's it is.
    pub(super) fn bare(&self, component: &Component, hash: &str) -> Value {
        let mut bare = json!({
            "apiVersion": component.gvk.api_version(),
            "kind": component.gvk.kind,
            "metadata": {"name": component.child, "namespace": self.resolved.namespace},
        });
        self.marked(component, &mut bare, hash);
        bare
    }

    /// Makes an object this Pipeline's and this component's.
    fn marked(&self, component: &Component, object: &mut Value, hash: &str) {
        let mut labels = vec![
            (names::MANAGED_BY, names::MANAGER.to_owned()),
            (names::PIPELINE, self.resolved.pipeline.clone()),
            (names::COMPONENT, component.name.clone()),
        ];
        if component.lifetime == Lifetime::Batch {
            labels.push((names::RUN, self.resolved.run.to_string()));
        }
        let annotations = [(names::TEMPLATE_HASH, hash.to_owned()), (WAVE, component.wave.to_string())];
        child::mark(object, &labels, &annotations);
        object["metadata"]["ownerReferences"] = child::owner(&self.world.pipeline);
    }
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
