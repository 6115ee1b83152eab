//! The segment: the sorted output of a map task, by partition. Integers are little-endian.
//!
//! ```text
//! segment   = magic "TRIBSEG" version:u8  partition*  index
//! partition = block*                               (the partitions in order, an empty one has no blocks)
//! block     = stored_length:u32 raw_length:u32 checksum:u64 payload[stored_length]
//! payload   = raw records, LZ4 block format unless stored_length = raw_length
//! record    = shared:varint suffix_length:varint value_length:varint suffix value
//! index     = (offset:u64 length:u64 records:u64)* partitions:u32 checksum:u64 magic "TRIBIDX" version:u8
//! ```
//!
//! A record's key is the first `shared` bytes of the key before it in the block, then `suffix`. Keys ascend within a
//! partition; equal keys keep the order of their values. Checksums are XXH3-64: of the payload with the two lengths
//! as seed (`stored_length << 32 | raw_length`), and of the index up to itself with seed 0.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{BlockSource, Chunks};
pub(crate) use read::{PartitionReader, ReadError};
pub(crate) use write::SegmentWriter;

use xxhash_rust::xxh3::xxh3_64;

pub(crate) const MAGIC: [u8; 8] = *b"TRIBSEG\x01";
const INDEX_MAGIC: [u8; 8] = *b"TRIBIDX\x01";
const ENTRY: usize = 24;
const TRAILER: usize = 4 + 8 + 8;
/// Bytes before a block's payload.
pub(crate) const BLOCK_HEADER: usize = 16;

/// Why bytes are not a segment's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Not the magic or not the version of this engine.
    #[error("not a segment of this version")]
    Magic,
    /// Bytes are missing.
    #[error("truncated segment: {0}")]
    Truncated(&'static str),
    /// Bytes are damaged.
    #[error("damaged segment: {0}")]
    Damaged(&'static str),
    /// The index is of another job.
    #[error("segment of {found} partitions where {expected} are expected")]
    Partitions {
        /// In the index.
        found: u32,
        /// In the job.
        expected: u32,
    },
}

/// Where a partition is in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartitionRange {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes; 0 without records.
    pub length: u64,
    /// Its records.
    pub records: u64,
}

/// Where the partitions of a segment are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    /// By partition.
    pub partitions: Vec<PartitionRange>,
}

impl SegmentIndex {
    /// Bytes at a segment's end that hold the index of so many partitions.
    pub fn tail_len(partitions: u32) -> u64 {
        u64::from(partitions) * ENTRY as u64 + TRAILER as u64
    }

    /// Decodes the index from the last [`Self::tail_len`] bytes of a segment of `segment_len` bytes.
    ///
    /// # Errors
    /// A tail that is not such an index, or ranges that are not one after the other within the segment.
    pub fn decode(tail: &[u8], partitions: u32, segment_len: u64) -> Result<Self, SegmentError> {
        let (rest, magic) = tail.split_last_chunk::<8>().ok_or(SegmentError::Truncated("no index"))?;
        if *magic != INDEX_MAGIC {
            return Err(SegmentError::Magic);
        }
        let (body, checksum) = rest.split_last_chunk::<8>().ok_or(SegmentError::Truncated("no index"))?;
        let (_, count) = body.split_last_chunk::<4>().ok_or(SegmentError::Truncated("no index"))?;
        let found = u32::from_le_bytes(*count);
        if found != partitions {
            return Err(SegmentError::Partitions { found, expected: partitions });
        }
        if tail.len() as u64 != Self::tail_len(partitions) {
            return Err(SegmentError::Truncated("not all of the index"));
        }
        if xxh3_64(body) != u64::from_le_bytes(*checksum) {
            return Err(SegmentError::Damaged("checksum of the index"));
        }
        let mut next = MAGIC.len() as u64;
        let mut ranges = Vec::with_capacity(body.len() / ENTRY);
        for entry in body.chunks_exact(ENTRY) {
            let field = |at: usize| entry[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let range = PartitionRange { offset: field(0), length: field(8), records: field(16) };
            if range.offset != next || (range.length == 0) != (range.records == 0) {
                return Err(SegmentError::Damaged("ranges of the index"));
            }
            next = next.checked_add(range.length).ok_or(SegmentError::Damaged("ranges of the index"))?;
            ranges.push(range);
        }
        if next.checked_add(tail.len() as u64) != Some(segment_len) {
            return Err(SegmentError::Damaged("length of the segment"));
        }
        Ok(Self { partitions: ranges })
    }

    /// Bytes of the whole segment.
    pub fn segment_len(&self) -> u64 {
        let blocks: u64 = self.partitions.iter().map(|range| range.length).sum();
        MAGIC.len() as u64 + blocks + self.partitions.len() as u64 * ENTRY as u64 + TRAILER as u64
    }

    /// Records of the whole segment.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|range| range.records).sum()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for range in &self.partitions {
            out.extend_from_slice(&range.offset.to_le_bytes());
            out.extend_from_slice(&range.length.to_le_bytes());
            out.extend_from_slice(&range.records.to_le_bytes());
        }
        out.extend_from_slice(&(self.partitions.len() as u32).to_le_bytes());
        let checksum = xxh3_64(&out[start..]);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&INDEX_MAGIC);
    }
}

fn block_seed(stored: u32, raw: u32) -> u64 {
    u64::from(stored) << 32 | u64::from(raw)
}
