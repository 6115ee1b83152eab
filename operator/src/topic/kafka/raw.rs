//! Kafka's admin API by librdkafka, for what the crate rdkafka leaves out: the incremental change of configuration,
//! descriptions of topics with their ids, and the broker's own words for each failure.
//!
//! Every call blocks. The only unsafe code of the operator is here, in `native` and in `read`: each native object is made, used and freed within
//! one function, by a guard, and what is read from an answer is copied before the answer is freed.
#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::c_char,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    client::{Client, DefaultClientContext},
    types::{RDKafkaErrorCode, RDKafkaRespErr, RDKafkaType},
};
use rdkafka_sys as sys;

use super::{
    native::{Array, Reason, c_string, check, out_of_memory, owned_error, text},
    read::{MapOk, config_resource, layout, own_config, resource_result, topic_result},
};

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a cluster that cannot be reached is tried.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// Why Kafka did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaError {
    /// Kafka's code, or librdkafka's.
    pub code: RDKafkaErrorCode,
    /// In words.
    pub message: String,
}

impl KafkaError {
    pub(super) fn new(code: RDKafkaErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn invalid(message: impl ToString) -> Self {
        Self::new(RDKafkaErrorCode::InvalidArgument, message.to_string())
    }
}

/// An answer, topic by topic.
pub type PerTopic<T> = Vec<(String, Result<T, KafkaError>)>;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// `None` is the broker's default.
    pub partitions: Option<i32>,
    /// `None` is the broker's default.
    pub replicas: Option<i32>,
    /// Configuration.
    pub config: BTreeMap<String, String>,
}

/// A topic's configuration, changed.
#[derive(Clone, Debug)]
pub struct ConfigChange {
    /// Name.
    pub name: String,
    /// Keys to set.
    pub set: BTreeMap<String, String>,
    /// Keys to give back to the broker's default.
    pub delete: Vec<String>,
}

/// A topic's id and the number of replicas of each partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The topic's id.
    pub id: String,
    /// By the partition's number.
    pub replicas: BTreeMap<i32, usize>,
}

/// A connection to a cluster.
pub struct Admin {
    client: Client<DefaultClientContext>,
}

impl Admin {
    /// A client with this configuration; it connects when it is first used.
    ///
    /// # Errors
    /// Where librdkafka does not take the configuration.
    pub fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let native = config.create_native_config().map_err(KafkaError::invalid)?;
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, DefaultClientContext)
            .map_err(KafkaError::invalid)?;
        Ok(Self { client })
    }

    /// Creates topics.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn create_topics(&self, topics: &[NewTopic]) -> Result<PerTopic<()>, KafkaError> {
        let mut native = Array::new(sys::rd_kafka_NewTopic_destroy);
        for topic in topics {
            let (name, mut reason) = (c_string(&topic.name)?, Reason::new());
            let (partitions, replicas) = (topic.partitions.unwrap_or(-1), topic.replicas.unwrap_or(-1));
            // SAFETY: the strings outlive the call, which copies them; the buffer has the size that is given.
            let made =
                unsafe { sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, reason.ptr(), Reason::SIZE) };
            native.push(made).ok_or_else(|| KafkaError::invalid(reason.text()))?;
            for (key, value) in &topic.config {
                let (key, value) = (c_string(key)?, c_string(value)?);
                // SAFETY: `made` lives in `native`; the strings are copied.
                check(unsafe { sys::rd_kafka_NewTopic_set_config(made, key.as_ptr(), value.as_ptr()) })?;
            }
        }
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe { sys::rd_kafka_CreateTopics(rk, native.ptr(), native.len(), options, queue) },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    sys::rd_kafka_CreateTopics_result_topics(sys::rd_kafka_event_CreateTopics_result(event), count)
                }
            },
            topic_result,
        )
    }

    /// Grows topics to so many partitions.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn create_partitions(&self, topics: &[(String, i32)]) -> Result<PerTopic<()>, KafkaError> {
        let mut native = Array::new(sys::rd_kafka_NewPartitions_destroy);
        for (name, partitions) in topics {
            let (name, mut reason) = (c_string(name)?, Reason::new());
            let partitions = usize::try_from(*partitions).unwrap_or_default();
            // SAFETY: the string outlives the call, which copies it; the buffer has the size that is given.
            let made =
                unsafe { sys::rd_kafka_NewPartitions_new(name.as_ptr(), partitions, reason.ptr(), Reason::SIZE) };
            native.push(made).ok_or_else(|| KafkaError::invalid(reason.text()))?;
        }
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe {
                sys::rd_kafka_CreatePartitions(rk, native.ptr(), native.len(), options, queue)
            },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    sys::rd_kafka_CreatePartitions_result_topics(
                        sys::rd_kafka_event_CreatePartitions_result(event),
                        count,
                    )
                }
            },
            topic_result,
        )
    }

    /// Deletes topics.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn delete_topics(&self, topics: &[String]) -> Result<PerTopic<()>, KafkaError> {
        let mut native = Array::new(sys::rd_kafka_DeleteTopic_destroy);
        for name in topics {
            let name = c_string(name)?;
            // SAFETY: the string outlives the call, which copies it.
            native.push(unsafe { sys::rd_kafka_DeleteTopic_new(name.as_ptr()) }).ok_or_else(out_of_memory)?;
        }
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe { sys::rd_kafka_DeleteTopics(rk, native.ptr(), native.len(), options, queue) },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    sys::rd_kafka_DeleteTopics_result_topics(sys::rd_kafka_event_DeleteTopics_result(event), count)
                }
            },
            topic_result,
        )
    }

    /// Changes configurations, key by key.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn alter_configs(&self, changes: &[ConfigChange]) -> Result<PerTopic<()>, KafkaError> {
        use sys::rd_kafka_AlterConfigOpType_t::{
            RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
        };
        let mut native = Array::new(sys::rd_kafka_ConfigResource_destroy);
        for change in changes {
            let resource = native.push(config_resource(&change.name)?).ok_or_else(out_of_memory)?;
            let set = change.set.iter().map(|(key, value)| (key, RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_str()));
            let delete = change.delete.iter().map(|key| (key, RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, ""));
            for (key, operation, value) in set.chain(delete) {
                let (key, value) = (c_string(key)?, c_string(value)?);
                let value =
                    if operation == RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE { std::ptr::null() } else { value.as_ptr() };
                // SAFETY: `resource` lives in `native`; the strings are copied, and null is what a deletion takes.
                let error = unsafe {
                    sys::rd_kafka_ConfigResource_add_incremental_config(resource, key.as_ptr(), operation, value)
                };
                // SAFETY: the error, if there is one, is ours to free.
                unsafe { owned_error(error) }?;
            }
        }
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe {
                sys::rd_kafka_IncrementalAlterConfigs(rk, native.ptr(), native.len(), options, queue)
            },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event);
                    sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, count)
                }
            },
            |resource| resource_result(resource).map_ok(|()| ()),
        )
    }

    /// Reads what is set on topics themselves.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn describe_configs(&self, topics: &[String]) -> Result<PerTopic<BTreeMap<String, String>>, KafkaError> {
        let mut native = Array::new(sys::rd_kafka_ConfigResource_destroy);
        for name in topics {
            native.push(config_resource(name)?).ok_or_else(out_of_memory)?;
        }
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe {
                sys::rd_kafka_DescribeConfigs(rk, native.ptr(), native.len(), options, queue)
            },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    sys::rd_kafka_DescribeConfigs_result_resources(
                        sys::rd_kafka_event_DescribeConfigs_result(event),
                        count,
                    )
                }
            },
            |resource| resource_result(resource).map_ok(|()| own_config(resource)),
        )
    }

    /// Reads the ids and the partitions of topics.
    ///
    /// # Errors
    /// Where the cluster does not answer at all.
    pub fn describe_topics(&self, topics: &[String]) -> Result<PerTopic<Layout>, KafkaError> {
        let names = topics.iter().map(|name| c_string(name)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let mut collection = Array::new(sys::rd_kafka_TopicCollection_destroy);
        // SAFETY: the strings outlive the call, which copies them.
        let made = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
        let made = collection.push(made).ok_or_else(out_of_memory)?;
        self.call(
            // SAFETY: every pointer lives until the call is answered.
            |rk, options, queue| unsafe { sys::rd_kafka_DescribeTopics(rk, made, options, queue) },
            |event, count| {
                // SAFETY: the event is the answer to this request; the list belongs to it.
                unsafe {
                    sys::rd_kafka_DescribeTopics_result_topics(sys::rd_kafka_event_DescribeTopics_result(event), count)
                }
            },
            layout,
        )
    }

    /// Sends a request and reads the list that answers it.
    fn call<N, T>(
        &self,
        send: impl FnOnce(*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
        list: impl FnOnce(*mut sys::rd_kafka_event_t, *mut usize) -> *mut *const N,
        read: impl Fn(*const N) -> (String, Result<T, KafkaError>),
    ) -> Result<PerTopic<T>, KafkaError> {
        let rk = self.client.native_ptr();
        let (mut options, mut queue) =
            (Array::new(sys::rd_kafka_AdminOptions_destroy), Array::new(sys::rd_kafka_queue_destroy));
        // SAFETY: the client lives as long as `self`.
        let made = unsafe {
            let any = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ANY;
            (sys::rd_kafka_AdminOptions_new(rk, any), sys::rd_kafka_queue_new(rk))
        };
        let options = options.push(made.0).ok_or_else(out_of_memory)?;
        let queue = queue.push(made.1).ok_or_else(out_of_memory)?;
        let (limit, mut reason) = (i32::try_from(LIMIT.as_millis()).unwrap_or(i32::MAX), Reason::new());
        // SAFETY: the options live, and the buffer has the size that is given.
        check(unsafe { sys::rd_kafka_AdminOptions_set_request_timeout(options, limit, reason.ptr(), Reason::SIZE) })?;
        self.errors();
        send(rk, options, queue);
        let mut answer = Array::new(sys::rd_kafka_event_destroy);
        let event = answer.push(self.answer(queue)?).ok_or_else(out_of_memory)?;
        // SAFETY: the event lives in `answer`.
        let (code, words) =
            unsafe { (sys::rd_kafka_event_error(event), text(sys::rd_kafka_event_error_string(event))) };
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(KafkaError::new(code.into(), self.errors().unwrap_or(words)));
        }
        let mut count = 0;
        let items = list(event, &raw mut count);
        if items.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the answer holds `count` items at `items` for as long as the event lives.
        Ok(unsafe { std::slice::from_raw_parts(items, count) }.iter().map(|item| read(*item)).collect())
    }

    /// Waits for the answer; gives up early where no broker can be reached.
    fn answer(&self, queue: *mut sys::rd_kafka_queue_t) -> Result<*mut sys::rd_kafka_event_t, KafkaError> {
        let start = Instant::now();
        let mut trouble = None;
        loop {
            // SAFETY: the queue lives in the caller's guard; an answer that comes after it is freed by librdkafka.
            let event = unsafe { sys::rd_kafka_queue_poll(queue, 50) };
            if !event.is_null() {
                return Ok(event);
            }
            trouble = self.errors().or(trouble);
            match trouble {
                Some(words) if start.elapsed() > CONNECT_LIMIT => {
                    return Err(KafkaError::new(RDKafkaErrorCode::BrokerTransportFailure, words));
                }
                _ if start.elapsed() > LIMIT + CONNECT_LIMIT => {
                    return Err(KafkaError::new(RDKafkaErrorCode::OperationTimedOut, "no answer"));
                }
                _ => {}
            }
        }
    }

    /// The last trouble with brokers that librdkafka tells of. What it tells has to be taken away, or it piles up.
    fn errors(&self) -> Option<String> {
        let mut last = None;
        let mut main = Array::new(sys::rd_kafka_queue_destroy);
        // SAFETY: the client lives as long as `self`; the reference to its queue is given back by the guard.
        let main = main.push(unsafe { sys::rd_kafka_queue_get_main(self.client.native_ptr()) })?;
        loop {
            let mut event = Array::new(sys::rd_kafka_event_destroy);
            // SAFETY: the queue lives in `main`.
            let Some(event) = event.push(unsafe { sys::rd_kafka_queue_poll(main, 0) }) else { return last };
            // SAFETY: the event lives until the end of this turn.
            let (kind, code, words) = unsafe {
                let code = sys::rd_kafka_event_error(event);
                (sys::rd_kafka_event_type(event), code, text(sys::rd_kafka_event_error_string(event)))
            };
            let summary = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
            if kind == sys::RD_KAFKA_EVENT_ERROR && !(summary && last.is_some()) {
                // what follows counts tries and milliseconds, and would make a new message of the same trouble
                last = words.split(" (after ").next().map(str::to_owned);
            }
        }
    }
}
