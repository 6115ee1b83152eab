//! Topics in memory, for local runs and tests.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;

use super::topics::{Offsets, TopicError, TopicRecord, Topics};

/// What errors say instead of a broker's address.
const PLACE: &str = "this process";

#[derive(Clone, Debug)]
struct Entry {
    time: i64,
    key: Option<Bytes>,
    value: Bytes,
}

type Partitions = Vec<Vec<Entry>>;

/// In-process logs, by topic. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryTopics {
    topics: Arc<RwLock<BTreeMap<String, Partitions>>>,
}

impl MemoryTopics {
    /// No topics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a topic of at least one partition. One that exists grows where it has fewer.
    pub fn create(&self, topic: &str, partitions: u32) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let log = topics.entry(topic.to_owned()).or_default();
        let wanted = log.len().max(partitions.max(1) as usize);
        log.resize_with(wanted, Vec::new);
    }

    /// The topics' names.
    pub fn names(&self) -> Vec<String> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Appends a record and gives its partition and offset: by its key, else to the partition with the fewest records.
    pub fn append(&self, topic: &str, key: Option<Bytes>, value: Bytes) -> Result<(i32, i64), TopicError> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let log = topics.get_mut(topic).ok_or_else(|| unknown(topic))?;
        let partition = match &key {
            Some(key) => (fnv1a(key) % log.len() as u64) as usize,
            None => (0..log.len()).min_by_key(|&p| log[p].len()).unwrap_or_default(),
        };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        log[partition].push(Entry { time, key, value });
        Ok((partition as i32, log[partition].len() as i64 - 1))
    }

    fn with<T>(&self, topic: &str, look: impl FnOnce(&Partitions) -> T) -> Result<T, TopicError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map(look).ok_or_else(|| unknown(topic))
    }
}

fn unknown(topic: &str) -> TopicError {
    TopicError::UnknownTopic { topic: topic.to_owned(), place: PLACE.to_owned() }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[async_trait]
impl Topics for MemoryTopics {
    async fn offsets(&self, topic: &str) -> Result<BTreeMap<i32, Offsets>, TopicError> {
        self.with(topic, |log| log.iter().enumerate().map(|(p, entries)| (p as i32, 0..entries.len() as i64)).collect())
    }

    async fn offsets_at(&self, topic: &str, time: i64) -> Result<BTreeMap<i32, i64>, TopicError> {
        self.with(topic, |log| {
            let first = |entries: &Vec<Entry>| entries.iter().position(|e| e.time >= time).unwrap_or(entries.len());
            log.iter().enumerate().map(|(p, entries)| (p as i32, first(entries) as i64)).collect()
        })
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        range: Offsets,
        each: &mut dyn FnMut(TopicRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TopicError> {
        let entries = self.with(topic, |log| {
            let entries = usize::try_from(partition).ok().and_then(|p| log.get(p)).map_or(&[][..], Vec::as_slice);
            let high = entries.len() as i64;
            if range.start < 0 || range.end > high {
                let offset = if range.start < 0 { range.start } else { range.end - 1 };
                return Err(TopicError::OutOfRange { topic: topic.to_owned(), partition, offset, low: 0, high });
            }
            Ok(entries.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec())
        })??;
        for (offset, entry) in (range.start..).zip(&entries) {
            let record = TopicRecord { offset, key: entry.key.as_deref(), value: &entry.value };
            if each(record).is_break() {
                break;
            }
        }
        Ok(())
    }
}
