//! The map operators.

use regex::bytes::Regex;

use super::error::Error;

/// A record: bytes with, perhaps, a key.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The key of a Kafka record or the name of a whole object; lines have none.
    pub key: Option<&'a [u8]>,
    /// The record's bytes, without the delimiter.
    pub value: &'a [u8],
}

/// Why an emitted pair was not taken.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The record is bad, for this reason.
    #[error("{0}")]
    Record(String),
    /// The task cannot go on.
    #[error(transparent)]
    Task(#[from] Error),
}

/// Takes what a map function gives.
pub trait Emit {
    /// Takes a pair.
    ///
    /// # Errors
    /// See [`EmitError`]; the map function returns it as it is.
    fn emit(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError>;
}

/// Makes pairs of a record.
pub trait MapFn: Send {
    /// Maps one record.
    ///
    /// # Errors
    /// [`EmitError::Record`] marks the record as bad; what `out` returns is passed on.
    fn map(&mut self, record: Record<'_>, out: &mut dyn Emit) -> Result<(), EmitError>;
}

/// White space as `isspace` of the C locale has it.
#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    byte == b' ' || byte.wrapping_sub(9) <= 4
}

pub(crate) struct Identity;

impl MapFn for Identity {
    fn map(&mut self, record: Record<'_>, out: &mut dyn Emit) -> Result<(), EmitError> {
        match record.key {
            Some(key) => out.emit(key, record.value),
            None => match memchr::memchr(b'\t', record.value) {
                Some(at) => out.emit(&record.value[..at], &record.value[at + 1..]),
                None => out.emit(record.value, b""),
            },
        }
    }
}

pub(crate) struct Grep {
    pattern: Regex,
}

impl Grep {
    pub(crate) fn new(pattern: Regex) -> Self {
        Self { pattern }
    }
}

impl MapFn for Grep {
    fn map(&mut self, record: Record<'_>, out: &mut dyn Emit) -> Result<(), EmitError> {
        if self.pattern.is_match(record.value) { Identity.map(record, out) } else { Ok(()) }
    }
}
