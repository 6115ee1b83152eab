//! The sort buffer: every pair, in an arena, ordered by an index.

use super::MAX_RECORD_BYTES;
use super::collect::{Collect, Encode, bad_value};
use super::error::{Error, lossy};
use super::operators::EmitError;
use super::order::{self, index_of, pack, partition_of, prefix};
use super::partition::partition;
use super::segment::SegmentWriter;

/// Where a pair is in the arena; its end is where the next begins.
struct Pair {
    offset: u32,
    key_length: u32,
}

/// Holds every pair.
pub(crate) struct SortBuffer {
    partitions: u32,
    encode: Option<Encode>,
    pairs: Vec<Pair>,
    order: Vec<u128>,
    arena: Vec<u8>,
}

impl SortBuffer {
    /// `encode` makes accumulators of the values.
    pub(crate) fn new(partitions: u32, encode: Option<Encode>) -> Self {
        Self { partitions, encode, pairs: Vec::new(), order: Vec::new(), arena: Vec::new() }
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
        let index = self.pairs.len() as u32;
        self.order.push(pack(partition(key, self.partitions), prefix(key), index));
        // The memory limit keeps the arena below 4 GiB, and the pairs with it.
        self.pairs.push(Pair { offset: offset as u32, key_length: key.len() as u32 });
        Ok(())
    }

    fn memory(&self) -> usize {
        self.arena.len() + self.pairs.len() * (size_of::<Pair>() + size_of::<u128>())
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        let Self { pairs, order, arena, .. } = self;
        let pair = |index: usize| {
            let end = pairs.get(index + 1).map_or(arena.len(), |next| next.offset as usize);
            arena[pairs[index].offset as usize..end].split_at(pairs[index].key_length as usize)
        };
        order::sort(order, |a, b| pair(a).0.cmp(pair(b).0));
        for &packed in order.iter() {
            let (key, value) = pair(index_of(packed));
            out.partition(partition_of(packed))?;
            out.push(key, value)?;
        }
        pairs.clear();
        order.clear();
        arena.clear();
        Ok(())
    }
}
