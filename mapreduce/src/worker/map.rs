//! A map attempt: reads its pieces, feeds the kernel, writes a segment.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tributary_mapreduce_core::commit::{Counters, Segment, names};
use tributary_mapreduce_core::job::{AttemptId, Outcome, TaskId};
use tributary_mapreduce_core::kernel::{
    self, BadRecord, Feed, MapConfig, MapTask, SegmentIndex, Split, Framing,
};
use tributary_mapreduce_core::split::{Codec, MapInput, Piece};

use super::error::TaskError;
use super::fetch::{CHUNK, Fetch, Ranges, Request, chunks};
use super::scratch::FileScratch;
use super::upload::Writer;
use crate::context::JobContext;
use crate::input::TopicError;
use crate::spec::InputSpec;
use crate::store::Place;

/// Ranges in flight.
const AT_ONCE: usize = 3;
/// Bytes read past a split's end with its last range: most last lines end within.
const SLACK: u64 = 64 << 10;
/// Bytes decoded at once.
const DECODED: usize = 256 << 10;

/// An attempt at a task, on a thread of its own.
pub(super) struct Attempt<'a> {
    pub job: &'a JobContext,
    pub handle: &'a Handle,
    pub task: TaskId,
    pub attempt: AttemptId,
    pub cancel: &'a CancellationToken,
}

/// An object's piece, and how much of it is fetched ahead.
struct Object<'a> {
    key: &'a str,
    etag: &'a str,
    size: u64,
    split: Split,
    codec: Codec,
    /// Where reading begins.
    from: u64,
    /// Where what is fetched ahead ends.
    ahead: u64,
}

impl Attempt<'_> {
    pub fn check(&self) -> Result<(), TaskError> {
        if self.cancel.is_cancelled() { Err(TaskError::Cancelled) } else { Ok(()) }
    }

    pub fn map(&self, input: &MapInput) -> Result<Outcome, TaskError> {
        let spec = &self.job.spec;
        let config = MapConfig {
            framing: spec.framing(),
            partitions: spec.config.partitions,
            memory: spec.sort_memory,
            skip_bad_records: spec.config.skip_bad_records,
        };
        let mut task = MapTask::new(&spec.program, &config, Box::new(FileScratch::default()));
        self.read_objects(&mut task, config.framing, input)?;
        for piece in &input.pieces {
            match *piece {
                Piece::Object { .. } => {}
                Piece::Topic { partition, start, end } => self.read_topic(&mut task, partition, start..end)?,
                Piece::Strings { start, end } => self.read_strings(&mut task, start, end)?,
            }
        }
        self.check()?;
        let name = names::segment(self.task, self.attempt);
        let workspace = &self.job.workspace;
        let mut writer =
            Writer::new(self.handle, workspace.store.clone(), workspace.key(&name), self.attempt.to_string());
        let output = task.finish(&mut writer)?;
        let bytes_out = writer.into_object()?;
        self.keep_bad(&output.bad_records)?;
        let counters = Counters {
            records_in: output.stats.records_read,
            bytes_in: output.stats.bytes_read,
            records_out: output.index.records(),
            bytes_out,
            skipped: output.stats.records_skipped,
        };
        Ok(Outcome::Mapped { segment: segment(name, &output.index), counters })
    }

    /// Feeds the objects' pieces, each from ranges that are fetched ahead while others are computed.
    fn read_objects(&self, task: &mut MapTask, framing: Framing, input: &MapInput) -> Result<(), TaskError> {
        let Some(place) = &self.job.input else { return Ok(()) };
        let objects: Vec<Object<'_>> = input.pieces.iter().filter_map(|piece| object(piece, framing)).collect();
        let requests: Vec<Request> = objects.iter().flat_map(Object::requests).collect();
        let mut fetch = Fetch::start(self.handle, place.store.clone(), requests.into_iter(), AT_ONCE, None);
        for object in &objects {
            let name = place.store.place(object.key);
            if object.codec == Codec::None {
                self.read_plain(task, place, object, &name, &mut fetch)?;
            } else {
                self.read_packed(task, object, &name, &mut fetch)?;
            }
        }
        Ok(())
    }

    fn read_plain(
        &self,
        task: &mut MapTask,
        place: &Place,
        object: &Object<'_>,
        name: &str,
        fetch: &mut Fetch,
    ) -> Result<(), TaskError> {
        let mut state = task.begin(name, object.split)?;
        for range in chunks(object.from..object.ahead, CHUNK) {
            let bytes = next(fetch, name)?;
            self.check()?;
            // an object that is shorter than it was when it was listed
            if (bytes.len() as u64) < range.end - range.start {
                return Err(crate::store::StoreError::Changed { place: name.to_owned() }.into());
            }
            if state == Feed::More {
                state = task.feed(&bytes)?;
            }
        }
        let (mut at, mut length) = (object.ahead, SLACK);
        while state == Feed::More && at < object.size {
            self.check()?;
            length = (length * 2).min(CHUNK);
            let end = (at + length).min(object.size);
            let bytes = self.handle.block_on(place.store.get(object.key, Some(at..end), Some(object.etag)))?;
            state = task.feed(&bytes)?;
            at = end;
        }
        Ok(task.end()?)
    }

    fn read_packed(
        &self,
        task: &mut MapTask,
        object: &Object<'_>,
        name: &str,
        fetch: &mut Fetch,
    ) -> Result<(), TaskError> {
        let left = chunks(object.from..object.ahead, CHUNK).count() as u64;
        let mut ranges = Ranges { fetch, left, current: Bytes::new(), failed: None };
        let fed = self.decode(task, object.codec, name, &mut ranges);
        if let Some(error) = ranges.failed.take() {
            return Err(error.into());
        }
        fed?;
        // what comes after the compressed data belongs to nobody, but the next object's ranges come after it
        std::io::copy(&mut ranges, &mut std::io::sink()).map_err(|e| decode(name, &e))?;
        Ok(())
    }

    fn decode(
        &self,
        task: &mut MapTask,
        codec: Codec,
        name: &str,
        ranges: &mut Ranges<'_>,
    ) -> Result<(), TaskError> {
        task.begin(name, Split::WHOLE)?;
        let mut buffer = vec![0; DECODED];
        let mut feed = |decoder: &mut dyn Read| -> Result<(), TaskError> {
            loop {
                self.check()?;
                let n = decoder.read(&mut buffer).map_err(|e| decode(name, &e))?;
                if n == 0 {
                    return Ok(());
                }
                task.feed(&buffer[..n])?;
            }
        };
        match codec {
            Codec::None => feed(ranges)?,
            Codec::Gzip => feed(&mut flate2::read::MultiGzDecoder::new(ranges))?,
            Codec::Zstd => feed(&mut zstd::stream::read::Decoder::new(ranges).map_err(|e| decode(name, &e))?)?,
        }
        Ok(task.end()?)
    }

    fn read_topic(&self, task: &mut MapTask, partition: i32, range: std::ops::Range<i64>) -> Result<(), TaskError> {
        let InputSpec::Topic(input) = &self.job.spec.input else { return Ok(()) };
        let mut failed: Option<TaskError> = None;
        let read: Result<(), TopicError> = self.job.topics.read(&input.topic, partition, range, &mut |record| {
            let place = format_args!("topic {}, partition {partition}, offset {}", input.topic, record.offset);
            let taken = self.check().and_then(|()| Ok(task.record(record.key, record.value, &place)?));
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(read?),
        }
    }

    fn read_strings(&self, task: &mut MapTask, start: u32, end: u32) -> Result<(), TaskError> {
        let InputSpec::Strings(strings) = &self.job.spec.input else { return Ok(()) };
        let piece = strings.get(start as usize..end as usize).unwrap_or_default();
        for (index, string) in (start..).zip(piece) {
            self.check()?;
            task.record(None, string.as_bytes(), &format_args!("spec.input.strings[{index}]"))?;
        }
        Ok(())
    }

    /// Writes the records that were skipped, a JSON value a line.
    fn keep_bad(&self, records: &[BadRecord]) -> Result<(), TaskError> {
        #[derive(Serialize)]
        struct Letter<'a> {
            place: &'a str,
            reason: &'a str,
            value: std::borrow::Cow<'a, str>,
        }
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for BadRecord { place, reason, value } in records {
            let letter = Letter { place, reason, value: String::from_utf8_lossy(value) };
            serde_json::to_writer(&mut lines, &letter).map_err(|e| kernel::Error::Sink(e.into()))?;
            lines.push(b'\n');
        }
        let workspace = &self.job.workspace;
        let key = workspace.key(&names::dead_letter(self.task, self.attempt));
        Ok(self.handle.block_on(workspace.store.put(&key, lines.into()))?)
    }
}

fn next(fetch: &mut Fetch, name: &str) -> Result<Bytes, TaskError> {
    let missing = || TaskError::Decode { place: name.to_owned(), message: "the reading ended early".to_owned() };
    Ok(fetch.next().ok_or_else(missing)??)
}

fn decode(name: &str, error: &std::io::Error) -> TaskError {
    TaskError::Decode { place: name.to_owned(), message: error.to_string() }
}

fn object(piece: &Piece, framing: Framing) -> Option<Object<'_>> {
    let Piece::Object { key, etag, size, start, end, codec } = piece else { return None };
    let split = if *codec == Codec::None { Split { start: *start, end: *end } } else { Split::WHOLE };
    let from = framing.read_from(split);
    let slack = if *end < *size { SLACK } else { 0 };
    let ahead = if *codec == Codec::None { (*end + slack).min(*size) } else { *size };
    Some(Object { key, etag, size: *size, split, codec: *codec, from: from.min(ahead), ahead })
}

impl Object<'_> {
    fn requests(&self) -> impl Iterator<Item = Request> + use<> {
        let (key, etag): (Arc<str>, Arc<str>) = (self.key.into(), self.etag.into());
        chunks(self.from..self.ahead, CHUNK).map(move |range| Request {
            key: key.clone(),
            range,
            etag: Some(etag.clone()),
        })
    }
}

/// The segment that a coordinator is told of.
fn segment(name: String, index: &SegmentIndex) -> Segment {
    let ends = index.partitions.iter().map(|range| range.offset + range.length);
    let first = index.partitions.first().map_or(0, |range| range.offset);
    Segment {
        name,
        offsets: std::iter::once(first).chain(ends).collect(),
        records: index.partitions.iter().map(|range| range.records).collect(),
    }
}
