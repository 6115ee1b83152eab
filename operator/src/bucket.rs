//! A leaky bucket: how much has been done lately, as a level that sinks at a rate.

use std::time::Duration;

use tokio::time::Instant;

/// A leaky bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    level: f64,
    at: Option<Instant>,
}

impl Bucket {
    /// An empty one that sinks by so much a second.
    pub(crate) fn new(per_second: f64) -> Self {
        Self { per_second, level: 0.0, at: None }
    }

    /// Its level.
    pub(crate) fn level(&self, now: Instant) -> f64 {
        let since = self.at.map_or(Duration::ZERO, |at| now - at);
        (self.level - self.per_second * since.as_secs_f64()).max(0.0)
    }

    /// Adds one unless that made it higher than `most`; how long until it would not, if it was not added.
    ///
    /// # Errors
    /// The time to wait.
    pub(crate) fn try_add(&mut self, most: f64, now: Instant) -> Result<(), Duration> {
        let over = self.level(now) + 1.0 - most;
        if over > 0.0 {
            return Err(Duration::from_secs_f64(over / self.per_second));
        }
        self.level = self.level(now) + 1.0;
        self.at = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_so_many_at_once_and_then_as_many_as_run_out() {
        let (mut bucket, start) = (Bucket::new(10.0), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!((0..5).all(|_| bucket.try_add(5.0, at(0)).is_ok()));
        assert_eq!(bucket.try_add(5.0, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.try_add(5.0, at(100)), Ok(()));
        assert!(bucket.try_add(5.0, at(100)).is_err());
        assert_eq!((0..9).filter(|_| bucket.try_add(5.0, at(10_000)).is_ok()).count(), 5, "time does not add up");
    }
}
