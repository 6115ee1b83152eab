//! Decodes the range of a partition.

use std::collections::VecDeque;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{BLOCK_HEADER, PartitionRange, SegmentError, block_seed};
use crate::kernel::{error::BoxError, frame::MAX_RECORD_BYTES, number::read_varint};

/// The bytes of a partition's range, in order and in chunks of any size.
pub trait BlockSource {
    /// The next bytes; `None` at the range's end.
    ///
    /// # Errors
    /// The caller's own; the reduce stops with [`crate::kernel::Error::Source`].
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError>;
}

impl BlockSource for Box<dyn BlockSource + Send + '_> {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        (**self).next_block()
    }
}

/// A source of bytes that are in memory.
#[derive(Clone, Debug, Default)]
pub struct Chunks(pub VecDeque<Bytes>);

impl From<Bytes> for Chunks {
    fn from(bytes: Bytes) -> Self {
        Self(VecDeque::from([bytes]))
    }
}

impl BlockSource for Chunks {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        Ok(self.0.pop_front())
    }
}

/// Why a partition could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    Segment(SegmentError),
    Source(BoxError),
}

impl From<SegmentError> for ReadError {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

/// LZ4 makes at most this many bytes of one.
const MAX_EXPANSION: usize = 255;
/// Key, value and their lengths, after a block that was not full.
const MAX_BLOCK: usize = 2 * MAX_RECORD_BYTES + (1 << 20);

/// Reads the records of a partition, one at a time.
pub(crate) struct PartitionReader<S> {
    source: S,
    /// Bytes of the range not yet taken by `fed`.
    left: u64,
    records_left: u64,
    /// Bytes of a block that came in an earlier chunk, empty where the chunk has it whole.
    pending: Vec<u8>,
    chunk: Bytes,
    raw: Vec<u8>,
    at: usize,
    key: Vec<u8>,
    value: (usize, usize),
}

impl<S: BlockSource> PartitionReader<S> {
    pub(crate) fn new(source: S, range: PartitionRange) -> Self {
        Self {
            source,
            left: range.length,
            records_left: range.records,
            pending: Vec::new(),
            chunk: Bytes::new(),
            raw: Vec::new(),
            at: 0,
            key: Vec::new(),
            value: (0, 0),
        }
    }

    /// The current record's key.
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The current record's value.
    #[inline]
    pub(crate) fn value(&self) -> &[u8] {
        self.raw.get(self.value.0..self.value.1).unwrap_or_default()
    }

    /// Goes to the next record; `false` at the end of the range.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        if self.at == self.raw.len() && !self.next_block()? {
            return Ok(false);
        }
        self.decode().ok_or(SegmentError::Damaged("record"))?;
        Ok(true)
    }

    fn decode(&mut self) -> Option<()> {
        let mut rest = self.raw.get(self.at..)?;
        let shared = usize::try_from(read_varint(&mut rest)?).ok()?;
        let suffix = usize::try_from(read_varint(&mut rest)?).ok()?;
        let value = usize::try_from(read_varint(&mut rest)?).ok()?;
        let start = self.raw.len() - rest.len();
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(rest.get(..suffix)?);
        rest.get(suffix..)?.get(..value)?;
        self.value = (start + suffix, start + suffix + value);
        self.at = self.value.1;
        self.records_left = self.records_left.checked_sub(1)?;
        Some(())
    }

    fn next_block(&mut self) -> Result<bool, ReadError> {
        if self.left == 0 && self.chunk.is_empty() {
            // The source may have more only if it is not the range.
            return match self.records_left {
                0 => Ok(false),
                _ => Err(SegmentError::Truncated("fewer records than in the index").into()),
            };
        }
        self.fill(BLOCK_HEADER, "block header")?;
        let header = self.head(BLOCK_HEADER);
        let stored = le_u32(header, 0);
        let raw = le_u32(header, 4);
        let checksum = u64::from(le_u32(header, 8)) | u64::from(le_u32(header, 12)) << 32;
        let (stored_len, raw_len) = (stored as usize, raw as usize);
        if raw_len == 0 || stored_len > raw_len || raw_len > MAX_BLOCK || raw_len / MAX_EXPANSION > stored_len {
            return Err(SegmentError::Damaged("block lengths").into());
        }
        self.fill(BLOCK_HEADER + stored_len, "block")?;
        let mut raw_bytes = std::mem::take(&mut self.raw);
        let payload = &self.head(BLOCK_HEADER + stored_len)[BLOCK_HEADER..];
        if xxh3_64_with_seed(payload, block_seed(stored, raw)) != checksum {
            return Err(SegmentError::Damaged("checksum of a block").into());
        }
        if stored == raw {
            raw_bytes.clear();
            raw_bytes.extend_from_slice(payload);
        } else {
            raw_bytes.resize(raw_len, 0);
            match lz4_flex::block::decompress_into(payload, &mut raw_bytes) {
                Ok(length) if length == raw_len => {}
                _ => return Err(SegmentError::Damaged("LZ4 block").into()),
            }
        }
        self.raw = raw_bytes;
        self.at = 0;
        self.key.clear();
        self.consume(BLOCK_HEADER + stored_len);
        Ok(true)
    }

    /// The first `length` bytes not consumed, after `fill`.
    fn head(&self, length: usize) -> &[u8] {
        if self.pending.is_empty() { &self.chunk[..length] } else { &self.pending[..length] }
    }

    /// Sees to it that `length` bytes in a row are there: in the chunk, or else in `pending`.
    fn fill(&mut self, length: usize, what: &'static str) -> Result<(), ReadError> {
        if self.pending.is_empty() && self.chunk.len() >= length {
            return Ok(());
        }
        while self.pending.len() < length {
            if self.chunk.is_empty() {
                self.chunk =
                    self.source.next_block().map_err(ReadError::Source)?.ok_or(SegmentError::Truncated(what))?;
                self.left = self
                    .left
                    .checked_sub(self.chunk.len() as u64)
                    .ok_or(SegmentError::Damaged("more bytes than in the index"))?;
                if self.pending.is_empty() && self.chunk.len() >= length {
                    return Ok(());
                }
            }
            let take = self.chunk.len().min(length - self.pending.len());
            self.pending.extend_from_slice(&self.chunk.split_to(take));
        }
        Ok(())
    }

    fn consume(&mut self, length: usize) {
        if self.pending.is_empty() {
            let _ = self.chunk.split_to(length);
        } else {
            // `fill` takes no more than it was asked for.
            self.pending.clear();
        }
    }
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |chunk| u32::from_le_bytes(*chunk))
}
