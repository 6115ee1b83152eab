//! The controller of JobTemplate: says who refers to it.

use std::convert::Infallible;

use tributary_blueprints::world::Refusal;
use tributary_crds::{GROUP, Timestamp};
use tributary_flows::jobtemplate::{World, evaluate};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, View},
    controller::{Controller, Decision, Observed},
    flows::{part, status},
};

/// The controller.
#[derive(Debug, Default)]
pub struct JobTemplates;

impl Controller for JobTemplates {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::JobTemplate;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let flows = StoreId::new(GROUP, PrimaryKind::JobFlow.as_str(), Scope::All);
        let unsynced = view.unsynced([flows.clone()]);
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let used_by = view.users_of(&flows, &primary.namespace, &primary.name).map(str::to_owned).collect();
        match (part(&object, "spec"), status(&object)) {
            (Ok(spec), Ok(status)) => {
                let metadata = object.metadata.clone();
                Observed::World(World { metadata, spec, status, used_by, refusals: Vec::new() })
            }
            (Err(error), _) | (_, Err(error)) => {
                Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string())
            }
        }
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Infallible> {
        evaluate(world, now).into()
    }

    async fn effect(&self, _: &Act, _: &Target, _: &World, effect: Infallible) -> Result<(), ActError> {
        match effect {}
    }
}
