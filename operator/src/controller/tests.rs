//! The loop, with a controller that does what a test tells it to.
#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::{
    object::Gvk,
    plan::Action,
    world::{Served, Verb},
};
use tributary_crds::Reason;

use super::*;
use crate::{
    act::Events,
    testing::{Server, failure},
};

const STATUS: &str = "PATCH /apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p/status";
const CONFIG_MAPS: &str = "POST /api/v1/namespaces/ns/configmaps";

#[derive(Default)]
struct World {
    refusals: Vec<Refusal>,
}

type Decide = fn(&World) -> Plan;

struct Toy {
    decide: Decide,
    seen: Mutex<Vec<Vec<Refusal>>>,
}

impl Controller for Toy {
    type World = World;
    type Effect = ();
    const KIND: PrimaryKind = PrimaryKind::Pipeline;
    const RESTS: bool = true;

    fn observe(&self, _: &Primary, _: &View<'_>) -> Observed<World> {
        Observed::World(World::default())
    }

    fn target(&self, primary: &Primary, _: &World) -> Target {
        Target { primary: primary.clone(), uid: "u".into(), resource_version: "1".into(), account: None }
    }

    fn refusals<'a>(&self, world: &'a mut World) -> &'a mut Vec<Refusal> {
        &mut world.refusals
    }

    fn evaluate(&self, world: &World, _: Timestamp) -> Decision<()> {
        self.seen.lock().unwrap().push(world.refusals.clone());
        (self.decide)(world).into()
    }

    async fn effect(&self, _: &Act, _: &Target, _: &World, (): ()) -> Result<(), ActError> {
        Ok(())
    }
}

struct Rig {
    server: Server,
    context: Context,
    memories: Memories,
    primary: Primary,
    toy: Toy,
}

impl Rig {
    async fn new(decide: Decide) -> Self {
        let (server, client) = Server::start().await;
        let mut served = Served::default();
        served.add(&Gvk::new("", "v1", "ConfigMap"), "configmaps", true);
        served.add(&PrimaryKind::Pipeline.gvk(), "pipelines", true);
        let caches = Caches::of(client.clone(), served);
        let metrics = Metrics::new();
        let events = Events::new(client.clone(), "test".into());
        let act = Arc::new(Act::new(client, caches.clone(), metrics.clone(), events));
        let primary = Primary { kind: PrimaryKind::Pipeline, namespace: "ns".into(), name: "p".into() };
        let toy = Toy { decide, seen: Mutex::default() };
        Self { server, context: Context { caches, act, metrics }, memories: Memories::default(), primary, toy }
    }

    async fn pass(&self) -> Option<Duration> {
        pass(&self.toy, &self.context, &self.memories, &self.primary).await
    }
}

fn config_map() -> Action {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}});
    Action::Create(Box::new(serde_json::from_value::<DynamicObject>(object).unwrap()))
}

fn written() -> Value {
    json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "p"}})
}

#[tokio::test]
async fn a_refusal_is_in_the_status_of_the_same_pass_and_tried_again_later() {
    let rig = Rig::new(|world| Plan {
        actions: vec![config_map()],
        status: Some(json!({"message": world.refusals.first().map(|r| r.message.clone())})),
        ..Plan::default()
    })
    .await;
    rig.server.on(CONFIG_MAPS, 422, failure(422, "Invalid", "data: must be a map"));
    rig.server.on(CONFIG_MAPS, 201, written());
    rig.server.on(STATUS, 200, written());
    let again = rig.pass().await;
    assert_eq!(rig.server.requests(), [CONFIG_MAPS, STATUS]);
    assert_eq!(rig.server.asked()[1].body["status"]["message"], "data: must be a map");
    assert!(again.unwrap() <= Duration::from_secs(1));
    let refusal = rig.toy.seen.lock().unwrap().last().unwrap()[0].clone();
    assert_eq!((refusal.verb, refusal.reason), (Verb::Create, Reason::Rejected));
    // woken before its time, it is not sent again, and the refusal is still known
    rig.pass().await;
    assert_eq!(rig.server.requests().iter().filter(|r| *r == CONFIG_MAPS).count(), 1);
    assert_eq!(rig.toy.seen.lock().unwrap().last().unwrap().len(), 1);
}

#[tokio::test]
async fn a_conflict_backs_off_and_the_status_is_not_written() {
    let rig = Rig::new(|_| Plan { actions: vec![config_map()], status: Some(json!({})), ..Plan::default() }).await;
    rig.server.on(CONFIG_MAPS, 409, failure(409, "Conflict", "try again"));
    let first = rig.pass().await.unwrap();
    let second = rig.pass().await.unwrap();
    assert!(second > first, "{first:?} {second:?}");
    assert_eq!(rig.server.requests(), [CONFIG_MAPS, CONFIG_MAPS]);
}

#[tokio::test]
async fn the_apiservers_wish_to_be_left_alone_is_heard() {
    let rig = Rig::new(|_| Plan { actions: vec![config_map()], ..Plan::default() }).await;
    let mut busy = failure(503, "ServiceUnavailable", "later");
    busy["details"] = json!({"retryAfterSeconds": 9});
    rig.server.on(CONFIG_MAPS, 503, busy);
    assert!(rig.pass().await.unwrap() >= Duration::from_secs(9));
}

#[tokio::test]
async fn a_decision_that_panics_hits_its_object_only() {
    let rig = Rig::new(|_| panic!("a defect")).await;
    assert!(rig.pass().await.is_some());
    assert!(rig.server.requests().is_empty());
}

#[tokio::test]
async fn nothing_to_do_is_nothing_done() {
    let rig = Rig::new(|_| Plan { requeue: Some(Duration::from_secs(5)), ..Plan::default() }).await;
    assert_eq!(rig.pass().await, Some(Duration::from_secs(5)));
    assert!(rig.server.requests().is_empty());
}

#[tokio::test]
async fn progress_is_written_beside_the_passes_one_status_at_a_time() {
    let rig = Rig::new(|_| Plan {
        actions: vec![config_map()],
        status: Some(json!({"message": "1/2"})),
        is_progress: true,
        ..Plan::default()
    })
    .await;
    rig.server.on(CONFIG_MAPS, 201, written());
    rig.server.on(
        STATUS,
        200,
        json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "p", "uid": "u", "resourceVersion": "2"}}),
    );
    rig.pass().await;
    rig.pass().await;
    let queue = rig.context.caches.queues().of(PrimaryKind::Pipeline);
    assert_eq!(queue.next().await, rig.primary, "it is woken by the end of the write");
    let requests = rig.server.requests();
    assert_eq!(requests.iter().filter(|r| *r == STATUS).count(), 1, "{requests:?}");
    assert_eq!(requests.iter().filter(|r| *r == CONFIG_MAPS).count(), 2, "{requests:?}");
}

#[tokio::test]
async fn what_is_more_than_progress_follows_the_status_that_is_under_way() {
    let rig =
        Rig::new(|_| Plan { status: Some(json!({"message": "1/2"})), is_progress: true, ..Plan::default() }).await;
    rig.server.on(
        STATUS,
        200,
        json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "p", "uid": "u", "resourceVersion": "2"}}),
    );
    rig.pass().await;
    let ends = Toy {
        decide: |_| Plan { status: Some(json!({"message": "done"})), ..Plan::default() },
        seen: Mutex::default(),
    };
    let again = pass(&ends, &rig.context, &rig.memories, &rig.primary).await;
    assert_eq!(again, Some(Duration::ZERO));
    assert_eq!(rig.server.requests(), [STATUS], "only when the other is done");
    assert!(rig.context.caches.unseen(&rig.primary).is_some(), "and the cache shows it");
}

#[tokio::test]
async fn progress_that_could_not_be_written_is_written_again() {
    let rig =
        Rig::new(|_| Plan { status: Some(json!({"message": "1/2"})), is_progress: true, ..Plan::default() }).await;
    rig.server.on(STATUS, 500, failure(500, "InternalError", "no"));
    rig.server.on(STATUS, 200, written());
    let queue = rig.context.caches.queues().of(PrimaryKind::Pipeline);
    rig.pass().await;
    queue.next().await;
    queue.done(&rig.primary, rig.pass().await);
    assert_eq!(rig.server.requests(), [STATUS], "not at once");
    queue.next().await;
    rig.pass().await;
    rig.memories.background.end().await;
    assert_eq!(rig.server.requests(), [STATUS, STATUS]);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_may_wait_is_left_to_a_later_pass_while_the_apiserver_is_busy() {
    let may_wait: Decide = |_| Plan { status: Some(json!({"message": "0/2"})), may_wait: true, ..Plan::default() };
    let rig = Rig::new(may_wait).await;
    rig.server.on(STATUS, 200, written());
    rig.pass().await;
    assert_eq!(rig.server.requests(), [STATUS], "it is idle");

    let rig = Rig::new(may_wait).await;
    rig.server.on(STATUS, 200, written());
    rig.context.caches.queues().load().failed(Duration::ZERO, Instant::now());
    let (first, second) = (rig.pass().await.unwrap(), rig.pass().await.unwrap());
    assert!(first <= Duration::from_secs(5) && second <= first && rig.server.requests().is_empty());
    tokio::time::advance(first).await;
    rig.pass().await;
    assert_eq!(rig.server.requests(), [STATUS], "once");
}

#[tokio::test(start_paused = true)]
async fn what_happens_soon_after_a_pass_is_one_pass_while_the_apiserver_is_busy() {
    let rig = Rig::new(|_| Plan::default()).await;
    let queue = rig.context.caches.queues().of(PrimaryKind::Pipeline);
    let stop = Stop { gently: CancellationToken::new(), at_once: CancellationToken::new() };
    let passes = || rig.toy.seen.lock().unwrap().len();
    let events = async {
        for (is_busy, expected) in [(false, 10), (true, 12)] {
            if is_busy {
                rig.context.caches.queues().load().failed(Duration::ZERO, Instant::now());
            }
            for _ in 0..10 {
                queue.add(rig.primary.clone(), crate::queue::Lane::Urgent);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            assert_eq!(passes(), expected);
        }
        stop.gently.cancel();
    };
    tokio::join!(work(&rig.toy, &rig.context, &rig.memories, &stop), events);
}

#[tokio::test]
async fn what_was_created_without_an_answer_is_looked_for_before_the_next_decision() {
    let rig = Rig::new(|_| Plan { actions: vec![config_map()], ..Plan::default() }).await;
    let get = "GET /api/v1/namespaces/ns/configmaps/a";
    rig.server.on(CONFIG_MAPS, 504, failure(504, "Timeout", "request timed out"));
    rig.server.on(CONFIG_MAPS, 201, written());
    rig.server.on(get, 403, failure(403, "Forbidden", "no"));
    rig.server.on(get, 200, written());
    assert!(rig.pass().await.is_some());
    rig.pass().await;
    assert_eq!(
        rig.server.requests(),
        [CONFIG_MAPS, get, CONFIG_MAPS],
        "no answer to the question keeps nobody from deciding"
    );
    rig.pass().await;
    assert_eq!(rig.server.requests()[3..], [CONFIG_MAPS], "it was answered");
}
