//! The sort buffer: every pair, in an arena.

use super::collect::{Collect, Encode, bad_value};
use super::error::Error;
use super::operators::EmitError;
use super::order::{self, Keys, Order};
use super::partition::partition;
use super::segment::SegmentWriter;
use super::simd::prefetch;

/// Holds every pair.
pub(crate) struct SortBuffer {
    partitions: u32,
    encode: Option<Encode>,
    /// Indices are offsets in the arena.
    orders: Vec<Order>,
    /// Pairs: length of the key and of the value (32 bits each), key, value.
    arena: Vec<u8>,
}

const LENGTHS: usize = 8;
/// How many pairs ahead of its use memory is fetched.
const AHEAD: usize = 16;

impl SortBuffer {
    /// `encode` makes accumulators of the values.
    pub(crate) fn new(partitions: u32, encode: Option<Encode>) -> Self {
        Self { partitions, encode, orders: Vec::new(), arena: Vec::new() }
    }

    #[inline]
    fn pair(&self, offset: usize) -> (&[u8], &[u8]) {
        let (lengths, rest) = self.arena[offset..].split_at(LENGTHS);
        let length = |at: usize| lengths[at..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let (key, rest) = rest.split_at(length(0));
        (key, &rest[..length(4)])
    }
}

impl Collect for SortBuffer {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError> {
        let offset = self.arena.len();
        self.arena.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.arena.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.arena.extend_from_slice(key);
        match self.encode {
            None => self.arena.extend_from_slice(value),
            Some(encode) => {
                if let Err(expected) = encode(value, &mut self.arena) {
                    self.arena.truncate(offset);
                    return Err(bad_value(&expected, key, value));
                }
                let length = (self.arena.len() - offset - LENGTHS - key.len()) as u32;
                self.arena[offset + 4..offset + LENGTHS].copy_from_slice(&length.to_le_bytes());
            }
        }
        // The memory limit keeps offsets below 4 Gi.
        self.orders.push(Order::new(partition(key, self.partitions), key, offset));
        Ok(())
    }

    fn memory(&self) -> usize {
        self.arena.len() + self.orders.len() * size_of::<Order>()
    }

    fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        let mut orders = std::mem::take(&mut self.orders);
        order::sort(&mut orders, self);
        let mut ahead = orders.iter().skip(AHEAD);
        for order in &orders {
            if let Some(byte) = ahead.next().and_then(|order| self.arena.get(order.index())) {
                prefetch(byte);
            }
            let (key, value) = self.pair(order.index());
            out.partition(order.partition())?;
            out.push(key, value)?;
        }
        orders.clear();
        self.orders = orders;
        self.arena.clear();
        Ok(())
    }
}

impl Keys for SortBuffer {
    #[inline]
    fn with_key<R>(&self, index: usize, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self.pair(index).0)
    }
}
