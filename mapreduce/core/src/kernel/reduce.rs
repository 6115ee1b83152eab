//! The reduce task.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::combine::{Combine, Top, with_combine};
use super::error::Error;
use super::merge::{Merge, combine_groups, each_record};
use super::output::{ByteSink, OutputOptions, RowWriter};
use super::program::{Program, ReduceOperator};
use super::segment::{BlockSource, PartitionRange, PartitionReader, ReadError};

/// The partition's range of one segment.
#[derive(Debug)]
pub struct ReduceInput<S> {
    /// Its bytes.
    pub source: S,
    /// What the segment's index says of it.
    pub range: PartitionRange,
}

/// What a reduce task did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReduceOutput {
    /// Records of the inputs.
    pub records_read: u64,
    /// Rows written.
    pub records_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// The first rows, key and value as text, as far as [`OutputOptions::first_rows`] asks.
    pub first_rows: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Merges the inputs of one partition, reduces each key's values and writes rows in chunks of about 1 MiB; ordered by
/// key, except for Top. The result does not depend on the order of the inputs, except that Identity keeps it among a
/// key's values: give them in the order of the map tasks.
///
/// # Errors
/// [`Error::Segment`] and [`Error::Source`] name the input at fault, [`Error::Overflow`] the key; [`Error::Sink`].
pub fn reduce<S: BlockSource>(
    program: &Program,
    inputs: Vec<ReduceInput<S>>,
    options: &OutputOptions,
    sink: &mut dyn ByteSink,
) -> Result<ReduceOutput, Error> {
    let readers = inputs.into_iter().map(|input| PartitionReader::new(input.source, input.range)).collect();
    let mut merge = Merge::new(readers, |input, error| match error {
        ReadError::Segment(error) => Error::Segment { input, error },
        ReadError::Source(error) => Error::Source { input, error },
    })?;
    let mut rows = RowWriter::new(options, sink);
    let records_read = match program.reduce {
        ReduceOperator::Top(limit) => top(&mut merge, limit as usize, &mut rows)?,
        other => with_combine!(other,
            operator => combined(&mut merge, operator, &mut rows)?,
            else each_record(&mut merge, |key, value| rows.bytes(key, value))?),
    };
    Ok(ReduceOutput { records_read, ..rows.finish()? })
}

fn combined<S: BlockSource, C: Combine>(
    merge: &mut Merge<S>,
    operator: C,
    rows: &mut RowWriter<'_>,
) -> Result<u64, Error> {
    let mut text = Vec::new();
    combine_groups(merge, operator, |key, acc| {
        text.clear();
        operator.extract(acc, &mut text);
        if C::NUMBER { rows.number(key, &text) } else { rows.key(key) }
    })
}

fn top<S: BlockSource>(merge: &mut Merge<S>, limit: usize, rows: &mut RowWriter<'_>) -> Result<u64, Error> {
    // The least of those kept is on top: the smallest sum, of equal ones the last key.
    let mut kept: BinaryHeap<(Reverse<i64>, Vec<u8>)> = BinaryHeap::new();
    let records = combine_groups(merge, Top, |key, sum| {
        let full = kept.len() == limit;
        if full && kept.peek().is_some_and(|(least, last)| (Reverse(sum), key) > (*least, last)) {
            return Ok(());
        }
        if full {
            kept.pop();
        }
        kept.push((Reverse(sum), key.to_vec()));
        Ok(())
    })?;
    let mut text = Vec::new();
    for (Reverse(sum), key) in kept.into_sorted_vec() {
        text.clear();
        Top.extract(sum, &mut text);
        rows.number(&key, &text)?;
    }
    Ok(records)
}
