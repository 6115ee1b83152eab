//! Whom an event wakes, and what a decision has to wait for.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicU32, Ordering};

use kube::{Config, runtime::watcher::Event};
use serde_json::{Value, json};
use tributary_crds::names;

use super::*;
use crate::{
    controller::{Controller as _, Observed},
    pipeline::Pipelines,
};

/// Caches of a cluster that cannot be reached: events come from the test.
fn caches() -> Arc<Caches> {
    let mut served = Served::default();
    for kind in PrimaryKind::ALL {
        served.add(&kind.gvk(), &format!("{}s", kind.as_str().to_lowercase()), true);
    }
    served.add(&Gvk::new("batch", "v1", "Job"), "jobs", true);
    served.add(&tributary_blueprints::revision::gvk(), "controllerrevisions", true);
    let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let caches = Caches::of(client, served);
    caches.want(jobs());
    for kind in PrimaryKind::ALL {
        caches.want(StoreId::new(GROUP, kind.as_str(), Scope::All));
    }
    caches
}

fn jobs() -> StoreId {
    StoreId::new("batch", "Job", Scope::All)
}

fn pipelines() -> StoreId {
    StoreId::new(GROUP, "Pipeline", Scope::All)
}

/// Newer than all before, where the metadata says nothing else.
fn object(name: &str, metadata: Value) -> DynamicObject {
    static NEWEST: AtomicU32 = AtomicU32::new(1_000);
    let version = NEWEST.fetch_add(1, Ordering::Relaxed).to_string();
    let mut value = json!({"metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "resourceVersion": version}});
    crate::mapreducejob::template::merge(&mut value["metadata"], &metadata);
    serde_json::from_value(value).unwrap()
}

fn primary(kind: PrimaryKind, name: &str) -> Primary {
    Primary { kind, namespace: "ns".into(), name: name.into() }
}

/// Who is woken, in the order of their names.
async fn woken(caches: &Caches, kind: PrimaryKind) -> Vec<String> {
    let queue = caches.queues().of(kind);
    let mut names = Vec::new();
    while queue.depth() > 0 {
        let primary = queue.next().await;
        queue.done(&primary, None);
        names.push(primary.name);
    }
    names.sort();
    names
}

#[tokio::test]
async fn an_event_wakes_the_object_its_owner_and_whom_its_labels_name() {
    let caches = caches();
    caches.on_event(&pipelines(), Event::Apply(object("p", json!({}))));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
    let owner = json!({"ownerReferences": [{"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "name": "j", "uid": "x"}],
        "labels": {"tributary.dev/pipeline": "q"}});
    caches.on_event(&jobs(), Event::Apply(object("a", owner)));
    assert_eq!(woken(&caches, PrimaryKind::MapReduceJob).await, ["j"]);
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["q"]);
    // a label that is taken away wakes its former Pipeline too
    caches.on_event(&jobs(), Event::Apply(object("a", json!({"labels": {"tributary.dev/pipeline": "r"}}))));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["q", "r"]);
    caches.on_event(&jobs(), Event::Delete(object("a", json!({}))));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["r"]);
}

#[tokio::test]
async fn who_looked_an_object_up_is_woken_when_it_comes_and_when_it_goes() {
    let caches = caches();
    let key = ObjectKey::new(&Gvk::new("batch", "v1", "Job"), "ns", "a");
    let by = primary(PrimaryKind::Pipeline, "p");
    assert!(!caches.observe(&by, |view| view.get(Scope::All, &key).is_some()));
    caches.on_event(&jobs(), Event::Apply(object("a", json!({}))));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
    assert!(caches.observe(&by, |view| view.get(Scope::All, &key).is_some()));
    caches.on_event(&jobs(), Event::Delete(object("a", json!({}))));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
    caches.observe(&by, |_| ());
    caches.on_event(&jobs(), Event::Apply(object("a", json!({}))));
    assert!(woken(&caches, PrimaryKind::Pipeline).await.is_empty());
}

#[tokio::test]
async fn topics_of_one_kafka_topic_wake_each_other() {
    let caches = caches();
    let topics = StoreId::new(GROUP, "Topic", Scope::All);
    let topic = |name: &str, kafka: &str| {
        let mut topic = object(name, json!({}));
        topic.data = json!({"spec": {"kafka": {"bootstrapServers": "b:1"}, "topicName": kafka}});
        topic
    };
    caches.on_event(&topics, Event::Apply(topic("a", "shared")));
    caches.on_event(&topics, Event::Apply(topic("b", "other")));
    assert_eq!(woken(&caches, PrimaryKind::Topic).await, ["a", "b"]);
    caches.on_event(&topics, Event::Apply(topic("c", "shared")));
    assert_eq!(woken(&caches, PrimaryKind::Topic).await, ["a", "c"]);
    caches.on_event(&topics, Event::Delete(topic("a", "shared")));
    assert_eq!(woken(&caches, PrimaryKind::Topic).await, ["a", "c"]);
}

#[tokio::test]
async fn a_write_is_unseen_until_the_watch_has_shown_it_and_then_wakes_its_writer() {
    let caches = caches();
    let by = primary(PrimaryKind::Pipeline, "p");
    let key = ObjectKey::new(&Gvk::new("batch", "v1", "Job"), "ns", "a");
    let expect = Expect::Version { uid: "uid-a".into(), resource_version: "5".into() };
    caches.expect(&by, Scope::All, key.clone(), expect.clone());
    assert!(caches.unseen(&by).is_some());
    caches.on_event(&jobs(), Event::Apply(object("a", json!({"resourceVersion": "4"}))));
    assert!(caches.unseen(&by).is_some());
    assert!(woken(&caches, PrimaryKind::Pipeline).await.is_empty());
    caches.on_event(&jobs(), Event::Apply(object("a", json!({"resourceVersion": "6"}))));
    assert!(caches.unseen(&by).is_none());
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
    // what the cache shows already need not be awaited
    caches.expect(&by, Scope::All, key.clone(), expect);
    assert!(caches.unseen(&by).is_none());
    // nor what it will never show
    let secret = ObjectKey::new(&Gvk::new("", "v1", "Secret"), "ns", "s");
    caches.expect(&by, Scope::All, secret, Expect::Version { uid: "s".into(), resource_version: "9".into() });
    assert!(caches.unseen(&by).is_none());
}

#[tokio::test]
async fn a_list_shows_what_is_gone_and_completes_the_store() {
    let caches = caches();
    let synced =
        |caches: &Caches| caches.observe(&primary(PrimaryKind::Pipeline, "x"), |v| v.unsynced([jobs()]).is_empty());
    assert!(!synced(&caches));
    caches.on_event(&jobs(), Event::Init);
    for name in ["a", "b"] {
        caches.on_event(&jobs(), Event::InitApply(object(name, json!({"labels": {"tributary.dev/pipeline": name}}))));
    }
    caches.on_event(&jobs(), Event::InitDone);
    assert!(synced(&caches));
    woken(&caches, PrimaryKind::Pipeline).await;
    caches.on_event(&jobs(), Event::Init);
    caches.on_event(&jobs(), Event::InitApply(object("a", json!({"labels": {"tributary.dev/pipeline": "a"}}))));
    caches.on_event(&jobs(), Event::InitDone);
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["b"], "a is as it was");
}

#[tokio::test]
async fn a_kind_that_is_no_longer_served_is_no_longer_known() {
    let caches = caches();
    caches.on_event(&jobs(), Event::Apply(object("a", json!({}))));
    caches.on_event(&pipelines(), Event::Apply(object("p", json!({}))));
    woken(&caches, PrimaryKind::Pipeline).await;
    let mut served = (*caches.served()).clone();
    let kind = served.0.remove(&("batch".into(), "Job".into())).unwrap();
    caches.set_served(served.clone());
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
    let by = primary(PrimaryKind::Pipeline, "p");
    assert!(caches.observe(&by, |view| view.sync(&jobs()).is_none()));
    // an event of the watch that has ended finds no store
    caches.on_event(&jobs(), Event::Apply(object("a", json!({}))));
    served.0.insert(("batch".into(), "Job".into()), kind);
    caches.set_served(served);
    assert!(caches.observe(&by, |view| view.sync(&jobs()) == Some(&Sync::Pending)));
    assert!(caches.observe(&by, |view| view.all(&jobs()).next().is_none()));
}

#[tokio::test]
async fn a_watch_that_does_not_come_about_is_told_once() {
    for trouble in [Sync::Forbidden("no".into()), Sync::Failing("no answer".into())] {
        let caches = caches();
        caches.on_event(&pipelines(), Event::Apply(object("p", json!({}))));
        woken(&caches, PrimaryKind::Pipeline).await;
        caches.on_trouble(&jobs(), trouble.clone());
        assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"]);
        caches.on_trouble(&jobs(), trouble);
        assert!(woken(&caches, PrimaryKind::Pipeline).await.is_empty());
        caches.on_event(&jobs(), Event::InitDone);
        assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["p"], "it has come about");
        caches.on_trouble(&jobs(), Sync::Failing("later".into()));
        assert!(woken(&caches, PrimaryKind::Pipeline).await.is_empty(), "what was seen counts");
    }
}

#[tokio::test]
async fn what_pipelines_have_made_is_watched_though_nobody_decides_about_them() {
    let caches = caches();
    let mut served = (*caches.served()).clone();
    served.add(&Gvk::new("example.com", "v1", "Widget"), "widgets", true);
    caches.set_served(served);
    let widgets = StoreId::new("example.com", "Widget", Scope::All);
    let sync = |caches: &Caches| caches.observe(&primary(PrimaryKind::Pipeline, "x"), |v| v.sync(&widgets).cloned());
    assert_eq!(sync(&caches), None);
    let mut pipeline = object("p", json!({}));
    pipeline.data = json!({"spec": {}, "status": {"inventory": [{"apiVersion": "example.com/v1", "kind": "Widget", "name": "p-a"}]}});
    caches.on_event(&pipelines(), Event::InitApply(pipeline));
    assert_eq!(sync(&caches), Some(Sync::Pending));
}

fn flow(name: &str, generation: i64, template: &str) -> DynamicObject {
    let mut flow = object(name, json!({"generation": generation}));
    flow.data = json!({"spec": {"flows": [{"name": "a", "jobTemplateRef": template}]}});
    flow
}

#[tokio::test]
async fn a_flow_that_begins_or_ends_to_refer_to_a_template_wakes_it_and_one_that_moves_on_does_not() {
    let caches = caches();
    let flows = StoreId::new(GROUP, "JobFlow", Scope::All);
    let users = |template: &str| {
        let primary = primary(PrimaryKind::JobTemplate, template);
        caches.observe(&primary, |v| v.users_of(&flows, "ns", template).map(str::to_owned).collect::<Vec<_>>())
    };
    caches.on_event(&flows, Event::Apply(flow("f", 1, "one")));
    assert_eq!((woken(&caches, PrimaryKind::JobTemplate).await, users("one")), (vec!["one".into()], vec!["f".into()]));
    caches.on_event(&flows, Event::Apply(flow("f", 1, "one")));
    assert!(woken(&caches, PrimaryKind::JobTemplate).await.is_empty());
    caches.on_event(&flows, Event::Apply(flow("f", 2, "two")));
    assert_eq!(woken(&caches, PrimaryKind::JobTemplate).await, ["one", "two"]);
    assert!(users("one").is_empty());
    caches.on_event(&flows, Event::Delete(flow("f", 2, "two")));
    assert_eq!((woken(&caches, PrimaryKind::JobTemplate).await, users("two").len()), (vec!["two".to_owned()], 0));
}

#[tokio::test]
async fn a_pod_wakes_its_flow_and_a_node_every_daemon_job_where_it_changes() {
    let caches = caches();
    let (pods, nodes) = (StoreId::new("", "Pod", Scope::OfFlows), StoreId::new("", "Node", Scope::All));
    let daemons = StoreId::new(GROUP, "DaemonJob", Scope::All);
    {
        let mut served = (*caches.served()).clone();
        served.add(&Gvk::new("", "v1", "Pod"), "pods", true);
        served.add(&Gvk::new("", "v1", "Node"), "nodes", false);
        caches.set_served(served);
    }
    [&pods, &nodes].into_iter().for_each(|id| caches.want(id.clone()));
    caches.on_event(&daemons, Event::Apply(object("d", json!({}))));
    woken(&caches, PrimaryKind::DaemonJob).await;
    let of_flow = |name: &str, status: Value| {
        let mut object = object(name, json!({"labels": {names::FLOW: "f"}}));
        object.data = json!({"spec": {}, "status": status});
        object
    };
    let scheduled = |status: &str| {
        let condition =
            json!({"type": "PodScheduled", "status": status, "reason": "Unschedulable", "message": "too small"});
        json!({"phase": "Pending", "conditions": [condition]})
    };
    let waiting = |reason: &str| {
        let container = json!({"name": "c", "state": {"waiting": {"reason": reason, "message": "no"}}});
        json!({"phase": "Pending", "containerStatuses": [container]})
    };
    for (id, name, status, wakes) in [
        (&pods, "p", json!({"phase": "Pending"}), false),
        (&pods, "p", scheduled("False"), true),
        (&pods, "p", scheduled("True"), true),
        (&pods, "p", json!({"phase": "Pending", "conditions": [], "hostIP": "1.2.3.4"}), false),
        (&pods, "p", waiting("ContainerCreating"), false),
        (&pods, "p", waiting("ErrImagePull"), true),
        (&pods, "p", json!({"phase": "Running"}), true),
        (&pods, "p", json!({"phase": "Running", "hostIP": "1.2.3.4"}), false),
        (&pods, "p", json!({"phase": "Succeeded"}), true),
        (&pods, "q", json!({"phase": "Failed"}), true),
        (&pods, "r", scheduled("False"), true),
        (&jobs(), "f-a", json!({}), true),
        (&jobs(), "f-a", json!({"active": 1, "startTime": "2026-01-01T00:00:00Z"}), false),
        (&jobs(), "f-a", json!({"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}), false),
        (&jobs(), "f-a", json!({"active": 0, "uncountedTerminatedPods": {}, "succeeded": 1}), true),
        (&jobs(), "f-a", json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}), true),
    ] {
        caches.on_event(id, Event::Apply(of_flow(name, status.clone())));
        assert_eq!(!woken(&caches, PrimaryKind::JobFlow).await.is_empty(), wakes, "{status}");
    }
    let node = |ready: &str, disk: &str| {
        let mut node = object("n", json!({"labels": {"disk": disk}}));
        node.data = json!({"spec": {"taints": []}, "status": {"ready": ready}});
        node
    };
    caches.on_event(&nodes, Event::Apply(node("yes", "ssd")));
    assert_eq!(woken(&caches, PrimaryKind::DaemonJob).await, ["d"]);
    caches.on_event(&nodes, Event::Apply(node("no", "ssd")));
    assert!(woken(&caches, PrimaryKind::DaemonJob).await.is_empty(), "its heartbeat is of no interest");
    caches.on_event(&nodes, Event::Apply(node("no", "hdd")));
    assert_eq!(woken(&caches, PrimaryKind::DaemonJob).await, ["d"]);
}

fn claimant(name: &str, created: &str, topic: &str) -> DynamicObject {
    let mut pipeline = object(name, json!({"creationTimestamp": created}));
    pipeline.data = json!({"spec": {
        "kafka": {"clusters": {"default": {"bootstrapServers": "kafka.kafka:9092"}}},
        "blueprint": {
            "topics": [{"name": "t", "topicName": topic}],
            "components": [{"name": "c", "template": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}}}}],
        },
    }});
    pipeline
}

/// The Pipelines that stand before this one, as its decision sees them.
fn rivals(caches: &Caches, pipelines: &Pipelines, name: &str) -> Vec<String> {
    let by = primary(PrimaryKind::Pipeline, name);
    match caches.observe(&by, |view| pipelines.observe(&by, view)) {
        Observed::World(world) => world.rivals.into_iter().map(|claim| claim.pipeline).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_two_pipelines_of_one_topic_the_younger_gives_way_and_is_woken_when_it_need_not_any_more() {
    let caches = caches();
    for id in crate::pipeline::stores().into_iter().chain([jobs(), StoreId::new(GROUP, "Topic", Scope::All)]) {
        caches.want(id.clone());
        caches.on_event(&id, Event::InitDone);
    }
    let wake = |event| caches.on_event(&pipelines(), event);
    wake(Event::Apply(claimant("a", "2026-01-01T00:00:00Z", "clicks")));
    wake(Event::Apply(claimant("b", "2026-01-01T00:00:01Z", "clicks")));
    woken(&caches, PrimaryKind::Pipeline).await;
    let pipelines = Pipelines::new(caches.queues().of(PrimaryKind::Pipeline));
    assert_eq!(rivals(&caches, &pipelines, "b"), ["ns/a"], "though nobody has looked at the older one yet");
    assert!(rivals(&caches, &pipelines, "a").is_empty());
    assert!(woken(&caches, PrimaryKind::Pipeline).await.is_empty());
    let again = |topic| Event::Apply(claimant("a", "2026-01-01T00:00:00Z", topic));
    for (topic, expected) in [("views", vec![]), ("clicks", vec!["ns/a".to_owned()])] {
        wake(again(topic));
        assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["a"]);
        rivals(&caches, &pipelines, "a");
        assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["b"], "{topic}");
        assert_eq!(rivals(&caches, &pipelines, "b"), expected);
    }
    pipelines.forget(&primary(PrimaryKind::Pipeline, "a"));
    assert_eq!(woken(&caches, PrimaryKind::Pipeline).await, ["b"]);
    assert!(rivals(&caches, &pipelines, "b").is_empty());
}

#[tokio::test]
async fn a_pipeline_sees_its_own_revisions_and_their_content_where_it_matters() {
    let caches = caches();
    for id in crate::pipeline::stores().into_iter().chain([jobs(), StoreId::new(GROUP, "Topic", Scope::All)]) {
        caches.want(id.clone());
        caches.on_event(&id, Event::InitDone);
    }
    let mut pipeline = claimant("p", "2026-01-01T00:00:00Z", "clicks");
    pipeline.data["status"] = json!({"revision": 2});
    caches.on_event(&pipelines(), Event::Apply(pipeline.clone()));
    let parsed: tributary_crds::Pipeline = parse(&pipeline).unwrap();
    let content = std::sync::Arc::new(tributary_blueprints::revision::Content::of(&parsed, None).unwrap());
    for number in 1..=4 {
        let mut revision =
            tributary_blueprints::revision::Revision { number, content: content.clone() }.object(&parsed).unwrap();
        revision.metadata.uid = Some(format!("r{number}"));
        revision.metadata.resource_version = Some("9".into());
        if number == 3 {
            revision.metadata.owner_references.as_mut().unwrap()[0].uid = "a-former-one".into();
        }
        caches.on_event(&crate::pipeline::stores()[0], Event::Apply(revision));
    }
    let (by, controller) = (primary(PrimaryKind::Pipeline, "p"), Pipelines::new(Arc::default()));
    let Observed::World(world) = caches.observe(&by, |view| controller.observe(&by, view)) else { panic!() };
    let kept = world.revisions.unwrap();
    let seen: Vec<(i64, bool, bool)> = kept.iter().map(|k| (k.number, k.ours, k.content.is_some())).collect();
    assert_eq!(seen, [(1, true, false), (2, true, true), (3, false, false), (4, true, true)]);
    assert!(world.children.0.is_empty(), "a revision is no child");
    // what was written is awaited where revisions are watched
    assert_eq!(controller.scope(&kept[0].key(&parsed)), Scope::OfPipelines);
}

#[tokio::test]
async fn a_waiting_edit_is_verified_by_the_schemas_of_its_own_kinds() {
    let caches = caches();
    let widget = Gvk::new("example.com", "v1", "Widget");
    let mut served = (*caches.served()).clone();
    served.add(&widget, "widgets", true);
    caches.set_served(served);
    for id in crate::pipeline::stores().into_iter().chain([jobs(), StoreId::new(GROUP, "Topic", Scope::All)]) {
        caches.want(id.clone());
        caches.on_event(&id, Event::InitDone);
    }
    let mut edited = claimant("p", "2026-01-01T00:00:00Z", "clicks");
    edited.data["spec"]["updatePolicy"] = "Manual".into();
    edited.data["status"] = json!({"revision": 1});
    let parsed: tributary_crds::Pipeline = parse(&edited).unwrap();
    let content = std::sync::Arc::new(tributary_blueprints::revision::Content::of(&parsed, None).unwrap());
    let runs = tributary_blueprints::revision::Revision { number: 1, content }.object(&parsed).unwrap();
    caches.on_event(&crate::pipeline::stores()[0], Event::Apply(runs));
    edited.data["spec"]["blueprint"]["components"] =
        json!([{"name": "c", "template": {"apiVersion": "example.com/v1", "kind": "Widget", "spec": {}}}]);
    let wake = |object: &DynamicObject| caches.on_event(&pipelines(), Event::Apply(object.clone()));
    wake(&edited);
    let (by, controller) = (primary(PrimaryKind::Pipeline, "p"), Pipelines::new(Arc::default()));
    match caches.observe(&by, |view| controller.observe(&by, view)) {
        Observed::NoSchemas(kinds) => assert!(kinds.contains(&widget), "{kinds:?}"),
        other => panic!("{other:?}"),
    }
    // one that goes waits for nobody
    edited.metadata.resource_version = object("p", json!({})).metadata.resource_version;
    edited.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).ok();
    wake(&edited);
    assert!(!matches!(caches.observe(&by, |view| controller.observe(&by, view)), Observed::NoSchemas(_)));
}
