//! Finds out what there is to read, and cuts it into map tasks.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_mapreduce_core::job::Event;
use tributary_mapreduce_core::kernel::Framing;
use tributary_mapreduce_core::split::{self, Listed, MapInput, ObjectSplits};

use super::range::{self, RangeError};
use super::topics::{TopicError, Topics};
use crate::spec::{InputSpec, JobSpec, ObjectInput};
use crate::store::{Place, StoreError};

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The place has no objects.
    #[error("{place}: there are no objects")]
    NoObjects {
        /// The place.
        place: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The topic, or what the spec says of it.
    #[error(transparent)]
    Range(#[from] RangeError),
}

impl PlanError {
    /// A word for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoObjects { .. } | Self::Store(StoreError::NoSuchBucket { .. } | StoreError::NotFound { .. }) => {
                "InputNotFound"
            }
            Self::Store(_) => "StoreError",
            Self::Range(RangeError::Topic(TopicError::UnknownTopic { .. })) => "UnknownTopic",
            Self::Range(RangeError::Topic(_)) => "KafkaError",
            Self::Range(RangeError::Invalid { .. }) => "InvalidSpec",
        }
    }
}

/// The map tasks of a job. `start` is where an earlier coordinator began to read the topic. `say` takes what is known
/// before the end: [`Event::Started`] and [`Event::Waiting`].
///
/// # Errors
/// There is no input, or it cannot be had.
pub async fn plan(
    job: &JobSpec,
    place: Option<&Place>,
    topics: Arc<dyn Topics>,
    start: Option<BTreeMap<i32, i64>>,
    say: &(dyn Fn(Event) + Send + Sync),
) -> Result<Vec<MapInput>, PlanError> {
    match &job.input {
        InputSpec::Objects(input) => {
            let Some(place) = place else { return Ok(Vec::new()) };
            objects(input, place, job.slots).await
        }
        InputSpec::Topic(input) => {
            let ranges = range::resolve(input, topics, start, say).await?;
            let records = input.split_records.and_then(|n| u64::try_from(n).ok());
            Ok(split::topic(&ranges, records, job.slots))
        }
        InputSpec::Strings(strings) => Ok(split::strings(u32::try_from(strings.len()).unwrap_or(u32::MAX), job.slots)),
    }
}

async fn objects(input: &ObjectInput, place: &Place, slots: u32) -> Result<Vec<MapInput>, PlanError> {
    let mut found = place.store.list(&place.prefix).await?;
    let name = place.prefix.trim_end_matches('/');
    if found.is_empty() && !name.is_empty() {
        // the location may be an object's own name
        found.extend(place.store.head(name).await?);
    }
    if found.is_empty() {
        return Err(PlanError::NoObjects { place: place.store.place(&place.prefix) });
    }
    let listing: Vec<Listed> = found
        .into_iter()
        .filter(|object| object.key == name || split::is_input(&object.key, &place.prefix))
        .map(|object| Listed { key: object.key, size: object.size, etag: object.etag })
        .collect();
    let splittable = input.framing != Framing::WholeObject;
    Ok(split::objects(&listing, ObjectSplits { splittable, codec: input.codec, size: input.split_size, slots }))
}
