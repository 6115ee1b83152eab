//! The topics of a Kafka cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use tributary_crds::{KafkaConnection, SaslMechanism};

use super::topics::{Offsets, TopicError, TopicRecord, Topics};

/// The longest that a question to the brokers takes.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a read goes on without a record before it is given up.
const STALLED: Duration = Duration::from_secs(60);

/// What a connection's Secrets hold.
#[derive(Clone, Default)]
pub struct KafkaSecrets {
    /// The CA's certificate (PEM).
    pub ca: Option<String>,
    /// The client's certificate (PEM).
    pub certificate: Option<String>,
    /// The client's key (PEM).
    pub key: Option<String>,
    /// The SASL user.
    pub username: Option<String>,
    /// The SASL password.
    pub password: Option<String>,
}

impl KafkaSecrets {
    /// From `TRIBUTARY_KAFKA_CA`, `_CERTIFICATE`, `_KEY`, `_USERNAME` and `_PASSWORD`, which `variable` looks up.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(&format!("TRIBUTARY_KAFKA_{name}")).filter(|v| !v.is_empty());
        Self {
            ca: get("CA"),
            certificate: get("CERTIFICATE"),
            key: get("KEY"),
            username: get("USERNAME"),
            password: get("PASSWORD"),
        }
    }
}

impl fmt::Debug for KafkaSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KafkaSecrets(..)")
    }
}

/// The topics of a Kafka cluster.
#[derive(Clone)]
pub struct KafkaTopics {
    config: ClientConfig,
    place: String,
}

impl fmt::Debug for KafkaTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaTopics").field("place", &self.place).finish()
    }
}

impl KafkaTopics {
    /// The topics behind a connection. Nothing is sent yet. `read_uncommitted` shows records of open and aborted
    /// transactions too.
    pub fn new(connection: &KafkaConnection, secrets: &KafkaSecrets, read_uncommitted: bool) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &connection.bootstrap_servers)
            .set("group.id", "tributary-engine")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", if read_uncommitted { "read_uncommitted" } else { "read_committed" })
            .set("fetch.message.max.bytes", "4194304")
            .set("queued.min.messages", "200000")
            .set("check.crcs", "true");
        let (tls, sasl) = (connection.tls.is_some(), connection.sasl.is_some());
        config.set(
            "security.protocol",
            ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"][usize::from(tls) + 2 * usize::from(sasl)],
        );
        if let Some(sasl) = &connection.sasl {
            let mechanism = match sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            config.set("sasl.mechanism", mechanism);
        }
        let pairs = [
            ("ssl.ca.pem", &secrets.ca),
            ("ssl.certificate.pem", &secrets.certificate),
            ("ssl.key.pem", &secrets.key),
            ("sasl.username", &secrets.username),
            ("sasl.password", &secrets.password),
        ];
        for (name, value) in pairs {
            if let Some(value) = value {
                config.set(name, value);
            }
        }
        Self { config, place: connection.bootstrap_servers.clone() }
    }

    fn consumer(&self, topic: &str) -> Result<BaseConsumer, TopicError> {
        self.config.create().map_err(|e| self.error(topic, &e))
    }

    fn error(&self, topic: &str, error: &KafkaError) -> TopicError {
        let (topic, place) = (topic.to_owned(), self.place.clone());
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                TopicError::UnknownTopic { topic, place }
            }
            Some(
                code @ (RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition),
            ) => TopicError::Unavailable { place, message: code.to_string() },
            _ => TopicError::Other { topic, place, message: error.to_string() },
        }
    }

    fn offsets_blocking(&self, topic: &str) -> Result<BTreeMap<i32, Offsets>, TopicError> {
        let consumer = self.consumer(topic)?;
        let mut offsets = BTreeMap::new();
        for partition in self.partitions(&consumer, topic)? {
            let watermarks = consumer.fetch_watermarks(topic, partition, TIMEOUT);
            let (low, high) = watermarks.map_err(|e| self.error(topic, &e))?;
            offsets.insert(partition, low..high);
        }
        Ok(offsets)
    }

    fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>, TopicError> {
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(|e| self.error(topic, &e))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        match found {
            Some(t) if t.error().is_none() && !t.partitions().is_empty() => {
                Ok(t.partitions().iter().map(|p| p.id()).collect())
            }
            Some(t) if t.error().is_some_and(|e| RDKafkaErrorCode::from(e) == RDKafkaErrorCode::LeaderNotAvailable) => {
                let message = "the topic has no leader yet".into();
                Err(TopicError::Unavailable { place: self.place.clone(), message })
            }
            _ => Err(TopicError::UnknownTopic { topic: topic.to_owned(), place: self.place.clone() }),
        }
    }

    fn offsets_at_blocking(&self, topic: &str, time: i64) -> Result<BTreeMap<i32, i64>, TopicError> {
        let consumer = self.consumer(topic)?;
        let mut wanted = TopicPartitionList::new();
        for partition in self.partitions(&consumer, topic)? {
            let added = wanted.add_partition_offset(topic, partition, Offset::Offset(time));
            added.map_err(|e| self.error(topic, &e))?;
        }
        let found = consumer.offsets_for_times(wanted, TIMEOUT).map_err(|e| self.error(topic, &e))?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(|e| self.error(topic, &e))?;
            let partition = element.partition();
            let offset = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => consumer.fetch_watermarks(topic, partition, TIMEOUT).map_err(|e| self.error(topic, &e))?.1,
            };
            offsets.insert(partition, offset);
        }
        Ok(offsets)
    }

    fn out_of_range(&self, consumer: &BaseConsumer, topic: &str, partition: i32, offset: i64) -> TopicError {
        match consumer.fetch_watermarks(topic, partition, TIMEOUT) {
            Ok((low, high)) => TopicError::OutOfRange { topic: topic.to_owned(), partition, offset, low, high },
            Err(e) => self.error(topic, &e),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        topic: &str,
        ask: impl FnOnce(&Self, &str) -> Result<T, TopicError> + Send + 'static,
    ) -> Result<T, TopicError> {
        let (this, name) = (self.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || ask(&this, &name)).await.unwrap_or_else(|e| {
            Err(TopicError::Other { topic: topic.to_owned(), place: self.place.clone(), message: e.to_string() })
        })
    }
}

#[async_trait]
impl Topics for KafkaTopics {
    async fn offsets(&self, topic: &str) -> Result<BTreeMap<i32, Offsets>, TopicError> {
        self.blocking(topic, |this, topic| this.offsets_blocking(topic)).await
    }

    async fn offsets_at(&self, topic: &str, time: i64) -> Result<BTreeMap<i32, i64>, TopicError> {
        self.blocking(topic, move |this, topic| this.offsets_at_blocking(topic, time)).await
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        range: Offsets,
        each: &mut dyn FnMut(TopicRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), TopicError> {
        if range.is_empty() {
            return Ok(());
        }
        let consumer = self.consumer(topic)?;
        // where the range begins below what is there, the broker is not asked to choose another place
        let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT).map_err(|e| self.error(topic, &e))?;
        if range.start < low || range.end > high {
            let offset = if range.start < low { range.start } else { range.end - 1 };
            return Err(TopicError::OutOfRange { topic: topic.to_owned(), partition, offset, low, high });
        }
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, partition, Offset::Offset(range.start))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|e| self.error(topic, &e))?;
        let mut heard = Instant::now();
        loop {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    if message.offset() >= range.end {
                        return Ok(());
                    }
                    let value = message.payload().unwrap_or_default();
                    let record = TopicRecord { offset: message.offset(), key: message.key(), value };
                    if each(record).is_break() || message.offset() + 1 == range.end {
                        return Ok(());
                    }
                }
                // the end of the log: the rest of the range holds no records (compaction, transactions)
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(e)) => match e.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset) => {
                        return Err(self.out_of_range(&consumer, topic, partition, range.start));
                    }
                    // librdkafka goes on trying by itself
                    Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {}
                    _ => return Err(self.error(topic, &e)),
                },
                None => {}
            }
            if heard.elapsed() > STALLED {
                let message = format!("partition {partition} of {topic} gave nothing for {} s", STALLED.as_secs());
                return Err(TopicError::Unavailable { place: self.place.clone(), message });
            }
        }
    }
}
