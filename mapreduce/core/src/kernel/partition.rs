//! Which reduce task a key belongs to.

use xxhash_rust::xxh3::xxh3_64;

/// The partition of a key: XXH3-64 (the published algorithm, seed 0) of the key's bytes, modulo `partitions`.
///
/// A wire contract: every worker of a job, of whatever version, must agree on it. `partitions` of 0 counts as 1.
#[inline]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    if partitions <= 1 { 0 } else { of_hash(hash(key), partitions) }
}

#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The partition of a key with this hash.
#[inline]
pub(crate) fn of_hash(hash: u64, partitions: u32) -> u32 {
    // The remainder is below a u32.
    (hash % u64::from(partitions.max(1))) as u32
}

#[cfg(test)]
mod tests {
    use super::partition;

    #[test]
    fn is_the_published_hash() {
        // XXH3_64bits("") with seed 0 is 0x2d06800538d394c2.
        assert_eq!(u64::from(partition(b"", 1000)), 0x2d06_8005_38d3_94c2 % 1000);
        assert_eq!(partition(b"anything", 1), 0);
        assert_eq!(partition(b"anything", 0), 0);
    }

    #[test]
    fn assignments_never_change() {
        let of = |keys: &[&str], n| keys.iter().map(|k| partition(k.as_bytes(), n)).collect::<Vec<_>>();
        assert_eq!(of(&["the", "of", "and", "tributary", "a-key-longer-than-sixteen-bytes"], 8), [5, 0, 7, 5, 0]);
    }
}
