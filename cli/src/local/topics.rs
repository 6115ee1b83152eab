//! In-process logs that stand for Kafka topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::object::field;
use tributary_crds::{Condition, ConditionType, KafkaConnection, KafkaEnd, KafkaInput, KafkaStart, Reason, Time};
use tributary_crds::{Timestamp, names};
use tributary_mapreduce::input::{MemoryTopics, Offsets, TopicError, Topics};

/// A topic of the Pipeline.
#[derive(Clone, Debug)]
pub struct LogTopic {
    /// Name within the blueprint.
    pub name: String,
    /// Name in Kafka.
    pub topic_name: String,
    /// The cluster's brokers.
    pub bootstrap_servers: String,
    /// Partitions, where no resource stands for the topic.
    pub partitions: u32,
    /// Nobody creates it: it is there from the start.
    pub existing: bool,
    /// What is in it before the run.
    pub records: Vec<Bytes>,
}

/// The logs of a run, by the brokers that they stand for.
#[derive(Debug, Default)]
pub struct Logs {
    clusters: BTreeMap<String, MemoryTopics>,
    topics: Vec<LogTopic>,
}

impl Logs {
    /// The logs of these topics; those that exist already are filled.
    pub fn new(topics: Vec<LogTopic>) -> Result<Self, TopicError> {
        let mut logs = Self { clusters: BTreeMap::new(), topics };
        for topic in logs.topics.clone().iter().filter(|t| t.existing) {
            logs.create(&topic.bootstrap_servers, &topic.topic_name, topic.partitions)?;
        }
        Ok(logs)
    }

    /// The logs of a cluster.
    pub fn cluster(&mut self, connection: &KafkaConnection) -> Arc<dyn Topics> {
        Arc::new(self.clusters.entry(connection.bootstrap_servers.clone()).or_default().clone())
    }

    /// Makes the log of a Topic or KafkaTopic, and gives the status that its controller would write.
    pub fn provide(&mut self, child: &DynamicObject, now: Timestamp) -> Result<Value, TopicError> {
        let text = |path: &[&str]| field(child, path).and_then(Value::as_str);
        let label = child.metadata.labels.as_ref().and_then(|l| l.get(names::TOPIC));
        let topic = self.topics.iter().find(|t| Some(&t.name) == label);
        let name = text(&["spec", "topicName"]).or(child.metadata.name.as_deref()).unwrap_or_default().to_owned();
        let brokers = text(&["spec", "kafka", "bootstrapServers"]).or(topic.map(|t| t.bootstrap_servers.as_str()));
        let brokers = brokers.unwrap_or_default().to_owned();
        let partitions = field(child, &["spec", "partitions"]).and_then(Value::as_u64).unwrap_or(1);
        self.create(&brokers, &name, u32::try_from(partitions).unwrap_or(u32::MAX))?;
        let ready = Condition {
            type_: ConditionType::Ready.as_str().into(),
            status: "True".into(),
            reason: Reason::AsExpected.as_str().into(),
            message: String::new(),
            observed_generation: child.metadata.generation,
            last_transition_time: Time(now),
        };
        let generation = child.metadata.generation;
        let mut status = json!({"observedGeneration": generation, "topicName": name, "conditions": [ready]});
        if child.types.as_ref().is_some_and(|t| t.kind == "Topic") {
            status["partitions"] = partitions.into();
            status["replicas"] = 1.into();
        }
        Ok(status)
    }

    /// What a job waits for that is not there: `(records wanted, records there)`.
    pub async fn shortfall(&mut self, input: &KafkaInput) -> Option<(i64, i64)> {
        let topics = self.cluster(&input.connection);
        let there = topics.offsets(&input.topic).await.ok()?;
        let start = starts(topics.as_ref(), input, &there).await?;
        let (wanted, found) = match input.end.as_ref()? {
            KafkaEnd { records: Some(wanted), .. } => {
                (*wanted, there.iter().map(|(p, range)| range.end - start.get(p).copied().unwrap_or(range.start)).sum())
            }
            KafkaEnd { offsets: Some(ends), .. } => {
                let ends = ends.iter().filter_map(|(p, end)| Some((there.get(&p.parse().ok()?)?, *end)));
                ends.fold((0, 0), |(wanted, found), (range, end)| (wanted + end, found + end.min(range.end)))
            }
            _ => return None,
        };
        (found < wanted).then_some((wanted, found))
    }

    /// The Pipeline's name of a topic.
    pub fn name(&self, input: &KafkaInput) -> Option<&str> {
        let of =
            |t: &&LogTopic| t.topic_name == input.topic && t.bootstrap_servers == input.connection.bootstrap_servers;
        self.topics.iter().find(of).map(|t| t.name.as_str())
    }

    fn create(&mut self, brokers: &str, topic_name: &str, partitions: u32) -> Result<(), TopicError> {
        let cluster = self.clusters.entry(brokers.to_owned()).or_default();
        cluster.create(topic_name, partitions);
        let mine = |t: &&mut LogTopic| t.topic_name == topic_name && t.bootstrap_servers == brokers;
        if let Some(topic) = self.topics.iter_mut().find(mine) {
            for record in std::mem::take(&mut topic.records) {
                cluster.append(topic_name, None, record)?;
            }
        }
        Ok(())
    }
}

/// The first offset of each partition that a job reads.
async fn starts(topics: &dyn Topics, input: &KafkaInput, there: &BTreeMap<i32, Offsets>) -> Option<BTreeMap<i32, i64>> {
    let earliest = there.iter().map(|(p, range)| (*p, range.start));
    Some(match &input.start {
        None => earliest.collect(),
        Some(KafkaStart { latest: Some(true), .. }) => there.iter().map(|(p, range)| (*p, range.end)).collect(),
        Some(KafkaStart { timestamp: Some(time), .. }) => {
            let time: Timestamp = time.parse().ok()?;
            topics.offsets_at(&input.topic, time.as_millisecond()).await.ok()?
        }
        Some(KafkaStart { offsets, .. }) => {
            let given = offsets.iter().flatten().filter_map(|(p, offset)| Some((p.parse().ok()?, *offset)));
            earliest.chain(given).collect()
        }
    })
}
