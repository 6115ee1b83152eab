//! What a controller remembers of an object from one pass to the next. All of it may be lost.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::RngExt;
use tokio::time::Instant;

use super::late::{Background, Late};
use crate::{
    act::{ActError, Refused, Unanswered},
    caches::Primary,
};

/// The pause after the first failure; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is remembered of one object.
#[derive(Debug, Default)]
pub struct Memory {
    /// Failed passes in a row.
    pub failures: u32,
    /// What the apiserver has refused.
    pub refused: Refused,
    /// Creations that it has not answered.
    pub unanswered: Unanswered,
    /// A status of it that is on its way.
    pub late: Option<Late>,
    /// Until when a status that may wait is left to a later pass.
    pub waits_until: Option<Instant>,
    /// How often in a row one could not be written, and when it may be tried again.
    late_failures: u32,
    late_again: Option<Instant>,
}

impl Memory {
    fn new(term: Option<Instant>) -> Self {
        Self { unanswered: Unanswered::since(term), ..Self::default() }
    }

    /// Counts a failure; gives the pause after it.
    pub fn back_off(&mut self) -> Duration {
        self.failures += 1;
        pause_after(self.failures - 1)
    }

    /// Forgets a status that has ended. After one that failed, the next has to wait.
    pub fn end_late(&mut self, primary: &Primary, now: Instant) {
        let Some(late) = self.late.take_if(|late| late.ended().is_some()) else { return };
        match late.ended() {
            Some(Err(ActError::Conflict { .. })) | None => {}
            Some(Ok(())) => (self.late_failures, self.late_again) = (0, None),
            Some(Err(error)) => {
                tracing::warn!(primary = %primary.key(), %error, "progress is told later");
                let pause = pause_after(self.late_failures).max(error.retry_after().unwrap_or_default());
                self.late_failures += 1;
                self.late_again = Some(now + pause);
            }
        }
    }

    /// How long mere progress has to wait after it could not be written.
    pub fn late_pause(&self, now: Instant) -> Option<Duration> {
        self.late_again?.checked_duration_since(now).filter(|pause| !pause.is_zero())
    }

    fn is_blank(&self) -> bool {
        let nothing_lost = self.refused.is_empty() && self.unanswered.is_empty();
        let nothing_waits = self.late.is_none() && self.late_again.is_none() && self.waits_until.is_none();
        self.failures == 0 && nothing_lost && nothing_waits
    }
}

fn pause_after(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(rand::rng().random_range(0.75..=1.0))
}

/// What is remembered of all objects, and what is under way beside the passes over them.
#[derive(Debug, Default)]
pub struct Memories {
    of: Mutex<HashMap<Primary, Memory>>,
    /// When this replica began to lead.
    term: Option<Instant>,
    /// Writes under way.
    pub background: Background,
}

impl Memories {
    /// Nothing is remembered.
    pub fn new(background: Background) -> Self {
        Self { of: Mutex::default(), term: Some(Instant::now()), background }
    }

    /// Takes an object's memory out: its worker has it alone.
    pub fn take(&self, primary: &Primary) -> Memory {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(primary).unwrap_or_else(|| Memory::new(self.term))
    }

    /// Puts it back.
    pub fn put(&self, primary: &Primary, memory: Memory) {
        if !memory.is_blank() {
            self.of.lock().unwrap_or_else(PoisonError::into_inner).insert(primary.clone(), memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut memory = Memory::default();
        let pauses: Vec<Duration> = (0..12).map(|_| memory.back_off()).collect();
        assert!(pauses[0] <= FIRST_PAUSE && pauses[0] >= FIRST_PAUSE.mul_f64(0.75));
        assert!(pauses[3] >= Duration::from_millis(600));
        assert!(pauses.iter().all(|p| *p <= LONGEST_PAUSE) && pauses[11] >= LONGEST_PAUSE.mul_f64(0.75));
    }
}
