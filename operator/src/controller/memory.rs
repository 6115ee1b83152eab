//! What a controller remembers of an object from one pass to the next. All of it may be lost.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::RngExt;

use super::late::{Background, Late};
use crate::{act::Refused, caches::Primary};

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
    /// A status of it that is on its way.
    pub late: Option<Late>,
}

impl Memory {
    /// Counts a failure; gives the pause after it.
    pub fn back_off(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        pause.mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    fn is_blank(&self) -> bool {
        self.failures == 0 && self.refused.is_empty() && self.late.is_none()
    }
}

/// What is remembered of all objects, and what is under way beside the passes over them.
#[derive(Debug, Default)]
pub struct Memories {
    of: Mutex<HashMap<Primary, Memory>>,
    /// Writes under way.
    pub background: Background,
}

impl Memories {
    /// Nothing is remembered.
    pub fn new(background: Background) -> Self {
        Self { of: Mutex::default(), background }
    }

    /// Takes an object's memory out: its worker has it alone.
    pub fn take(&self, primary: &Primary) -> Memory {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(primary).unwrap_or_default()
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
