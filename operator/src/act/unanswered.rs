//! Creations that nobody has answered. The object may be there though no cache shows it: one without an owner would stay for ever
//! if its maker went now.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::core::DynamicObject;
use tokio::time::Instant;
use tributary_blueprints::object::{Gvk, ObjectKey};

use super::{Act, ActError, gvk_of};
use crate::caches::{Primary, Scope};

/// How long after its answer was lost a request may still be carried out.
pub(super) const HOLD: Duration = Duration::from_secs(15);

/// The creations of one primary that are under way, or whose answer was lost.
#[derive(Debug, Default)]
pub struct Unanswered {
    of: Mutex<BTreeMap<ObjectKey, Lost>>,
    /// What the leader before has lost is not known; it may be carried out until then.
    until: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Lost {
    gvk: Gvk,
    /// When the last answer was lost, or the first request began that has none yet.
    at: Instant,
    is_under_way: bool,
}

impl Unanswered {
    /// Of a primary that this replica has been in charge of since `term`.
    pub fn since(term: Option<Instant>) -> Self {
        Self { of: Mutex::default(), until: term.map(|at| at + HOLD) }
    }

    /// The creation is about to be sent.
    pub(super) fn begin(&self, object: &DynamicObject, now: Instant) {
        let key = ObjectKey::of(object).unwrap_or_default();
        if let Ok(gvk) = gvk_of(object, &key) {
            let mut all = self.lock();
            // one that is still there was given up by its pass
            let entry = all.entry(key).and_modify(|lost| lost.is_under_way = false);
            entry.or_insert(Lost { gvk, at: now, is_under_way: true });
        }
    }

    /// How it went. One that was refused says nothing of another before it that was not answered.
    pub(super) fn ended(&self, object: &DynamicObject, result: &Result<(), ActError>, now: Instant) {
        let key = ObjectKey::of(object).unwrap_or_default();
        let is_lost = match result {
            Err(ActError::Timeout { .. }) => true,
            Err(ActError::Transient { source, .. }) => {
                !matches!(&**source, kube::Error::Api(status) if status.code < 500)
            }
            Ok(()) | Err(_) => false,
        };
        let mut all = self.lock();
        if is_lost && let Some(lost) = all.get_mut(&key) {
            (lost.at, lost.is_under_way) = (now, false);
        } else if result.is_ok() || all.get(&key).is_some_and(|lost| lost.is_under_way) {
            all.remove(&key);
        }
    }

    /// Whether every creation was answered.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How long it may still be that one is carried out.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        // one that was looked for and could not be seen is over only when that was answered
        let open = self.lock().values().map(|lost| (lost.at + HOLD).max(now)).max();
        let before = self.until.filter(|until| *until > now);
        Some(open.into_iter().chain(before).max()?.saturating_duration_since(now))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Lost>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Act {
    /// Asks for the objects whose creation nobody has answered, and shows to the caches those that are there. One that is not may yet
    /// come until the request cannot be under way any more; nor is one forgotten before whose question is not answered either.
    pub async fn look(&self, by: &Primary, unanswered: &Unanswered, scope: impl Fn(&ObjectKey) -> Scope) {
        let open: Vec<_> = unanswered.lock().iter().map(|(key, lost)| (key.clone(), lost.clone())).collect();
        for (key, lost) in open {
            let since = Instant::now();
            let is_old = since >= lost.at + HOLD;
            let is_over = match self.api(&lost.gvk, &key) {
                Ok(api) => match self.timed("get", &key, api.get_opt(&key.name)).await {
                    Ok(Some(there)) => {
                        // elsewhere it may be a stranger that is never shown; another creation tells
                        if scope(&key) == Scope::All {
                            self.caches.wrote(by, Scope::All, &key, &there, since);
                        }
                        true
                    }
                    Ok(None) => is_old,
                    Err(error) => {
                        tracing::debug!(%key, %error, "whether it was created is not known");
                        is_old
                    }
                },
                // it went with its kind
                Err(_) => true,
            };
            if is_over {
                unanswered.lock().remove(&key);
            }
        }
    }
}
