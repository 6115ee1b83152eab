//! Blocks whose checksum is right, whatever is in them.

use bytes::Bytes;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Chunks, PartitionRange, PartitionReader, ReadError, SegmentWriter, block_seed};

fn block(payload: &[u8], raw: u32) -> Vec<u8> {
    let stored = payload.len() as u32;
    let checksum = xxh3_64_with_seed(payload, block_seed(stored, raw));
    [&stored.to_le_bytes()[..], &raw.to_le_bytes(), &checksum.to_le_bytes(), payload].concat()
}

fn read(bytes: Vec<u8>, records: u64) -> Result<u64, ReadError> {
    let range = PartitionRange { offset: 8, length: bytes.len() as u64, records };
    let mut reader = PartitionReader::new(Chunks::from(Bytes::from(bytes)), range);
    let mut count = 0;
    while reader.advance()? {
        std::hint::black_box((reader.key(), reader.value()));
        count += 1;
    }
    Ok(count)
}

type Pair = (Vec<u8>, Vec<u8>);

fn pair() -> impl Strategy<Value = Pair> {
    (prop::collection::vec(0..4u8, 0..20), prop::collection::vec(any::<u8>(), 0..20))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_records_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 1..200), small: bool) {
        // Small lengths get further.
        let payload: Vec<u8> = payload.into_iter().map(|b| if small { b & 7 } else { b }).collect();
        let _ = read(block(&payload, payload.len() as u32), u64::MAX);
    }

    #[test]
    fn any_lz4_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 1..200), raw: u32, small: bool) {
        let raw = if small { raw % 2_000 } else { raw };
        let _ = read(block(&payload, raw), u64::MAX);
    }

    #[test]
    fn pairs_come_back(mut pairs in prop::collection::vec(pair(), 0..100), chunk in 1..100usize, missing: bool) {
        pairs.sort();
        let mut segment = Vec::new();
        let mut writer = SegmentWriter::new(&mut segment, 1).map_err(|e| TestCaseError::fail(e.to_string()))?;
        for (key, value) in &pairs {
            writer.partition(0).and_then(|()| writer.push(key, value)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
        let index = writer.finish().map_err(|e| TestCaseError::fail(e.to_string()))?;
        let mut range = index.partitions[0];
        prop_assert_eq!(range.records, pairs.len() as u64);
        let bytes = &segment[range.offset as usize..][..range.length as usize];
        range.records += u64::from(missing);
        let mut reader = PartitionReader::new(Chunks(bytes.chunks(chunk).map(Bytes::copy_from_slice).collect()), range);
        let mut found = Vec::new();
        let end = loop {
            match reader.advance() {
                Ok(true) => found.push((reader.key().to_vec(), reader.value().to_vec())),
                Ok(false) => break true,
                Err(_) => break false,
            }
        };
        prop_assert_eq!(found, pairs);
        prop_assert_eq!(end, !missing);
    }
}

/// A length that would need far more memory than the bytes can hold.
#[test]
fn a_length_beyond_reason_is_refused() {
    assert!(matches!(read(block(b"tiny", 500 << 20), 1), Err(ReadError::Segment(_))));
    assert!(matches!(read(block(b"tiny", u32::MAX), 1), Err(ReadError::Segment(_))));
    assert!(matches!(read(block(b"tiny", 3), 1), Err(ReadError::Segment(_))));
}
