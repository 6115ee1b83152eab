//! Kafka, as any client sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::env;

const TIMEOUT: Duration = Duration::from_secs(30);

fn config() -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", env("TRIBUTARY_KAFKA")?);
    Ok(config)
}

/// The admin API.
pub fn admin() -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(config()?.create()?)
}

/// Writes records without a key, and returns when the broker has them.
pub async fn produce(topic: &str, values: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let producer: FutureProducer = config()?.set("linger.ms", "5").create()?;
    let mut sent = Vec::new();
    for (i, value) in values.into_iter().enumerate() {
        let record = FutureRecord::<(), _>::to(topic).payload(&value).partition(0);
        let record = FutureRecord { partition: None, ..record };
        sent.push(producer.send_result(record).map_err(|(e, _)| e).with_context(|| format!("record {i}"))?);
    }
    for delivery in sent {
        delivery.await?.map_err(|(e, _)| e)?;
    }
    Ok(())
}

/// Partitions of a topic; `None` where it does not exist.
pub fn partitions(topic: &str) -> anyhow::Result<Option<usize>> {
    let consumer: BaseConsumer = config()?.create()?;
    let metadata = consumer.fetch_metadata(None, TIMEOUT)?;
    Ok(metadata.topics().iter().find(|t| t.name() == topic).map(|t| t.partitions().len()))
}

/// The configuration that a topic was given itself, as opposed to the broker's defaults.
pub async fn dynamic_config(topic: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let described = admin()?
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &AdminOptions::new().request_timeout(Some(TIMEOUT)))
        .await?;
    let mut config = BTreeMap::new();
    for resource in described {
        for entry in resource.map_err(|e| anyhow::anyhow!("{topic}: {e}"))?.entries {
            if entry.source == rdkafka::admin::ConfigSource::DynamicTopic {
                config.insert(entry.name, entry.value.unwrap_or_default());
            }
        }
    }
    Ok(config)
}

/// Creates a topic behind the operator's back.
pub async fn create(topic: &str, partitions: i32) -> anyhow::Result<()> {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for result in admin()?.create_topics(&[new], &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await? {
        result.map_err(|(name, e)| anyhow::anyhow!("{name}: {e}"))?;
    }
    Ok(())
}

/// Deletes a topic; that it is gone is no error.
pub async fn delete(topic: &str) -> anyhow::Result<()> {
    admin()?.delete_topics(&[topic], &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;
    Ok(())
}
