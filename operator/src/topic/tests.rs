//! The decision about a Topic, against a small model of a Kafka cluster.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_blueprints::plan::Action;
use tributary_crds::{Timestamp, Topic, TopicStatus, names};

use super::*;
use crate::controller::Decision;

/// A Topic, and the cluster that its Kafka topic is in.
struct Model {
    world: World,
    broker: BTreeMap<String, Description>,
    now: Timestamp,
    /// Why the broker does not do anything.
    trouble: Option<String>,
    calls: usize,
}

impl Model {
    fn new(spec: Value) -> Self {
        let mut all = json!({"kafka": {"bootstrapServers": "kafka:9092"}});
        crate::mapreducejob::template::merge(&mut all, &spec);
        let topic = json!({"metadata": {"name": "t", "namespace": "ns", "uid": "u", "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": all});
        let world = World { topic: serde_json::from_value(topic).unwrap(), ..World::default() };
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        Self { world, broker: BTreeMap::new(), now, trouble: None, calls: 0 }
    }

    fn decide(&self) -> Decision<Effect> {
        evaluate(&self.world, self.now)
    }

    fn pass(&mut self) -> bool {
        let decision = self.decide();
        for effect in &decision.effects {
            self.kafka(effect);
        }
        for action in &decision.plan.actions {
            match action {
                Action::Finalizers(all) => self.world.topic.metadata.finalizers = Some(all.clone()),
                other => panic!("{other:?}"),
            }
        }
        if let Some(status) = &decision.plan.status {
            self.world.topic.status = Some(serde_json::from_value(status.clone()).unwrap());
        }
        decision.plan.is_empty() && decision.effects.is_empty()
    }

    fn settle(&mut self) {
        for _ in 0..10 {
            if self.pass() {
                return;
            }
        }
        panic!("does not settle: {:?}", self.decide());
    }

    fn kafka(&mut self, effect: &Effect) {
        self.calls += 1;
        let later = self.now.checked_add(Duration::from_secs(1)).unwrap();
        let mut known = Known::default();
        if let Some(message) = &self.trouble {
            known.seen = Some((Seen::Unknown { message: message.clone(), retry_at: later }, self.now));
            self.world.kafka = known;
            return;
        }
        for action in &effect.actions {
            if let Err(message) = self.act(&effect.topic, action) {
                known.failure = Some(Failure { actions: effect.actions.clone(), message, retry_at: later });
            }
        }
        let seen = self.broker.get(&effect.topic).map_or(Seen::Absent, |d| Seen::Present(d.clone()));
        known.seen = Some((seen, self.now));
        self.world.kafka = known;
    }

    fn act(&mut self, topic: &str, action: &KafkaAction) -> Result<(), String> {
        match action {
            KafkaAction::Describe => {}
            KafkaAction::Create { partitions, replicas, config } => {
                if config.values().any(|v| v == "bad") {
                    return Err("Invalid value bad".into());
                }
                let replicas = usize::try_from(replicas.unwrap_or(1)).unwrap();
                let replicas = (0..partitions.unwrap_or(1)).map(|p| (p, replicas)).collect();
                self.broker.entry(topic.into()).or_insert(Description {
                    id: "id".into(),
                    replicas,
                    config: config.clone(),
                });
            }
            KafkaAction::Grow { partitions } => {
                let there = self.broker.get_mut(topic).ok_or("unknown topic")?;
                assert!(*partitions > there.partitions());
                there.replicas.extend((there.partitions()..*partitions).map(|p| (p, 1)));
            }
            KafkaAction::Configure { set, delete } => {
                let there = self.broker.get_mut(topic).ok_or("unknown topic")?;
                if set.values().any(|v| v == "bad") {
                    return Err("Invalid value bad".into());
                }
                there.config.extend(set.clone());
                there.config.retain(|key, _| !delete.contains(key));
            }
            KafkaAction::Delete => drop(self.broker.remove(topic)),
        }
        Ok(())
    }

    fn edit(&mut self, over: Value) {
        let mut spec = serde_json::to_value(&self.world.topic.spec).unwrap();
        crate::mapreducejob::template::merge(&mut spec, &over);
        self.world.topic.spec = serde_json::from_value(spec).unwrap();
        *self.world.topic.metadata.generation.as_mut().unwrap() += 1;
    }

    fn annotate(&mut self, key: &str, value: &str) {
        self.world.topic.metadata.annotations.get_or_insert_default().insert(key.into(), value.into());
    }

    fn delete(&mut self) {
        self.world.topic.metadata.deletion_timestamp = serde_json::from_value(json!(self.now.to_string())).unwrap();
    }

    fn later(&mut self, time: Duration) {
        self.now = self.now.checked_add(time).unwrap();
    }

    fn status(&self) -> TopicStatus {
        self.world.topic.status.clone().unwrap_or_default()
    }

    fn condition(&self, type_: &str) -> (String, String, String) {
        let status = self.status();
        let found = status.conditions.iter().find(|c| c.type_ == type_).unwrap_or_else(|| panic!("{status:?}"));
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    fn guarded(&self) -> bool {
        self.world.topic.metadata.finalizers.iter().flatten().any(|f| f == names::FINALIZER)
    }
}

fn rival(name: &str, created: &str) -> Topic {
    let topic = json!({"metadata": {"name": name, "namespace": "other", "uid": name, "creationTimestamp": created},
        "spec": {"kafka": {"bootstrapServers": "kafka:9092"}, "topicName": "t"}});
    serde_json::from_value(topic).unwrap()
}

#[test]
fn a_topic_is_created_with_what_it_asks_for_and_told_ready() {
    let mut model = Model::new(
        json!({"partitions": 3, "config": {"retention.ms": 1000, "cleanup.policy": ["compact", "delete"], "preallocate": true}}),
    );
    model.settle();
    let there = &model.broker["t"];
    assert_eq!(there.partitions(), 3);
    let config: Vec<(&str, &str)> = there.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(config, [("cleanup.policy", "compact,delete"), ("preallocate", "true"), ("retention.ms", "1000")]);
    let status = model.status();
    assert_eq!((status.partitions, status.replicas, status.topic_name.as_deref()), (Some(3), Some(1), Some("t")));
    assert_eq!(model.condition("Ready").0, "True");
    assert!(!model.guarded(), "a retained topic needs no finalizer");
}

#[test]
fn absent_numbers_are_the_brokers_to_choose() {
    let model = Model::new(json!({}));
    let mut world = model.world;
    world.kafka.seen = Some((Seen::Absent, model.now));
    let effects = evaluate(&world, model.now).effects;
    let create = KafkaAction::Create { partitions: None, replicas: None, config: BTreeMap::new() };
    assert_eq!(effects[0].actions, [create]);
}

#[test]
fn what_can_be_changed_is_and_the_rest_is_told() {
    let mut model = Model::new(json!({"partitions": 2, "config": {"a": "1", "b": "2"}}));
    model.settle();
    model.edit(json!({"partitions": 5, "config": {"a": "3", "b": null}}));
    model.settle();
    assert_eq!(model.broker["t"].partitions(), 5);
    assert_eq!(model.broker["t"].config, [("a".to_owned(), "3".to_owned())].into());
    model.edit(json!({"partitions": 3, "replicas": 2, "config": {"a": "4"}}));
    model.settle();
    let (status, reason, message) = model.condition("Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NotSupported"));
    assert!(message.contains("there are 5") && message.contains("spec.replicas is 2"), "{message}");
    assert_eq!(model.broker["t"].config["a"], "4", "the rest applies");
    assert_eq!(model.broker["t"].partitions(), 5);
    model.edit(json!({"partitions": 5, "replicas": null}));
    model.settle();
    assert_eq!(model.condition("Ready").0, "True");
}

#[test]
fn a_rename_is_refused_and_the_old_name_kept() {
    let mut model = Model::new(json!({"topicName": "old"}));
    model.settle();
    model.edit(json!({"topicName": "new", "partitions": 7}));
    model.settle();
    assert_eq!(model.condition("Ready").1, "NotSupported");
    assert_eq!(model.status().topic_name.as_deref(), Some("old"));
    assert_eq!(model.broker.keys().collect::<Vec<_>>(), ["old"]);
    assert_eq!(model.broker["old"].partitions(), 1);
}

#[test]
fn the_oldest_wins_and_a_losers_deletion_deletes_nothing() {
    let mut model = Model::new(json!({"deletionPolicy": "Delete"}));
    model.settle();
    assert!(model.guarded() && model.broker.contains_key("t"));
    model.world.rivals = vec![rival("younger", "2026-01-02T00:00:00Z")];
    model.settle();
    assert_eq!(model.condition("Ready").0, "True");
    model.world.rivals.push(rival("older", "2025-01-01T00:00:00Z"));
    model.settle();
    let (_, reason, message) = model.condition("Ready");
    assert_eq!(reason, "ResourceConflict");
    assert!(message.contains("other/older"), "{message}");
    assert!(!model.guarded());
    model.delete();
    model.settle();
    assert!(model.broker.contains_key("t"));
}

#[test]
fn who_leaves_a_topic_alone_has_no_claim_to_it() {
    let mut model = Model::new(json!({}));
    let mut older = rival("older", "2025-01-01T00:00:00Z");
    older.metadata.annotations = Some([(names::MANAGED.into(), "false".into())].into());
    model.world.rivals = vec![older];
    model.settle();
    assert_eq!(model.condition("Ready").0, "True");
}

#[test]
fn unmanaged_suspended_and_others_topics_are_left_alone() {
    let mut unmanaged = Model::new(json!({"deletionPolicy": "Delete"}));
    unmanaged.annotate(names::MANAGED, "false");
    unmanaged.settle();
    assert_eq!(unmanaged.condition("Unmanaged").0, "True");
    let mut suspended = Model::new(json!({"suspend": true, "deletionPolicy": "Delete"}));
    suspended.settle();
    assert_eq!(suspended.condition("ReconciliationPaused").0, "True");
    assert_eq!((unmanaged.calls, suspended.calls), (0, 0), "Kafka is not asked");
    assert!(!unmanaged.guarded() && !suspended.guarded());
    suspended.edit(json!({"suspend": false}));
    suspended.settle();
    assert_eq!(suspended.condition("Ready").0, "True");
    let mut other = Model::new(json!({"managedBy": "someone.else"}));
    assert!(other.pass() && other.calls == 0);
}

#[test]
fn deletion_takes_the_topic_along_only_where_it_is_asked_to() {
    let mut model = Model::new(json!({"deletionPolicy": "Delete"}));
    let first = model.decide();
    assert!(first.effects.is_empty() && first.plan.actions.len() == 1, "the finalizer comes before the topic");
    model.settle();
    model.delete();
    model.settle();
    assert!(model.broker.is_empty() && !model.guarded());

    let mut model = Model::new(json!({"deletionPolicy": "Delete"}));
    model.settle();
    model.edit(json!({"deletionPolicy": "Retain"}));
    model.settle();
    assert!(!model.guarded());
    model.delete();
    model.settle();
    assert!(model.broker.contains_key("t"));
}

#[test]
fn a_cluster_that_is_away_is_named_asked_again_and_holds_a_deletion_up_only_so_long() {
    let mut model = Model::new(json!({"deletionPolicy": "Delete"}));
    model.settle();
    model.trouble = Some("Kafka at kafka:9092: connection refused".into());
    model.world.kafka = Known::default();
    model.pass();
    model.pass();
    let (_, reason, message) = model.condition("Ready");
    assert_eq!(reason, "KafkaError");
    assert!(message.contains("kafka:9092"), "{message}");
    let calls = model.calls;
    model.pass();
    assert_eq!(model.calls, calls, "not before its pause is over");
    assert!(model.decide().plan.requeue.is_some());
    model.later(Duration::from_secs(2));
    model.pass();
    assert_eq!(model.calls, calls + 1);

    model.delete();
    model.later(Duration::from_secs(60));
    model.pass();
    assert!(model.guarded());
    model.later(DELETION_PATIENCE);
    let plan = model.decide().plan;
    assert_eq!(plan.events.iter().map(|e| e.reason.as_str()).collect::<Vec<_>>(), ["TopicLeft"]);
    model.pass();
    assert!(!model.guarded());
}

#[test]
fn a_deletion_can_be_forced() {
    let mut model = Model::new(json!({"deletionPolicy": "Delete"}));
    model.settle();
    model.trouble = Some("down".into());
    model.delete();
    model.annotate(FORCE_DELETE, "true");
    model.settle();
    assert!(!model.guarded());
}

#[test]
fn a_refused_configuration_is_told_in_kafkas_words_and_an_edit_is_tried_at_once() {
    let mut model = Model::new(json!({"config": {"a": "bad"}}));
    model.pass();
    model.pass();
    model.pass();
    let (_, reason, message) = model.condition("Ready");
    assert_eq!(reason, "KafkaError");
    assert!(message.contains("Invalid value bad"), "{message}");
    let calls = model.calls;
    model.pass();
    assert_eq!(model.calls, calls);
    model.edit(json!({"config": {"a": "good"}}));
    model.settle();
    assert_eq!(model.condition("Ready").0, "True");
    model.edit(json!({"config": {"a": {"nested": 1}}}));
    model.settle();
    assert_eq!(model.condition("Ready").1, "InvalidSpec");
}

#[test]
fn it_looks_again_now_and_then_and_puts_right_what_has_drifted() {
    let mut model = Model::new(json!({"config": {"a": "1"}}));
    model.settle();
    let calls = model.calls;
    assert_eq!(model.decide().plan.requeue, Some(RESYNC));
    model.broker.get_mut("t").unwrap().config.clear();
    model.later(RESYNC);
    model.settle();
    assert_eq!(model.broker["t"].config["a"], "1");
    assert_eq!(model.calls, calls + 2);
    model.world.kafka.busy = true;
    model.later(RESYNC);
    assert!(model.decide().effects.is_empty(), "not while a request is under way");
}

#[derive(Clone, Debug)]
enum Step {
    Pass,
    Edit(u8),
    Trouble(bool),
    Drift(u8),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Pass),
        2 => (0u8..9).prop_map(Step::Edit),
        1 => any::<bool>().prop_map(Step::Trouble),
        1 => (0u8..3).prop_map(Step::Drift),
        1 => (0u64..200).prop_map(Step::Later),
    ]
}

fn perform(model: &mut Model, step: &Step) {
    match step {
        Step::Pass => drop(model.pass()),
        Step::Edit(n) => model.edit(match n {
            0 => json!({"partitions": 4}),
            1 => json!({"partitions": 2}),
            2 => json!({"config": {"a": "2"}}),
            3 => json!({"config": {"a": null, "b": 3}}),
            4 => json!({"suspend": true}),
            5 => json!({"suspend": false}),
            6 => json!({"deletionPolicy": "Delete"}),
            7 => json!({"deletionPolicy": "Retain"}),
            _ => json!({"config": {"a": "bad"}}),
        }),
        Step::Trouble(on) => model.trouble = on.then(|| "down".into()),
        Step::Drift(0) => model.broker.clear(),
        Step::Drift(_) => {
            if let Some(topic) = model.broker.get_mut("t") {
                topic.config.insert("stray".into(), "x".into());
            }
        }
        Step::Later(seconds) => model.later(Duration::from_secs(*seconds)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Once trouble is over it reaches the spec, or says why not, and has nothing more to do.
    #[test]
    fn it_settles(steps in proptest::collection::vec(step(), 0..30)) {
        let mut model = Model::new(json!({"partitions": 1}));
        for step in &steps {
            perform(&mut model, step);
        }
        model.trouble = None;
        model.edit(json!({"suspend": false, "config": {"a": "1"}}));
        model.later(RESYNC);
        model.settle();
        let there = &model.broker["t"];
        let wanted = model.world.topic.spec.partitions.unwrap();
        prop_assert!(there.partitions() >= wanted);
        let ready = model.condition("Ready").0 == "True";
        prop_assert_eq!(ready, there.partitions() == wanted);
        prop_assert!(!there.config.contains_key("stray") && there.config["a"] == "1");
        prop_assert_eq!(model.guarded(), model.world.topic.spec.deletion_policy == tributary_crds::DeletionPolicy::Delete);
        prop_assert_eq!(model.status().observed_generation, model.world.topic.metadata.generation);
    }
}
