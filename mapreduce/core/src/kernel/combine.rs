//! The reduce operators that are associative: create an accumulator of a value, merge two, extract the result.

use super::error::{Error, lossy};
use super::number::{Decimal, parse_i64, read_signed, read_varint, write_i64, write_signed, write_varint};

/// Accumulators that leave their range when merged.
#[derive(Debug)]
pub(crate) struct Overflow;

/// A value that the operator cannot read: what it should have been.
#[derive(Debug)]
pub(crate) struct Expected(pub(crate) &'static str);

/// An associative and commutative operator.
pub(crate) trait Combine: Copy + Default + Send + 'static {
    /// What is kept of the values seen.
    type Acc: Copy + Send;
    /// The operator's name in a job.
    const NAME: &'static str;
    /// The range that an accumulator must stay in.
    const RANGE: &'static str = "a 64-bit integer";
    /// Whether the result is a number.
    const NUMBER: bool = true;

    /// Of one value.
    fn create(self, value: &[u8]) -> Result<Self::Acc, Expected>;
    /// Of the value `1`, `count` times.
    fn ones(self, count: u64) -> Result<Self::Acc, Overflow>;
    /// Of the values of both.
    fn merge(self, into: &mut Self::Acc, other: Self::Acc) -> Result<(), Overflow>;
    /// Appends the form it has in segments.
    fn encode(self, acc: Self::Acc, out: &mut Vec<u8>);
    /// The inverse of `encode`.
    fn decode(self, bytes: &[u8]) -> Option<Self::Acc>;
    /// Appends the result as text.
    fn extract(self, acc: Self::Acc, out: &mut Vec<u8>);
}

/// The error of a key whose values overflow.
pub(crate) fn overflow<C: Combine>(_: C, key: &[u8]) -> Error {
    Error::Overflow { operator: C::NAME, key: lossy(key), range: C::RANGE }
}

fn decode_all<T>(mut bytes: &[u8], read: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<T> {
    let value = read(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

macro_rules! integer_operator {
    ($(#[$doc:meta])* $name:ident, create: $create:expr, ones: $ones:expr, merge: $merge:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct $name;

        impl Combine for $name {
            type Acc = i64;
            const NAME: &'static str = stringify!($name);

            #[inline]
            fn create(self, value: &[u8]) -> Result<i64, Expected> {
                let create: fn(&[u8]) -> Option<i64> = $create;
                create(value).ok_or(Expected("a 64-bit integer"))
            }

            fn ones(self, count: u64) -> Result<i64, Overflow> {
                let ones: fn(u64) -> Option<i64> = $ones;
                ones(count).ok_or(Overflow)
            }

            #[inline]
            fn merge(self, into: &mut i64, other: i64) -> Result<(), Overflow> {
                let merge: fn(i64, i64) -> Option<i64> = $merge;
                *into = merge(*into, other).ok_or(Overflow)?;
                Ok(())
            }

            fn encode(self, acc: i64, out: &mut Vec<u8>) {
                write_signed(acc, out);
            }

            fn decode(self, bytes: &[u8]) -> Option<i64> {
                decode_all(bytes, read_signed)
            }

            fn extract(self, acc: i64, out: &mut Vec<u8>) {
                write_i64(acc, out);
            }
        }
    };
}

integer_operator!(
    /// The sum of the values.
    Sum,
    create: parse_i64,
    ones: |count| i64::try_from(count).ok(),
    merge: i64::checked_add
);
integer_operator!(
    /// The sum of the values, of which the reduce task keeps the greatest.
    Top,
    create: parse_i64,
    ones: |count| i64::try_from(count).ok(),
    merge: i64::checked_add
);
integer_operator!(
    /// How many values there are.
    Count,
    create: |_| Some(1),
    ones: |count| i64::try_from(count).ok(),
    merge: i64::checked_add
);
integer_operator!(
    /// The least value.
    Min,
    create: parse_i64,
    ones: |_| Some(1),
    merge: |a, b| Some(a.min(b))
);
integer_operator!(
    /// The greatest value.
    Max,
    create: parse_i64,
    ones: |_| Some(1),
    merge: |a, b| Some(a.max(b))
);

/// Each key once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Distinct;

impl Combine for Distinct {
    type Acc = ();
    const NAME: &'static str = "Distinct";
    const NUMBER: bool = false;

    fn create(self, _: &[u8]) -> Result<(), Expected> {
        Ok(())
    }

    fn ones(self, _: u64) -> Result<(), Overflow> {
        Ok(())
    }

    fn merge(self, _: &mut (), _: ()) -> Result<(), Overflow> {
        Ok(())
    }

    fn encode(self, _: (), _: &mut Vec<u8>) {}

    fn decode(self, bytes: &[u8]) -> Option<()> {
        bytes.is_empty().then_some(())
    }

    fn extract(self, _: (), _: &mut Vec<u8>) {}
}

/// The mean of decimals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean;

/// Sum and number of the values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeanAcc {
    sum: Decimal,
    count: u64,
}

impl Combine for Mean {
    type Acc = MeanAcc;
    const NAME: &'static str = "Mean";
    const RANGE: &'static str = "a sum of 38 digits";

    fn create(self, value: &[u8]) -> Result<MeanAcc, Expected> {
        let sum = Decimal::parse(value)
            .ok_or(Expected("a decimal of at most 36 digits, at most 18 of them after the point"))?;
        Ok(MeanAcc { sum, count: 1 })
    }

    fn ones(self, count: u64) -> Result<MeanAcc, Overflow> {
        Ok(MeanAcc { sum: Decimal { digits: i128::from(count), scale: 0 }, count })
    }

    fn merge(self, into: &mut MeanAcc, other: MeanAcc) -> Result<(), Overflow> {
        into.sum = into.sum.checked_add(other.sum).ok_or(Overflow)?;
        into.count = into.count.checked_add(other.count).ok_or(Overflow)?;
        Ok(())
    }

    fn encode(self, acc: MeanAcc, out: &mut Vec<u8>) {
        out.extend_from_slice(&acc.sum.digits.to_le_bytes());
        out.push(acc.sum.scale);
        write_varint(acc.count, out);
    }

    fn decode(self, bytes: &[u8]) -> Option<MeanAcc> {
        let (digits, rest) = bytes.split_first_chunk()?;
        let (&scale, rest) = rest.split_first()?;
        let count = decode_all(rest, read_varint)?;
        let sum = Decimal { digits: i128::from_le_bytes(*digits), scale };
        (scale <= super::number::MAX_SCALE && count > 0).then_some(MeanAcc { sum, count })
    }

    fn extract(self, acc: MeanAcc, out: &mut Vec<u8>) {
        acc.sum.write_mean(acc.count, out);
    }
}

/// Runs `$body` with `$operator` bound to the [`Combine`] of a reduce operator, or `$other` for one that keeps every
/// value.
macro_rules! with_combine {
    ($reduce:expr, $operator:ident => $body:expr, else $other:expr) => {
        match $reduce {
            $crate::kernel::program::ReduceOperator::Sum => {
                let $operator = $crate::kernel::combine::Sum;
                $body
            }
            $crate::kernel::program::ReduceOperator::Top(_) => {
                let $operator = $crate::kernel::combine::Top;
                $body
            }
            $crate::kernel::program::ReduceOperator::Count => {
                let $operator = $crate::kernel::combine::Count;
                $body
            }
            $crate::kernel::program::ReduceOperator::Min => {
                let $operator = $crate::kernel::combine::Min;
                $body
            }
            $crate::kernel::program::ReduceOperator::Max => {
                let $operator = $crate::kernel::combine::Max;
                $body
            }
            $crate::kernel::program::ReduceOperator::Mean => {
                let $operator = $crate::kernel::combine::Mean;
                $body
            }
            $crate::kernel::program::ReduceOperator::Distinct => {
                let $operator = $crate::kernel::combine::Distinct;
                $body
            }
            $crate::kernel::program::ReduceOperator::Identity => $other,
        }
    };
}
pub(crate) use with_combine;
