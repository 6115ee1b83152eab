//! Edits of topics and datasets, revisions, and what two Pipelines claim together.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_blueprints::change::{Effect, What, changes};
use tributary_blueprints::claims::{claims, conflicts};
use tributary_blueprints::problem::Code;
use tributary_blueprints::resolve::{Resolved, resolve};
use tributary_blueprints::revision::{Content, Decision, Revision, decide};
use tributary_crds::Pipeline;

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

fn content(n: u8) -> Content {
    let mut p = pipeline("p", json!([]), "bucket/out");
    p.spec.parameters.insert("n".into(), tributary_crds::Any(n.into()));
    Content::of(&p, None).unwrap()
}

#[test]
fn a_revision_survives_being_stored() {
    let revision = Revision { number: 3, content: content(1) };
    assert_eq!(Revision::from_data(3, &revision.to_data().unwrap()).unwrap(), revision);
    assert!(Revision::from_data(3, &json!({"blueprint": 1})).is_err());
    let (p, referred) = revision.content.at(&pipeline("p", json!([{"name": "t"}]), "bucket/else"));
    assert_eq!(Content::of(&p, referred.as_ref()).unwrap(), revision.content);
    assert_ne!(content(1).hash(), content(2).hash());
}

proptest! {
    /// Any history of edits, gone Blueprints, pins and lost writes: what runs is kept, and deciding again changes nothing.
    #[test]
    fn decisions_about_revisions_are_stable(
        edits in prop::collection::vec((prop::option::of(0_u8..4), prop::option::of(1_i64..6), any::<bool>(), 0_i32..4), 1..20),
        lost in any::<u64>(),
    ) {
        let (mut kept, mut running): (Vec<Revision>, Option<i64>) = (Vec::new(), None);
        for (i, (now, pin, manual, limit)) in edits.into_iter().enumerate() {
            let mut p = pipeline("p", json!([]), "bucket/out");
            p.spec.revision = pin;
            p.spec.history_limit = Some(limit);
            p.spec.update_policy = if manual { tributary_crds::UpdatePolicy::Manual } else { tributary_crds::UpdatePolicy::Automatic };
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
                prop_assert_eq!(&newest.content, now, "what the Pipeline says now is kept");
            }
        }
    }
}

fn apply(decision: &Decision, kept: &mut Vec<Revision>) {
    kept.extend(decision.create.clone());
    kept.retain(|r| !decision.delete.contains(&r.number));
}
