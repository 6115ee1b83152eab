//! A reduce attempt: merges a partition of every map task's segment, reduces it, uploads the result.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tributary_mapreduce_core::commit::{Counters, OutputPart, Row, names};
use tributary_mapreduce_core::job::{Outcome, ReduceInput};
use tributary_mapreduce_core::kernel::{self, BoxError, ByteSink, OutputOptions, PartitionRange};

use super::error::TaskError;
use super::fetch::{CHUNK, Fetch, Request, chunks};
use super::map::Attempt;
use super::upload::Writer;
use crate::store::tag;

/// Requests in flight.
const AT_ONCE: usize = 16;
/// Bytes fetched ahead over all segments.
const AHEAD: u64 = 64 << 20;
const SMALLEST_CHUNK: u64 = 128 << 10;

/// Where the rows go: into an upload, or nowhere but the status. Notices when the attempt is to stop.
struct Sink<'a> {
    attempt: &'a Attempt<'a>,
    writer: Option<Writer>,
}

impl ByteSink for Sink<'_> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        self.attempt.check()?;
        match &mut self.writer {
            Some(writer) => writer.write(chunk),
            None => Ok(()),
        }
    }
}

impl Attempt<'_> {
    pub fn reduce(&self, inputs: &[ReduceInput]) -> Result<Outcome, TaskError> {
        let spec = &self.job.spec;
        let name = names::part(self.task.index);
        let writer = self.job.output.as_ref().map(|output| {
            let tag = tag(&spec.config.job, self.attempt);
            Writer::new(self.handle, output.store.clone(), output.key(&name), tag)
        });
        let options = OutputOptions {
            format: spec.output.as_ref().map(|output| output.format).unwrap_or_default(),
            first_rows: spec.config.rows as usize,
        };
        let mut sink = Sink { attempt: self, writer };
        let reduced = kernel::reduce(&spec.program, self.sources(inputs), &options, &mut sink).map_err(|error| {
            // whatever the kernel says, it is because it was told to
            if self.cancel.is_cancelled() { TaskError::Cancelled } else { TaskError::of_reduce(error, inputs) }
        })?;
        self.check()?;
        let output = match sink.writer {
            Some(writer) => {
                let uploaded = writer.into_upload()?;
                Some(OutputPart {
                    name,
                    attempt: self.attempt,
                    upload: uploaded.upload,
                    parts: uploaded.parts,
                    bytes: uploaded.bytes,
                    records: reduced.records_written,
                })
            }
            None => None,
        };
        let counters = Counters {
            records_in: reduced.records_read,
            bytes_in: inputs.iter().map(|input| input.end - input.start).sum(),
            records_out: reduced.records_written,
            bytes_out: reduced.bytes_written,
            skipped: 0,
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let rows = reduced.first_rows.into_iter().map(|(key, value)| Row { key: text(key), value: text(value) });
        Ok(Outcome::Reduced { output, rows: rows.collect(), counters })
    }

    fn sources(&self, inputs: &[ReduceInput]) -> Vec<kernel::ReduceInput<Fetch>> {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        // each segment has a chunk being computed, one waiting and one in flight
        let chunk = (AHEAD / (3 * inputs.len().max(1) as u64)).clamp(SMALLEST_CHUNK, CHUNK);
        let workspace = &self.job.workspace;
        let source = |input: &ReduceInput| {
            let key: Arc<str> = workspace.key(&input.segment).into();
            let range = PartitionRange {
                offset: input.start,
                length: input.end - input.start,
                records: input.records,
            };
            // from the segment's start on, not from the object's: equal chunks
            let ranges = chunks(0..range.length, chunk).map(move |part| Request {
                key: key.clone(),
                range: range.offset + part.start..range.offset + part.end,
                etag: None,
            });
            let source = Fetch::start(self.handle, workspace.store.clone(), ranges, 1, Some(permits.clone()));
            kernel::ReduceInput { source, range }
        };
        inputs.iter().map(source).collect()
    }
}
