//! The combine table: one accumulator a key, keys in an arena, hashes stored.

use super::collect::{Collect, bad_value};
use super::combine::{Combine, overflow};
use super::error::Error;
use super::operators::EmitError;
use super::order::{self, Keys, Order};
use super::partition::{hash, of_hash};
use super::segment::SegmentWriter;

struct Entry<A> {
    hash: u64,
    offset: u32,
    length: u32,
    acc: A,
}

/// Open addressing with linear probing over indices of entries.
pub(crate) struct CombineTable<C: Combine> {
    operator: C,
    partitions: u32,
    /// High half of the hash and index of the entry plus one; 0 is free.
    slots: Vec<u64>,
    entries: Vec<Entry<C::Acc>>,
    arena: Vec<u8>,
}

const MIN_SLOTS: usize = 1 << 10;

impl<C: Combine> CombineTable<C> {
    pub(crate) fn new(operator: C, partitions: u32) -> Self {
        Self { operator, partitions, slots: vec![0; MIN_SLOTS], entries: Vec::new(), arena: Vec::new() }
    }

    /// Merges an accumulator into the key's.
    pub(crate) fn merge(&mut self, key: &[u8], acc: C::Acc) -> Result<(), Error> {
        let hash = hash(key);
        let mask = self.slots.len() - 1;
        let tag = hash & TAG;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot & TAG == tag {
                let entry = &mut self.entries[(slot & !TAG) as usize - 1];
                let start = entry.offset as usize;
                if self.arena[start..start + entry.length as usize] == *key {
                    return self.operator.merge(&mut entry.acc, acc).map_err(|_| overflow(self.operator, key));
                }
            }
            at = (at + 1) & mask;
        }
        // The memory limit keeps the arena and the entries below 4 Gi.
        let entry = Entry { hash, offset: self.arena.len() as u32, length: key.len() as u32, acc };
        self.arena.extend_from_slice(key);
        self.entries.push(entry);
        self.slots[at] = tag | self.entries.len() as u64;
        if self.entries.len() * 4 > self.slots.len() * 3 {
            self.grow();
        }
        Ok(())
    }

    fn grow(&mut self) {
        let mut slots = vec![0u64; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (index, entry) in self.entries.iter().enumerate() {
            let mut at = entry.hash as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = entry.hash & TAG | (index as u64 + 1);
        }
        self.slots = slots;
    }

    /// The entries; the table is empty then.
    pub(crate) fn take(&mut self) -> Entries<C::Acc> {
        let empty = Self::new(self.operator, self.partitions);
        let Self { entries, arena, .. } = std::mem::replace(self, empty);
        Entries { entries, arena }
    }
}

/// What a table held.
pub(crate) struct Entries<A> {
    entries: Vec<Entry<A>>,
    arena: Vec<u8>,
}

impl<A: Copy> Entries<A> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        let entry = &self.entries[index];
        &self.arena[entry.offset as usize..][..entry.length as usize]
    }

    pub(crate) fn acc(&self, index: usize) -> A {
        self.entries[index].acc
    }

    /// Appends what the entries are sorted by, their indices from the end of `orders` on.
    pub(crate) fn append_order(&self, partitions: u32, orders: &mut Vec<Order>) {
        for (index, entry) in self.entries.iter().enumerate() {
            let partition = of_hash(entry.hash, partitions);
            orders.push(Order::new(partition, self.key(index), orders.len()));
        }
    }
}

impl<A: Copy> Keys for Entries<A> {
    fn with_key<R>(&self, index: usize, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self.key(index))
    }
}

const TAG: u64 = !(u32::MAX as u64);

impl<C: Combine> Collect for CombineTable<C> {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError> {
        let acc = self.operator.create(value).map_err(|expected| bad_value(&expected, key, value))?;
        Ok(self.merge(key, acc)?)
    }

    fn memory(&self) -> usize {
        let growing = if self.entries.len() * 8 > self.slots.len() * 3 { 3 } else { 1 };
        self.slots.len() * 8 * growing
            + self.entries.capacity() * size_of::<Entry<C::Acc>>()
            + self.entries.len() * size_of::<Order>()
            + self.arena.capacity()
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        let held = self.take();
        let mut orders = Vec::with_capacity(held.len());
        held.append_order(self.partitions, &mut orders);
        order::sort(&mut orders, &held);
        let mut value = Vec::new();
        for order in orders {
            value.clear();
            self.operator.encode(held.acc(order.index()), &mut value);
            out.partition(order.partition())?;
            out.push(held.key(order.index()), &value)?;
        }
        Ok(())
    }
}
