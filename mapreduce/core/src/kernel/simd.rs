//! What a CPU does better than portable code.

/// A bit a byte, the first the lowest, set for white space as [`super::operators::is_space`] has it.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn space_mask(block: &[u8; 64]) -> u64 {
    use safe_arch::{
        bitor_m128i, cmp_eq_mask_i8_m128i, load_unaligned_m128i, min_u8_m128i, move_mask_i8_m128i, set_splat_i8_m128i,
        sub_i8_m128i,
    };
    let (blank, tab, four) = (set_splat_i8_m128i(32), set_splat_i8_m128i(9), set_splat_i8_m128i(4));
    block.as_chunks::<16>().0.iter().rev().fold(0, |mask, lane| {
        let bytes = load_unaligned_m128i(lane);
        let past_tab = sub_i8_m128i(bytes, tab);
        let control = cmp_eq_mask_i8_m128i(min_u8_m128i(past_tab, four), past_tab);
        let space = bitor_m128i(control, cmp_eq_mask_i8_m128i(bytes, blank));
        mask << 16 | (move_mask_i8_m128i(space) & 0xffff) as u64
    })
}

/// Has the cache line of a value brought near.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    safe_arch::prefetch_t0(value);
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::space_mask;

/// Nothing, where there is no safe way.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch<T>(_: &T) {}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use crate::kernel::operators::is_space;

    #[inline]
    pub(crate) fn space_mask(block: &[u8; 64]) -> u64 {
        let flags = block.map(|byte| u8::from(is_space(byte)));
        // The product's top byte has the lowest bit of each byte.
        let gather = |flags: &[u8; 8]| u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        flags.as_chunks::<8>().0.iter().rev().fold(0, |mask, flags| mask << 8 | gather(flags))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::kernel::operators::is_space;

    proptest! {
        #[test]
        fn masks_white_space(bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..40u8, 126..160u8], 64)) {
            let block: &[u8; 64] = bytes.first_chunk().ok_or_else(|| TestCaseError::fail("length"))?;
            let expected = block.iter().rev().fold(0u64, |mask, &b| mask << 1 | u64::from(is_space(b)));
            prop_assert_eq!(super::space_mask(block), expected);
            prop_assert_eq!(super::portable::space_mask(block), expected);
        }
    }
}
