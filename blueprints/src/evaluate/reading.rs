//! How a component's child is: as its driver reads it, with what the objects around it tell, and in good time.

use kube::core::DynamicObject;
use tributary_crds::ComponentStatus;

use super::child;
use super::components::left;
use super::pass::Pass;
use super::summary::rfc3339;
use crate::drivers::Report;
use crate::resolve::Component;

impl Pass<'_> {
    /// How a child is. A state that may not last for ever is dated in the `line`, and is a failure once it has lasted too
    /// long; a state that follows on it, and may not last either, has its date.
    pub(super) fn reading(
        &mut self,
        component: &Component,
        line: &mut ComponentStatus,
        child: &DynamicObject,
    ) -> Report {
        let driver = component.driver();
        let mut report = driver.observe(child, component.status.as_ref()).of(component.lifetime);
        if let Some(related) = driver.related(child).and_then(|key| self.world.related.get(&key)) {
            driver.explain(&mut report, related);
        }
        let stopped = driver.suspended(&child.data) == Some(true);
        let Some(limit) = report.limit(component.start_deadline).filter(|_| !stopped) else { return report };
        let old = self.old_lines.get(component.name.as_str()).filter(|old| old.uid == line.uid);
        let since = old.and_then(|old| old.waiting_since.as_deref()?.parse().ok()).unwrap_or(self.now);
        line.waiting_since = Some(rfc3339(since));
        match left(since, limit, self.now) {
            Some(left) => {
                self.look_again(left);
                report
            }
            None => report.overdue(since, limit, child::attempt(child) < component.retry.limit),
        }
    }
}
