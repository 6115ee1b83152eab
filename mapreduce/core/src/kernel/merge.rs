//! The k-way merge of sorted partitions.

use super::combine::{Combine, overflow};
use super::error::Error;
use super::order::prefix;
use super::segment::{BlockSource, PartitionReader, ReadError, SegmentError};

/// A tournament tree of losers (Knuth, TAOCP 5.4.1) over readers; equal keys come in the order of the readers.
pub(crate) struct Merge<S> {
    readers: Vec<PartitionReader<S>>,
    /// Key prefix of each reader's record; `None` when it has no more.
    heads: Vec<Option<u64>>,
    /// `tree[0]` is the winner, `tree[1..]` the losers of the inner nodes.
    tree: Vec<usize>,
    /// Makes an error of the reader's index and its error.
    wrap: fn(usize, ReadError) -> Error,
}

impl<S: BlockSource> Merge<S> {
    pub(crate) fn new(readers: Vec<PartitionReader<S>>, wrap: fn(usize, ReadError) -> Error) -> Result<Self, Error> {
        let count = readers.len();
        let mut merge = Self { readers, heads: vec![None; count], tree: vec![0; count.max(1)], wrap };
        for reader in 0..count {
            merge.load(reader)?;
        }
        // Winners of the nodes, from the leaves `count..2 * count` up.
        let mut winners: Vec<usize> = vec![0; count].into_iter().chain(0..count).collect();
        for node in (1..count).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if merge.less(b, a) { (b, a) } else { (a, b) };
            winners[node] = winner;
            merge.tree[node] = loser;
        }
        if count > 1 {
            merge.tree[0] = winners[1];
        }
        Ok(merge)
    }

    /// The least record; `None` at the end.
    #[inline]
    pub(crate) fn current(&self) -> Option<(&[u8], &[u8])> {
        let winner = self.tree[0];
        let reader = self.readers.get(winner)?;
        self.heads[winner]?;
        Some((reader.key(), reader.value()))
    }

    /// Goes past the least record.
    pub(crate) fn advance(&mut self) -> Result<(), Error> {
        let count = self.readers.len();
        let mut winner = self.tree[0];
        self.load(winner)?;
        let mut node = (count + winner) / 2;
        while node > 0 {
            if self.less(self.tree[node], winner) {
                std::mem::swap(&mut self.tree[node], &mut winner);
            }
            node /= 2;
        }
        self.tree[0] = winner;
        Ok(())
    }

    /// The error of a record of the current reader that is not what it should be.
    pub(crate) fn damaged(&self, what: &'static str) -> Error {
        (self.wrap)(self.tree[0], ReadError::Segment(SegmentError::Damaged(what)))
    }

    fn load(&mut self, reader: usize) -> Result<(), Error> {
        let more = self.readers[reader].advance().map_err(|error| (self.wrap)(reader, error))?;
        self.heads[reader] = more.then(|| prefix(self.readers[reader].key()));
        Ok(())
    }

    fn less(&self, a: usize, b: usize) -> bool {
        match (self.heads[a], self.heads[b]) {
            (Some(x), Some(y)) if x != y => x < y,
            (Some(_), Some(_)) => (self.readers[a].key(), a) < (self.readers[b].key(), b),
            (head, _) => head.is_some(),
        }
    }
}

/// Merges the accumulators of each key and gives them on, in order. Returns the number of records read.
pub(crate) fn combine_groups<S: BlockSource, C: Combine>(
    merge: &mut Merge<S>,
    operator: C,
    mut each: impl FnMut(&[u8], C::Acc) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut records = 0;
    let mut key = Vec::new();
    while let Some((first, value)) = merge.current() {
        key.clear();
        key.extend_from_slice(first);
        let mut acc = operator.decode(value).ok_or_else(|| merge.damaged("accumulator"))?;
        loop {
            records += 1;
            merge.advance()?;
            let Some((next, value)) = merge.current() else { break };
            if next != key {
                break;
            }
            let other = operator.decode(value).ok_or_else(|| merge.damaged("accumulator"))?;
            operator.merge(&mut acc, other).map_err(|_| overflow(operator, &key))?;
        }
        each(&key, acc)?;
    }
    Ok(records)
}

/// Gives every record on, in order. Returns their number.
pub(crate) fn each_record<S: BlockSource>(
    merge: &mut Merge<S>,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut records = 0;
    while let Some((key, value)) = merge.current() {
        each(key, value)?;
        records += 1;
        merge.advance()?;
    }
    Ok(records)
}
