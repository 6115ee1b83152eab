//! The combine table: one accumulator a key, keys in an arena, hashes stored.

use xxhash_rust::xxh3::xxh3_64;

use super::collect::{Collect, bad_value};
use super::combine::{Combine, overflow};
use super::error::Error;
use super::operators::EmitError;
use super::order::{self, index_of, pack, partition_of, prefix};
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
        let hash = xxh3_64(key);
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

    /// Appends what the entries are sorted by, their indices from the end of `order` on.
    pub(crate) fn append_order(&self, partitions: u32, order: &mut Vec<u128>) {
        let partitions = u64::from(partitions.max(1));
        for (index, entry) in self.entries.iter().enumerate() {
            let partition = (entry.hash % partitions) as u32;
            order.push(pack(partition, prefix(self.key(index)), order.len() as u32));
        }
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
            + self.entries.len() * size_of::<u128>()
            + self.arena.capacity()
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        let held = self.take();
        let mut order = Vec::with_capacity(held.len());
        held.append_order(self.partitions, &mut order);
        order::sort(&mut order, |a, b| held.key(a).cmp(held.key(b)));
        let mut value = Vec::new();
        for packed in order {
            let index = index_of(packed);
            value.clear();
            self.operator.encode(held.acc(index), &mut value);
            out.partition(partition_of(packed))?;
            out.push(held.key(index), &value)?;
        }
        Ok(())
    }
}
