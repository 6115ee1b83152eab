//! How often each word occurs. Words without NUL of up to 12 and up to 28 bytes are counted as integers, others in a
//! [`CombineTable`].

use super::collect::Collect;
use super::combine::{Combine, overflow};
use super::error::Error;
use super::operators::EmitError;
use super::order::{self, Keys, Order};
use super::packed::{PackedCounts, Slot, key};
use super::segment::SegmentWriter;
use super::simd::prefetch;
use super::table::{CombineTable, Entries};
use super::tokens::{BATCH_WORDS, for_each_batch};

/// Words that are cut out before they are counted.
const AT_ONCE: usize = 32;
/// What a full counter and one more make.
const COUNTER_FULL: u64 = 1 << 32;

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
        // Two passes, so that the slots are on their way while the next words are cut out.
        let mut short = [([0; 2], 0); AT_ONCE];
        let mut medium = [([0; 4], 0); AT_ONCE];
        for edges in edges.chunks(2 * AT_ONCE) {
            let (mut shorts, mut mediums) = (0, 0);
            for &[start, end] in edges.as_chunks::<2>().0 {
                let (start, end) = (start as usize, end as usize);
                if let Some(key) = key(text, start, end) {
                    short[shorts] = (key, self.short.locate(&key));
                    shorts += 1;
                } else if let Some(key) = key(text, start, end) {
                    medium[mediums] = (key, self.medium.locate(&key));
                    mediums += 1;
                } else {
                    self.add_long(&text[start..end], 1)?;
                }
            }
            for &(key, home) in &short[..shorts] {
                if !self.short.add(key, home) {
                    self.add_long(Slot(key).bytes(&mut [0; 32]), COUNTER_FULL)?;
                }
            }
            for &(key, home) in &medium[..mediums] {
                if !self.medium.add(key, home) {
                    self.add_long(Slot(key).bytes(&mut [0; 32]), COUNTER_FULL)?;
                }
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
        let mut orders = held.orders(self.partitions);
        order::sort(&mut orders, &held);
        let mut value = Vec::new();
        let mut ahead = orders.iter().skip(AT_ONCE);
        let mut next = orders.iter().copied().peekable();
        while let Some(order) = next.next() {
            if let Some(slot) = ahead.next().and_then(|order| held.short.get(order.index())) {
                prefetch(slot);
            }
            held.with_key(order.index(), |key| {
                let mut acc = held.acc(operator, order.index())?;
                // A word is in two tables if its counter was full or it stood beside a NUL.
                let same = |other: Order| order.may_equal(other) && held.with_key(other.index(), |other| other == key);
                while let Some(other) = next.next_if(|&other| same(other)) {
                    let other = held.acc(operator, other.index())?;
                    operator.merge(&mut acc, other).map_err(|_| overflow(operator, key))?;
                }
                value.clear();
                operator.encode(acc, &mut value);
                out.partition(order.partition())?;
                out.push(key, &value)
            })?;
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
    fn orders(&self, partitions: u32) -> Vec<Order> {
        let mut orders = Vec::with_capacity(self.short.len() + self.medium.len() + self.long.len());
        for slot in &self.short {
            orders.push(slot.order(partitions, orders.len()));
        }
        for slot in &self.medium {
            orders.push(slot.order(partitions, orders.len()));
        }
        self.long.append_order(partitions, &mut orders);
        orders
    }

    fn acc(&self, operator: C, index: usize) -> Result<C::Acc, Error> {
        let past_short = index.wrapping_sub(self.short.len());
        let count = match (self.short.get(index), self.medium.get(past_short)) {
            (Some(slot), _) => slot.count(),
            (_, Some(slot)) => slot.count(),
            _ => return Ok(self.long.acc(past_short - self.medium.len())),
        };
        operator.ones(count).map_err(|_| self.with_key(index, |key| overflow(operator, key)))
    }
}

impl<C: Combine> Keys for Held<C> {
    #[inline]
    fn with_key<R>(&self, index: usize, take: impl FnOnce(&[u8]) -> R) -> R {
        let past_short = index.wrapping_sub(self.short.len());
        match (self.short.get(index), self.medium.get(past_short)) {
            (Some(slot), _) => take(slot.bytes(&mut [0; 32])),
            (_, Some(slot)) => take(slot.bytes(&mut [0; 32])),
            _ => take(self.long.key(past_short - self.medium.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::combine::Sum;
    use crate::kernel::partition::partition;

    #[test]
    fn full_counters_go_on() {
        let mut counter = WordCounter::new(Sum, 2);
        let text = b"ab abcdefghijklm ab \n";
        let nul = b"ab \0 abcdefghijklm";
        let add = |counter: &mut WordCounter<Sum>, text: &[u8]| assert!(counter.add_words(text).is_ok());
        add(&mut counter, text);
        counter.short.fill_counters();
        counter.medium.fill_counters();
        add(&mut counter, text);
        add(&mut counter, nul);
        let mut segment = Vec::new();
        let written = SegmentWriter::new(&mut segment, 2).and_then(|mut out| {
            counter.drain(&mut out)?;
            out.finish()
        });
        assert!(counter.is_empty());
        let full = i64::from(u32::MAX);
        let expected: [(&[u8], i64); 3] = [(b"\0", 1), (b"ab", full + 3), (b"abcdefghijklm", full + 2)];
        let index = written.map_err(|error| error.to_string());
        let mut found = Vec::new();
        for range in index.iter().flat_map(|index| &index.partitions) {
            let bytes = bytes::Bytes::copy_from_slice(&segment[range.offset as usize..][..range.length as usize]);
            let mut reader =
                crate::kernel::segment::PartitionReader::new(crate::kernel::segment::Chunks::from(bytes), *range);
            while matches!(reader.advance(), Ok(true)) {
                found.push((reader.key().to_vec(), Sum.decode(reader.value())));
            }
        }
        let mut expected: Vec<_> = expected.iter().map(|&(key, sum)| (key.to_vec(), Some(sum))).collect();
        expected.sort_by_key(|(key, _)| (partition(key, 2), key.clone()));
        assert_eq!(found, expected);
    }
}
