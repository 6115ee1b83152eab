//! The controller of DaemonJob: fills the World, and leaves the decision to `tributary_flows`.

use std::convert::Infallible;

use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    world::Refusal,
};
use tributary_crds::{DaemonJobSpec, Timestamp, names};
use tributary_flows::{
    Node,
    daemonjob::{self, Frozen, World},
    names as children, thaw,
};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, View},
    controller::{Controller, Decision, Observed},
    flows::{Memo, Written, part, revisions, status},
};

/// The controller.
#[derive(Debug, Default)]
pub struct DaemonJobs {
    specs: Memo<DaemonJobSpec>,
    frozen: Memo<Frozen>,
    written: Written,
}

/// The stores that decisions are made from.
pub fn stores() -> Vec<StoreId> {
    vec![
        StoreId::new("batch", "Job", Scope::All),
        StoreId::new("", "Pod", Scope::OfDaemonJobs),
        StoreId::new("apps", "ControllerRevision", Scope::OfDaemonJobs),
        StoreId::new("", "ConfigMap", Scope::OfDaemonJobs),
        StoreId::new("", "Node", Scope::All),
    ]
}

impl Controller for DaemonJobs {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::DaemonJob;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let ids = stores();
        let unsynced = view.unsynced(ids.iter().cloned());
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let [jobs, pods, controller_revisions, _, nodes] = ids.as_slice() else { return Observed::NotYet(ids) };
        let metadata = object.metadata.clone();
        let unreadable =
            |error: serde_json::Error| Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string());
        let version =
            format!("{} {}", metadata.uid.as_deref().unwrap_or_default(), metadata.generation.unwrap_or_default());
        let spec = match self.specs.get(primary, version.clone(), || part::<DaemonJobSpec>(&object, "spec")) {
            Ok(spec) => spec,
            Err(error) => return unreadable(error),
        };
        self.specs.keep(primary, &[version]);
        let status = match status(&object) {
            Ok(status) => status,
            Err(error) => return unreadable(error),
        };
        let freeze = |o: &kube::core::DynamicObject| Frozen::new(thaw(o)?.0).ok();
        let record =
            ObjectKey::new(&Gvk::new("", "v1", "ConfigMap"), &primary.namespace, &children::outcomes(&primary.name));
        let label = (view, controller_revisions, names::DAEMON_JOB);
        Observed::World(World {
            revisions: revisions(&self.frozen, primary, &metadata, label, freeze),
            nodes: view.all(nodes).filter_map(|o| Node::read(&o)).collect(),
            jobs: view.jobs(jobs, &primary.namespace, names::DAEMON_JOB, &primary.name),
            pods: view.family(pods, &primary.namespace, names::DAEMON_JOB, &primary.name).into(),
            record: view.get(Scope::OfDaemonJobs, &record),
            refusals: Vec::new(),
            pace: self.written.pace(&metadata),
            metadata,
            status,
            spec,
        })
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Infallible> {
        daemonjob::evaluate(world, now).into()
    }

    fn told(&self, world: &World) {
        self.written.now(&world.metadata);
    }

    async fn effect(&self, _: &Act, _: &Target, _: &World, effect: Infallible) -> Result<(), ActError> {
        match effect {}
    }

    fn scope(&self, key: &ObjectKey) -> Scope {
        match key.kind.as_str() {
            "ControllerRevision" | "ConfigMap" => Scope::OfDaemonJobs,
            _ => Scope::All,
        }
    }

    fn forget(&self, primary: &Primary) {
        self.specs.forget(primary);
        self.frozen.forget(primary);
        self.written.forget(primary);
    }
}
