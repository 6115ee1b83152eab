//! What goes over the wire.
#![allow(clippy::unwrap_used)]

use serde_json::json;
use tributary_blueprints::{plan::Action, world::Served};

use super::{actions::AT_ONCE, unanswered::HOLD, *};
use crate::{
    caches::PrimaryKind,
    testing::{Server, failure},
};

const CONFIG_MAPS: &str = "/api/v1/namespaces/ns/configmaps";

struct Rig {
    server: Server,
    caches: Arc<Caches>,
    act: Act,
    target: Target,
    refused: Refused,
    unanswered: Unanswered,
}

impl Rig {
    async fn new() -> Self {
        let (server, client) = Server::start().await;
        let mut served = Served::default();
        served.add(&Gvk::new("", "v1", "ConfigMap"), "configmaps", true);
        served.add(&Gvk::new("apps", "v1", "ControllerRevision"), "controllerrevisions", true);
        served.add(&Gvk::new("kafka.strimzi.io", "v1", "KafkaTopic"), "kafkatopics", true);
        served.add(&PrimaryKind::Pipeline.gvk(), "pipelines", true);
        let caches = Caches::of(client.clone(), served);
        let events = Events::new(client.clone(), "test".into());
        let act = Act::new(client, caches.clone(), Metrics::new(), events);
        let primary = Primary { kind: PrimaryKind::Pipeline, namespace: "ns".into(), name: "p".into() };
        let target = Target { primary, uid: "u".into(), resource_version: "7".into(), account: None };
        Self { server, caches, act, target, refused: Refused::default(), unanswered: Unanswered::default() }
    }

    async fn act(&mut self, actions: &[Action]) -> Result<Option<Duration>, ActError> {
        self.act.actions(&mut self.target, actions, |_| Scope::All, &mut self.refused, &self.unanswered).await
    }
}

fn config_map(name: &str) -> DynamicObject {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}, "metadata": {"name": name, "namespace": "ns",
        "ownerReferences": [{"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": "u"}]}});
    serde_json::from_value(object).unwrap()
}

fn create(name: &str) -> Action {
    Action::Create(Box::new(config_map(name)))
}

fn made(name: &str, uid: &str, version: &str) -> Value {
    let mut object = serde_json::to_value(config_map(name)).unwrap();
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!(version);
    object
}

#[tokio::test]
async fn a_creation_is_strict_and_awaited() {
    let mut rig = Rig::new().await;
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 201, made("a", "u1", "10"));
    rig.caches.want(crate::caches::StoreId::new("", "ConfigMap", Scope::All));
    rig.act(&[create("a")]).await.unwrap();
    let asked = rig.server.asked();
    assert!(asked[0].query.contains("fieldValidation=Strict") && asked[0].query.contains("fieldManager=tributary"));
    let (_, key) = rig.caches.unseen(&rig.target.primary).unwrap();
    assert_eq!(key.name, "a");
}

#[tokio::test]
async fn children_are_written_in_the_name_of_the_account_and_revisions_and_deletions_are_not() {
    let mut rig = Rig::new().await;
    rig.target = rig.target.acting_as("runner");
    let revisions = "/apis/apps/v1/namespaces/ns/controllerrevisions";
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r", "namespace": "ns"}, "revision": 1});
    let refusal = "configmaps is forbidden: User \"x\" cannot create resource \"configmaps\" in API group \"\"";
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 403, failure(403, "Forbidden", refusal));
    rig.server.on(&format!("POST {revisions}"), 201, revision.clone());
    rig.server.on(&format!("PATCH {CONFIG_MAPS}/a"), 200, made("a", "u1", "10"));
    rig.server.on(&format!("DELETE {CONFIG_MAPS}/a"), 200, made("a", "u1", "10"));
    let key = ObjectKey::new(&Gvk::new("", "v1", "ConfigMap"), "ns", "a");
    let delete = Action::Delete { gvk: Gvk::new("", "v1", "ConfigMap"), key, uid: "u1".into(), resource_version: None };
    let apply = Action::Apply { object: Box::new(config_map("a")) };
    let revision = Action::Create(Box::new(serde_json::from_value(revision).unwrap()));
    let actions = [create("a"), apply, revision, delete];
    assert_eq!(rig.act(&actions).await.unwrap(), Some(Duration::ZERO));
    assert_eq!(rig.server.requests().len(), 1, "what follows a refusal waits for the decision that knows of it");
    assert_eq!(rig.act(&actions).await.unwrap(), None);
    let users: Vec<String> = rig.server.asked().into_iter().map(|a| a.user).collect();
    let runner = "system:serviceaccount:ns:runner";
    assert_eq!(users, [runner, runner, "", ""]);
    let told = &rig.refused.list()[0].message;
    for words in [refusal, "--serviceaccount=ns:runner", "resources: [configmaps]"] {
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn an_own_object_that_exists_is_no_error() {
    let mut rig = Rig::new().await;
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 409, failure(409, "AlreadyExists", "it is there"));
    rig.server.on(&format!("GET {CONFIG_MAPS}/a"), 200, made("a", "u1", "10"));
    rig.act(&[create("a")]).await.unwrap();
    assert!(rig.refused.is_empty());
}

#[tokio::test]
async fn a_strangers_object_is_told_where_the_cache_would_never_show_it() {
    let mut rig = Rig::new().await;
    let mut foreign = made("a", "u1", "10");
    foreign["metadata"]["ownerReferences"] = json!([]);
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 409, failure(409, "AlreadyExists", "it is there"));
    rig.server.on(&format!("GET {CONFIG_MAPS}/a"), 200, foreign);
    let (act, refused) = (&rig.act, &mut rig.refused);
    act.actions(&mut rig.target, &[create("a")], |_| Scope::OfJobsMetadata, refused, &rig.unanswered).await.unwrap();
    assert_eq!(refused.list()[0].reason, Reason::NameTaken);
}

#[tokio::test]
async fn topics_are_made_no_faster_than_their_operator_works_them_off_and_the_others_go_on() {
    let mut rig = Rig::new().await;
    let topic = |i: usize| json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic", "metadata": {"name": format!("t{i}"), "namespace": "ns"}});
    let path = "POST /apis/kafka.strimzi.io/v1/namespaces/ns/kafkatopics";
    rig.server.on(path, 201, topic(0));
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 201, made("a", "1", "8"));
    let mut actions: Vec<Action> =
        (0..300).map(|i| Action::Create(Box::new(serde_json::from_value(topic(i)).unwrap()))).collect();
    actions.push(create("a"));
    let held = rig.act(&actions).await.unwrap().unwrap();
    assert_eq!(held, Duration::from_secs(1), "those that wait do not keep the workers busy");
    let asked = rig.server.requests();
    let made = asked.iter().filter(|request| request.starts_with(path)).count();
    assert!((200..300).contains(&made), "{made} at once");
    assert!(asked.last().unwrap().contains("configmaps"));
    let config_maps: Vec<Action> = (0..300).map(|_| create("a")).collect();
    assert_eq!(rig.act(&config_maps).await.unwrap(), None);
}

#[tokio::test]
async fn a_refusal_is_kept_the_others_go_on_and_the_finalizer_stays() {
    let mut rig = Rig::new().await;
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 403, failure(403, "Forbidden", "exceeded quota"));
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 201, made("b", "u2", "11"));
    let finalizers = Action::Finalizers(Vec::new());
    rig.act(&[create("a"), create("b"), finalizers.clone()]).await.unwrap();
    let refusals = rig.refused.list();
    assert_eq!((refusals.len(), refusals[0].message.as_str()), (1, "exceeded quota"));
    assert_eq!(rig.server.requests().len(), 2, "no write of the finalizers: {:?}", rig.server.requests());
    // it pauses, whatever wakes the object meanwhile
    rig.act(&[create("a"), finalizers]).await.unwrap();
    assert_eq!(rig.server.requests().len(), 2);
    assert_eq!(rig.refused.list(), refusals);
    rig.act(&[]).await.unwrap();
    assert!(rig.refused.is_empty(), "what is no longer wanted is no longer refused");
}

#[tokio::test]
async fn a_refusal_of_what_is_not_wanted_any_more_holds_no_finalizer() {
    let mut rig = Rig::new().await;
    let path = "PATCH /apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p";
    let gone = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p", "uid": "u", "resourceVersion": "8"}});
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 403, failure(403, "Forbidden", "the namespace is being terminated"));
    rig.server.on(path, 200, gone);
    rig.act(&[create("a")]).await.unwrap();
    assert!(!rig.refused.is_empty());
    // the Pipeline is deleted with its namespace
    rig.act(&[Action::Finalizers(Vec::new())]).await.unwrap();
    assert_eq!(rig.server.requests().last().map(String::as_str), Some(path));
}

#[tokio::test]
async fn a_passing_failure_ends_the_pass() {
    let mut rig = Rig::new().await;
    let mut busy = failure(429, "TooManyRequests", "slow down");
    busy["details"] = json!({"retryAfterSeconds": 3});
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 429, busy);
    let mut actions = vec![create("a"); 100];
    actions.push(Action::Finalizers(Vec::new()));
    let error = rig.act(&actions).await.unwrap_err();
    assert!(matches!(error, ActError::Transient { retry_after: Some(wait), .. } if wait.as_secs() == 3), "{error}");
    let requests = rig.server.requests();
    assert!(requests.len() <= 2 * AT_ONCE && requests.iter().all(|r| r.starts_with("POST")), "{requests:?}");
}

#[tokio::test]
async fn a_deletion_is_of_that_very_object() {
    let mut rig = Rig::new().await;
    let delete = |uid: &str| Action::Delete {
        gvk: Gvk::new("", "v1", "ConfigMap"),
        key: ObjectKey::new(&Gvk::new("", "v1", "ConfigMap"), "ns", "a"),
        uid: uid.into(),
        resource_version: Some("3".into()),
    };
    let path = format!("DELETE {CONFIG_MAPS}/a");
    rig.server.on(&path, 409, failure(409, "Conflict", "the UID in the precondition does not match"));
    rig.server.on(&path, 404, failure(404, "NotFound", "it is gone"));
    assert!(matches!(rig.act(&[delete("old")]).await, Err(ActError::Conflict { .. })));
    rig.act(&[delete("u1")]).await.unwrap();
    let body = &rig.server.asked()[0].body;
    assert_eq!(body["preconditions"], json!({"uid": "old", "resourceVersion": "3"}));
    assert_eq!(body["propagationPolicy"], "Background");
}

#[tokio::test]
async fn finalizers_and_status_are_of_the_version_that_was_decided_on() {
    let mut rig = Rig::new().await;
    let path = "/apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p";
    let answer = |version: &str| {
        json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p", "uid": "u",
        "resourceVersion": version, "finalizers": ["f"]}})
    };
    rig.server.on(&format!("PATCH {path}"), 200, answer("8"));
    rig.server.on(&format!("PATCH {path}/status"), 200, answer("9"));
    rig.act(&[Action::Finalizers(vec!["f".into()])]).await.unwrap();
    rig.act.status(&mut rig.target, &json!({"phase": "Running"})).await.unwrap();
    let asked = rig.server.asked();
    assert_eq!(
        asked[0].body["metadata"],
        json!({"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7", "finalizers": ["f"]})
    );
    assert!(asked[0].query.contains("fieldManager=tributary-finalizers"), "{}", asked[0].query);
    assert_eq!(asked[1].body["metadata"]["resourceVersion"], "8", "the version moves on with our own write");
    assert_eq!(asked[1].body["metadata"]["uid"], "u");
    assert_eq!(asked[1].body["status"], json!({"phase": "Running"}));
    assert!(asked[1].query.contains("force=true"));
    assert_eq!(rig.target.resource_version, "9");
}

#[tokio::test]
async fn a_finalizer_goes_by_one_write_whoever_put_it_there() {
    let mut rig = Rig::new().await;
    let path = "/apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p";
    let answer = |version: &str, finalizers: Value| {
        json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "uid": "u", "resourceVersion": version, "finalizers": finalizers}})
    };
    rig.server.on(&format!("PATCH {path}"), 200, answer("8", json!(["other"])));
    rig.act(&[Action::Finalizers(vec!["other".into()])]).await.unwrap();
    let asked = rig.server.asked();
    // no apply, which takes away nothing that came by admission
    assert!(asked.len() == 1 && !asked[0].query.contains("force"), "{}", asked[0].query);
    let metadata = json!({"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7", "finalizers": ["other"]});
    assert_eq!(asked[0].body["metadata"], metadata);
}

#[tokio::test]
async fn a_creation_that_nobody_answered_is_looked_for_and_holds_the_finalizer_until_it_must_be_over() {
    let mut rig = Rig::new().await;
    let pipeline = "PATCH /apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p";
    let (at_a, at_b) = (format!("GET {CONFIG_MAPS}/a"), format!("GET {CONFIG_MAPS}/b"));
    for _ in 0..2 {
        rig.server.on(&format!("POST {CONFIG_MAPS}"), 504, failure(504, "Timeout", "etcdserver: request timed out"));
    }
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 403, failure(403, "Forbidden", "exceeded quota"));
    rig.server.on(&at_a, 200, made("a", "u1", "10"));
    rig.server.on(&at_b, 404, failure(404, "NotFound", "not here"));
    rig.server.on(pipeline, 200, json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p", "uid": "u", "resourceVersion": "8"}}));
    rig.caches.want(crate::caches::StoreId::new("", "ConfigMap", Scope::All));
    assert!(rig.act(&[create("a"), create("b")]).await.is_err());
    let look = async |rig: &Rig| rig.act.look(&rig.target.primary, &rig.unanswered, |_| Scope::All).await;
    look(&rig).await;
    // the one that is there is awaited by the next decision, the other may yet come
    assert_eq!(rig.caches.unseen(&rig.target.primary).map(|(_, key)| key.name), Some("a".into()));
    let go = Action::Finalizers(Vec::new());
    assert!(rig.act(std::slice::from_ref(&go)).await.unwrap().is_some());
    assert!(!rig.server.requests().iter().any(|request| request == pipeline));
    tokio::time::pause();
    tokio::time::advance(HOLD).await;
    tokio::time::resume();
    look(&rig).await;
    assert!(rig.unanswered.is_empty());
    assert_eq!(rig.act(&[go]).await.unwrap(), None);
    assert_eq!(rig.server.requests().last().map(String::as_str), Some(pipeline));
    // an answer that says no leaves nothing to look for
    rig.act(&[create("c")]).await.unwrap();
    assert!(rig.unanswered.is_empty());
}

#[tokio::test]
async fn a_refusal_says_nothing_of_an_earlier_creation_that_was_not_answered_nor_does_a_former_leader() {
    let mut rig = Rig::new().await;
    let [guard, go] = [vec![tributary_crds::names::FINALIZER.to_owned()], Vec::new()].map(Action::Finalizers);
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 504, failure(504, "Timeout", "etcdserver: request timed out"));
    rig.server.on(&format!("POST {CONFIG_MAPS}"), 403, failure(403, "Forbidden", "exceeded quota"));
    assert!(rig.act(&[create("a")]).await.is_err());
    rig.act(&[create("a")]).await.unwrap();
    assert!(!rig.unanswered.is_empty() && rig.act(std::slice::from_ref(&go)).await.unwrap().is_some());
    // the guard itself may come at any time
    let pipeline = "PATCH /apis/tributary.dev/v1alpha1/namespaces/ns/pipelines/p";
    let answer = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "p", "uid": "u",
        "resourceVersion": "8", "finalizers": [tributary_crds::names::FINALIZER]}});
    rig.server.on(pipeline, 200, answer);
    assert_eq!(rig.act(&[guard]).await.unwrap(), None);
    rig.unanswered = Unanswered::since(Some(Instant::now()));
    assert!(rig.unanswered.is_empty() && rig.act(&[go]).await.unwrap().is_some());
    assert_eq!(rig.server.requests().iter().filter(|request| *request == pipeline).count(), 1);
}
