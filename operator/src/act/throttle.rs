//! Kinds whose own operators could not follow are made no faster than those can.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tributary_blueprints::{drivers, object::ObjectKey};

use crate::bucket::Bucket;

/// The least time that an object waits: however many wait, they ask no more than once a second each.
const PAUSE: Duration = Duration::from_secs(1);

/// How many objects of each such kind were made lately, by group and kind.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<(String, String), Bucket>>);

impl Throttle {
    /// Counts an object that is about to be made.
    ///
    /// # Errors
    /// How long it has to wait.
    pub(super) fn admit(&self, key: &ObjectKey, now: Instant) -> Result<(), Duration> {
        let Some(rate) = drivers::of(&key.group, &key.kind).creation_rate() else { return Ok(()) };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((key.group.clone(), key.kind.clone()));
        let bucket = bucket.or_insert_with(|| Bucket::new(rate.per_second.into()));
        bucket.try_add(rate.burst.into(), now).map_err(|wait| wait.max(PAUSE))
    }
}
