//! What the apiserver has refused: it is told to the user, and tried again ever more rarely.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;
use tributary_blueprints::{
    object::ObjectKey,
    plan::Action,
    world::{Refusal, Verb},
};
use tributary_crds::Reason;

/// The pause after the first refusal; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The refusals of one primary.
#[derive(Debug, Default)]
pub struct Refused {
    actions: HashMap<(Verb, ObjectKey), Entry>,
    effect: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    refusal: Refusal,
    /// Of the action: another one is tried at once.
    hash: u64,
    pause: Duration,
    next: Instant,
}

impl Refused {
    /// Whether the action was refused just as it is and its pause is not over.
    pub fn is_pausing(&self, action: &Action, now: Instant) -> bool {
        let entry = place_of(action).and_then(|place| self.actions.get(&place));
        entry.is_some_and(|e| e.hash == hash_of(action) && now < e.next)
    }

    /// The action was refused.
    pub fn add(&mut self, action: &Action, reason: Reason, message: String, now: Instant) {
        let Some((verb, key)) = place_of(action) else { return };
        let hash = hash_of(action);
        let refusal = Refusal { verb, key: key.clone(), reason, message };
        let before = self.actions.get(&(verb, key.clone())).filter(|e| e.hash == hash);
        let entry = Entry::after(before, refusal, hash, now);
        self.actions.insert((verb, key), entry);
    }

    /// Whether the last effects were refused and their pause is not over.
    pub fn effects_pause(&self, now: Instant) -> bool {
        self.effect.as_ref().is_some_and(|e| now < e.next)
    }

    /// How the effects went: this was refused, or nothing.
    pub fn effects(&mut self, refused: Option<(ObjectKey, Reason, String)>, now: Instant) {
        self.effect = refused.map(|(key, reason, message)| {
            let refusal = Refusal { verb: Verb::Create, key, reason, message };
            Entry::after(self.effect.as_ref(), refusal, 0, now)
        });
    }

    /// Keeps the refusals of actions that are still wanted and were not carried out.
    pub fn retain(&mut self, actions: &[Action], done: &[usize]) {
        let wanted = |place: &(Verb, ObjectKey)| {
            let mut open = actions.iter().enumerate().filter(|(i, _)| !done.contains(i));
            open.any(|(_, action)| place_of(action).as_ref() == Some(place))
        };
        self.actions.retain(|place, _| wanted(place));
    }

    /// The refusals, in a fixed order.
    pub fn list(&self) -> Vec<Refusal> {
        let mut all: Vec<Refusal> = self.entries().map(|e| e.refusal.clone()).collect();
        all.sort_by(|a, b| (a.verb, &a.key).cmp(&(b.verb, &b.key)));
        all
    }

    /// When the next one is to be tried again.
    pub fn next(&self, now: Instant) -> Option<Duration> {
        self.entries().map(|e| e.next.saturating_duration_since(now)).min()
    }

    /// Whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.actions.values().chain(&self.effect)
    }
}

impl Entry {
    fn after(before: Option<&Self>, refusal: Refusal, hash: u64, now: Instant) -> Self {
        let pause = before.map_or(FIRST_PAUSE, |e| (e.pause * 2).min(LONGEST_PAUSE));
        Self { refusal, hash, pause, next: now + pause }
    }
}

fn place_of(action: &Action) -> Option<(Verb, ObjectKey)> {
    match action {
        Action::Create(object) => Some((Verb::Create, ObjectKey::of(object)?)),
        Action::Apply { object } => Some((Verb::Apply, ObjectKey::of(object)?)),
        Action::Delete { key, .. } => Some((Verb::Delete, key.clone())),
        Action::Finalizers(_) => None,
    }
}

fn hash_of(action: &Action) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Action::Create(object) | Action::Apply { object } = action {
        object.data.to_string().hash(&mut hasher);
        object.metadata.labels.hash(&mut hasher);
        object.metadata.annotations.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn create(value: i32) -> Action {
        Action::Create(Box::new(
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "a", "namespace": "n"}, "data": {"x": value}}))
            .unwrap(),
        ))
    }

    #[test]
    fn a_refused_action_pauses_longer_each_time_and_another_one_does_not() {
        let mut refused = Refused::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(!refused.is_pausing(&create(1), now));
            refused.add(&create(1), Reason::Rejected, "no".into(), now);
            assert!(refused.is_pausing(&create(1), now));
            assert!(!refused.is_pausing(&create(2), now), "an edit is tried at once");
            let pause = refused.next(now).unwrap();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(refused.list().len(), 1);
    }

    #[test]
    fn what_is_no_longer_wanted_or_was_done_is_forgotten() {
        let mut refused = Refused::default();
        refused.add(&create(1), Reason::Rejected, "no".into(), Instant::now());
        refused.retain(&[create(1)], &[]);
        assert!(!refused.is_empty());
        refused.retain(&[create(1)], &[0]);
        assert!(refused.is_empty());
        refused.add(&create(1), Reason::Rejected, "no".into(), Instant::now());
        refused.retain(&[], &[]);
        assert!(refused.is_empty());
    }
}
