//! The status of a MapReduceJob that has not ended.

use tributary_crds::{ConditionType, EnginePhase, Reason, Wanted};
use tributary_flows::pods::{PodsReport, report};

use super::{children::Role, world::World};

/// What is said of a job under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// CoordinatorReady and WorkersReady.
    pub conditions: Vec<Wanted>,
    /// For people.
    pub message: String,
    /// A pod runs.
    pub running: bool,
}

/// What is said of a job under way; `obstacle` keeps its children from being made.
pub fn words(world: &World, obstacle: Option<(Reason, String)>) -> Words {
    let coordinator = report(world.pods(Role::Coordinator));
    let workers = report(world.pods(Role::Worker));
    let conditions = vec![of_coordinator(&coordinator, obstacle), of_workers(world, &workers)];
    let running = coordinator.running > 0 || workers.running > 0;
    Words { message: message(world, &conditions, &workers), conditions, running }
}

fn of_coordinator(pods: &PodsReport, obstacle: Option<(Reason, String)>) -> Wanted {
    let type_ = ConditionType::CoordinatorReady;
    if let Some((reason, message)) = obstacle {
        return Wanted::no(type_, reason, message);
    }
    if pods.running + pods.succeeded > 0 {
        return Wanted::yes(type_, Reason::AsExpected, "");
    }
    match (&pods.blocked, &pods.last_failure) {
        (Some(why), _) => Wanted::no(type_, Reason::PodsBlocked, why),
        (None, Some(why)) => {
            Wanted::no(type_, Reason::PodsStarting, format!("the coordinator restarts; before: {why}"))
        }
        (None, None) => Wanted::no(type_, Reason::PodsStarting, "the coordinator's pod is starting"),
    }
}

fn of_workers(world: &World, pods: &PodsReport) -> Wanted {
    let type_ = ConditionType::WorkersReady;
    let wanted = usize::try_from(world.job.spec.workers.replicas).unwrap_or(usize::MAX);
    let up = pods.running + pods.succeeded;
    match &pods.blocked {
        _ if up >= wanted => Wanted::yes(type_, Reason::AsExpected, ""),
        Some(why) => Wanted::no(type_, Reason::PodsBlocked, why),
        None => Wanted::no(type_, Reason::PodsStarting, format!("{up} of {wanted} worker pods run")),
    }
}

/// What holds the job up, else what the engine says, else what it waits for.
fn message(world: &World, conditions: &[Wanted], workers: &PodsReport) -> String {
    let bad = |c: &&Wanted| c.status == Some(false) && c.reason != Reason::PodsStarting;
    let blocked = conditions.iter().find(bad);
    let blocked = blocked.filter(|c| c.type_ == ConditionType::CoordinatorReady || workers.running == 0);
    let engine = world.job.status.as_ref().and_then(|s| s.engine.as_ref());
    let said = engine.map(|e| e.message.clone()).filter(|m| !m.is_empty());
    let works = engine.filter(|e| e.phase != EnginePhase::Planning).map(|_| String::new());
    let starting = || conditions.iter().find(|c| c.status == Some(false)).map(|c| c.message.clone());
    blocked.map(|c| c.message.clone()).or(said).or(works).or_else(starting).unwrap_or_default()
}
