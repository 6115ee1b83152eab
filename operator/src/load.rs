//! How busy the apiserver is, by how long its answers to writes take: what is new waits for it, so that what has begun does not.
//! After the delay-based control of TCP Vegas (Brakmo, O'Malley, Peterson, SIGCOMM 1994), for starts instead of packets.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Answers as fast as this are no sign of load, in seconds.
const UNLOADED: f64 = 0.05;
/// Nor are those of less than so many times the fastest of late.
const TIMES_FASTEST: f64 = 4.0;
/// What an answer counts at least that the apiserver could not give, in seconds.
const FAILED: f64 = 1.0;
/// What the last answer weighs in the mean.
const WEIGHT: f64 = 0.05;
/// What the fastest one is forgotten by with each answer.
const FORGOTTEN: f64 = 1.0005;
/// The time after which nothing is known of the mean, in seconds, where nothing is written.
const FADES: f64 = 2.0;
/// The longest time between two starts.
const LONGEST_GAP: f64 = 1.0;

/// Gaps between starts that an object rests for between two passes over it.
const REST: u32 = 4;
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The answers of late.
#[derive(Debug, Default)]
pub struct Load(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// The mean of how slow they were, where 1 can be borne, and when it was taken.
    slowness: Option<(f64, Instant)>,
    /// The fastest of each sort, in seconds.
    fastest: HashMap<(&'static str, String), f64>,
}

impl Load {
    /// A write of this verb and kind was answered after this time.
    pub fn answered(&self, verb: &'static str, kind: &str, took: Duration, now: Instant) {
        let (took, mut answers) = (took.as_secs_f64(), self.lock());
        let fastest = answers.fastest.entry((verb, kind.to_owned())).or_insert(took);
        *fastest = (*fastest * FORGOTTEN).min(took);
        let bearable = UNLOADED.max(*fastest * TIMES_FASTEST);
        answers.add(took / bearable, now);
    }

    /// The apiserver could not answer, for this time.
    pub fn failed(&self, after: Duration, now: Instant) {
        self.lock().add(after.as_secs_f64().max(FAILED) / UNLOADED, now);
    }

    /// The time between two starts at present: nothing where the apiserver has room.
    pub fn gap(&self, now: Instant) -> Duration {
        let slowness = self.lock().faded(now).unwrap_or_default();
        if slowness <= 1.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((slowness * slowness * UNLOADED).min(LONGEST_GAP))
    }

    /// How long an object is left alone after a pass at present: whatever happens meanwhile is one decision and one status.
    pub fn rest(&self, now: Instant) -> Duration {
        (self.gap(now) * REST).min(LONGEST_REST)
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn add(&mut self, slowness: f64, now: Instant) {
        let mean = self.faded(now).unwrap_or(slowness);
        self.slowness = Some((mean + WEIGHT * (slowness - mean), now));
    }

    fn faded(&self, now: Instant) -> Option<f64> {
        self.slowness.map(|(mean, at)| mean * (-(now - at).as_secs_f64() / FADES).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[u64], idle: Duration) -> Duration {
        let (load, start) = (Load::default(), Instant::now());
        answers.iter().for_each(|millis| load.answered("create", "Job", Duration::from_millis(*millis), start));
        load.gap(start + idle)
    }

    #[test]
    fn starts_are_the_rarer_the_slower_the_answers_and_free_again_when_nothing_is_known() {
        let slow = |millis: u64| after(&[&[10; 5][..], &vec![millis; 100]].concat(), Duration::ZERO);
        assert_eq!(Load::default().gap(Instant::now()), Duration::ZERO);
        assert_eq!(slow(40), Duration::ZERO);
        assert!(slow(100) > Duration::from_millis(150) && slow(100) < Duration::from_millis(250), "{:?}", slow(100));
        assert!(slow(200) > slow(100));
        assert_eq!(slow(5_000), Duration::from_secs(1), "something begins at all times");
        let busy = Load::default();
        assert_eq!(busy.rest(Instant::now()), Duration::ZERO);
        busy.failed(Duration::ZERO, Instant::now());
        assert_eq!(busy.rest(Instant::now()), LONGEST_REST);
        assert_eq!(after(&[&[10][..], &[200; 100]].concat(), Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn what_always_takes_long_is_no_sign_of_load() {
        assert_eq!(after(&[80; 200], Duration::ZERO), Duration::ZERO);
        assert!(after(&[&[80; 20][..], &[1_500; 100]].concat(), Duration::ZERO) > Duration::from_millis(500));
        let (load, now) = (Load::default(), Instant::now());
        for _ in 0..100 {
            load.answered("create", "Job", Duration::from_millis(180), now);
            load.answered("status", "JobFlow", Duration::from_millis(9), now);
        }
        assert_eq!(load.gap(now), Duration::ZERO);
    }

    #[test]
    fn an_apiserver_that_turns_away_at_once_is_not_taken_for_a_fast_one() {
        let (load, now) = (Load::default(), Instant::now());
        load.answered("create", "Job", Duration::from_millis(80), now);
        (0..50).for_each(|_| load.failed(Duration::from_millis(1), now));
        assert_eq!(load.gap(now), Duration::from_secs(1));
        (0..200).for_each(|_| load.answered("create", "Job", Duration::from_millis(80), now));
        assert_eq!(load.gap(now), Duration::ZERO);
    }
}
