//! Where the reading of a topic begins and ends.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tributary_crds::{KafkaEnd, KafkaInput, KafkaStart};
use tributary_mapreduce_core::job::Event;

use super::topics::{Offsets, TopicError, Topics};

/// How long a topic that is not there, or brokers that do not answer, are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at a topic.
const PAUSE: Duration = Duration::from_millis(250);

/// Why a range is not known.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// The topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// What the spec says.
    #[error("spec.input.kafka.{field}: {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

type Ranges = BTreeMap<i32, Range<i64>>;
type Say<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// The offsets to read, by partition. Waits for records that the spec asks for and that are not there yet.
pub(super) async fn resolve(
    input: &KafkaInput,
    topics: Arc<dyn Topics>,
    start: Option<BTreeMap<i32, i64>>,
    say: Say<'_>,
) -> Result<Ranges, RangeError> {
    let topic = Topic { name: &input.topic, topics, say };
    let there = topic.offsets().await?;
    let starts = match start {
        Some(starts) => starts,
        None => {
            let starts = topic.starts(input.start.as_ref(), &there).await?;
            say(Event::Started { offsets: starts.clone() });
            starts
        }
    };
    let end = input.end.clone().unwrap_or_default();
    let ends = topic.ends(&end, &starts, there).await?;
    say(Event::Waiting { message: String::new() });
    let from = |partition: &i32| starts.get(partition).copied().unwrap_or(0);
    Ok(ends.into_iter().map(|(partition, end)| (partition, from(&partition)..end.max(from(&partition)))).collect())
}

struct Topic<'a> {
    name: &'a str,
    topics: Arc<dyn Topics>,
    say: Say<'a>,
}

impl Topic<'_> {
    /// What there is of each partition. A topic may be about to be made, and brokers to be started.
    async fn offsets(&self) -> Result<BTreeMap<i32, Offsets>, TopicError> {
        let since = Instant::now();
        loop {
            let error = match self.topics.offsets(self.name).await {
                Ok(offsets) => return Ok(offsets),
                Err(e @ (TopicError::UnknownTopic { .. } | TopicError::Unavailable { .. })) => e,
                Err(e) => return Err(e),
            };
            if since.elapsed() > PATIENCE {
                return Err(error);
            }
            self.wait(error.to_string()).await;
        }
    }

    async fn wait(&self, message: String) {
        (self.say)(Event::Waiting { message });
        tokio::time::sleep(PAUSE).await;
    }

    async fn starts(
        &self,
        start: Option<&KafkaStart>,
        there: &BTreeMap<i32, Offsets>,
    ) -> Result<BTreeMap<i32, i64>, RangeError> {
        let mut starts: BTreeMap<i32, i64> = there.iter().map(|(&p, offsets)| (p, offsets.start)).collect();
        let Some(start) = start else { return Ok(starts) };
        if let Some(named) = &start.offsets {
            for (partition, offset) in partitions("start.offsets", named, there)? {
                let Range { start: low, end: high } = there[&partition];
                if !(low..=high).contains(&offset) {
                    let topic = self.name.to_owned();
                    return Err(TopicError::OutOfRange { topic, partition, offset, low, high }.into());
                }
                starts.insert(partition, offset);
            }
        } else if let Some(text) = &start.timestamp {
            starts.extend(self.topics.offsets_at(self.name, time("start.timestamp", text)?.as_millisecond()).await?);
        } else if start.latest == Some(true) {
            starts = there.iter().map(|(&p, offsets)| (p, offsets.end)).collect();
        }
        Ok(starts)
    }

    async fn ends(
        &self,
        end: &KafkaEnd,
        starts: &BTreeMap<i32, i64>,
        there: BTreeMap<i32, Offsets>,
    ) -> Result<BTreeMap<i32, i64>, RangeError> {
        if let Some(named) = &end.offsets {
            self.reached(partitions("end.offsets", named, &there)?, there).await
        } else if let Some(text) = &end.timestamp {
            let time = time("end.timestamp", text)?;
            while Timestamp::now() < time {
                self.wait(format!("waiting until {time}, where the input ends")).await;
            }
            Ok(self.topics.offsets_at(self.name, time.as_millisecond()).await?)
        } else if let Some(wanted) = end.records {
            Ok(self.counted(u64::try_from(wanted).unwrap_or(0), starts.clone(), there).await?)
        } else {
            Ok(there.into_iter().map(|(partition, offsets)| (partition, offsets.end)).collect())
        }
    }

    /// Waits until every partition reaches its end.
    async fn reached(
        &self,
        ends: BTreeMap<i32, i64>,
        mut there: BTreeMap<i32, Offsets>,
    ) -> Result<BTreeMap<i32, i64>, RangeError> {
        let short = |there: &BTreeMap<i32, Offsets>| {
            let high = |p: &i32| there.get(p).map_or(0, |offsets| offsets.end);
            ends.iter().find(|&(p, &end)| high(p) < end).map(|(&p, &end)| (p, end, high(&p)))
        };
        while let Some((partition, end, high)) = short(&there) {
            self.wait(format!("waiting for records: partition {partition} ends at offset {high}, short of {end}"))
                .await;
            there = self.offsets().await?;
        }
        Ok(ends)
    }

    /// Waits until there are so many records from `at` on, and gives the offsets after the last of them. Offsets may
    /// have no record (compaction, transactions), so the records are read and counted once there can be enough.
    async fn counted(
        &self,
        wanted: u64,
        mut at: BTreeMap<i32, i64>,
        mut there: BTreeMap<i32, Offsets>,
    ) -> Result<BTreeMap<i32, i64>, TopicError> {
        let mut found = 0;
        loop {
            let new = |(p, offsets): (&i32, &Offsets)| offsets.end - at.get(p).copied().unwrap_or(offsets.start);
            let most = found + there.iter().map(new).map(|n| u64::try_from(n).unwrap_or(0)).sum::<u64>();
            if most >= wanted {
                for (&partition, offsets) in &there {
                    let position = at.entry(partition).or_insert(offsets.start);
                    let (records, next) = self.count(partition, *position..offsets.end, wanted - found).await?;
                    found += records;
                    *position = next;
                }
            }
            if found >= wanted {
                return Ok(at);
            }
            self.wait(format!("waiting for records: {} of {wanted}", found.max(most).min(wanted))).await;
            there = self.offsets().await?;
        }
    }

    /// The records of a range, up to a limit, and the offset after the last of them.
    async fn count(&self, partition: i32, range: Offsets, limit: u64) -> Result<(u64, i64), TopicError> {
        if range.is_empty() || limit == 0 {
            return Ok((0, range.start));
        }
        let (topics, name) = (self.topics.clone(), self.name.to_owned());
        let counting = tokio::task::spawn_blocking(move || {
            let (mut records, mut next) = (0, range.end);
            topics.read(&name, partition, range, &mut |record| {
                records += 1;
                if records == limit {
                    next = record.offset + 1;
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
            Ok((records, next))
        });
        counting.await.unwrap_or_else(|e| {
            let (topic, place) = (self.name.to_owned(), "this process".to_owned());
            Err(TopicError::Other { topic, place, message: e.to_string() })
        })
    }
}

/// Offsets by partition, as the spec writes them.
fn partitions(
    field: &'static str,
    named: &BTreeMap<String, i64>,
    there: &BTreeMap<i32, Offsets>,
) -> Result<BTreeMap<i32, i64>, RangeError> {
    let invalid = |message| RangeError::Invalid { field, message };
    let mut offsets = BTreeMap::new();
    for (partition, &offset) in named {
        let number = partition.parse().map_err(|_| invalid(format!("{partition:?} is not a partition's number")))?;
        if !there.contains_key(&number) {
            return Err(invalid(format!("the topic has no partition {number}; it has {}", there.len())));
        }
        if offset < 0 {
            return Err(invalid(format!("{offset} is not an offset")));
        }
        offsets.insert(number, offset);
    }
    Ok(offsets)
}

fn time(field: &'static str, text: &str) -> Result<Timestamp, RangeError> {
    text.parse().map_err(|e| RangeError::Invalid { field, message: format!("{text:?} is not an RFC 3339 time: {e}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::input::MemoryTopics;

    fn topics(records: usize) -> MemoryTopics {
        let topics = MemoryTopics::new();
        topics.create("t", 2);
        add(&topics, records);
        topics
    }

    fn add(topics: &MemoryTopics, records: usize) {
        for _ in 0..records {
            topics.append("t", None, Bytes::from_static(b"x")).unwrap();
        }
    }

    fn input(more: Value) -> KafkaInput {
        let mut input = json!({"bootstrapServers": "b", "topic": "t"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(input).unwrap()
    }

    async fn resolved(topics: &MemoryTopics, more: Value) -> Result<Vec<(i32, i64, i64)>, String> {
        let ranges = resolve(&input(more), Arc::new(topics.clone()), None, &|_| {}).await.map_err(|e| e.to_string())?;
        Ok(ranges.into_iter().map(|(p, range)| (p, range.start, range.end)).collect())
    }

    #[tokio::test]
    async fn ranges_are_as_the_spec_says() {
        let topics = topics(10);
        let cases = [
            (json!({"end": {"highWatermark": true}}), vec![(0, 0, 5), (1, 0, 5)]),
            (json!({"start": {"latest": true}, "end": {"highWatermark": true}}), vec![(0, 5, 5), (1, 5, 5)]),
            (json!({"start": {"offsets": {"1": 2}}, "end": {"highWatermark": true}}), vec![(0, 0, 5), (1, 2, 5)]),
            (json!({"end": {"offsets": {"1": 3}}}), vec![(1, 0, 3)]),
            (json!({"end": {"records": 7}}), vec![(0, 0, 5), (1, 0, 2)]),
            (json!({"start": {"offsets": {"0": 4}}, "end": {"records": 3}}), vec![(0, 4, 5), (1, 0, 2)]),
            (json!({"end": {"timestamp": "1999-01-01T00:00:00Z"}}), vec![(0, 0, 0), (1, 0, 0)]),
            (
                json!({"start": {"timestamp": "1999-01-01T00:00:00Z"}, "end": {"records": 1}}),
                vec![(0, 0, 1), (1, 0, 0)],
            ),
        ];
        for (more, ranges) in cases {
            assert_eq!(resolved(&topics, more.clone()).await, Ok(ranges), "{more}");
        }
        let wrong = [
            (json!({"end": {"offsets": {"x": 3}}}), "spec.input.kafka.end.offsets: \"x\" is not a partition's number"),
            (
                json!({"end": {"offsets": {"2": 3}}}),
                "spec.input.kafka.end.offsets: the topic has no partition 2; it has 2",
            ),
            (json!({"end": {"timestamp": "soon"}}), "spec.input.kafka.end.timestamp: \"soon\" is not an RFC 3339 time"),
            (
                json!({"start": {"offsets": {"0": 9}}, "end": {"records": 1}}),
                "topic t, partition 0: offset 9 is out of",
            ),
        ];
        for (more, message) in wrong {
            let error = resolved(&topics, more).await.unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[tokio::test]
    async fn records_are_waited_for() {
        let topics = topics(3);
        let said = Mutex::new(Vec::new());
        let note = |event: Event| {
            if let Event::Waiting { message } = event {
                // once they are waited for, they come
                if message == "waiting for records: 3 of 5" {
                    add(&topics, 4);
                }
                said.lock().unwrap().push(message);
            }
        };
        let input = input(json!({"end": {"records": 5}}));
        let ranges = resolve(&input, Arc::new(topics.clone()), None, &note).await.unwrap();
        assert_eq!(ranges.values().map(|range| range.end - range.start).sum::<i64>(), 5);
        assert_eq!(*said.lock().unwrap(), ["waiting for records: 3 of 5", ""]);
    }

    #[tokio::test]
    async fn a_start_that_is_known_is_kept() {
        let topics = topics(4);
        let input = input(json!({"start": {"latest": true}, "end": {"highWatermark": true}}));
        let started = |event: Event| assert!(!matches!(event, Event::Started { .. }));
        let known = BTreeMap::from([(0, 1), (1, 2)]);
        let ranges = resolve(&input, Arc::new(topics), Some(known), &started).await.unwrap();
        assert_eq!(ranges, BTreeMap::from([(0, 1..2), (1, 2..2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_that_stays_unknown_is_an_error() {
        let error = resolved(&MemoryTopics::new(), json!({"end": {"highWatermark": true}})).await.unwrap_err();
        assert_eq!(error, "topic t does not exist on this process");
    }
}
