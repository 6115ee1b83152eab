//! MapReduceJob: a coordinator, workers, and what they need to find and trust each other.

pub mod children;
mod evaluate;
mod outcome;
mod status;
pub mod template;
mod unsupported;
mod world;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rand::Rng;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    world::Refusal,
};
use tributary_crds::{MapReduceJob, Timestamp};

pub use evaluate::{Effect, evaluate};
pub use world::{Children, Kinship, Settings, World};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, View, parse},
    controller::{Controller, Decision, Observed},
};

/// Bytes of the key that coordinator and workers share.
const KEY_BYTES: usize = 32;

/// The controller of MapReduceJob.
pub struct MapReduceJobs {
    settings: Settings,
    /// Uids of jobs whose Secret is known to have been made. The operator may not read Secrets; after a restart it
    /// tries once more and is told that it exists.
    secrets: Mutex<HashMap<Primary, String>>,
}

impl MapReduceJobs {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, secrets: Mutex::default() }
    }

    fn secrets(&self) -> MutexGuard<'_, HashMap<Primary, String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for MapReduceJobs {
    type World = World;
    type Effect = Effect;
    const KIND: PrimaryKind = PrimaryKind::MapReduceJob;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let job: MapReduceJob = match parse(&object) {
            Ok(job) => job,
            Err(error) => return Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string()),
        };
        let unsynced = view.unsynced(stores());
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let world = World {
            children: children_of(&job, primary, view),
            secret_made: self.secrets().get(primary) == job.metadata.uid.as_ref(),
            refusals: Vec::new(),
            settings: self.settings.clone(),
            job,
        };
        Observed::World(world)
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.job.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Effect> {
        evaluate(world, now)
    }

    async fn effect(&self, act: &Act, target: &Target, world: &World, effect: Effect) -> Result<(), ActError> {
        let Effect::MakeSecret = effect;
        let mut key = [0; KEY_BYTES];
        rand::rng().fill_bytes(&mut key);
        act.create_blindly(&children::secret(&world.job, &key)).await?;
        self.secrets().insert(target.primary.clone(), target.uid.clone());
        Ok(())
    }

    fn scope(&self, key: &ObjectKey) -> Scope {
        match key.kind.as_str() {
            "Job" | "MapReduceJob" => Scope::All,
            _ => Scope::OfJobsMetadata,
        }
    }

    fn forget(&self, primary: &Primary) {
        self.secrets().remove(primary);
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// The stores that decisions are made from.
pub fn stores() -> Vec<StoreId> {
    vec![
        StoreId::new("batch", "Job", Scope::All),
        StoreId::new("", "Pod", Scope::OfJobs),
        StoreId::new("", "Service", Scope::OfJobsMetadata),
        StoreId::new("", "ServiceAccount", Scope::OfJobsMetadata),
        StoreId::new(RBAC, "Role", Scope::OfJobsMetadata),
        StoreId::new(RBAC, "RoleBinding", Scope::OfJobsMetadata),
    ]
}

fn children_of(job: &MapReduceJob, primary: &Primary, view: &View<'_>) -> Children {
    let names = children::Names::of(job);
    let key =
        |group: &str, kind: &str, name: &str| ObjectKey::new(&Gvk::new(group, "v1", kind), &primary.namespace, name);
    let metadata = |group: &str, kind: &str, name: &str| {
        view.get(Scope::OfJobsMetadata, &key(group, kind, name)).map(|o| o.metadata.clone())
    };
    let batch = |name: &str| view.get(Scope::All, &key("batch", "Job", name)).and_then(|o| parse(&o).ok());
    let pods = StoreId::new("", "Pod", Scope::OfJobs);
    let pods = view.of_job(&pods, &primary.namespace, &primary.name);
    Children {
        service_account: metadata("", "ServiceAccount", &names.coordinator),
        role: metadata(RBAC, "Role", &names.coordinator),
        role_binding: metadata(RBAC, "RoleBinding", &names.coordinator),
        service: metadata("", "Service", &names.service),
        coordinator: batch(&names.coordinator),
        worker: batch(&names.worker),
        pods: pods.filter_map(|o| parse(&o).ok()).collect(),
    }
}
