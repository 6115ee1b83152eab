//! Topic: a Kafka topic through the admin API.

mod evaluate;
pub mod kafka;
mod world;

#[cfg(test)]
mod tests;

use tributary_blueprints::world::Refusal;
use tributary_crds::{Timestamp, Topic};

pub use evaluate::{DELETION_PATIENCE, Effect, FORCE_DELETE, RESYNC, evaluate, kafka_name};
pub use world::{Description, Failure, KafkaAction, Known, Seen, World};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, View, parse},
    controller::{Controller, Decision, Observed},
};
use kafka::{Clusters, Place};

/// The controller of Topic.
pub struct Topics {
    clusters: Clusters,
}

impl Topics {
    /// With these clusters.
    pub fn new(clusters: Clusters) -> Self {
        Self { clusters }
    }
}

fn place_of(topic: &Topic) -> Place {
    let namespace = topic.metadata.namespace.as_deref().unwrap_or_default();
    Place::new(namespace, &topic.spec.kafka, kafka_name(topic))
}

impl Controller for Topics {
    type World = World;
    type Effect = Effect;
    const KIND: PrimaryKind = PrimaryKind::Topic;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let store = StoreId::new(tributary_crds::GROUP, Self::KIND.as_str(), Scope::All);
        let unsynced = view.unsynced([store.clone()]);
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let Some(object) = view.get(Scope::All, &primary.key()) else { return Observed::Gone };
        let topic: Topic = match parse(&object) {
            Ok(topic) => topic,
            Err(error) => return Observed::Unreadable(Target::new(primary, &object.metadata), error.to_string()),
        };
        let others = view.rivals_of(&store, &object).filter(|o| o.metadata.uid != object.metadata.uid);
        let rivals = others.filter_map(|o| parse(&o).ok()).collect();
        let kafka = self.clusters.known(&place_of(&topic));
        Observed::World(World { topic, rivals, kafka, refusals: Vec::new() })
    }

    fn target(&self, primary: &Primary, world: &World) -> Target {
        Target::new(primary, &world.topic.metadata)
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, now: Timestamp) -> Decision<Effect> {
        evaluate(world, now)
    }

    async fn effect(&self, _: &Act, target: &Target, world: &World, effect: Effect) -> Result<(), ActError> {
        let place = place_of(&world.topic);
        self.clusters.forget(&target.primary, Some(&place));
        self.clusters.submit(&target.primary, &world.topic.spec.kafka, &place, effect.actions);
        Ok(())
    }

    fn forget(&self, primary: &Primary) {
        self.clusters.forget(primary, None);
    }
}
