//! How busy the apiserver is, by how long its answers to writes take: what is new waits for it, so that what has begun does not.
//! After the delay-based control of TCP Vegas (Brakmo, O'Malley, Peterson, SIGCOMM 1994), for starts instead of packets.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Answers as fast as this are no sign of load, in seconds.
const UNLOADED: f64 = 0.05;
/// Nor are those of less than so many times the fastest of late.
const TIMES_FASTEST: f64 = 4.0;
/// What the last answer weighs in the mean.
const WEIGHT: f64 = 0.05;
/// What the fastest one is forgotten by with each answer.
const FORGOTTEN: f64 = 1.0005;
/// The time after which nothing is known of the mean, in seconds, where nothing is written.
const FADES: f64 = 2.0;
/// The longest time between two starts.
const LONGEST_GAP: f64 = 1.0;

/// The answers of late.
#[derive(Debug, Default)]
pub struct Load(Mutex<Option<Answers>>);

#[derive(Clone, Copy, Debug)]
struct Answers {
    mean: f64,
    fastest: f64,
    at: Instant,
}

impl Load {
    /// A write was answered after this time.
    pub fn answered(&self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *answers = Some(match *answers {
            None => Answers { mean: took, fastest: took, at: now },
            Some(before) => {
                let mean = before.faded(now);
                Answers {
                    mean: mean + WEIGHT * (took - mean),
                    fastest: (before.fastest * FORGOTTEN).min(took),
                    at: now,
                }
            }
        });
    }

    /// The time between two starts at present: nothing where the apiserver has room.
    pub fn gap(&self, now: Instant) -> Duration {
        let answers = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(answers) = answers else { return Duration::ZERO };
        let (mean, bearable) = (answers.faded(now), UNLOADED.max(answers.fastest * TIMES_FASTEST));
        if mean <= bearable {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((mean * mean / bearable).min(LONGEST_GAP))
    }
}

impl Answers {
    fn faded(&self, now: Instant) -> f64 {
        self.mean * (-(now - self.at).as_secs_f64() / FADES).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[u64], idle: Duration) -> Duration {
        let (load, start) = (Load::default(), Instant::now());
        answers.iter().for_each(|millis| load.answered(Duration::from_millis(*millis), start));
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
        assert_eq!(after(&[200; 100], Duration::from_secs(10)), Duration::ZERO);
    }

    #[test]
    fn an_apiserver_that_is_far_away_is_not_taken_for_a_busy_one() {
        assert_eq!(after(&[80; 200], Duration::ZERO), Duration::ZERO);
        assert!(after(&[&[80; 20][..], &[600; 100]].concat(), Duration::ZERO) > Duration::from_millis(500));
    }
}
