//! The sort buffer: every pair, in an arena, ordered by an index.

use super::MAX_RECORD_BYTES;
use super::collect::{Collect, Encode, bad_value};
use super::error::{Error, lossy};
use super::operators::EmitError;
use super::partition::partition;
use super::segment::SegmentWriter;

/// Where a pair is in an arena, and what it is ordered by: partition, key, offset. The value follows the key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordered {
    pub(crate) prefix: u64,
    pub(crate) partition: u32,
    pub(crate) offset: u32,
    pub(crate) key_length: u32,
    pub(crate) value_length: u32,
}

impl Ordered {
    #[inline]
    pub(crate) fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.offset as usize..][..self.key_length as usize]
    }

    #[inline]
    fn value<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.offset as usize + self.key_length as usize..][..self.value_length as usize]
    }
}

/// The first 8 bytes of a key as a number of the same order, zeros for what it lacks.
#[inline]
pub(crate) fn key_prefix(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(head)
        }
    }
}

/// Sorts by partition, key and offset.
pub(crate) fn sort_ordered(order: &mut [Ordered], arena: &[u8]) {
    order.sort_unstable_by(|a, b| {
        (a.partition, a.prefix)
            .cmp(&(b.partition, b.prefix))
            .then_with(|| a.key(arena).cmp(b.key(arena)))
            .then(a.offset.cmp(&b.offset))
    });
}

/// Holds every pair.
pub(crate) struct SortBuffer {
    partitions: u32,
    encode: Option<Encode>,
    order: Vec<Ordered>,
    arena: Vec<u8>,
}

impl SortBuffer {
    /// `encode` makes accumulators of the values.
    pub(crate) fn new(partitions: u32, encode: Option<Encode>) -> Self {
        Self { partitions, encode, order: Vec::new(), arena: Vec::new() }
    }
}

impl Collect for SortBuffer {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError> {
        if key.len().max(value.len()) > MAX_RECORD_BYTES {
            return Err(EmitError::Record(format!("key {:?} or its value is over the limit", lossy(key))));
        }
        let offset = self.arena.len();
        self.arena.extend_from_slice(key);
        match self.encode {
            None => self.arena.extend_from_slice(value),
            Some(encode) => {
                if let Err(expected) = encode(value, &mut self.arena) {
                    self.arena.truncate(offset);
                    return Err(bad_value(&expected, key, value));
                }
            }
        }
        // The memory limit keeps the arena below 4 GiB.
        self.order.push(Ordered {
            prefix: key_prefix(key),
            partition: partition(key, self.partitions),
            offset: offset as u32,
            key_length: key.len() as u32,
            value_length: (self.arena.len() - offset - key.len()) as u32,
        });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.arena.len() + self.order.len() * size_of::<Ordered>()
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        sort_ordered(&mut self.order, &self.arena);
        for ordered in &self.order {
            out.partition(ordered.partition)?;
            out.push(ordered.key(&self.arena), ordered.value(&self.arena))?;
        }
        self.order.clear();
        self.arena.clear();
        Ok(())
    }
}
