//! What a map task holds of its output until it writes a run.

use super::combine::{Combine, Expected, with_combine};
use super::error::{Error, lossy};
use super::operators::EmitError;
use super::program::{MapOperator, Program, ReduceOperator};
use super::segment::SegmentWriter;
use super::sort::SortBuffer;
use super::table::CombineTable;
use super::tokens::for_each_batch;
use super::words::WordCounter;

/// Holds pairs in memory and gives them back in the order of a segment.
pub(crate) trait Collect: Send {
    /// Takes a pair.
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError>;
    /// Takes the words of a text of less than 4 GiB, each with the value `1`.
    fn add_words(&mut self, text: &[u8]) -> Result<(), EmitError> {
        for_each_batch(text, |edges| {
            let (words, _) = edges.as_chunks::<2>();
            words.iter().try_for_each(|&[start, end]| self.add(&text[start as usize..end as usize], b"1"))
        })
    }
    /// Bytes held, those that the next growth takes included.
    fn memory(&self) -> usize;
    /// Whether there is nothing to write.
    fn is_empty(&self) -> bool;
    /// Writes everything, by partition and key, and is empty then.
    fn drain(&mut self, out: &mut SegmentWriter<'_>) -> Result<(), Error>;
}

/// The collector for a program.
pub(crate) fn collector(program: &Program, partitions: u32) -> Box<dyn Collect> {
    if !program.combine {
        return Box::new(SortBuffer::new(partitions, encoder(program.reduce)));
    }
    if matches!(program.map, MapOperator::Words) {
        return with_combine!(program.reduce,
            operator => Box::new(WordCounter::new(operator, partitions)),
            else Box::new(SortBuffer::new(partitions, None)));
    }
    with_combine!(program.reduce,
        operator => Box::new(CombineTable::new(operator, partitions)),
        else Box::new(SortBuffer::new(partitions, None)))
}

/// Appends the accumulator of one value.
pub(crate) type Encode = fn(&[u8], &mut Vec<u8>) -> Result<(), Expected>;

fn encoder(reduce: ReduceOperator) -> Option<Encode> {
    fn of<C: Combine>(_: C) -> Encode {
        |value, out| {
            let operator = C::default();
            operator.encode(operator.create(value)?, out);
            Ok(())
        }
    }
    with_combine!(reduce, operator => Some(of(operator)), else None)
}

/// The error of a value that an operator cannot read.
pub(crate) fn bad_value(expected: &Expected, key: &[u8], value: &[u8]) -> EmitError {
    EmitError::Record(format!("the value {:?} of key {:?} is not {}", lossy(value), lossy(key), expected.0))
}
