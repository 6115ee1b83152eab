//! Errors of a running task.

use super::segment::SegmentError;

/// An error of the caller's I/O, passed through.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record that the program cannot take, and no more may be skipped.
    #[error(
        "bad record in {place}: {reason}{}",
        if *.limit == 0 { String::new() } else { format!(" (failure.skipBadRecords: {limit} are skipped already)") }
    )]
    BadRecord {
        /// The object and the byte, or the topic, partition and offset.
        place: String,
        /// What is wrong with it.
        reason: String,
        /// How many bad records this task was allowed to skip.
        limit: u64,
    },
    /// A record too large to be handled.
    #[error("record in {place} is larger than {limit} bytes: check the input's format and its delimiters")]
    RecordTooLarge {
        /// The object and the byte, or the topic, partition and offset.
        place: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The values of a key do not fit into the operator's number.
    #[error("reduce operator {operator}: the values of key {key:?} exceed {range}")]
    Overflow {
        /// The operator.
        operator: &'static str,
        /// The key, bytes that are not UTF-8 replaced, cut at 256 bytes.
        key: String,
        /// The range that they exceed.
        range: &'static str,
    },
    /// The bytes of a reduce task's input are not a segment's: missing, cut or damaged.
    #[error("map output {input}: {error}")]
    Segment {
        /// Index in the inputs given to the reduce.
        input: usize,
        /// What is wrong.
        error: SegmentError,
    },
    /// The caller's source failed.
    #[error("reading map output {input}: {error}")]
    Source {
        /// Index in the inputs given to the reduce.
        input: usize,
        /// Its error.
        error: BoxError,
    },
    /// The caller's sink failed.
    #[error("writing output: {0}")]
    Sink(BoxError),
    /// The caller's scratch space failed, or gave back other bytes than were written.
    #[error("scratch space: {0}")]
    Scratch(BoxError),
    /// The kernel was called out of order.
    #[error("kernel misused: {0}")]
    Misuse(&'static str),
}

/// Bytes as text for an error message.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    const SHOWN: usize = 256;
    match bytes.get(..SHOWN) {
        Some(head) if bytes.len() > SHOWN => format!("{}...", String::from_utf8_lossy(head)),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}
