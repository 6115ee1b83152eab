//! A reduce task: a partition of every map task's output into one object.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tributary_mapreduce_core::commit::{Counters, OutputPart, Row, UploadPlace, names};
use tributary_mapreduce_core::job::{Outcome, ReduceInput};
use tributary_mapreduce_core::kernel::{self, BoxError, ByteSink, OutputFormat, OutputOptions, PartitionRange};

use super::fetch::{Fetch, Want, chunks};
use super::upload::Upload;
use super::{Stop, Task};

/// Bytes of all inputs that are fetched ahead.
const AHEAD: u64 = 64 << 20;
/// The least and the most of a request.
const CHUNK: (u64, u64) = (64 << 10, 8 << 20);
/// Requests of a task at once.
const REQUESTS: usize = 16;

/// Passes the output on, unless the attempt is cancelled.
struct Sink<'a> {
    task: &'a Task<'a>,
    upload: Option<Upload>,
}

impl ByteSink for Sink<'_> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        self.task.check()?;
        self.upload.as_mut().map_or(Ok(()), |upload| upload.write(chunk))
    }
}

impl Task<'_> {
    pub(super) fn reduce(&self, inputs: &[ReduceInput]) -> Result<Outcome, Stop> {
        let (context, spec) = (self.context, &self.context.spec);
        let name = names::part(self.assignment.task.index);
        let upload = context.output.as_ref().map(|place| Upload::new(self, (UploadPlace::Output, place), &name));
        let mut sink = Sink { task: self, upload };
        let options = OutputOptions {
            format: spec.output.as_ref().map_or(OutputFormat::Lines, |output| output.format),
            first_rows: spec.config.rows as usize,
        };
        let reduced = kernel::reduce(&spec.program, self.sources(inputs), &options, &mut sink)?;
        self.check()?;
        let output = match sink.upload {
            None => None,
            Some(upload) => {
                let (upload, parts) = upload.finish_for_another()?;
                let (bytes, records) = (reduced.bytes_written, reduced.records_written);
                Some(OutputPart { name, attempt: self.assignment.attempt, upload, parts, bytes, records })
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rows = reduced.first_rows.iter().map(|(key, value)| Row { key: text(key), value: text(value) }).collect();
        let counters = Counters {
            records_in: reduced.records_read,
            bytes_in: inputs.iter().map(|i| i.end - i.start).sum(),
            records_out: reduced.records_written,
            bytes_out: reduced.bytes_written,
            skipped: 0,
        };
        Ok(Outcome::Reduced { output, rows, counters })
    }

    fn sources(&self, inputs: &[ReduceInput]) -> Vec<kernel::ReduceInput<Fetch>> {
        let workspace = &self.context.workspace;
        // of each input a chunk is worked on, one waits and one is on its way
        let chunk = (AHEAD / (3 * inputs.len() as u64).max(1)).clamp(CHUNK.0, CHUNK.1);
        let permits = Arc::new(Semaphore::new(REQUESTS));
        let source = |input: &ReduceInput| {
            let key: Arc<str> = workspace.key(&input.segment).into();
            let start = input.start;
            let wants = chunks(0..input.end - start, chunk).map(move |part| Want {
                key: key.clone(),
                etag: None,
                range: start + part.start..start + part.end,
            });
            let range = PartitionRange { offset: start, length: input.end - start, records: input.records };
            let source = Fetch::start(self.runtime, workspace.store.clone(), wants, 1, permits.clone());
            kernel::ReduceInput { source, range }
        };
        inputs.iter().map(source).collect()
    }
}
