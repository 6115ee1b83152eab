//! Replacing a child: what goes on is stopped first, where it can be, so that what it works on is finished.

use std::time::Duration;

use kube::core::DynamicObject;
use tributary_crds::{ComponentStatus, Health, names};

use super::child::{annotation, mark};
use super::components::{left, told};
use super::existing::as_applied;
use super::pass::Pass;
use crate::change::{Change, Effect};
use crate::object::ObjectKey;
use crate::resolve::Component;
use crate::world::Verb;

/// Annotation: since when a child is being drained (RFC 3339).
pub const DRAINED_SINCE: &str = "tributary.dev/drained-since";
/// A child that has not stopped by then is replaced all the same.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(600);

impl Pass<'_> {
    /// Deletes a child, so that a later pass makes it anew; one that is to be drained is stopped first.
    pub(super) fn replaced(
        &mut self,
        component: &Component,
        mut line: ComponentStatus,
        change: &Change,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> ComponentStatus {
        self.note(&mut line, change);
        if change.effect == Effect::Drain
            && let Some(words) = self.draining(component, child)
        {
            return self.refused(told(line, Health::Progressing, "Draining", words), key, Verb::Apply);
        }
        self.delete(child, key);
        let words = format!("is deleted and created again: {}", change.reason);
        self.refused(told(line, Health::Pending, "Replacing", words), key, Verb::Delete)
    }

    /// Stops a child; says what is waited for until it has stopped, or its time is up.
    fn draining(&mut self, component: &Component, child: &DynamicObject) -> Option<String> {
        let driver = component.driver();
        let report = driver.observe(child, component.status.as_ref());
        if report.finished {
            return None;
        }
        let since = annotation(child, DRAINED_SINCE).and_then(|t| t.parse().ok());
        let Some(since) = since.filter(|_| driver.suspended(&child.data) == Some(true)) else {
            // of what is never changed nothing is applied but that it stops
            let mut object = if component.is_immutable() {
                self.bare(component, annotation(child, names::TEMPLATE_HASH).unwrap_or_default())
            } else {
                as_applied(child)
            };
            driver.suspend(&mut object, true);
            mark(&mut object, &[], &[(DRAINED_SINCE, self.now.to_string())]);
            self.apply(object, child);
            return Some("is being stopped, to be replaced then".into());
        };
        if driver.drained(child, component.status.as_ref()) {
            return None;
        }
        let left = left(since, DRAIN_LIMIT, self.now)?;
        self.look_again(left);
        Some(format!("is being stopped since {since}, to be replaced then, or after {} s", DRAIN_LIMIT.as_secs()))
    }
}
