//! How soon mere progress is written again: each write costs the apiserver as much as the object is large, and what is not
//! written is read again off the Jobs.

use std::time::Duration;

/// The least time between two statuses that differ by mere progress, by a part of the object: ten times what the write of a part
/// costs the apiserver, so that news of one flow take a tenth of a core and leave the rest to its Jobs.
const PER_PART: Duration = Duration::from_millis(4);
/// The most that the size of an object makes of it.
const MOST: Duration = Duration::from_secs(20);

/// How soon mere progress of an object may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How long ago the status was written, if that is known.
    pub age: Option<Duration>,
    /// The least time between two writes at present, whatever the size of the object.
    pub apart: Duration,
}

impl Pace {
    /// How long the progress of an object with so many parts has yet to wait; nothing if it may be written.
    pub(crate) fn wait(self, parts: usize) -> Option<Duration> {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        let apart = PER_PART.saturating_mul(parts).min(MOST).max(self.apart);
        apart.checked_sub(self.age?).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_the_object_and_the_busier_the_operator_the_longer_it_waits() {
        let pace =
            |age: u64, apart: u64| Pace { age: Some(Duration::from_millis(age)), apart: Duration::from_millis(apart) };
        let millis = |pace: Pace, parts| pace.wait(parts).map(|d| d.as_millis());
        assert_eq!(millis(pace(1, 0), 5), Some(19));
        assert_eq!(millis(pace(20, 0), 5), None);
        assert_eq!(millis(pace(500, 0), 1_000_000), Some(19_500));
        assert_eq!(millis(pace(500, 10_000), 5), Some(9_500));
        assert_eq!(Pace { age: None, ..pace(0, 10_000) }.wait(5), None, "what was never written");
    }
}
