//! Encodes segments.

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{BLOCK_HEADER, MAGIC, PartitionRange, SegmentIndex, block_seed};
use crate::kernel::{error::Error, number::write_varint, output::ByteSink};

/// Bytes of records that a block holds, if they are not fewer in all, or one record larger.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes a segment: records in the order of their partitions and keys.
pub(crate) struct SegmentWriter<'a> {
    sink: &'a mut dyn ByteSink,
    written: u64,
    ranges: Vec<PartitionRange>,
    partitions: usize,
    raw: Vec<u8>,
    key: Vec<u8>,
    block: Vec<u8>,
    table: CompressTable,
}

impl<'a> SegmentWriter<'a> {
    pub(crate) fn new(sink: &'a mut dyn ByteSink, partitions: u32) -> Result<Self, Error> {
        sink.write(&MAGIC).map_err(Error::Sink)?;
        Ok(Self {
            sink,
            written: MAGIC.len() as u64,
            ranges: Vec::with_capacity(partitions as usize),
            partitions: partitions as usize,
            raw: Vec::with_capacity(BLOCK_BYTES + 1024),
            key: Vec::new(),
            block: Vec::new(),
            table: CompressTable::large(),
        })
    }

    /// Makes `partition` the current one; it is not below the one before.
    pub(crate) fn partition(&mut self, partition: u32) -> Result<(), Error> {
        while self.ranges.len() <= partition as usize {
            self.flush()?;
            self.ranges.push(PartitionRange { offset: self.written, length: 0, records: 0 });
        }
        Ok(())
    }

    /// Appends a record to the current partition.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let shared = if self.raw.is_empty() { 0 } else { shared_prefix(&self.key, key) };
        let suffix = &key[shared..];
        write_varint(shared as u64, &mut self.raw);
        write_varint(suffix.len() as u64, &mut self.raw);
        write_varint(value.len() as u64, &mut self.raw);
        self.raw.extend_from_slice(suffix);
        self.raw.extend_from_slice(value);
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        if let Some(range) = self.ranges.last_mut() {
            range.records += 1;
        }
        if self.raw.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the index.
    pub(crate) fn finish(mut self) -> Result<SegmentIndex, Error> {
        if let Some(last) = self.partitions.checked_sub(1) {
            self.partition(last as u32)?;
        }
        self.flush()?;
        let index = SegmentIndex { partitions: self.ranges };
        self.block.clear();
        index.encode(&mut self.block);
        self.sink.write(&self.block).map_err(Error::Sink)?;
        Ok(index)
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.block.resize(BLOCK_HEADER + get_maximum_output_size(self.raw.len()), 0);
        let payload = &mut self.block[BLOCK_HEADER..];
        let stored = match compress_into_with_table(&self.raw, payload, &mut self.table) {
            Ok(length) if length < self.raw.len() => length,
            _ => {
                payload[..self.raw.len()].copy_from_slice(&self.raw);
                self.raw.len()
            }
        };
        self.block.truncate(BLOCK_HEADER + stored);
        // A record is at most 512 MiB and a bit, so lengths fit.
        let (stored, raw) = (stored as u32, self.raw.len() as u32);
        let checksum = xxh3_64_with_seed(&self.block[BLOCK_HEADER..], block_seed(stored, raw));
        self.block[..4].copy_from_slice(&stored.to_le_bytes());
        self.block[4..8].copy_from_slice(&raw.to_le_bytes());
        self.block[8..16].copy_from_slice(&checksum.to_le_bytes());
        self.sink.write(&self.block).map_err(Error::Sink)?;
        self.written += self.block.len() as u64;
        if let Some(range) = self.ranges.last_mut() {
            range.length += self.block.len() as u64;
        }
        self.raw.clear();
        Ok(())
    }
}

/// How many first bytes are the same.
#[inline]
fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    for (at, (x, y)) in words.enumerate() {
        let difference = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if difference != 0 {
            return 8 * at + difference.trailing_zeros() as usize / 8;
        }
    }
    let whole = a.len().min(b.len()) & !7;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(x, y)| x == y).count()
}
