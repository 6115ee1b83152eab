//! Counts of words that are integers: up to 12 or 28 bytes, in a table that touches no other memory.

use super::order::Order;
use super::partition::partition;
use super::simd::prefetch;

/// A word of up to `8 * W - 4` bytes without NUL, zeros after it: little-endian, the first byte lowest.
pub(crate) type Key<const W: usize> = [u64; W];

/// Bytes of a word that a key holds.
const fn capacity(words: usize) -> usize {
    8 * words - 4
}

const LOW: u64 = u32::MAX as u64;
const ONE: u64 = 1 << 32;

/// The word at `start..end` of a text; `None` if it does not fit.
#[inline]
pub(crate) fn key<const W: usize>(text: &[u8], start: usize, end: usize) -> Option<Key<W>> {
    let length = end - start;
    if length > capacity(W) {
        return None;
    }
    let mut key = [0; W];
    // Loads whole words and masks what is beyond the end, if the text has so much.
    match text.get(start..start + 8 * W) {
        Some(bytes) => {
            for (at, (word, bytes)) in key.iter_mut().zip(bytes.as_chunks().0).enumerate() {
                *word = u64::from_le_bytes(*bytes) & first_bytes(length.saturating_sub(8 * at));
            }
        }
        None => {
            for (word, bytes) in key.iter_mut().zip(text[start..end].chunks(8)) {
                *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            }
        }
    }
    Some(key)
}

/// A mask of the lowest bytes, of all from 8 on.
#[inline]
fn first_bytes(count: usize) -> u64 {
    const MASKS: [u64; 9] =
        [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff, 0xff_ffff_ffff_ffff, !0];
    MASKS[count.min(8)]
}

/// Wang Yi's folded multiplications (wyhash).
#[inline]
fn hash<const W: usize>(key: &Key<W>) -> usize {
    const SECRET: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let mut hash = 0;
    for pair in key.as_chunks::<2>().0 {
        let product = u128::from(pair[0] ^ SECRET[0] ^ hash) * u128::from(pair[1] ^ SECRET[1]);
        hash = product as u64 ^ (product >> 64) as u64;
    }
    hash as usize
}

/// Open addressing with linear probing. A slot is the key, with the count in its last 32 bits; it is free while its
/// first word is 0, which no word's is.
pub(crate) struct PackedCounts<const W: usize> {
    slots: Vec<Key<W>>,
    used: usize,
}

const MIN_SLOTS: usize = 1 << 10;

impl<const W: usize> PackedCounts<W> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes held, those that the next growth takes included.
    pub(crate) fn memory(&self) -> usize {
        let growing = if self.used * 8 > self.slots.len() * 3 { 3 } else { 1 };
        self.slots.len() * size_of::<Key<W>>() * growing
    }

    /// Makes room for so many more words.
    #[inline]
    pub(crate) fn reserve(&mut self, words: usize) {
        while (self.used + words) * 4 > self.slots.len() * 3 {
            self.grow();
        }
    }

    /// Where the search for a word begins; it is brought near. Valid until room is made.
    #[inline]
    pub(crate) fn locate(&self, key: &Key<W>) -> usize {
        let home = hash(key) & self.slots.len().wrapping_sub(1);
        if let Some(slot) = self.slots.get(home) {
            prefetch(slot);
        }
        home
    }

    /// Counts a word for which there is room; `false` if its counter was full: it is at 0 now.
    #[inline]
    pub(crate) fn add(&mut self, key: Key<W>, home: usize) -> bool {
        let Self { slots, used } = self;
        let mask = slots.len() - 1;
        let mut at = home;
        loop {
            let slot = &mut slots[at];
            if same(slot, &key) {
                let (sum, full) = slot[W - 1].overflowing_add(ONE);
                slot[W - 1] = sum;
                return !full;
            }
            if slot[0] == 0 {
                *slot = key;
                slot[W - 1] |= ONE;
                *used += 1;
                return true;
            }
            at = (at + 1) & mask;
        }
    }

    #[cold]
    fn grow(&mut self) {
        let mut slots = vec![[0; W]; (self.slots.len() * 2).max(MIN_SLOTS)];
        let mask = slots.len() - 1;
        for slot in self.slots.iter().filter(|slot| slot[0] != 0) {
            let mut key = *slot;
            key[W - 1] &= LOW;
            let mut at = hash(&key) & mask;
            while slots[at][0] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = *slot;
        }
        self.slots = slots;
    }

    /// The slots in use; the table is empty then.
    pub(crate) fn take(&mut self) -> Vec<Slot<W>> {
        self.used = 0;
        let mut slots = std::mem::take(&mut self.slots);
        slots.retain(|slot| slot[0] != 0);
        slots.into_iter().map(Slot).collect()
    }
}

#[inline]
fn same<const W: usize>(slot: &Key<W>, key: &Key<W>) -> bool {
    let mut difference = 0;
    for at in 0..W - 1 {
        difference |= slot[at] ^ key[at];
    }
    difference == 0 && slot[W - 1] as u32 == key[W - 1] as u32
}

/// A word and how often it was counted.
pub(crate) struct Slot<const W: usize>(pub(crate) Key<W>);

impl<const W: usize> Slot<W> {
    pub(crate) fn count(&self) -> u64 {
        self.0[W - 1] >> 32
    }

    /// What the word is sorted by.
    pub(crate) fn order(&self, partitions: u32, index: usize) -> Order {
        let mut buffer = [0; 32];
        let word = self.bytes(&mut buffer);
        Order::with_prefix(partition(word, partitions), self.0[0].swap_bytes(), word.len(), index)
    }

    /// The word, in a buffer.
    #[inline]
    pub(crate) fn bytes<'a>(&self, buffer: &'a mut [u8; 32]) -> &'a [u8] {
        let mut length = 0;
        for (at, (bytes, word)) in buffer.as_chunks_mut().0.iter_mut().zip(self.0).enumerate() {
            let word = if at == W - 1 { word & LOW } else { word };
            *bytes = word.to_le_bytes();
            if word != 0 {
                length = 8 * at + 8 - word.leading_zeros() as usize / 8;
            }
        }
        &buffer[..length]
    }
}

#[cfg(test)]
impl<const W: usize> PackedCounts<W> {
    /// Makes every counter full.
    pub(crate) fn fill_counters(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot[0] != 0) {
            slot[W - 1] |= !LOW;
        }
    }
}
