//! Everything the operator knows of the cluster: one store a kind, kept by a watch and by the answers to its own writes. `observe`
//! reads here and nowhere else.
//!
//! A decision's *primary* is the object it is about. An event wakes the primaries that it concerns: the object itself,
//! its owners, the Pipeline or job that its labels name, and whoever looked it up when last deciding.

mod discovery;
mod events;
mod expect;
mod ids;
mod mentions;
mod schemas;
mod store;
mod view;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use kube::{
    Client,
    core::{ApiResource, DynamicObject},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    world::{Served, ServedKind},
};
use tributary_crds::GROUP;

pub use expect::Expect;
pub use ids::{Place, Primary, PrimaryKind, Scope, StoreId};
pub use store::{Name, Sync};
pub use view::View;

use crate::{
    load::Load,
    queue::{Lane, Queue, Starts},
};
use expect::Expectations;
use mentions::Mentions;
use schemas::{Bell, Demand};
use store::{Store, name_of};

/// The queues that events feed, one a kind.
#[derive(Debug)]
pub struct Queues {
    of: HashMap<PrimaryKind, Arc<Queue<Primary>>>,
    load: Arc<Load>,
}

impl Default for Queues {
    fn default() -> Self {
        let load = Arc::<Load>::default();
        let of =
            PrimaryKind::ALL.into_iter().map(|kind| (kind, Arc::new(Queue::new(load.clone(), starts(kind))))).collect();
        Self { of, load }
    }
}

/// How objects of a kind begin while the apiserver is busy. Steps of flows are not to wait for each other; Pipelines are to be through
/// soon: with more of them at once each takes longer, and none more get done.
fn starts(kind: PrimaryKind) -> Starts {
    match kind {
        PrimaryKind::Pipeline => Starts { gap_at_limit: Duration::from_millis(20), at_once: 128 },
        PrimaryKind::JobFlow | PrimaryKind::DaemonJob => {
            Starts { gap_at_limit: Duration::from_millis(100), at_once: usize::MAX }
        }
        _ => Starts { gap_at_limit: Duration::from_millis(20), at_once: usize::MAX },
    }
}

impl Queues {
    /// The queue of a kind.
    pub fn of(&self, kind: PrimaryKind) -> Arc<Queue<Primary>> {
        self.of.get(&kind).cloned().unwrap_or_default()
    }

    /// How busy the apiserver is.
    pub fn load(&self) -> &Load {
        &self.load
    }

    fn add(&self, primaries: impl IntoIterator<Item = Primary>, lane: Lane) {
        for primary in primaries {
            if let Some(queue) = self.of.get(&primary.kind) {
                queue.add(primary, lane);
            }
        }
    }
}

/// The caches.
pub struct Caches {
    client: Client,
    /// The kinds to watch, whoever may ask for them, given those that are served.
    always: fn(&Served) -> Vec<StoreId>,
    inner: RwLock<Inner>,
    expectations: Mutex<Expectations>,
    queues: Queues,
    schemas_wanted: Bell,
    schemas_settled: Bell,
    stop: CancellationToken,
}

#[derive(Default)]
struct Inner {
    served: Arc<Served>,
    /// Discovery has been read once.
    discovered: bool,
    stores: HashMap<StoreId, Watched>,
    wanted: HashSet<StoreId>,
    schemas: Demand,
    mentions: Mentions,
    /// How often a store has changed.
    changes: u64,
}

struct Watched {
    store: Store,
    stop: CancellationToken,
}

impl Caches {
    /// Empty caches that stop with `stop`. Beside what decisions ask for, the kinds that `always` names are watched as
    /// soon as they are served.
    pub fn new(client: Client, always: fn(&Served) -> Vec<StoreId>, stop: CancellationToken) -> Arc<Self> {
        let (inner, expectations, queues) = (RwLock::default(), Mutex::default(), Queues::default());
        let (schemas_wanted, schemas_settled) = (Bell::new(), Bell::new());
        Arc::new(Self { client, always, inner, expectations, queues, schemas_wanted, schemas_settled, stop })
    }

    /// Caches that know these kinds.
    #[cfg(test)]
    pub fn of(client: Client, served: Served) -> Arc<Self> {
        let caches = Self::new(client, |_| Vec::new(), CancellationToken::new());
        caches.set_served(served);
        caches
    }

    /// Reads discovery, then follows it and the kinds that are wanted; runs until stopped.
    pub async fn run(self: Arc<Self>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled_owned(discovery::follow(self)).await;
    }

    /// The queues that events feed.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Whether the kinds that are served are known.
    pub fn is_discovered(&self) -> bool {
        self.read().discovered
    }

    /// The kinds that are served.
    pub fn served(&self) -> Arc<Served> {
        self.read().served.clone()
    }

    /// An object of a wholly watched kind.
    pub fn get(&self, id: &StoreId, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
        self.read().stores.get(id).and_then(|watched| watched.store.get(&key.namespace, &key.name))
    }

    /// How the apiserver names the kind in URLs; `None` where it does not serve it.
    pub fn resource(&self, gvk: &Gvk) -> Option<ApiResource> {
        self.served().get(&gvk.group, &gvk.kind).map(|kind| resource(gvk, kind))
    }

    /// Watch this kind from now on, as long as it is served.
    pub fn want(self: &Arc<Self>, id: StoreId) {
        if self.read().wanted.contains(&id) {
            return;
        }
        self.write().wanted.insert(id);
        self.follow_wanted();
    }

    /// Runs `read` over the caches in the name of `primary`, which is woken when anything changes that it looked up.
    pub fn observe<T>(&self, primary: &Primary, read: impl Fn(&View<'_>) -> T) -> T {
        loop {
            let (answer, keys, changes) = {
                let inner = self.read();
                let view = View::new(&inner);
                let answer = read(&view);
                let keys = view.into_keys();
                if inner.mentions.is(primary, &keys) {
                    return answer;
                }
                (answer, keys, inner.changes)
            };
            let mut inner = self.write();
            inner.mentions.set(primary, &keys);
            // read again where an event came in between: it has woken nobody
            if inner.changes == changes {
                return answer;
            }
        }
    }

    /// Forgets what `primary` looked up.
    pub fn forget(&self, primary: &Primary) {
        self.write().mentions.set(primary, &BTreeSet::new());
    }

    /// The next decision on `by` waits until the cache shows this of the object; where the kind is not watched, it does
    /// not wait.
    pub fn expect(&self, by: &Primary, scope: Scope, key: ObjectKey, expect: Expect) {
        let mut expectations = self.expectations();
        let inner = self.read();
        let Some(watched) = inner.stores.get(&StoreId::new(&key.group, &key.kind, scope)) else { return };
        if !expect.is_met(watched.store.get(&key.namespace, &key.name).as_deref()) {
            expectations.add(by.clone(), (scope, key), expect, Instant::now());
        }
    }

    /// A write that the cache does not show yet.
    pub fn unseen(&self, by: &Primary) -> Option<Place> {
        self.expectations().pending(by, Instant::now())
    }

    /// Wakes every primary of the kind.
    pub fn wake_all(&self, kind: PrimaryKind) {
        let inner = self.read();
        let store = inner.stores.get(&StoreId::new(GROUP, kind.as_str(), Scope::All));
        for (primary, lane) in store.iter().flat_map(|w| w.store.primaries()) {
            self.queues.add([primary], lane);
        }
    }

    /// Starts the watches of wanted kinds that are served, and ends those of kinds that no longer are.
    fn follow_wanted(self: &Arc<Self>) {
        let mut inner = self.write();
        let served = inner.served.clone();
        let wanted: Vec<StoreId> = inner.wanted.iter().cloned().collect();
        for id in wanted {
            let kind = served.get(&id.group, &id.kind);
            let gvk = kind.map(|k| Gvk::new(&id.group, &k.version, &id.kind));
            let current = inner.stores.get(&id).map(|w| w.store.gvk().clone());
            if current == gvk {
                continue;
            }
            if let Some(old) = inner.stores.remove(&id) {
                tracing::info!(kind = %old.store.gvk(), "no longer watched");
                old.stop.cancel();
            }
            if let (Some(gvk), Some(kind)) = (gvk, kind) {
                let stop = self.stop.child_token();
                watch::start(self.clone(), id.clone(), resource(&gvk, kind), stop.clone());
                inner.stores.insert(id, Watched { store: Store::new(gvk), stop });
            }
        }
    }

    /// Discovery says this now.
    fn set_served(self: &Arc<Self>, served: Served) {
        let missing = |served: &Served| PrimaryKind::ALL.map(|k| (k, served.get(GROUP, k.as_str()).is_none()));
        {
            let mut inner = self.write();
            if inner.discovered && *inner.served == served {
                return;
            }
            let primaries = PrimaryKind::ALL.map(|kind| StoreId::new(GROUP, kind.as_str(), Scope::All));
            if !inner.discovered || missing(&inner.served) != missing(&served) {
                let kinds: Vec<&str> = missing(&served).iter().filter(|(_, m)| *m).map(|(k, _)| k.as_str()).collect();
                tracing::info!(waiting_for = ?kinds, "kinds of {GROUP}");
            }
            inner.wanted.extend(primaries.into_iter().chain((self.always)(&served)));
            inner.served = Arc::new(served);
            inner.discovered = true;
        }
        self.follow_wanted();
        self.wake_verified();
    }

    /// Wakes whose verification depends on the kinds that are served.
    fn wake_verified(&self) {
        self.wake_all(PrimaryKind::Pipeline);
        self.wake_all(PrimaryKind::Blueprint);
    }

    fn with_store<T>(&self, id: &StoreId, change: impl FnOnce(&mut Store) -> T) -> Option<T> {
        let mut inner = self.write();
        inner.changes += 1;
        inner.stores.get_mut(id).map(|watched| change(&mut watched.store))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn expectations(&self) -> MutexGuard<'_, Expectations> {
        self.expectations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn resource(gvk: &Gvk, kind: &ServedKind) -> ApiResource {
    ApiResource {
        group: gvk.group.clone(),
        version: gvk.version.clone(),
        api_version: gvk.api_version(),
        kind: gvk.kind.clone(),
        plural: kind.plural.clone(),
    }
}

fn place(id: &StoreId, object: &DynamicObject) -> Place {
    let (namespace, name) = name_of(object);
    (id.scope, ObjectKey { group: id.group.clone(), kind: id.kind.clone(), namespace, name })
}

/// The object as the type it is of.
///
/// # Errors
/// Where it is not of that type, which an object from before a change of its CustomResourceDefinition may not be.
pub fn parse<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(object)?)
}
