//! The controller of Pipeline: fills the World, and leaves the decision to `tributary_blueprints`.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use kube::core::DynamicObject;
use tributary_blueprints::{
    blueprint_of, drivers, evaluate, expected_children, kinds_of,
    object::ObjectKey,
    world::{Objects, Refusal, Verb, World},
};
use tributary_crds::{Blueprint, BlueprintSpec, Pipeline, Reason, Timestamp};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, Sync, View, parse},
    controller::{Controller, Decision, Observed},
};

/// The controller.
pub struct Pipelines;

impl Controller for Pipelines {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::Pipeline;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let pipeline: Pipeline = match parse(object) {
            Ok(pipeline) => pipeline,
            Err(error) => return Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string()),
        };
        let blueprint = referred(&pipeline, primary, view);
        let kinds = blueprint_of(&pipeline, blueprint.as_ref()).map(kinds_of).unwrap_or_default();
        if view.lacks_schemas(&kinds) {
            return Observed::NoSchemas(kinds);
        }
        let served = view.served();
        let inventory = pipeline.status.iter().flat_map(|s| &s.inventory).map(ObjectKey::of_ref);
        let mut keys: BTreeSet<ObjectKey> =
            expected_children(&pipeline, blueprint.as_ref(), served).into_iter().collect();
        keys.extend(inventory);

        let needed: BTreeSet<StoreId> = keys.iter().map(|k| StoreId::new(&k.group, &k.kind, Scope::All)).collect();
        let (mut unsynced, mut refusals) = (Vec::new(), Vec::new());
        for id in needed {
            match view.sync(&id) {
                Some(Sync::Synced) => {}
                Some(Sync::Forbidden(message)) => refusals.push(unwatchable(&id, message)),
                Some(Sync::Pending) => unsynced.push(id),
                None if served.get(&id.group, &id.kind).is_some() => unsynced.push(id),
                // told as KindNotInstalled, and woken when it comes
                None => {}
            }
        }
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let named = keys.iter().filter_map(|key| view.get(Scope::All, key));
        let labelled = view.of_pipeline(&primary.namespace, &primary.name);
        // other primaries may carry the label of the Pipeline too, but it is no child of itself
        let children: Objects =
            named.chain(labelled).filter(|o| !Arc::ptr_eq(o, object)).map(|o| DynamicObject::clone(o)).collect();
        let related = match related_to(&children, view) {
            Ok(related) => related,
            Err(unsynced) => return Observed::NotYet(vec![unsynced]),
        };
        Observed::World(World { pipeline, blueprint, children, related, served: served.as_ref().clone(), refusals })
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        let account = world.pipeline.spec.service_account_name.as_deref().unwrap_or("default");
        Target::new(primary, &world.pipeline.metadata).acting_as(account)
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

fn referred(pipeline: &Pipeline, primary: &Primary, view: &View<'_>) -> Option<BlueprintSpec> {
    let name = &pipeline.spec.blueprint_ref.as_ref()?.name;
    let key = ObjectKey::new(&PrimaryKind::Blueprint.gvk(), &primary.namespace, name);
    let blueprint: Blueprint = parse(view.get(Scope::All, &key)?).ok()?;
    Some(blueprint.spec)
}

/// The pods that tell more of the children; the store that must be read first, if that is under way. Where pods may not be
/// watched, the children speak for themselves.
fn related_to(children: &Objects, view: &View<'_>) -> Result<Objects, StoreId> {
    let keys: Vec<ObjectKey> = children.0.values().filter_map(drivers::related).collect();
    let drivers = StoreId::new("", "Pod", Scope::SparkDrivers);
    if !keys.is_empty() && matches!(view.sync(&drivers), None | Some(Sync::Pending)) {
        return Err(drivers);
    }
    let found = keys.iter().filter_map(|key| view.get(Scope::SparkDrivers, key));
    Ok(found.map(|pod| DynamicObject::clone(pod)).collect())
}

fn unwatchable(id: &StoreId, message: &str) -> Refusal {
    let key = ObjectKey { group: id.group.clone(), kind: id.kind.clone(), ..ObjectKey::default() };
    let message = format!(
        "the operator may not watch {} of group `{}`: {message}; give it the right by a ClusterRole with the label \
         tributary.dev/aggregate-to-operator: \"true\"",
        id.kind, id.group
    );
    Refusal { verb: Verb::Watch, key, reason: Reason::Forbidden, message }
}
