//! Runs of a map task that did not fit into memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::collect::Collect;
use super::combine::{Combine, with_combine};
use super::error::{BoxError, Error};
use super::map::Scratch;
use super::merge::{Merge, combine_groups, each_record};
use super::output::ByteSink;
use super::program::{Program, ReduceOperator};
use super::segment::{BlockSource, PartitionReader, ReadError, SegmentIndex, SegmentWriter};

/// Scratch space in memory.
#[derive(Debug, Default)]
pub struct MemoryScratch(Mutex<Vec<u8>>);

impl MemoryScratch {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scratch for MemoryScratch {
    fn append(&self, bytes: &[u8]) -> Result<(), BoxError> {
        self.bytes().extend_from_slice(bytes);
        Ok(())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BoxError> {
        let bytes = self.bytes();
        let found = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or("read beyond what was written")?);
        Ok(())
    }
}

/// The runs of a task, in the order in which they were written; each is a segment in the scratch space.
pub(crate) struct Spill {
    scratch: Box<dyn Scratch>,
    partitions: u32,
    /// How many runs are merged at once.
    fan_in: usize,
    combine: Option<ReduceOperator>,
    runs: Vec<Run>,
    spills: u64,
    written: u64,
}

struct Run {
    offset: u64,
    index: SegmentIndex,
}

/// What merging takes a run: a chunk, a block and the block's records.
const MERGE_BYTES: usize = 3 * READ_BYTES;
const READ_BYTES: usize = 64 << 10;
const MIN_FAN_IN: usize = 8;

impl Spill {
    pub(crate) fn new(program: &Program, partitions: u32, memory: usize, scratch: Box<dyn Scratch>) -> Self {
        Self {
            scratch,
            partitions,
            fan_in: (memory / MERGE_BYTES).max(MIN_FAN_IN),
            combine: program.combine.then_some(program.reduce),
            runs: Vec::new(),
            spills: 0,
            written: 0,
        }
    }

    pub(crate) fn spills(&self) -> u64 {
        self.spills
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Writes what is collected as a run.
    pub(crate) fn spill(&mut self, collect: &mut dyn Collect) -> Result<(), Error> {
        self.spills += 1;
        let scratch = &*self.scratch;
        let mut append = |bytes: &[u8]| scratch.append(bytes);
        let written = SegmentWriter::new(&mut append, self.partitions).and_then(|mut writer| {
            collect.drain(&mut writer)?;
            writer.finish()
        });
        self.add(written.map_err(of_scratch)?);
        Ok(())
    }

    /// Merges the runs into one segment.
    pub(crate) fn merge(mut self, sink: &mut dyn ByteSink) -> Result<SegmentIndex, Error> {
        // Neighbours are merged, so that the order of equal keys stays.
        while self.runs.len() > self.fan_in {
            let runs = std::mem::take(&mut self.runs);
            for group in runs.chunks(self.fan_in) {
                let scratch = &*self.scratch;
                let index = self.merge_runs(group, &mut |bytes: &[u8]| scratch.append(bytes));
                self.add(index.map_err(of_scratch)?);
            }
        }
        self.merge_runs(&self.runs, sink)
    }

    fn add(&mut self, index: SegmentIndex) {
        let offset = self.written;
        self.written += index.segment_len();
        self.runs.push(Run { offset, index });
    }

    fn merge_runs(&self, runs: &[Run], sink: &mut dyn ByteSink) -> Result<SegmentIndex, Error> {
        let mut writer = SegmentWriter::new(sink, self.partitions)?;
        for partition in 0..self.partitions {
            writer.partition(partition)?;
            let ranges = runs.iter().filter_map(|run| Some((run, *run.index.partitions.get(partition as usize)?)));
            let readers = ranges
                .filter(|(_, range)| range.length > 0)
                .map(|(run, range)| {
                    let source =
                        RunSource { scratch: &*self.scratch, at: run.offset + range.offset, left: range.length };
                    PartitionReader::new(source, range)
                })
                .collect();
            let mut merge = Merge::new(readers, |_, error| match error {
                ReadError::Segment(error) => Error::Scratch(error.into()),
                ReadError::Source(error) => Error::Scratch(error),
            })?;
            match self.combine {
                Some(reduce) => with_combine!(reduce,
                    operator => combine_run(&mut merge, operator, &mut writer)?,
                    else each_record(&mut merge, |key, value| writer.push(key, value))?),
                None => each_record(&mut merge, |key, value| writer.push(key, value))?,
            };
        }
        writer.finish()
    }
}

/// Where the sink is the scratch space.
fn of_scratch(error: Error) -> Error {
    match error {
        Error::Sink(error) => Error::Scratch(error),
        other => other,
    }
}

fn combine_run<S: BlockSource, C: Combine>(
    merge: &mut Merge<S>,
    operator: C,
    writer: &mut SegmentWriter<'_>,
) -> Result<u64, Error> {
    let mut value = Vec::new();
    combine_groups(merge, operator, |key, acc| {
        value.clear();
        operator.encode(acc, &mut value);
        writer.push(key, &value)
    })
}

/// A partition's range of a run.
struct RunSource<'a> {
    scratch: &'a dyn Scratch,
    at: u64,
    left: u64,
}

impl BlockSource for RunSource<'_> {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        let length = self.left.min(READ_BYTES as u64);
        if length == 0 {
            return Ok(None);
        }
        let mut buffer = vec![0; length as usize];
        self.scratch.read_exact_at(self.at, &mut buffer)?;
        self.at += length;
        self.left -= length;
        Ok(Some(buffer.into()))
    }
}
