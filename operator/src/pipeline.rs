//! The controller of Pipeline: fills the World, and leaves the decision to `tributary_blueprints`.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::core::DynamicObject;
use tributary_blueprints::{
    Outline, blueprint_of,
    claims::{Claim, Index},
    drivers, evaluate, kinds_of,
    object::{Gvk, ObjectKey},
    outline,
    revision::{self, Kept, Revision},
    running,
    world::{Objects, Refusal, Served, Verb, World},
};
use tributary_crds::{Blueprint, BlueprintSpec, Pipeline, Reason, Timestamp, names};

use crate::{
    act::{Act, ActError, Target},
    caches::{Primary, PrimaryKind, Scope, StoreId, Sync, View},
    controller::{Controller, Decision, Observed},
    queue::{Lane, Queue},
};

/// The controller.
pub struct Pipelines {
    claims: Mutex<Claims>,
    queue: Arc<Queue<Primary>>,
}

/// What Pipelines claim, as far as they have been looked at.
#[derive(Default)]
struct Claims {
    index: Index,
    /// All Pipelines have been looked at once, so that none overlooks an older one.
    complete: bool,
}

/// The stores that decisions are made from, whatever the components.
pub fn stores() -> Vec<StoreId> {
    vec![revisions(), of_kind(PrimaryKind::Pipeline), of_kind(PrimaryKind::Blueprint)]
}

fn revisions() -> StoreId {
    let gvk = revision::gvk();
    StoreId::new(&gvk.group, &gvk.kind, Scope::OfPipelines)
}

fn of_kind(kind: PrimaryKind) -> StoreId {
    let gvk = kind.gvk();
    StoreId::new(&gvk.group, &gvk.kind, Scope::All)
}

impl Pipelines {
    /// The controller whose Pipelines are woken through this queue.
    pub fn new(queue: Arc<Queue<Primary>>) -> Self {
        Self { claims: Mutex::default(), queue }
    }

    /// A Pipeline with its Blueprint and revisions.
    fn world(primary: &Primary, pipeline: Pipeline, view: &View<'_>) -> World {
        let blueprint = referred(&pipeline, primary, view);
        let revisions = kept(&pipeline, primary, view);
        World { pipeline, blueprint, revisions: Some(revisions), ..World::default() }
    }

    /// What older Pipelines claim of what this one does; wakes those that its own claims concern.
    fn rivals(&self, primary: &Primary, pipeline: &Pipeline, own: Vec<Claim>, view: &View<'_>) -> Vec<Claim> {
        let mut claims = self.lock();
        if !claims.complete {
            let known = view.read_all::<Pipeline>(&of_kind(PrimaryKind::Pipeline));
            for other in known.filter(|p| p.metadata.uid != pipeline.metadata.uid) {
                let at = Primary {
                    kind: PrimaryKind::Pipeline,
                    namespace: other.metadata.namespace.clone().unwrap_or_default(),
                    name: other.metadata.name.clone().unwrap_or_default(),
                };
                let world = Self::world(&at, other, view);
                let since = created(&world.pipeline);
                claims.index.set(&called(&at), since, outlined(&world, view.served()).claims);
            }
            claims.complete = true;
        }
        let me = called(primary);
        let concerned = claims.index.set(&me, created(pipeline), own);
        let rivals = claims.index.rivals(&me);
        drop(claims);
        self.wake(concerned);
        rivals
    }

    fn wake(&self, pipelines: BTreeSet<String>) {
        for pipeline in pipelines {
            if let Some((namespace, name)) = pipeline.split_once('/') {
                let kind = PrimaryKind::Pipeline;
                self.queue.add(Primary { kind, namespace: namespace.into(), name: name.into() }, Lane::Normal);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Controller for Pipelines {
    type World = World;
    type Effect = Infallible;
    const KIND: PrimaryKind = PrimaryKind::Pipeline;
    const RESTS: bool = true;

    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<World> {
        let own = primary.key();
        let pipeline: Pipeline = match view.read(Scope::All, &own) {
            Some(Ok(pipeline)) => pipeline,
            Some(Err(error)) => {
                let metadata = view.get(Scope::All, &own).map(|object| object.metadata.clone()).unwrap_or_default();
                return Observed::Unreadable(Target::new(primary, &metadata), error.to_string());
            }
            None => return Observed::Gone,
        };
        let (mut unsynced, mut refusals) = (Vec::new(), Vec::new());
        look(stores(), view, &mut unsynced, &mut refusals);
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let mut world = Self::world(primary, pipeline, view);
        let kinds = verified_kinds(&world);
        if view.lacks_schemas(&kinds) {
            return Observed::NoSchemas(kinds);
        }
        let Outline { children, claims } = outlined(&world, view.served());
        let inventory = world.pipeline.status.iter().flat_map(|s| &s.inventory).map(ObjectKey::of_ref);
        let keys: BTreeSet<ObjectKey> = children.into_iter().chain(inventory).collect();

        let needed: BTreeSet<StoreId> = keys.iter().map(|k| StoreId::new(&k.group, &k.kind, Scope::All)).collect();
        look(needed, view, &mut unsynced, &mut refusals);
        if !unsynced.is_empty() {
            return Observed::NotYet(unsynced);
        }
        let labelled = view.of_pipeline(&primary.namespace, &primary.name).map(Arc::unwrap_or_clone);
        let mut children: Objects = labelled.filter(|o| !is_revision(o)).collect();
        for key in &keys {
            view.mention(key);
            if !children.0.contains_key(key) {
                let named = view.get(Scope::All, key).filter(|o| !is_revision(o));
                children.0.extend(named.map(|o| (key.clone(), Arc::unwrap_or_clone(o))));
            }
        }
        // other primaries may carry the label of the Pipeline too, but it is no child of itself
        children.0.remove(&own);
        let related = match related_to(&children, view) {
            Ok(related) => related,
            Err(unsynced) => return Observed::NotYet(vec![unsynced]),
        };
        world.rivals = self.rivals(primary, &world.pipeline, claims, view);
        Observed::World(World { children, related, served: view.served().clone(), refusals, ..world })
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

    fn scope(&self, key: &ObjectKey) -> Scope {
        let revision = revision::gvk();
        if (&key.group, &key.kind) == (&revision.group, &revision.kind) { Scope::OfPipelines } else { Scope::All }
    }

    fn forget(&self, primary: &Primary) {
        let concerned = self.lock().index.remove(&called(primary));
        self.wake(concerned);
    }
}

/// The kinds whose templates this decision verifies: of what runs, and of what the Pipeline says now, which is kept where it
/// is sound even if it does not run yet. One that goes is not verified any more, and waits for nobody.
fn verified_kinds(world: &World) -> BTreeSet<Gvk> {
    if world.pipeline.metadata.deletion_timestamp.is_some() {
        return BTreeSet::new();
    }
    let now = blueprint_of(&world.pipeline, world.blueprint.as_ref()).map(kinds_of);
    let runs = running(world).map(|content| kinds_of(&content.blueprint));
    now.into_iter().chain(runs).flatten().collect()
}

/// The revisions; the content of those is read that matter.
fn kept(pipeline: &Pipeline, primary: &Primary, view: &View<'_>) -> Vec<Kept> {
    let store = revisions();
    let all: Vec<_> = view.labelled(&store, &primary.namespace, names::PIPELINE, &primary.name).collect();
    let needed = revision::needed(pipeline, all.iter().filter_map(|o| o.data.get("revision")?.as_i64()));
    let content = |object: &DynamicObject, number: i64| {
        let data = object.data.get("data").filter(|_| needed.contains(&number))?;
        Revision::from_data(number, data).ok().map(|r| r.content)
    };
    all.iter().filter_map(|object| Kept::of(pipeline, object, |number| content(object, number))).collect()
}

/// Which of the stores are not complete, and which the operator may not watch.
fn look(
    needed: impl IntoIterator<Item = StoreId>,
    view: &View<'_>,
    unsynced: &mut Vec<StoreId>,
    refusals: &mut Vec<Refusal>,
) {
    for id in needed {
        match view.sync(&id) {
            Some(Sync::Pending) => unsynced.push(id),
            Some(sync) => refusals.extend(unwatchable(&id, sync)),
            None if view.served().get(&id.group, &id.kind).is_some() => unsynced.push(id),
            // told as KindNotInstalled, and woken when it comes
            None => {}
        }
    }
}

/// What concerns others of the revision that a Pipeline runs.
fn outlined(world: &World, served: &Served) -> Outline {
    if world.pipeline.spec.managed_by.as_deref().is_some_and(|m| m != names::MANAGER) {
        return Outline::default();
    }
    match running(world) {
        Some(content) => {
            let (pipeline, blueprint) = content.at(&world.pipeline);
            outline(&pipeline, blueprint.as_ref(), served)
        }
        None => Outline::default(),
    }
}

fn is_revision(object: &DynamicObject) -> bool {
    object.types.as_ref().is_some_and(|t| t.kind == revision::gvk().kind && t.api_version == "apps/v1")
}

fn created(pipeline: &Pipeline) -> Timestamp {
    pipeline.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |t| t.0)
}

fn called(primary: &Primary) -> String {
    format!("{}/{}", primary.namespace, primary.name)
}

fn referred(pipeline: &Pipeline, primary: &Primary, view: &View<'_>) -> Option<BlueprintSpec> {
    let name = &pipeline.spec.blueprint_ref.as_ref()?.name;
    let key = ObjectKey::new(&PrimaryKind::Blueprint.gvk(), &primary.namespace, name);
    let blueprint: Blueprint = view.read(Scope::All, &key)?.ok()?;
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
    Ok(found.map(Arc::unwrap_or_clone).collect())
}

fn unwatchable(id: &StoreId, sync: &Sync) -> Option<Refusal> {
    let key = ObjectKey { group: id.group.clone(), kind: id.kind.clone(), ..ObjectKey::default() };
    let kind = format!("{} of group `{}`", id.kind, id.group);
    let (reason, message) = match sync {
        Sync::Forbidden(message) => (
            Reason::Forbidden,
            format!(
                "the operator may not watch {kind}: {message}; give it the right by a ClusterRole with the label \
                 tributary.dev/aggregate-to-operator: \"true\""
            ),
        ),
        Sync::Failing(message) => (
            Reason::WatchFailing,
            format!(
                "the apiserver cannot list {kind}: {message}; look at the operator of that kind, whose conversion webhook or \
                 API service may be down. It is tried again all the time"
            ),
        ),
        Sync::Pending | Sync::Synced => return None,
    };
    Some(Refusal { verb: Verb::Watch, key, reason, message })
}
