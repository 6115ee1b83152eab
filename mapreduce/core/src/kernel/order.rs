//! The order of a segment: by partition, then by key.

/// What is sorted by a key.
pub(crate) trait Keys {
    /// Gives the key at an index.
    fn with_key<R>(&self, index: usize, take: impl FnOnce(&[u8]) -> R) -> R;
}

/// What a pair is sorted by, as one number, from the highest bits on: the partition (24 bits), the first 8 bytes of the
/// key, the number of these (4 bits; more than 8 count as 9), and where the pair is found (32 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(u128);

/// Above any partition; the resource allows 10,000.
pub(crate) const MAX_PARTITIONS: u32 = 1 << 24;

const INDEX_BITS: u32 = 32;
const LENGTH_BITS: u32 = 4;
const PARTITION_SHIFT: u32 = INDEX_BITS + LENGTH_BITS + 64;
const LONG: u128 = 9;

impl Order {
    #[inline]
    pub(crate) fn new(partition: u32, key: &[u8], index: usize) -> Self {
        Self::with_prefix(partition, prefix(key), key.len(), index)
    }

    /// Of a key of which the prefix is known.
    #[inline]
    pub(crate) fn with_prefix(partition: u32, prefix: u64, length: usize, index: usize) -> Self {
        Self(
            u128::from(partition) << PARTITION_SHIFT
                | u128::from(prefix) << (INDEX_BITS + LENGTH_BITS)
                | (length as u128).min(LONG) << INDEX_BITS
                | index as u128,
        )
    }

    #[inline]
    pub(crate) fn partition(self) -> u32 {
        (self.0 >> PARTITION_SHIFT) as u32
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0 as u32 as usize
    }

    /// Whether all but the index is the same, as it is for equal keys.
    #[inline]
    pub(crate) fn may_equal(self, other: Self) -> bool {
        self.0 >> INDEX_BITS == other.0 >> INDEX_BITS
    }

    #[inline]
    fn is_long(self) -> bool {
        self.0 >> INDEX_BITS & 0xf == LONG
    }
}

/// The first 8 bytes of a key as a number of the same order, zeros for what it lacks.
#[inline]
pub(crate) fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(head)
        }
    }
}

/// Bytes of a key beyond which it is compared as a whole.
const MAX_DEPTH: usize = 64;
/// Pairs that are compared rather than sorted by their next bytes.
const SMALL: usize = 8;

/// Sorts by partition, key and index. Equal keys still are [`Order::may_equal`] then, but prefixes may be of later
/// bytes of the key.
pub(crate) fn sort(orders: &mut [Order], keys: &impl Keys) {
    sort_from(orders, 0, keys);
}

/// The first `depth` bytes of the keys of each partition are the same.
fn sort_from(orders: &mut [Order], depth: usize, keys: &impl Keys) {
    orders.sort_unstable();
    let ties = orders.chunk_by_mut(|&a, &b| a.may_equal(b)).filter(|run| run.len() > 1 && run[0].is_long());
    let depth = depth + 8;
    for run in ties {
        if run.len() <= SMALL || depth >= MAX_DEPTH {
            run.sort_unstable_by(|a, b| {
                let order = keys.with_key(a.index(), |x| keys.with_key(b.index(), |y| x[depth..].cmp(&y[depth..])));
                order.then_with(|| a.index().cmp(&b.index()))
            });
        } else {
            for order in run.iter_mut() {
                let (partition, index) = (order.partition(), order.index());
                *order = keys.with_key(index, |key| Order::new(partition, &key[depth..], index));
            }
            sort_from(run, depth, keys);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Pairs(Vec<(u32, Vec<u8>)>);

    impl Keys for Pairs {
        fn with_key<R>(&self, index: usize, take: impl FnOnce(&[u8]) -> R) -> R {
            take(&self.0[index].1)
        }
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let tail = prop::collection::vec(0..3u8, 0..12);
        // Common beginnings of many lengths, up to past the depth where keys are compared as a whole.
        (prop::sample::select(vec![0usize, 7, 8, 9, 16, 60, 64, 70, 130]), tail)
            .prop_map(|(common, tail)| [vec![b'x'; common], tail].concat())
    }

    proptest! {
        #[test]
        fn sorts_by_partition_key_and_index(pairs in prop::collection::vec((0..3u32, key()), 0..300)) {
            let pairs = Pairs(pairs);
            let mut orders: Vec<Order> =
                pairs.0.iter().enumerate().map(|(i, (p, key))| Order::new(*p, key, i)).collect();
            sort(&mut orders, &pairs);
            let mut expected: Vec<usize> = (0..pairs.0.len()).collect();
            expected.sort_by_key(|&i| &pairs.0[i]);
            prop_assert_eq!(orders.iter().map(|o| o.index()).collect::<Vec<_>>(), expected);
            prop_assert!(orders.iter().all(|o| o.partition() == pairs.0[o.index()].0));
            for pair in orders.windows(2) {
                let equal = pairs.0[pair[0].index()] == pairs.0[pair[1].index()];
                prop_assert!(!equal || pair[0].may_equal(pair[1]));
            }
        }
    }
}
