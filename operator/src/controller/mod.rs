//! The one loop of every controller: `observe` (caches only) -> World -> `evaluate` (pure) -> Plan -> `act`.

mod late;
mod memory;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::{
    object::{Gvk, ObjectKey},
    plan::{Action, Event, Plan},
    world::Refusal,
};
use tributary_crds::Timestamp;

use crate::{
    act::{Act, ActError, Target},
    caches::{Caches, Primary, PrimaryKind, Scope, StoreId, View},
    metrics::Metrics,
};
use late::Background;
use memory::{Memories, Memory};

/// The longest that one pass may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// When to look again at what waits for the caches, should they not wake it.
const NOT_YET: Duration = Duration::from_secs(10);

/// What the caches say of an object.
#[derive(Debug)]
pub enum Observed<W> {
    /// It is not there.
    Gone,
    /// The caches do not hold yet what the decision needs, these kinds among it.
    NotYet(Vec<StoreId>),
    /// The schemas of these kinds have not been read.
    NoSchemas(BTreeSet<Gvk>),
    /// It cannot be read; why.
    Unreadable(Target, String),
    /// All that the decision needs.
    World(W),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub struct Decision<E> {
    /// Done first, in order.
    pub effects: Vec<E>,
    /// Writes to the apiserver.
    pub plan: Plan,
}

impl<E> From<Plan> for Decision<E> {
    fn from(plan: Plan) -> Self {
        Self { effects: Vec::new(), plan }
    }
}

/// One controller: the decisions about one kind.
pub trait Controller: Send + Sync + 'static {
    /// All that a decision may know.
    type World: Send + Sync;
    /// Something to do that is no write of an object.
    type Effect: Send;
    /// The kind that decisions are about.
    const KIND: PrimaryKind;
    /// Whether an object is left alone for a moment after a pass over it while the apiserver is busy.
    const RESTS: bool = false;

    /// Fills the World from the caches.
    fn observe(&self, primary: &Primary, view: &View<'_>) -> Observed<Self::World>;

    /// The object that the World is about.
    fn target(&self, primary: &Primary, world: &Self::World) -> Target;

    /// The World's refusals, which the loop fills in.
    fn refusals<'a>(&self, world: &'a mut Self::World) -> &'a mut Vec<Refusal>;

    /// Decides. Pure and total.
    fn evaluate(&self, world: &Self::World, now: Timestamp) -> Decision<Self::Effect>;

    /// Carries out an effect.
    fn effect(
        &self,
        act: &Act,
        target: &Target,
        world: &Self::World,
        effect: Self::Effect,
    ) -> impl Future<Output = Result<(), ActError>> + Send;

    /// The status that was decided on is written, or its write has begun.
    fn told(&self, _world: &Self::World) {}

    /// Which store shows the object.
    fn scope(&self, _key: &ObjectKey) -> Scope {
        Scope::All
    }

    /// The object is gone: forget what is remembered of it.
    fn forget(&self, _primary: &Primary) {}
}

/// What every controller works with.
pub struct Context {
    /// The caches.
    pub caches: Arc<Caches>,
    /// The writes.
    pub act: Arc<Act>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// When the workers of a controller are to end.
#[derive(Clone, Debug)]
pub struct Stop {
    /// After the pass under way.
    pub gently: CancellationToken,
    /// At once.
    pub at_once: CancellationToken,
}

/// Runs the controller with so many workers until stopped.
pub async fn run<C: Controller>(controller: Arc<C>, context: Arc<Context>, workers: usize, stop: Stop) {
    context.caches.wake_all(C::KIND);
    let memories = Memories::new(Background::new(stop.at_once.clone()));
    join_all((0..workers).map(|_| work(&*controller, &context, &memories, &stop))).await;
    memories.background.end().await;
}

async fn work<C: Controller>(controller: &C, context: &Context, memories: &Memories, stop: &Stop) {
    let queue = context.caches.queues().of(C::KIND);
    while let Some(primary) = stop.gently.run_until_cancelled(queue.next()).await {
        let pass = pass(controller, context, memories, &primary);
        let requeue = stop.at_once.run_until_cancelled(pass).await.flatten();
        let now = Instant::now();
        let rest = Some(queue.rest(now)).filter(|rest| C::RESTS && !rest.is_zero());
        match rest {
            None => queue.done(&primary, requeue),
            Some(rest) => {
                let queue = queue.clone();
                tokio::spawn(async move {
                    tokio::time::sleep_until(now + rest).await;
                    queue.done(&primary, requeue);
                });
            }
        }
    }
}

/// One pass over one object; gives when to come again.
async fn pass<C: Controller>(
    controller: &C,
    context: &Context,
    memories: &Memories,
    primary: &Primary,
) -> Option<Duration> {
    let start = Instant::now();
    let mut memory = memories.take(primary);
    let reconcile = reconcile(controller, context, &memories.background, &mut memory, primary);
    let (result, requeue) = match tokio::time::timeout(DEADLINE, reconcile).await {
        Ok(Ok(Outcome::Gone)) => {
            context.metrics.reconciled(C::KIND, "gone", start.elapsed());
            return None;
        }
        Ok(Ok(Outcome::NotYet)) => ("not-yet", Some(NOT_YET)),
        Ok(Ok(Outcome::Decided(requeue))) => {
            memory.failures = 0;
            ("ok", requeue)
        }
        Ok(Err(error)) => {
            let conflict = matches!(error, ActError::Conflict { .. });
            if conflict {
                tracing::debug!(primary = %primary.key(), %error, "deciding again");
            } else {
                tracing::warn!(primary = %primary.key(), %error, "trying again");
            }
            let asked = error.retry_after().unwrap_or_default();
            (if conflict { "conflict" } else { "error" }, Some(memory.back_off().max(asked)))
        }
        Err(_) => {
            tracing::warn!(primary = %primary.key(), "not done within {DEADLINE:?}");
            ("timeout", Some(memory.back_off()))
        }
    };
    context.metrics.reconciled(C::KIND, result, start.elapsed());
    memories.put(primary, memory);
    requeue
}

enum Outcome {
    Gone,
    NotYet,
    Decided(Option<Duration>),
}

async fn reconcile<C: Controller>(
    controller: &C,
    context: &Context,
    background: &Background,
    memory: &mut Memory,
    primary: &Primary,
) -> Result<Outcome, ActError> {
    let Context { caches, act, .. } = context;
    // before it is looked what the caches show: they show it then, or it is awaited
    memory.end_late(primary, Instant::now());
    act.look(primary, &memory.unanswered, |key: &ObjectKey| controller.scope(key)).await;
    if let Some((_, key)) = caches.unseen(primary) {
        tracing::trace!(primary = %primary.key(), %key, "the cache does not show a write yet");
        return Ok(Outcome::NotYet);
    }
    let mut world = match caches.observe(primary, |view| controller.observe(primary, view)) {
        Observed::World(world) => world,
        Observed::Gone => {
            caches.forget(primary);
            caches.queues().of(C::KIND).settled(primary);
            controller.forget(primary);
            return Ok(Outcome::Gone);
        }
        Observed::NotYet(kinds) => {
            kinds.into_iter().for_each(|kind| caches.want(kind));
            return Ok(Outcome::NotYet);
        }
        Observed::NoSchemas(kinds) => {
            caches.want_schemas(&kinds);
            return Ok(Outcome::NotYet);
        }
        Observed::Unreadable(target, message) => {
            tracing::warn!(primary = %primary.key(), %message, "unreadable");
            caches.queues().of(C::KIND).settled(primary);
            act.events.send(&target, &[Event { warning: true, reason: "Unreadable".into(), note: message }]);
            return Ok(Outcome::Decided(None));
        }
    };
    let known = controller.refusals(&mut world);
    let of_kinds = known.len();
    known.extend(memory.refused.list());
    let Decision { effects, mut plan } = evaluate(controller, &world, primary)?;
    let mut target = controller.target(primary, &world);
    if let Some(late) = memory.late.take_if(|_| !effects.is_empty() || is_about_itself(&plan)) {
        late.end().await;
        return Ok(Outcome::Decided(Some(Duration::ZERO)));
    }
    if !memory.refused.effects_pause(Instant::now()) {
        let mut refusal = None;
        for effect in effects {
            match controller.effect(act, &target, &world, effect).await {
                Err(ActError::Refused { key, reason, message }) => refusal = Some((key, reason, message)),
                result => result?,
            }
        }
        memory.refused.effects(refusal, Instant::now());
    }
    let scope = |key: &ObjectKey| controller.scope(key);
    let held = act.actions(&mut target, &plan.actions, scope, &mut memory.refused, &memory.unanswered).await?;
    // what is not created yet carries nothing of what the status would have said
    plan.may_wait &= held.is_none();
    let refusals = memory.refused.list();
    let known = controller.refusals(&mut world);
    // one that is no longer refused is no reason: what was decided with it has been carried out
    if refusals.iter().any(|refusal| !known[of_kinds..].contains(refusal)) {
        known.truncate(of_kinds);
        known.extend(refusals);
        // what was just refused belongs into this status already
        plan = evaluate(controller, &world, primary)?.plan;
        plan.may_wait = false;
    }
    let telling = plan.status.is_some();
    if plan.is_settled {
        caches.queues().of(C::KIND).settled(primary);
    }
    match tell(context, background, memory, target, &mut plan).await? {
        Told::Now if telling => controller.told(&world),
        Told::Now | Told::Later => {}
        Told::Again => return Ok(Outcome::Decided(Some(Duration::ZERO))),
    }
    let again = memory.refused.next(Instant::now());
    Ok(Outcome::Decided([plan.requeue, again, held].into_iter().flatten().min()))
}

enum Told {
    /// It is written, or its write has begun.
    Now,
    /// Another one is under way, which wakes the object when it is done, or progress has to wait.
    Later,
    /// After another one that was under way, which has changed the object.
    Again,
}

/// Writes the status and sends the events; mere progress in the background, one status at a time. What may wait is left to a later
/// pass for as long as the apiserver is busy, up to five seconds.
async fn tell(
    context: &Context,
    background: &Background,
    memory: &mut Memory,
    mut target: Target,
    plan: &mut Plan,
) -> Result<Told, ActError> {
    let status = plan.status.take();
    if status.is_some() && plan.may_wait {
        let now = Instant::now();
        let patience = || context.caches.queues().of(target.primary.kind).patience(now);
        let until = *memory.waits_until.get_or_insert_with(|| now + patience());
        if let Some(wait) = until.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
            plan.requeue = Some(plan.requeue.map_or(wait, |requeue| requeue.min(wait)));
            return Ok(Told::Later);
        }
    }
    memory.waits_until = None;
    match (status, memory.late.take()) {
        (Some(_), Some(late)) if !plan.is_progress => {
            late.end().await;
            return Ok(Told::Again);
        }
        (_, Some(late)) => {
            memory.late = Some(late);
            return Ok(Told::Later);
        }
        (Some(status), None) if plan.is_progress => {
            if let Some(pause) = memory.late_pause(Instant::now()) {
                plan.requeue = Some(plan.requeue.map_or(pause, |requeue| requeue.min(pause)));
                return Ok(Told::Later);
            }
            let events = std::mem::take(&mut plan.events);
            memory.late = Some(background.write(context, target, status, events));
        }
        (status, None) => {
            if let Some(status) = status {
                context.act.status(&mut target, &status).await?;
            }
            context.act.events.send(&target, &plan.events);
        }
    }
    Ok(Told::Now)
}

/// Whether a plan writes its own object in a way that others build on.
fn is_about_itself(plan: &Plan) -> bool {
    let guard = |action: &Action| matches!(action, Action::Finalizers(_));
    plan.status.is_some() && !plan.is_progress || plan.actions.iter().any(guard)
}

/// Decides; a defect in the decision hits this object only.
fn evaluate<C: Controller>(
    controller: &C,
    world: &C::World,
    primary: &Primary,
) -> Result<Decision<C::Effect>, ActError> {
    catch_unwind(AssertUnwindSafe(|| controller.evaluate(world, Timestamp::now())))
        .map_err(|_| ActError::Malformed { key: primary.key(), message: "the decision panicked".into() })
}
