//! Numbers in records: 64-bit integers and decimals, as text and in segments.

use std::io::Write;

/// Parses a decimal 64-bit integer, white space around it allowed.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

/// Appends the decimal text of an integer.
pub(crate) fn write_i64(value: i64, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// Appends an LEB128 varint.
#[inline]
pub(crate) fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads an LEB128 varint from the front of `bytes`.
#[inline]
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends a signed varint (zigzag).
pub(crate) fn write_signed(value: i64, out: &mut Vec<u8>) {
    write_varint(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Reads a signed varint.
pub(crate) fn read_signed(bytes: &mut &[u8]) -> Option<i64> {
    let raw = read_varint(bytes)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// A decimal: `digits / 10^scale`. Sums of decimals are exact, so they do not depend on the order of the summands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decimal {
    pub(crate) digits: i128,
    pub(crate) scale: u8,
}

/// Digits after the point that a decimal may have.
pub(crate) const MAX_SCALE: u8 = 18;
/// Digits after the point that a mean has more than the values it is of.
const MEAN_DIGITS: u8 = 6;

impl Decimal {
    /// Parses `[+-]digits[.digits][(e|E)[+-]digits]` with at most 18 digits after the point and 36 in all.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let (negative, text) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&text[..at], i32::try_from(parse_i64(&text[at + 1..])?).ok()?),
            None => (text, 0),
        };
        let (mut digits, mut scale, mut any, mut point) = (0i128, 0i32, false, false);
        for &byte in mantissa {
            match byte {
                b'.' if !point => point = true,
                b'0'..=b'9' => {
                    any = true;
                    digits = digits.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                    scale += i32::from(point);
                }
                _ => return None,
            }
        }
        if !any {
            return None;
        }
        scale = scale.checked_sub(exponent)?;
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale = if digits == 0 { 0 } else { scale - 1 };
        }
        if scale < 0 && digits != 0 {
            digits = digits.checked_mul(10i128.checked_pow(scale.unsigned_abs())?)?;
        }
        if digits >= 10i128.pow(36) || scale > i32::from(MAX_SCALE) {
            return None;
        }
        Some(Self { digits: if negative { -digits } else { digits }, scale: scale.max(0) as u8 })
    }

    /// The exact sum; `None` when it leaves the range.
    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let digits = self.at_scale(scale)?.checked_add(other.at_scale(scale)?)?;
        Some(Self { digits, scale })
    }

    fn at_scale(self, scale: u8) -> Option<i128> {
        self.digits.checked_mul(10i128.checked_pow(u32::from(scale.checked_sub(self.scale)?))?)
    }

    /// Appends this divided by `count`, half rounded away from zero at 6 digits more than this has, without trailing
    /// zeros.
    pub(crate) fn write_mean(self, count: u64, out: &mut Vec<u8>) {
        let count = u128::from(count.max(1));
        let places = u32::from(self.scale + MEAN_DIGITS);
        let unit = 10u128.pow(u32::from(self.scale)) * count;
        let (mut whole, mut rest) = (self.digits.unsigned_abs() / unit, self.digits.unsigned_abs() % unit);
        // Digit by digit: `rest` is below 10^18 * 2^64, so ten times it fits.
        let mut fraction = 0u128;
        for _ in 0..places {
            rest *= 10;
            fraction = fraction * 10 + rest / unit;
            rest %= unit;
        }
        if rest * 2 >= unit {
            fraction += 1;
        }
        if fraction == 10u128.pow(places) {
            fraction = 0;
            whole += 1;
        }
        if self.digits < 0 && (whole, fraction) != (0, 0) {
            out.push(b'-');
        }
        // Writing into a Vec cannot fail.
        let _ = write!(out, "{whole}");
        if fraction != 0 {
            let _ = write!(out, ".{fraction:0places$}", places = places as usize);
            while out.last() == Some(&b'0') {
                out.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mean(values: &[&str]) -> Option<String> {
        let sum =
            values.iter().try_fold(Decimal::default(), |sum, v| sum.checked_add(Decimal::parse(v.as_bytes())?))?;
        let mut out = Vec::new();
        sum.write_mean(values.len() as u64, &mut out);
        String::from_utf8(out).ok()
    }

    #[test]
    fn means_are_rounded_decimals() {
        let rows: [(&[&str], &str); 14] = [
            (&["1", "2"], "1.5"),
            (&["1", "1", "2"], "1.333333"),
            (&["2", "2", "1"], "1.666667"),
            (&["-1", "-1", "-2"], "-1.333333"),
            (&["0.1", "0.2", "0.3"], "0.2"),
            (&["-0.5", "0.5"], "0"),
            (&["1e3", "1.5E+3"], "1250"),
            (&["1e-3"], "0.001"),
            (&[" 7\r"], "7"),
            (&["+.5", "1."], "0.75"),
            (&["0.9999999", "1.0000001", "1.0"], "1"),
            (&["999999999999999999999999999999999999"], "999999999999999999999999999999999999"),
            (&["-0.000000000000000001", "0"], "-0.0000000000000000005"),
            (&["0e99", "0.00000000000000000000000000"], "0"),
        ];
        for (values, expected) in rows {
            assert_eq!(mean(values).as_deref(), Some(expected), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in [
            "",
            " ",
            "x",
            "1x",
            "--1",
            "+",
            ".",
            "1.2.3",
            "1e",
            "1e1.5",
            "1e-19",
            "1e99",
            "1e999999999999",
            "NaN",
            "1234567890123456789012345678901234567",
            "0x10",
            "1_000",
            "é",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_i64(b" -12\r"), Some(-12));
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"1.0"), None);
    }

    proptest! {
        #[test]
        fn varints_come_back(value: u64, signed: i64, shift in 0..64u32, tail: u8) {
            let (value, signed) = (value >> shift, signed >> shift);
            let mut bytes = Vec::new();
            write_varint(value, &mut bytes);
            write_signed(signed, &mut bytes);
            bytes.push(tail);
            let mut rest = &bytes[..];
            prop_assert_eq!(read_varint(&mut rest), Some(value));
            prop_assert_eq!(read_signed(&mut rest), Some(signed));
            prop_assert_eq!(rest, [tail]);
        }

        #[test]
        fn no_bytes_break_a_varint(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Some(value) = read_varint(&mut rest) {
                let mut again = Vec::new();
                write_varint(value, &mut again);
                prop_assert!(again.len() <= bytes.len() - rest.len());
            }
        }

        #[test]
        fn no_text_breaks_a_decimal(text in "[-+0-9.eE]{0,45}") {
            if let Some(decimal) = Decimal::parse(text.as_bytes()) {
                let mut out = Vec::new();
                decimal.write_mean(1, &mut out);
                prop_assert_eq!(Decimal::parse(&out), Some(decimal));
            }
        }
    }
}
