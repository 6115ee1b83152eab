//! Words of a text, found by bit masks of white space, 64 bytes at a time (the technique of simdjson: Langdale and
//! Lemire, VLDB Journal 2019).

use super::simd::space_mask;

/// Bytes that are looked at before their words are given on.
const BATCH: usize = 4096;
/// Words a batch has at most.
pub(crate) const BATCH_WORDS: usize = BATCH / 2 + 1;

/// Finds the words of a text and gives them on in batches: starts and ends in turn.
pub(crate) fn for_each_batch<E>(text: &[u8], mut batch: impl FnMut(&[u32]) -> Result<(), E>) -> Result<(), E> {
    // A batch has at most an edge a byte, the flattening writes up to 8 too many, and one start may be left over.
    let mut edges = [0u32; BATCH + 64];
    let mut count = 0;
    let mut in_word = 0u64;
    let mut base = 0u32;
    for part in text.chunks(BATCH) {
        let (blocks, tail) = part.as_chunks::<64>();
        for block in blocks {
            in_word = flatten(space_mask(block), in_word, base, &mut edges, &mut count);
            base += 64;
        }
        if !tail.is_empty() {
            let mut block = [b' '; 64];
            block[..tail.len()].copy_from_slice(tail);
            in_word = flatten(space_mask(&block), in_word, base, &mut edges, &mut count);
        }
        let whole = count & !1;
        batch(&edges[..whole])?;
        edges[0] = edges[whole];
        count -= whole;
    }
    if in_word == 1 { batch(&[edges[0], text.len() as u32]) } else { Ok(()) }
}

/// Appends the positions where words begin and end. `in_word` is 1 if the byte before belongs to a word, and so is
/// what is returned for the last byte.
#[inline]
fn flatten(spaces: u64, in_word: u64, base: u32, edges: &mut [u32; BATCH + 64], count: &mut usize) -> u64 {
    let words = !spaces;
    let mut bits = words ^ (words << 1 | in_word);
    let end = *count + bits.count_ones() as usize;
    while *count < end {
        // Four at a time, however many there are: a loop over each bit is mispredicted at its end.
        let Some(out) = edges.get_mut(*count..*count + 4) else { break };
        for edge in out {
            *edge = base + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        *count += 4;
    }
    *count = end;
    words >> 63
}
