//! The decision about a Topic.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tributary_blueprints::plan::{Action, Event, Plan, events_of_change};
use tributary_crds::{
    Condition, ConditionType, DeletionPolicy, Reason, Timestamp, Topic, TopicStatus, Wanted, conditions_with, names,
};

use super::world::{Description, KafkaAction, Seen, World};
use crate::controller::Decision;

/// How often a topic is looked at though nothing happened.
pub const RESYNC: Duration = Duration::from_secs(120);
/// How long a deletion waits for a Kafka cluster that cannot or will not delete.
pub const DELETION_PATIENCE: Duration = Duration::from_secs(300);
/// Annotation: `true` lets a Topic go though its Kafka topic could not be deleted.
pub const FORCE_DELETE: &str = "tributary.dev/force-delete";

/// What is to be done to the Kafka topic of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The topic's name in Kafka.
    pub topic: String,
    /// In order.
    pub actions: Vec<KafkaAction>,
}

/// The topic's name in Kafka: the one that it was created by, as long as it lives.
pub fn kafka_name(topic: &Topic) -> &str {
    let known = topic.status.as_ref().and_then(|s| s.topic_name.as_deref());
    known.unwrap_or_else(|| wanted_name(topic))
}

fn wanted_name(topic: &Topic) -> &str {
    topic.spec.topic_name.as_deref().or(topic.metadata.name.as_deref()).unwrap_or_default()
}

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Decision<Effect> {
    let topic = &world.topic;
    if topic.spec.managed_by.as_deref().is_some_and(|m| m != names::MANAGER) {
        return Plan::default().into();
    }
    if topic.metadata.deletion_timestamp.is_some() {
        return deletion(world, now);
    }
    let (type_, reason, message) = if is_unmanaged(topic) {
        let message = format!("left alone: annotation {} is false", names::MANAGED);
        (ConditionType::Unmanaged, Reason::Unmanaged, message)
    } else if topic.spec.suspend {
        let message = "left alone: spec.suspend is true".to_owned();
        (ConditionType::ReconciliationPaused, Reason::ReconciliationPaused, message)
    } else {
        return managed(world, now);
    };
    let mut plan = told(world, &[Wanted::yes(type_, reason, message)], None, now);
    plan.actions = guard(topic, false).into_iter().collect();
    plan.into()
}

/// A Topic whose Kafka topic is ours to shape.
fn managed(world: &World, now: Timestamp) -> Decision<Effect> {
    let topic = &world.topic;
    let refused = |reason, message: String| {
        let mut plan = told(world, &[Wanted::no(ConditionType::Ready, reason, message)], None, now);
        plan.actions = guard(topic, false).into_iter().collect();
        plan
    };
    if let Some(winner) = winner(world) {
        let place = |t: &Topic| {
            let text = |v: &Option<String>| v.clone().unwrap_or_default();
            format!("{}/{}", text(&t.metadata.namespace), text(&t.metadata.name))
        };
        let message = format!("Kafka topic {} belongs to the older Topic {}", kafka_name(topic), place(winner));
        return refused(Reason::ResourceConflict, message).into();
    }
    let config = match config(topic) {
        Ok(config) => config,
        Err(problem) => return refused(Reason::InvalidSpec, problem).into(),
    };
    if let Some(action) = guard(topic, topic.spec.deletion_policy == DeletionPolicy::Delete) {
        // before there is anything in Kafka to leave behind
        return Plan { actions: vec![action], ..Plan::default() }.into();
    }
    if world.kafka.busy {
        return Plan::default().into();
    }
    match &world.kafka.seen {
        None => ask(world, vec![KafkaAction::Describe]),
        Some((Seen::Unknown { message, retry_at }, _)) => unanswered(world, message, *retry_at, now),
        Some((Seen::Absent, _)) => {
            let (partitions, replicas) = (topic.spec.partitions, topic.spec.replicas);
            try_all(world, vec![KafkaAction::Create { partitions, replicas, config }], None, now)
        }
        Some((Seen::Present(description), at)) => present(world, description, *at, &config, now),
    }
}

fn present(
    world: &World,
    description: &Description,
    at: Timestamp,
    config: &BTreeMap<String, String>,
    now: Timestamp,
) -> Decision<Effect> {
    let (actions, odds) = differences(&world.topic, description, config);
    if !actions.is_empty() {
        return try_all(world, actions, Some(description), now);
    }
    let type_ = ConditionType::Ready;
    let wanted = match odds.is_empty() {
        true => Wanted::yes(type_, Reason::AsExpected, ""),
        false => Wanted::no(type_, Reason::NotSupported, odds.join("; ")),
    };
    let mut plan = told(world, &[wanted], Some(description), now);
    let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
    if age >= RESYNC {
        return Decision { effects: ask(world, vec![KafkaAction::Describe]).effects, plan };
    }
    plan.requeue = Some(RESYNC - age);
    plan.into()
}

/// What can be changed to reach the spec, and what cannot.
fn differences(
    topic: &Topic,
    there: &Description,
    config: &BTreeMap<String, String>,
) -> (Vec<KafkaAction>, Vec<String>) {
    let (mut actions, mut odds) = (Vec::new(), Vec::new());
    let name = kafka_name(topic);
    if wanted_name(topic) != name {
        odds.push(format!("Kafka cannot rename topic {name} to {}: put the old name back", wanted_name(topic)));
        return (actions, odds);
    }
    match topic.spec.partitions {
        Some(wanted) if wanted > there.partitions() => actions.push(KafkaAction::Grow { partitions: wanted }),
        Some(wanted) if wanted < there.partitions() => {
            odds.push(format!(
                "partitions can only grow: there are {}, spec.partitions is {wanted}",
                there.partitions()
            ));
        }
        _ => {}
    }
    if let Some(wanted) = topic.spec.replicas {
        let other = |n: &usize| i32::try_from(*n).ok() != Some(wanted);
        let partitions: Vec<String> =
            there.replicas.iter().filter(|(_, n)| other(n)).take(10).map(|(p, n)| format!("{p} has {n}")).collect();
        if !partitions.is_empty() {
            let partitions = partitions.join(", ");
            odds.push(format!("replicas cannot be changed: spec.replicas is {wanted}, but partition {partitions}"));
        }
    }
    let set: BTreeMap<String, String> = config
        .iter()
        .filter(|(key, value)| there.config.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let delete: Vec<String> = there.config.keys().filter(|key| !config.contains_key(*key)).cloned().collect();
    if !set.is_empty() || !delete.is_empty() {
        actions.push(KafkaAction::Configure { set, delete });
    }
    (actions, odds)
}

/// The configuration as Kafka takes it: lists with commas.
fn config(topic: &Topic) -> Result<BTreeMap<String, String>, String> {
    fn scalar(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        }
    }
    let text = |value: &Value| match value {
        Value::Array(items) => items.iter().map(scalar).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        other => scalar(other),
    };
    let given = topic.spec.config.iter().filter(|(_, value)| !value.0.is_null());
    given
        .map(|(key, value)| match text(&value.0) {
            Some(text) => Ok((key.clone(), text)),
            None => Err(format!("spec.config.{key} is neither a string, number, boolean nor a list of such")),
        })
        .collect()
}

fn is_unmanaged(topic: &Topic) -> bool {
    topic.metadata.annotations.as_ref().and_then(|a| a.get(names::MANAGED)).is_some_and(|v| v == "false")
}

/// The older Topic that has this one's Kafka topic. Who leaves it alone has no claim to it.
fn winner(world: &World) -> Option<&Topic> {
    let age = |t: &Topic| (t.metadata.creation_timestamp.as_ref().map(|c| c.0), t.metadata.uid.clone());
    let claims = |t: &&Topic| !is_unmanaged(t) && t.spec.managed_by.as_deref().is_none_or(|m| m == names::MANAGER);
    let oldest = world.rivals.iter().filter(claims).min_by_key(|t| age(t))?;
    (age(oldest) < age(&world.topic)).then_some(oldest)
}

/// The finalizer, which stands for a Kafka topic that goes with the Topic, and for nothing else: what is retained can
/// go at once, whatever Kafka says.
fn guard(topic: &Topic, wanted: bool) -> Option<Action> {
    let mut all = topic.metadata.finalizers.clone().unwrap_or_default();
    let there = all.iter().any(|f| f == names::FINALIZER);
    match (wanted, there) {
        (true, false) => all.push(names::FINALIZER.into()),
        (false, true) => all.retain(|f| f != names::FINALIZER),
        _ => return None,
    }
    Some(Action::Finalizers(all))
}

fn deletion(world: &World, now: Timestamp) -> Decision<Effect> {
    let topic = &world.topic;
    let Some(release) = guard(topic, false) else { return Plan::default().into() };
    let let_go = || Plan { actions: vec![release.clone()], ..Plan::default() };
    let keeps = topic.spec.deletion_policy == DeletionPolicy::Retain || is_unmanaged(topic) || topic.spec.suspend;
    if keeps || winner(world).is_some() {
        return let_go().into();
    }
    let forced = topic.metadata.annotations.as_ref().and_then(|a| a.get(FORCE_DELETE)).is_some_and(|v| v == "true");
    let since = topic.metadata.deletion_timestamp.as_ref().map_or(now, |t| t.0);
    let patience_ends = since.checked_add(DELETION_PATIENCE).unwrap_or(now);
    let give_up = |why: &str| {
        let note = format!("Kafka topic {} is left behind: {why}", kafka_name(topic));
        Plan { events: vec![Event { warning: true, reason: "TopicLeft".into(), note }], ..let_go() }
    };
    if forced {
        return give_up(&format!("annotation {FORCE_DELETE} is true")).into();
    }
    if world.kafka.busy {
        return Plan { requeue: Some(RESYNC), ..Plan::default() }.into();
    }
    let trouble = match &world.kafka.seen {
        Some((Seen::Absent, _)) => return let_go().into(),
        Some((Seen::Unknown { message, .. }, _)) => Some(message),
        _ => world.kafka.failure.as_ref().map(|f| &f.message),
    };
    if let Some(message) = trouble.filter(|_| now >= patience_ends) {
        return give_up(message).into();
    }
    let mut decision = match &world.kafka.seen {
        None => ask(world, vec![KafkaAction::Describe]),
        Some((Seen::Unknown { message, retry_at }, _)) => unanswered(world, message, *retry_at, now),
        Some(_) => try_all(world, vec![KafkaAction::Delete], None, now),
    };
    if trouble.is_some() {
        let left = Duration::try_from(patience_ends.duration_since(now)).unwrap_or_default();
        decision.plan.requeue = Some(decision.plan.requeue.map_or(left, |r| r.min(left)));
    }
    decision
}

fn ask(world: &World, actions: Vec<KafkaAction>) -> Decision<Effect> {
    let effect = Effect { topic: kafka_name(&world.topic).to_owned(), actions };
    Decision { effects: vec![effect], plan: Plan::default() }
}

/// Kafka did not say how the topic is.
fn unanswered(world: &World, message: &str, retry_at: Timestamp, now: Timestamp) -> Decision<Effect> {
    let mut plan = told(world, &[Wanted::no(ConditionType::Ready, Reason::KafkaError, message)], None, now);
    match Duration::try_from(retry_at.duration_since(now)) {
        Ok(left) if !left.is_zero() => plan.requeue = Some(left),
        _ => return Decision { effects: ask(world, vec![KafkaAction::Describe]).effects, plan },
    }
    plan.into()
}

/// Does the actions, unless they failed a moment ago; a failure is told. What is under way is not told.
fn try_all(world: &World, actions: Vec<KafkaAction>, there: Option<&Description>, now: Timestamp) -> Decision<Effect> {
    let Some(failure) = world.kafka.failure.as_ref().filter(|f| f.actions == actions) else {
        return ask(world, actions);
    };
    let wanted = Wanted::no(ConditionType::Ready, Reason::KafkaError, &failure.message);
    let mut plan = told(world, &[wanted], there, now);
    match Duration::try_from(failure.retry_at.duration_since(now)) {
        Ok(left) if !left.is_zero() => plan.requeue = Some(left),
        _ => return Decision { effects: ask(world, actions).effects, plan },
    }
    plan.into()
}

/// A plan that writes the status, where it differs.
fn told(world: &World, wanted: &[Wanted], there: Option<&Description>, now: Timestamp) -> Plan {
    let topic = &world.topic;
    let before = topic.status.clone().unwrap_or_default();
    let conditions = conditions_with(&before.conditions, wanted, topic.metadata.generation, now);
    let known = there.map(|d| TopicStatus {
        topic_name: Some(kafka_name(topic).to_owned()),
        topic_id: Some(d.id.clone()).filter(|id| !id.is_empty()),
        partitions: Some(d.partitions()),
        replicas: Some(d.replication()),
        ..TopicStatus::default()
    });
    let known = known.unwrap_or_else(|| before.clone());
    let after = TopicStatus { observed_generation: topic.metadata.generation, conditions, ..known };
    if after == before {
        return Plan::default();
    }
    let ready = |all: &[Condition]| all.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let mut events = events_of_change("", "", "", &before.conditions, &after.conditions);
    if ready(&after.conditions) && !ready(&before.conditions) {
        let note = format!("Kafka topic {} is as the spec demands", kafka_name(topic));
        events.push(Event { warning: false, reason: "Ready".into(), note });
    }
    Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }
}
