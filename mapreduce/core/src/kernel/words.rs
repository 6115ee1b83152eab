//! How often each word occurs. Words without NUL of up to 12 and up to 28 bytes are counted as integers, others in a
//! [`CombineTable`].

use super::collect::Collect;
use super::combine::{Combine, overflow};
use super::error::Error;
use super::operators::EmitError;
use super::order::{self, index_of, may_equal, pack, partition_of};
use super::packed::{PackedCounts, Slot, key};
use super::partition::partition;
use super::segment::SegmentWriter;
use super::table::{CombineTable, Entries};
use super::tokens::{BATCH_WORDS, for_each_batch};

/// Counts words for an operator over the value 1.
pub(crate) struct WordCounter<C: Combine> {
    operator: C,
    partitions: u32,
    short: PackedCounts<2>,
    medium: PackedCounts<4>,
    long: CombineTable<C>,
}

impl<C: Combine> WordCounter<C> {
    pub(crate) fn new(operator: C, partitions: u32) -> Self {
        let long = CombineTable::new(operator, partitions);
        Self { operator, partitions, short: PackedCounts::new(), medium: PackedCounts::new(), long }
    }

    fn count(&mut self, text: &[u8], edges: &[u32]) -> Result<(), Error> {
        self.short.reserve(BATCH_WORDS);
        self.medium.reserve(BATCH_WORDS);
        for &[start, end] in edges.as_chunks::<2>().0 {
            let (start, end) = (start as usize, end as usize);
            let counted = if let Some(key) = key(text, start, end) {
                self.short.add(key)
            } else if let Some(key) = key(text, start, end) {
                self.medium.add(key)
            } else {
                self.add_long(&text[start..end], 1)?;
                continue;
            };
            if !counted {
                self.add_long(&text[start..end], u64::from(u32::MAX) + 1)?;
            }
        }
        Ok(())
    }

    fn count_long(&mut self, text: &[u8], edges: &[u32]) -> Result<(), Error> {
        let words = edges.as_chunks::<2>().0.iter();
        words.copied().try_for_each(|[start, end]| self.add_long(&text[start as usize..end as usize], 1))
    }

    #[cold]
    fn add_long(&mut self, word: &[u8], count: u64) -> Result<(), Error> {
        let acc = self.operator.ones(count).map_err(|_| overflow(self.operator, word))?;
        self.long.merge(word, acc)
    }
}

impl<C: Combine> Collect for WordCounter<C> {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError> {
        self.long.add(key, value)
    }

    fn add_words(&mut self, text: &[u8]) -> Result<(), EmitError> {
        if memchr::memchr(0, text).is_some() {
            return Ok(for_each_batch(text, |edges| self.count_long(text, edges))?);
        }
        Ok(for_each_batch(text, |edges| self.count(text, edges))?)
    }

    fn memory(&self) -> usize {
        self.short.memory() + self.medium.memory() + self.long.memory()
    }

    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.medium.is_empty() && self.long.is_empty()
    }

    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error> {
        let operator = self.operator;
        let held = Held { short: self.short.take(), medium: self.medium.take(), long: self.long.take() };
        let mut order = held.order(self.partitions);
        order::sort(&mut order, |a, b| held.key(a, &mut [0; 32]).cmp(held.key(b, &mut [0; 32])));
        let mut value = Vec::new();
        let mut next = order.iter().copied().peekable();
        while let Some(packed) = next.next() {
            let mut buffer = [0; 32];
            let key = held.key(index_of(packed), &mut buffer);
            let mut acc = held.acc(operator, index_of(packed))?;
            // A word is in two tables if its counter was full or it stood beside a NUL.
            let same = |other: u128| may_equal(packed, other) && held.key(index_of(other), &mut [0; 32]) == key;
            while let Some(other) = next.next_if(|&other| same(other)) {
                let other = held.acc(operator, index_of(other))?;
                operator.merge(&mut acc, other).map_err(|_| overflow(operator, key))?;
            }
            value.clear();
            operator.encode(acc, &mut value);
            out.partition(partition_of(packed))?;
            out.push(key, &value)?;
        }
        Ok(())
    }
}

/// What the tables held; an index goes through all three.
struct Held<C: Combine> {
    short: Vec<Slot<2>>,
    medium: Vec<Slot<4>>,
    long: Entries<C::Acc>,
}

impl<C: Combine> Held<C> {
    fn order(&self, partitions: u32) -> Vec<u128> {
        let mut buffer = [0; 32];
        let mut order = Vec::with_capacity(self.short.len() + self.medium.len() + self.long.len());
        for slot in &self.short {
            let partition = partition(slot.bytes(&mut buffer), partitions);
            order.push(pack(partition, slot.prefix(), order.len() as u32));
        }
        for slot in &self.medium {
            let partition = partition(slot.bytes(&mut buffer), partitions);
            order.push(pack(partition, slot.prefix(), order.len() as u32));
        }
        self.long.append_order(partitions, &mut order);
        order
    }

    fn key<'a>(&'a self, index: usize, buffer: &'a mut [u8; 32]) -> &'a [u8] {
        let past_short = index.wrapping_sub(self.short.len());
        match (self.short.get(index), self.medium.get(past_short)) {
            (Some(slot), _) => slot.bytes(buffer),
            (_, Some(slot)) => slot.bytes(buffer),
            _ => self.long.key(past_short - self.medium.len()),
        }
    }

    fn acc(&self, operator: C, index: usize) -> Result<C::Acc, Error> {
        let past_short = index.wrapping_sub(self.short.len());
        let count = match (self.short.get(index), self.medium.get(past_short)) {
            (Some(slot), _) => slot.count(),
            (_, Some(slot)) => slot.count(),
            _ => return Ok(self.long.acc(past_short - self.medium.len())),
        };
        operator.ones(count).map_err(|_| overflow(operator, self.key(index, &mut [0; 32])))
    }
}
