//! Readers of what Kafka answers, for [`super::raw`].
#![allow(unsafe_code)]

use std::collections::BTreeMap;

use rdkafka_sys as sys;

use super::{
    native::{borrowed_error, c_string, outcome, text},
    raw::{KafkaError, Layout},
};

pub(super) trait MapOk<T> {
    fn map_ok<U>(self, f: impl FnOnce(T) -> U) -> (String, Result<U, KafkaError>);
}

impl<T> MapOk<T> for (String, Result<T, KafkaError>) {
    fn map_ok<U>(self, f: impl FnOnce(T) -> U) -> (String, Result<U, KafkaError>) {
        (self.0, self.1.map(f))
    }
}

pub(super) fn topic_result(result: *const sys::rd_kafka_topic_result_t) -> (String, Result<(), KafkaError>) {
    // SAFETY: an item of a living answer.
    unsafe {
        let (code, words) = (sys::rd_kafka_topic_result_error(result), sys::rd_kafka_topic_result_error_string(result));
        (text(sys::rd_kafka_topic_result_name(result)), outcome(code, text(words)))
    }
}

pub(super) fn config_resource(name: &str) -> Result<*mut sys::rd_kafka_ConfigResource_t, KafkaError> {
    let name = c_string(name)?;
    // SAFETY: the string outlives the call, which copies it.
    Ok(unsafe {
        sys::rd_kafka_ConfigResource_new(sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr())
    })
}

pub(super) fn resource_result(resource: *const sys::rd_kafka_ConfigResource_t) -> (String, Result<(), KafkaError>) {
    // SAFETY: an item of a living answer.
    unsafe {
        let (code, words) =
            (sys::rd_kafka_ConfigResource_error(resource), sys::rd_kafka_ConfigResource_error_string(resource));
        (text(sys::rd_kafka_ConfigResource_name(resource)), outcome(code, text(words)))
    }
}

pub(super) fn own_config(resource: *const sys::rd_kafka_ConfigResource_t) -> BTreeMap<String, String> {
    let mut count = 0;
    // SAFETY: an item of a living answer, which holds `count` entries at `entries`; sources of a topic's entries are
    // among those that the enum knows.
    unsafe {
        let entries = sys::rd_kafka_ConfigResource_configs(resource, &raw mut count);
        if entries.is_null() {
            return BTreeMap::new();
        }
        let own = |entry: &&*const sys::rd_kafka_ConfigEntry_t| {
            let source = sys::rd_kafka_ConfigEntry_source(**entry);
            source == sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG
        };
        let pair = |entry: &*const sys::rd_kafka_ConfigEntry_t| {
            (text(sys::rd_kafka_ConfigEntry_name(*entry)), text(sys::rd_kafka_ConfigEntry_value(*entry)))
        };
        std::slice::from_raw_parts(entries, count).iter().filter(own).map(pair).collect()
    }
}

pub(super) fn layout(topic: *const sys::rd_kafka_TopicDescription_t) -> (String, Result<Layout, KafkaError>) {
    let mut count = 0;
    // SAFETY: an item of a living answer, which holds `count` partitions at `partitions`.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic));
        if let Err(error) = borrowed_error(sys::rd_kafka_TopicDescription_error(topic)) {
            return (name, Err(error));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let id = if id.is_null() { String::new() } else { text(sys::rd_kafka_Uuid_base64str(id)) };
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let partitions = if partitions.is_null() { &[] } else { std::slice::from_raw_parts(partitions, count) };
        let replicas = partitions.iter().map(|partition| {
            let mut replicas = 0;
            sys::rd_kafka_TopicPartitionInfo_replicas(*partition, &raw mut replicas);
            (sys::rd_kafka_TopicPartitionInfo_partition(*partition), replicas)
        });
        (name, Ok(Layout { id, replicas: replicas.collect() }))
    }
}
