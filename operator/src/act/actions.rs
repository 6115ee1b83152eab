//! The actions of a plan: in order, and side by side where that makes no difference.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, future, stream};
use tokio::time::Instant;
use tributary_blueprints::{object::ObjectKey, plan::Action};

use super::{Act, ActError, Refused, Target};
use crate::caches::Scope;

/// Objects of one kind that are created at a time.
pub(super) const AT_ONCE: usize = 16;

/// Whether an action may be carried out.
enum Go {
    Now,
    /// It was refused, or what comes before it was.
    NotYet,
    After(Duration),
}

impl Act {
    /// Carries out the actions in order, creations of one kind that follow each other at once. A refused one is noted in `refused`
    /// and the others go on; any other failure ends it. Gives when to come again for objects that may not be made yet, if
    /// there are any.
    ///
    /// # Errors
    /// The first failure that is no refusal.
    pub async fn actions(
        &self,
        target: &mut Target,
        actions: &[Action],
        scope: impl Fn(&ObjectKey) -> Scope,
        refused: &mut Refused,
    ) -> Result<Option<Duration>, ActError> {
        // what nobody wants any more is no reason to hold anything back
        refused.retain(actions, &[]);
        let (mut done, mut held, mut begin) = (Vec::new(), None, 0);
        for together in actions.chunk_by(Action::may_go_beside) {
            let mut due = Vec::new();
            for (index, action) in (begin..).zip(together) {
                match self.may_go(action, refused) {
                    Go::Now => due.push((index, action)),
                    Go::NotYet => {}
                    Go::After(wait) => held = Some(held.map_or(wait, |held: Duration| held.min(wait))),
                }
            }
            begin += together.len();
            let results = match due[..] {
                [(index, Action::Finalizers(finalizers))] => vec![(index, self.finalizers(target, finalizers).await)],
                _ => self.children(target, due, &scope).await,
            };
            for (index, result) in results {
                match result {
                    Ok(()) => done.push(index),
                    Err(ActError::Refused { key, reason, message }) => {
                        tracing::info!(%key, %message, "refused");
                        refused.add(&actions[index], reason, message, Instant::now());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        refused.retain(actions, &done);
        Ok(held)
    }

    fn may_go(&self, action: &Action, refused: &Refused) -> Go {
        if refused.is_pausing(action, Instant::now()) {
            return Go::NotYet;
        }
        match action {
            Action::Create(object) => {
                let key = ObjectKey::of(object).unwrap_or_default();
                self.throttle.admit(&key, Instant::now()).map_or_else(Go::After, |()| Go::Now)
            }
            // nothing that was refused may be left behind without its guard
            Action::Finalizers(_) if !refused.is_empty() => Go::NotYet,
            _ => Go::Now,
        }
    }

    /// Writes other objects than the target, up to [`AT_ONCE`] of them at a time, and begins no further one after a failure.
    async fn children(
        &self,
        by: &Target,
        actions: Vec<(usize, &Action)>,
        scope: &impl Fn(&ObjectKey) -> Scope,
    ) -> Vec<(usize, Result<(), ActError>)> {
        let failed = AtomicBool::new(false);
        let write = async |(index, action)| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = self.child(by, action, scope).await;
            if matches!(&result, Err(error) if !matches!(error, ActError::Refused { .. })) {
                failed.store(true, Ordering::Relaxed);
            }
            Some((index, result))
        };
        let writes: Vec<_> = actions.into_iter().map(write).collect();
        stream::iter(writes).buffered(AT_ONCE).filter_map(future::ready).collect().await
    }

    async fn child(&self, by: &Target, action: &Action, scope: &impl Fn(&ObjectKey) -> Scope) -> Result<(), ActError> {
        match action {
            Action::Create(object) => self.create(by, object, scope).await,
            Action::Apply { object } => self.apply(by, object, scope).await,
            Action::Delete { gvk, key, uid, resource_version } => {
                self.delete(&by.primary, gvk, key, uid, resource_version.clone(), scope).await
            }
            // of the target itself
            Action::Finalizers(_) => Ok(()),
        }
    }
}
