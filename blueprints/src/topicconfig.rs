//! The configuration keys of Kafka's topics, as of Kafka 4.

use serde_json::Value;

use crate::expr::functions;
use crate::problem::nearest;

/// What a key's value is.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Float,
    Word(&'static [&'static str]),
    List(&'static [&'static str]),
    Text,
}

const KEYS: &[(&str, Kind)] = &[
    ("cleanup.policy", Kind::List(&["compact", "delete"])),
    ("compression.gzip.level", Kind::Int),
    ("compression.lz4.level", Kind::Int),
    ("compression.type", Kind::Word(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", Kind::Int),
    ("delete.retention.ms", Kind::Int),
    ("file.delete.delay.ms", Kind::Int),
    ("flush.messages", Kind::Int),
    ("flush.ms", Kind::Int),
    ("follower.replication.throttled.replicas", Kind::Text),
    ("index.interval.bytes", Kind::Int),
    ("leader.replication.throttled.replicas", Kind::Text),
    ("local.retention.bytes", Kind::Int),
    ("local.retention.ms", Kind::Int),
    ("max.compaction.lag.ms", Kind::Int),
    ("max.message.bytes", Kind::Int),
    ("message.timestamp.after.max.ms", Kind::Int),
    ("message.timestamp.before.max.ms", Kind::Int),
    ("message.timestamp.type", Kind::Word(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", Kind::Float),
    ("min.compaction.lag.ms", Kind::Int),
    ("min.insync.replicas", Kind::Int),
    ("preallocate", Kind::Bool),
    ("remote.log.copy.disable", Kind::Bool),
    ("remote.log.delete.on.disable", Kind::Bool),
    ("remote.storage.enable", Kind::Bool),
    ("retention.bytes", Kind::Int),
    ("retention.ms", Kind::Int),
    ("segment.bytes", Kind::Int),
    ("segment.index.bytes", Kind::Int),
    ("segment.jitter.ms", Kind::Int),
    ("segment.ms", Kind::Int),
    ("unclean.leader.election.enable", Kind::Bool),
    // gone since Kafka 4, still taken by brokers of 3
    ("message.downconversion.enable", Kind::Bool),
    ("message.format.version", Kind::Text),
    ("message.timestamp.difference.max.ms", Kind::Int),
];

/// What is wrong with a key or its value; `None` where nothing is.
pub(crate) fn fault(key: &str, value: &Value) -> Option<String> {
    let Some((_, kind)) = KEYS.iter().find(|(k, _)| *k == key) else {
        // vendors have keys of their own, with a prefix
        let vendor = key.split('.').next().is_some_and(|p| matches!(p, "confluent" | "redpanda" | "x"));
        return (!vendor).then(|| format!("Kafka's topics have no configuration `{key}`"));
    };
    let text = functions::text(value);
    let fits = match kind {
        Kind::Bool => matches!(text.as_str(), "true" | "false"),
        Kind::Int => text.parse::<i64>().is_ok(),
        Kind::Float => text.parse::<f64>().is_ok(),
        Kind::Word(words) => words.contains(&text.as_str()),
        Kind::List(words) => match value {
            Value::Array(items) => items.iter().all(|i| i.as_str().is_some_and(|i| words.contains(&i))),
            _ => text.split(',').all(|w| words.contains(&w.trim())),
        },
        Kind::Text => true,
    };
    (!fits).then(|| match kind {
        Kind::Bool => format!("`{key}` is true or false, not {text}"),
        Kind::Int => format!("`{key}` is an integer, not {text}"),
        Kind::Float => format!("`{key}` is a number, not {text}"),
        Kind::Word(words) => format!("`{key}` is one of {}, not {text}", words.join(", ")),
        Kind::List(words) => format!("`{key}` is a list of {}, not {text}", words.join(", ")),
        Kind::Text => String::new(),
    })
}

/// The key that an unknown one may have been meant to be.
pub(crate) fn suggestion(key: &str) -> Option<String> {
    if KEYS.iter().any(|(k, _)| *k == key) { None } else { nearest(key, KEYS.iter().map(|(k, _)| *k)) }
}
