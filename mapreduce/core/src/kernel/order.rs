//! The order of a segment: by partition, then by key.

use std::cmp::Ordering;

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

/// What a pair is sorted by, as one number: partition, prefix of its key, and where it is found.
#[inline]
pub(crate) fn pack(partition: u32, prefix: u64, index: u32) -> u128 {
    u128::from(partition) << 96 | u128::from(prefix) << 32 | u128::from(index)
}

#[inline]
pub(crate) fn partition_of(packed: u128) -> u32 {
    (packed >> 96) as u32
}

#[inline]
pub(crate) fn index_of(packed: u128) -> usize {
    packed as u32 as usize
}

/// Whether partition and prefix are the same, as those of equal keys are.
#[inline]
pub(crate) fn may_equal(a: u128, b: u128) -> bool {
    a >> 32 == b >> 32
}

/// Sorts by partition, key and index. `compare` compares the keys at two indices of the same partition and prefix.
pub(crate) fn sort(packed: &mut [u128], compare: impl Fn(usize, usize) -> Ordering) {
    packed.sort_unstable();
    for run in packed.chunk_by_mut(|&a, &b| may_equal(a, b)).filter(|run| run.len() > 1) {
        run.sort_unstable_by(|a, b| compare(index_of(*a), index_of(*b)).then(a.cmp(b)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_by_partition_key_and_index(
            keys in prop::collection::vec((0..3u32, prop::collection::vec(0..3u8, 0..12)), 0..200)
        ) {
            let mut packed: Vec<u128> =
                keys.iter().enumerate().map(|(i, (p, key))| pack(*p, prefix(key), i as u32)).collect();
            sort(&mut packed, |a, b| keys[a].1.cmp(&keys[b].1));
            let mut expected: Vec<usize> = (0..keys.len()).collect();
            expected.sort_by_key(|&i| &keys[i]);
            prop_assert_eq!(packed.iter().map(|&p| index_of(p)).collect::<Vec<_>>(), expected);
            prop_assert!(packed.iter().all(|&p| partition_of(p) == keys[index_of(p)].0));
        }
    }
}
