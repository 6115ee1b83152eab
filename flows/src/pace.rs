//! How soon mere progress is written again: each write costs the apiserver as much as the object is large, and what is not
//! written is read again off the Jobs.

use std::time::Duration;

/// What the size of an object makes of the least time between two statuses that differ by mere progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// By a part of it.
    each: Duration,
    /// At most.
    most: Duration,
}

/// Steps of a JobFlow, all of which the apiserver validates and stores again with each status: ten times what that costs it, so that
/// news of one flow take a tenth of a core and leave the rest to its Jobs.
pub(crate) const STEPS: Size = Size { each: Duration::from_millis(4), most: Duration::from_secs(20) };
/// Nodes of a DaemonJob: a word each in a ConfigMap.
pub(crate) const NODES: Size = Size { each: Duration::from_micros(400), most: Duration::from_secs(2) };

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
    pub(crate) fn wait(self, parts: usize, size: Size) -> Option<Duration> {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        let apart = size.each.saturating_mul(parts).min(size.most).max(self.apart);
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
        let millis = |pace: Pace, parts| pace.wait(parts, STEPS).map(|d| d.as_millis());
        assert_eq!(millis(pace(1, 0), 5), Some(19));
        assert_eq!(millis(pace(20, 0), 5), None);
        assert_eq!(millis(pace(500, 0), 1_000_000), Some(19_500));
        assert_eq!(millis(pace(500, 10_000), 5), Some(9_500));
        assert_eq!(pace(500, 0).wait(1_000_000, NODES), Some(Duration::from_millis(1_500)));
        assert_eq!(Pace { age: None, ..pace(0, 10_000) }.wait(5, STEPS), None, "what was never written");
    }
}
