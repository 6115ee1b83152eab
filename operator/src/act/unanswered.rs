//! Creations that nobody has answered. The object may be there though no cache shows it: one without an owner would stay for ever
//! where its maker went now.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    plan::Action,
};

use super::{Act, ActError, LIMIT, gvk_of};
use crate::caches::{Primary, Scope};

/// The creations of one primary that are under way, or whose answer was lost.
#[derive(Debug, Default)]
pub struct Unanswered(Mutex<BTreeMap<ObjectKey, (Gvk, Instant)>>);

impl Unanswered {
    /// The creation is about to be sent.
    pub(super) fn begin(&self, action: &Action, now: Instant) {
        let Action::Create(object) = action else { return };
        let key = ObjectKey::of(object).unwrap_or_default();
        if let Ok(gvk) = gvk_of(object, &key) {
            self.lock().insert(key, (gvk, now));
        }
    }

    /// How it went.
    pub(super) fn ended(&self, action: &Action, result: &Result<(), ActError>) {
        let is_known = match result {
            Ok(()) => true,
            Err(ActError::Timeout { .. }) => false,
            Err(ActError::Transient { source, .. }) => {
                matches!(&**source, kube::Error::Api(status) if status.code < 500)
            }
            Err(_) => true,
        };
        if let Action::Create(object) = action
            && is_known
        {
            self.lock().remove(&ObjectKey::of(object).unwrap_or_default());
        }
    }

    /// Whether every creation was answered.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How long it may still be that one is carried out.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        self.lock().values().map(|(_, since)| (*since + LIMIT).saturating_duration_since(now)).max()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, (Gvk, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Act {
    /// Asks for the objects whose creation nobody has answered, and shows to the caches those that are there. One that is not may yet
    /// come until the request cannot be under way any more.
    ///
    /// # Errors
    /// What the apiserver says, except that an object is not there.
    pub async fn look(
        &self,
        by: &Primary,
        unanswered: &Unanswered,
        scope: impl Fn(&ObjectKey) -> Scope,
    ) -> Result<(), ActError> {
        let open: Vec<_> =
            unanswered.lock().iter().map(|(key, (gvk, begun))| (key.clone(), gvk.clone(), *begun)).collect();
        for (key, gvk, begun) in open {
            let since = Instant::now();
            let is_over = match self.api(&gvk, &key) {
                Ok(api) => match self.timed("get", &key, api.get_opt(&key.name)).await? {
                    Some(there) => {
                        self.caches.wrote(by, scope(&key), &key, &there, since);
                        true
                    }
                    None => since >= begun + LIMIT,
                },
                // it went with its kind
                Err(_) => true,
            };
            if is_over {
                unanswered.lock().remove(&key);
            }
        }
        Ok(())
    }
}
