//! Edits of topics and datasets, revisions, and what two Pipelines claim together.

#![allow(clippy::unwrap_used, clippy::panic)]

use kube::core::DynamicObject;
use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_blueprints::change::{Effect, What, changes};
use tributary_blueprints::claims::{Index, claims, conflicts};
use tributary_blueprints::problem::Code;
use tributary_blueprints::resolve::{Resolved, resolve};
use tributary_blueprints::revision::{Content, Decision, Kept, MAX_BYTES, Revision, decide};
use tributary_crds::{Pipeline, Timestamp};

fn pipeline(name: &str, topics: Value, location: &str) -> Pipeline {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
            "stores": {"default": {"endpoint": "http://s3:9000"}},
            "blueprint": {
                "topics": topics,
                "datasets": [{"name": "out", "location": location}],
                "components": [{"name": "a", "writes": {"out": "out"}, "template": {
                    "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
                        "restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}}}}],
            },
        },
    }))
    .unwrap()
}

fn resolved(p: &Pipeline) -> Resolved {
    resolve(p, p.spec.blueprint.as_ref().unwrap()).unwrap()
}

/// The effect on topic `t` of one edit of it.
fn effect(old: Value, new: Value) -> (Effect, String) {
    let of = |topics: Value| resolved(&pipeline("p", topics, "bucket/out"));
    let steps = changes(Some(&of(old)), &of(new));
    let step = steps.into_iter().find(|s| s.what == What::Topic).unwrap();
    (step.effect, format!("{} {} {}", step.reason, step.offsets, step.data))
}

#[test]
fn edits_of_topics() {
    let topic = |more: Value| {
        let mut topic = json!({"name": "t", "partitions": 4, "replicas": 3, "config": {"retention.ms": 1000}});
        topic.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([topic])
    };
    let base = || topic(json!({}));
    let cases = [
        (base(), base(), Effect::Unchanged, ""),
        (json!([]), base(), Effect::Create, "new"),
        (base(), topic(json!({"partitions": 8})), Effect::InPlace, "another partition"),
        (base(), topic(json!({"partitions": 2})), Effect::Refused, "has 4, not 2"),
        (base(), topic(json!({"replicas": 2})), Effect::Refused, "replicas"),
        (base(), topic(json!({"topicName": "other"})), Effect::Refused, "apps.p.t"),
        (base(), topic(json!({"config": {"retention.ms": 2000}})), Effect::InPlace, ""),
        (base(), topic(json!({"config": {"retention.ms": 500}})), Effect::Destructive, "retention.ms"),
        (topic(json!({"config": {"retention.ms": -1}})), base(), Effect::Destructive, "keeps less"),
        (
            base(),
            topic(json!({"config": {"retention.ms": 1000, "cleanup.policy": "compact"}})),
            Effect::Destructive,
            "cleanup.policy",
        ),
        (base(), topic(json!({"existing": true})), Effect::Release, "stay"),
        (base(), json!([]), Effect::Release, "stay in Kafka"),
        (topic(json!({"retain": false})), json!([]), Effect::Destructive, "deleted with all its records"),
    ];
    for (old, new, expected, words) in cases {
        let (found, told) = effect(old.clone(), new.clone());
        assert_eq!(found, expected, "{old} -> {new}: {told}");
        assert!(told.contains(words), "{old} -> {new}: {told}");
    }
}

#[test]
fn a_component_that_writes_elsewhere_runs_again_and_says_so() {
    let (old, new) = (resolved(&pipeline("p", json!([]), "bucket/a")), resolved(&pipeline("p", json!([]), "bucket/b")));
    let steps = changes(Some(&old), &new);
    let of = |what: What| steps.iter().find(|s| s.what == what).unwrap();
    assert_eq!((of(What::Dataset).effect, of(What::Component).effect), (Effect::InPlace, Effect::Replace));
    assert!(of(What::Component).state.contains("runs again") && of(What::Dataset).data.contains("s3://bucket/a"));
    let fields = &of(What::Component).fields;
    assert!(fields.iter().any(|f| f.contains("env")), "{fields:?}");
    assert!(changes(Some(&old), &old).iter().all(|s| s.effect == Effect::Unchanged));
    assert!(changes(None, &old).iter().all(|s| s.effect == Effect::Create));
}

#[test]
fn two_pipelines_are_told_what_both_claim() {
    let topic = |name: &str| json!([{"name": "t", "topicName": name}]);
    let of = |name: &str, topics: Value, location: &str| {
        let p = pipeline(name, topics, location);
        claims(&p, &resolved(&p))
    };
    let mine = of("mine", topic("clicks"), "bucket/a/b");
    let paths =
        |other: &[_]| conflicts(&mine, other).into_iter().map(|p| (p.code, p.path, p.message)).collect::<Vec<_>>();
    let both = paths(&of("other", topic("clicks"), "bucket/a/b"));
    assert_eq!(both.len(), 2);
    assert_eq!((both[0].0, both[0].1.as_str()), (Code::Collision, "spec.blueprint.topics[0].topicName"));
    assert_eq!(both[1].1, "spec.blueprint.datasets[0].location");
    assert!(both.iter().all(|p| p.2.contains("apps/other")), "{both:?}");
    for (location, collides) in
        [("bucket/a", true), ("bucket", true), ("bucket/a/b/c", true), ("bucket/a/bc", false), ("bucket2/a/b", false)]
    {
        assert_eq!(paths(&of("other", topic("else"), location)).len(), usize::from(collides), "{location}");
    }
    assert!(
        paths(&of("other", json!([{"name": "t", "topicName": "clicks", "existing": true}]), "bucket/z")).is_empty()
    );
    assert!(paths(&mine).is_empty(), "a Pipeline does not collide with itself");
}

#[test]
fn a_look_at_the_claims_of_all_gives_those_of_older_pipelines_only_and_tells_whom_a_change_concerns() {
    let at = |s: i64| Timestamp::from_second(s).unwrap();
    let of = |name: &str, namespace: &str, topic: &str, location: &str| {
        let mut p = pipeline(name, json!([{"name": "t", "topicName": topic}]), location);
        p.metadata.namespace = Some(namespace.into());
        claims(&p, &resolved(&p))
    };
    let mut index = Index::default();
    assert!(index.set("apps/b", at(2), of("b", "apps", "x", "bucket/b")).is_empty());
    assert!(
        index.set("apps/c", at(3), of("c", "apps", "x", "bucket/b/deep")).is_empty(),
        "the older one is not concerned"
    );
    assert!(index.rivals("apps/b").is_empty());
    let names = |index: &Index, of: &str| index.rivals(of).iter().map(|c| c.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&index, "apps/c"), ["t", "out"]);
    // the same name of a server is another one in another namespace
    assert!(index.set("else/d", at(4), of("d", "else", "x", "bucket/b")).is_empty());
    assert!(index.rivals("else/d").is_empty());
    // an older one comes, is edited, and goes
    let concerned = index.set("apps/a", at(1), of("a", "apps", "y", "bucket"));
    assert_eq!(concerned.into_iter().collect::<Vec<_>>(), ["apps/b", "apps/c"]);
    assert!(index.set("apps/a", at(1), of("a", "apps", "y", "bucket")).is_empty(), "nothing has changed");
    assert_eq!(names(&index, "apps/b"), ["out"]);
    let concerned = index.set("apps/a", at(1), of("a", "apps", "x", "elsewhere"));
    assert_eq!(concerned.into_iter().collect::<Vec<_>>(), ["apps/b", "apps/c"]);
    assert_eq!(names(&index, "apps/b"), ["t"]);
    assert_eq!(index.remove("apps/a").into_iter().collect::<Vec<_>>(), ["apps/b", "apps/c"]);
    assert!(index.rivals("apps/b").is_empty() && index.remove("apps/a").is_empty());
    // of one age, the name decides
    index.set("apps/bb", at(2), of("bb", "apps", "x", "other/z"));
    assert_eq!(names(&index, "apps/bb"), ["t"]);
}

#[test]
fn servers_have_one_name_everywhere() {
    let claim = |servers: &str, namespace: &str| {
        let mut p = pipeline("p", json!([{"name": "t", "topicName": "x"}]), "bucket/c");
        p.metadata.namespace = Some(namespace.into());
        p.spec.kafka.as_mut().unwrap().clusters.get_mut("default").unwrap().bootstrap_servers = servers.into();
        claims(&p, &resolved(&p))[0].resource.clone()
    };
    let same = [
        ("kafka.a:9092", "b"),
        ("kafka:9092", "a"),
        ("kafka.a.svc:9092", "c"),
        ("Kafka.a.svc.cluster.local:9092", "d"),
    ];
    assert!(same.iter().all(|(s, n)| claim(s, n) == claim("kafka.a:9092", "x")));
    assert_eq!(claim("one.x:1, two.x:2", "a"), claim("two.x:2,one.x:1", "b"));
    for (other, namespace) in [("kafka:9092", "b"), ("kafka.a:9093", "a"), ("10.0.0.1:9092", "a"), ("[::1]:9092", "a")]
    {
        assert_ne!(claim(other, namespace), claim("kafka.a:9092", "x"));
        assert!(other.starts_with("kafka:") || claim(other, "a") == claim(other, "b"), "{other}");
    }
}

fn content(n: u8) -> Content {
    let mut p = pipeline("p", json!([]), "bucket/out");
    p.spec.parameters.insert("n".into(), tributary_crds::Any(n.into()));
    Content::of(&p, None).unwrap()
}

#[test]
fn a_revision_survives_being_stored() {
    let revision = Revision { number: 3, content: content(1).into() };
    assert_eq!(Revision::from_data(3, &revision.to_data().unwrap()).unwrap(), revision);
    assert!(Revision::from_data(3, &json!({"blueprint": 1})).is_err());
    let (p, referred) = revision.content.at(&pipeline("p", json!([{"name": "t"}]), "bucket/else"));
    assert_eq!(Content::of(&p, referred.as_ref()).unwrap(), *revision.content);
    assert_ne!(content(1).hash(), content(2).hash());
}

#[test]
fn a_revision_is_an_object_that_etcd_takes_or_says_why_not() {
    let mut p = pipeline("p", json!([]), "bucket/out");
    p.metadata.uid = Some("uid".into());
    let object = Revision { number: 3, content: content(1).into() }.object(&p).unwrap();
    assert_eq!(object.metadata.name.as_deref(), Some("p-r3"));
    assert_eq!(object.metadata.owner_references.as_ref().unwrap()[0].controller, Some(true));
    let read = |n| Revision::from_data(n, &object.data["data"]).ok().map(|r| r.content);
    let kept = Kept::of(&p, &object_with_uid(object.clone()), read).unwrap();
    assert_eq!((kept.number, kept.ours, kept.content.as_deref()), (3, true, Some(&content(1))));
    p.metadata.uid = Some("another".into());
    assert!(!Kept::of(&p, &object_with_uid(object), |_| None).unwrap().ours, "a former Pipeline's");
    let mut large = content(1);
    large.parameters.insert("text".into(), tributary_crds::Any("x".repeat(MAX_BYTES).into()));
    let error = Revision { number: 1, content: large.into() }.object(&p).unwrap_err();
    assert!(error.to_string().contains("1048576"), "{error}");
}

fn object_with_uid(mut object: DynamicObject) -> DynamicObject {
    object.metadata.uid = Some("u".into());
    object
}

/// What children were made from must not look changed to a newer operator: these hashes are on clusters.
#[test]
fn hashes_stay_what_they_are() {
    let p = pipeline("p", json!([{"name": "t", "topicName": "t", "config": {"retention.ms": 1}}]), "bucket/out");
    let hash = resolved(&p).components[0].hash.clone();
    assert_eq!(hash, "c596390478f38dc6");
}

proptest! {
    /// Any history of edits, gone Blueprints, pins and lost writes: what runs is kept, and deciding again changes nothing.
    #[test]
    fn decisions_about_revisions_are_stable(
        edits in prop::collection::vec((prop::option::of(0_u8..4), prop::option::of(1_i64..6), any::<bool>(), 0_i32..4), 1..20),
        lost in any::<u64>(),
    ) {
        let (mut kept, mut running): (Vec<Kept>, Option<i64>) = (Vec::new(), None);
        for (i, (now, pin, manual, limit)) in edits.into_iter().enumerate() {
            let mut p = pipeline("p", json!([]), "bucket/out");
            p.spec.revision = pin;
            p.spec.history_limit = Some(limit);
            p.spec.update_policy = manual.then_some(tributary_crds::UpdatePolicy::Manual);
            let now = now.map(content);
            let first = decide(&p, now.as_ref(), &kept, running);
            apply(&first, &mut kept);
            // the status may be lost
            if lost >> (i % 64) & 1 == 0 {
                running = first.runs;
            }
            let second = decide(&p, now.as_ref(), &kept, first.runs);
            prop_assert_eq!(&second.create, &None);
            prop_assert!(second.delete.is_empty());
            prop_assert_eq!(second.runs, first.runs);
            prop_assert_eq!(second.runs.is_some(), !kept.is_empty());
            if let Some(n) = first.runs {
                prop_assert!(kept.iter().any(|r| r.number == n), "what runs is kept");
                prop_assert!(pin.is_none() || pin == Some(n) || first.refused.is_some());
            }
            prop_assert!(kept.len() <= usize::try_from(limit).unwrap() + 2);
            if let (Some(now), Some(newest)) = (&now, kept.iter().max_by_key(|r| r.number)) {
                prop_assert_eq!(newest.content.as_deref(), Some(now), "what the Pipeline says now is kept");
            }
        }
    }
}

fn apply(decision: &Decision, kept: &mut Vec<Kept>) {
    kept.extend(decision.create.as_ref().map(|r| Kept {
        number: r.number,
        content: Some(r.content.clone()),
        name: r.name("p"),
        uid: r.number.to_string(),
        ours: true,
    }));
    kept.retain(|r| !decision.delete.contains(&r.number));
}
