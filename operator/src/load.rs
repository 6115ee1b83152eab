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
/// The time in which the fastest one is forgotten, in seconds: it grows by a factor of e. A load that lasts for minutes is not to
/// become the measure of itself.
const FORGOTTEN: f64 = 600.0;
/// The time after which nothing is known of the mean, in seconds, where nothing is written.
const FADES: f64 = 2.0;
/// The longest time between two starts.
pub const LONGEST_GAP: Duration = Duration::from_secs(1);

/// The answers of late.
#[derive(Debug, Default)]
pub struct Load(Mutex<Answers>);

#[derive(Debug, Default)]
struct Answers {
    /// The mean of how slow they were, where 1 can be borne, and when it was taken.
    slowness: Option<(f64, Instant)>,
    /// The fastest of each sort, in seconds, and when it was looked at.
    fastest: HashMap<(&'static str, String), (f64, Instant)>,
}

impl Load {
    /// A write of this verb and kind was answered after this time.
    pub fn answered(&self, verb: &'static str, kind: &str, took: Duration, now: Instant) {
        let (took, mut answers) = (took.as_secs_f64(), self.lock());
        let (fastest, at) = answers.fastest.entry((verb, kind.to_owned())).or_insert((took, now));
        *fastest = (*fastest * (now.saturating_duration_since(*at).as_secs_f64() / FORGOTTEN).exp()).min(took);
        *at = now;
        let bearable = UNLOADED.max(*fastest * TIMES_FASTEST);
        answers.add(took / bearable, now);
    }

    /// The apiserver could not answer, for this time.
    pub fn failed(&self, after: Duration, now: Instant) {
        self.lock().add(after.as_secs_f64().max(FAILED) / UNLOADED, now);
    }

    /// The time between two starts at present: `at_limit` where answers take as long as can be borne, next to nothing where the
    /// apiserver has room, and no jump in between: one would let many begin at the same moment, which then go on in step, and
    /// wait for each other.
    pub fn gap(&self, at_limit: Duration, now: Instant) -> Duration {
        let slowness = self.lock().faded(now).unwrap_or_default();
        // finite and not negative, as `mul_f64` wants it
        at_limit.mul_f64(slowness.powi(3).min(1e9)).min(LONGEST_GAP)
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

    const GAP: Duration = Duration::from_millis(40);

    fn after(answers: &[u64], idle: Duration) -> Duration {
        let (load, start) = (Load::default(), Instant::now());
        answers.iter().for_each(|millis| load.answered("create", "Job", Duration::from_millis(*millis), start));
        load.gap(GAP, start + idle)
    }

    #[test]
    fn starts_are_the_rarer_the_slower_the_answers_and_free_again_when_nothing_is_known() {
        let slow = |millis: u64| after(&[&[10; 5][..], &vec![millis; 100]].concat(), Duration::ZERO);
        let gap = |millis: u64| slow(millis).as_millis();
        assert_eq!(Load::default().gap(GAP, Instant::now()), Duration::ZERO);
        assert!(gap(10) < 1, "{:?}", slow(10));
        assert!((2..4).contains(&gap(20)), "{:?}", slow(20));
        assert!((35..=40).contains(&gap(50)), "{:?}", slow(50));
        assert!((250..=320).contains(&gap(100)), "{:?}", slow(100));
        assert_eq!(slow(5_000), Duration::from_secs(1), "something begins at all times");
        assert!(is_free(after(&[&[10][..], &[200; 100]].concat(), Duration::from_secs(10))));
    }

    /// Some hundreds a second may begin.
    fn is_free(gap: Duration) -> bool {
        gap < Duration::from_millis(5)
    }

    #[test]
    fn what_always_takes_long_is_no_sign_of_load() {
        assert!(is_free(after(&[80; 200], Duration::ZERO)));
        assert!(after(&[&[80; 20][..], &[1_500; 100]].concat(), Duration::ZERO) > Duration::from_millis(500));
        let (load, now) = (Load::default(), Instant::now());
        for _ in 0..100 {
            load.answered("create", "Job", Duration::from_millis(180), now);
            load.answered("status", "JobFlow", Duration::from_millis(9), now);
        }
        assert!(is_free(load.gap(GAP, now)));
    }

    #[test]
    fn a_load_that_lasts_does_not_become_its_own_measure_and_what_lasts_for_good_does() {
        let (load, start) = (Load::default(), Instant::now());
        load.answered("create", "Job", Duration::from_millis(20), start);
        let after = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            (0..20_000).for_each(|_| load.answered("create", "Job", Duration::from_millis(200), now));
            load.gap(GAP, now)
        };
        assert!(after(1) > Duration::from_millis(300) && after(120) > Duration::from_millis(150));
        assert!(is_free(after(3_600)));
    }

    #[test]
    fn an_apiserver_that_turns_away_at_once_is_not_taken_for_a_fast_one() {
        let (load, now) = (Load::default(), Instant::now());
        load.answered("create", "Job", Duration::from_millis(80), now);
        (0..50).for_each(|_| load.failed(Duration::from_millis(1), now));
        assert_eq!(load.gap(GAP, now), Duration::from_secs(1));
        (0..200).for_each(|_| load.answered("create", "Job", Duration::from_millis(80), now));
        assert!(is_free(load.gap(GAP, now)));
    }
}
