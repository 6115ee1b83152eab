//! The controller of JobFlow: fills the World, and leaves the decision to `tributary_flows`.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use kube::core::DynamicObject;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    world::Refusal,
};
use tributary_crds::{JobFlowSpec, JobTemplateSpec, Timestamp, names};
use tributary_flows::{
    jobflow::{self, Frozen, World},
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
pub struct JobFlows {
    specs: Memo<Spec>,
    frozen: Memo<Frozen>,
    written: Written,
}

#[derive(Debug)]
struct Spec {
    spec: Arc<JobFlowSpec>,
    /// Names of the JobTemplates that it refers to.
    templates: BTreeSet<String>,
}

impl Spec {
    fn read(object: &DynamicObject) -> Result<Self, serde_json::Error> {
        let spec: Arc<JobFlowSpec> = Arc::new(part(object, "spec")?);
        let templates = Frozen::references(&spec).map(str::to_owned).collect();
        Ok(Self { spec, templates })
    }
}

impl JobFlows {
    fn world(&self, primary: &Primary, view: &View<'_>, target: Target) -> Result<World, Box<(Target, String)>> {
        let unreadable = |error: serde_json::Error| Box::new((target.clone(), error.to_string()));
        let Some(object) = view.get(Scope::All, &primary.key()) else {
            return Err(Box::new((target.clone(), "it is gone".into())));
        };
        let metadata = object.metadata.clone();
        let version = format!("{} {}", target.uid, metadata.generation.unwrap_or_default());
        let read = self.specs.get(primary, version.clone(), || Spec::read(&object)).map_err(unreadable)?;
        self.specs.keep(primary, &[version]);
        let of = |name: &String| {
            let key = ObjectKey::new(&PrimaryKind::JobTemplate.gvk(), &primary.namespace, name);
            let template: JobTemplateSpec = part(&*view.get(Scope::All, &key)?, "spec").ok()?;
            Some((name.clone(), template.job_template))
        };
        let stores = Stores::new();
        let freeze = |o: &DynamicObject| {
            let (spec, templates) = thaw(o)?;
            Frozen::new(&primary.name, spec, templates).ok()
        };
        let lease = read.spec.mutex.as_ref().and_then(|mutex| {
            let gvk = Gvk::new("coordination.k8s.io", "v1", "Lease");
            let key = ObjectKey::new(&gvk, &primary.namespace, &children::mutex(mutex));
            Some(view.get(Scope::OfFlows, &key)?.metadata.clone())
        });
        Ok(World {
            status: status(&object).map_err(unreadable)?,
            templates: read.templates.iter().filter_map(of).collect(),
            revisions: revisions(&self.frozen, primary, &metadata, (view, &stores.revisions, names::FLOW), freeze),
            jobs: view.jobs(&stores.jobs, &primary.namespace, names::FLOW, &primary.name),
            pods: view.family(&stores.pods, &primary.namespace, names::FLOW, &primary.name).into(),
            lease,
            refusals: Vec::new(),
            pace: self.written.pace(&metadata),
            metadata,
            spec: read.spec.clone(),
        })
    }
}

struct Stores {
    jobs: StoreId,
    pods: StoreId,
    revisions: StoreId,
    leases: StoreId,
    templates: StoreId,
}

impl Stores {
    fn new() -> Self {
        Self {
            jobs: StoreId::new("batch", "Job", Scope::All),
            pods: StoreId::new("", "Pod", Scope::OfFlows),
            revisions: StoreId::new("apps", "ControllerRevision", Scope::OfFlows),
            leases: StoreId::new("coordination.k8s.io", "Lease", Scope::OfFlows),
            templates: StoreId::new(tributary_crds::GROUP, PrimaryKind::JobTemplate.as_str(), Scope::All),
        }
    }
}

/// The stores that decisions are made from.
pub fn stores() -> Vec<StoreId> {
    let Stores { jobs, pods, revisions, leases, templates } = Stores::new();
    vec![jobs, pods, revisions, leases, templates]
}

impl Controller for JobFlows {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::JobFlow;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let unsynced = view.unsynced(stores());
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        match self.world(primary, view, Target::new(primary, &object.metadata)) {
            Ok(world) => Observed::World(world),
            Err(unreadable) => Observed::Unreadable(unreadable.0, unreadable.1),
        }
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Infallible> {
        jobflow::evaluate(world, now).into()
    }

    fn told(&self, world: &World) {
        self.written.now(&world.metadata);
    }

    async fn effect(&self, _: &Act, _: &Target, _: &World, effect: Infallible) -> Result<(), ActError> {
        match effect {}
    }

    fn scope(&self, key: &ObjectKey) -> Scope {
        match key.kind.as_str() {
            "ControllerRevision" | "Lease" => Scope::OfFlows,
            _ => Scope::All,
        }
    }

    fn forget(&self, primary: &Primary) {
        self.specs.forget(primary);
        self.frozen.forget(primary);
        self.written.forget(primary);
    }
}
