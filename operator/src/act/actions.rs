//! The actions of a plan: in order, and side by side where that makes no difference.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::{StreamExt, future, stream};
use tokio::time::Instant;
use tributary_blueprints::{object::ObjectKey, plan::Action};
use tributary_crds::names;

use super::{Act, ActError, Refused, Target, Unanswered};
use crate::caches::Scope;

/// Objects of one kind that are created at a time.
pub(super) const AT_ONCE: usize = 16;
/// When to ask again for an object whose creation nobody has answered.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What has come of an action.
enum Came {
    To(Result<(), ActError>),
    /// It may not be carried out before this time is over.
    After(Duration),
}

impl Act {
    /// Carries out the actions in order, creations of one kind that follow each other at once. A refused one is noted in `refused`;
    /// what follows it waits for the decision that knows of it, which is to come at once, since it may say that something was
    /// begun. Any other failure ends it. A creation is in `unanswered` until its answer is here, even if this is dropped meanwhile;
    /// no guard is taken away before. Gives when to come again for what may not be done yet, if there is anything.
    ///
    /// # Errors
    /// The first failure that is no refusal.
    pub async fn actions(
        &self,
        target: &mut Target,
        actions: &[Action],
        scope: impl Fn(&ObjectKey) -> Scope,
        refused: &mut Refused,
        unanswered: &Unanswered,
    ) -> Result<Option<Duration>, ActError> {
        // what nobody wants any more is no reason to hold anything back
        refused.retain(actions, &[]);
        let (mut done, mut held, mut begin) = (Vec::new(), None, 0);
        for together in actions.chunk_by(Action::may_go_beside) {
            let due = (begin..).zip(together).filter(|(_, action)| may_go(action, refused)).collect::<Vec<_>>();
            begin += together.len();
            let results = match due[..] {
                [(index, action @ Action::Finalizers(to))] => {
                    match unanswered.pause(Instant::now()).filter(|_| takes_guard_away(action)) {
                        None => vec![(index, Came::To(self.finalizers(target, to).await))],
                        Some(wait) => vec![(index, Came::After(wait.clamp(LOOK_AGAIN, 5 * LOOK_AGAIN)))],
                    }
                }
                _ => self.children(target, due, &scope, unanswered).await,
            };
            let mut is_refused = false;
            for (index, came) in results {
                match came {
                    Came::To(Ok(())) => done.push(index),
                    Came::To(Err(ActError::Refused { key, reason, message })) => {
                        tracing::info!(%key, %message, "refused");
                        refused.add(&actions[index], reason, message, Instant::now());
                        is_refused = true;
                    }
                    Came::To(Err(error)) => return Err(error),
                    Came::After(wait) => held = Some(held.map_or(wait, |held: Duration| held.min(wait))),
                }
            }
            if is_refused && begin < actions.len() {
                held = Some(Duration::ZERO);
                break;
            }
        }
        refused.retain(actions, &done);
        Ok(held)
    }

    /// Writes other objects than the target, up to [`AT_ONCE`] of them at a time, and begins no further one after a failure.
    async fn children(
        &self,
        by: &Target,
        actions: Vec<(usize, &Action)>,
        scope: &impl Fn(&ObjectKey) -> Scope,
        unanswered: &Unanswered,
    ) -> Vec<(usize, Came)> {
        let failed = AtomicBool::new(false);
        let write = async |(index, action): (usize, &Action)| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            if let Action::Create(object) = action
                && let Err(wait) = self.throttle.admit(&ObjectKey::of(object).unwrap_or_default(), Instant::now())
            {
                return Some((index, Came::After(wait)));
            }
            if let Action::Create(object) = action {
                unanswered.begin(object, Instant::now());
            }
            let result = self.child(by, action, scope).await;
            if let Action::Create(object) = action {
                unanswered.ended(object, &result, Instant::now());
            }
            if matches!(&result, Err(error) if !matches!(error, ActError::Refused { .. })) {
                failed.store(true, Ordering::Relaxed);
            }
            Some((index, Came::To(result)))
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

/// Not what was refused just as it is, nor what would leave something refused behind without its guard.
fn may_go(action: &Action, refused: &Refused) -> bool {
    (refused.is_empty() || !takes_guard_away(action)) && !refused.is_pausing(action, Instant::now())
}

fn takes_guard_away(action: &Action) -> bool {
    matches!(action, Action::Finalizers(to) if !to.iter().any(|finalizer| finalizer == names::FINALIZER))
}
