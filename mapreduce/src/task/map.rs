//! A map task: pieces of the input into one segment of the workspace.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde_json::json;
use tokio::sync::Semaphore;
use tributary_mapreduce_core::commit::{Counters, Segment, names};
use tributary_mapreduce_core::job::Outcome;
use tributary_mapreduce_core::kernel::{BadRecord, Feed, MapConfig, MapTask, SegmentIndex, Split};
use tributary_mapreduce_core::split::{Codec, MapInput, Piece};

use super::fetch::{Fetch, Reader, Want};
use super::scratch::FileScratch;
use super::{Stop, Task};
use crate::input::TopicRecord;
use crate::spec::InputSpec;
use crate::store::StoreError;

/// Bytes of a request for input: S3 serves ranges of this size best.
const CHUNK: u64 = 8 << 20;
/// Requests of a task at once.
const REQUESTS: usize = 2;
/// Records of a topic between two looks at whether the attempt is cancelled.
const RECORDS: u64 = 1 << 14;
/// Bytes of a decompressed chunk.
const PLAIN: usize = 1 << 20;

/// An object, or the part of it that a piece names.
struct Object<'a> {
    key: &'a str,
    etag: &'a str,
    size: u64,
    split: Split,
    codec: Codec,
}

impl Task<'_> {
    pub(super) fn map(&self, input: &MapInput) -> Result<Outcome, Stop> {
        let spec = &self.context.spec;
        let config = MapConfig {
            framing: spec.framing(),
            partitions: spec.config.partitions,
            memory: spec.sort_memory,
            skip_bad_records: spec.config.skip_bad_records,
        };
        let scratch = Box::new(FileScratch::new(self.context.scratch.clone()));
        let mut task = MapTask::new(&spec.program, &config, scratch);
        let mut stored = 0;
        for piece in &input.pieces {
            self.check()?;
            match piece {
                Piece::Object { key, etag, size, start, end, codec } => {
                    stored += end - start;
                    let split = if *codec == Codec::None { Split { start: *start, end: *end } } else { Split::WHOLE };
                    self.object(&mut task, &Object { key, etag, size: *size, split, codec: *codec })?;
                }
                Piece::Topic { partition, start, end } => self.topic(&mut task, *partition, *start..*end)?,
                Piece::Strings { start, end } => self.strings(&mut task, *start, *end)?,
            }
        }
        self.check()?;
        let mut bytes = Vec::new();
        let output = task.finish(&mut bytes)?;
        let name = names::segment(self.assignment.task, self.assignment.attempt);
        let workspace = &self.context.workspace;
        let (size, segment) = (bytes.len() as u64, segment(name, &output.index));
        self.runtime.block_on(workspace.store.put(&workspace.key(&segment.name), bytes.into()))?;
        self.dead_letters(&output.bad_records)?;
        let counters = Counters {
            records_in: output.stats.records_read,
            bytes_in: if stored > 0 { stored } else { output.stats.bytes_read },
            records_out: output.index.records(),
            bytes_out: size,
            skipped: output.stats.records_skipped,
        };
        Ok(Outcome::Mapped { segment, counters })
    }

    fn object(&self, task: &mut MapTask, object: &Object<'_>) -> Result<(), Stop> {
        let Some(place) = &self.context.input else { return Ok(()) };
        let from = self.context.spec.framing().read_from(object.split).min(object.size);
        let want = Want {
            key: object.key.to_owned(),
            etag: (!object.etag.is_empty()).then(|| object.etag.to_owned()),
            range: from..object.size,
            chunk: CHUNK.min((object.split.end - object.split.start).saturating_add(64 << 10)),
            ahead: REQUESTS,
        };
        let at_once = Arc::new(Semaphore::new(REQUESTS));
        let fetch = Fetch::start(self.runtime, place.store.clone(), want, at_once);
        let name = place.store.place(object.key);
        if task.begin(&name, object.split)? == Feed::More {
            match object.codec {
                Codec::None => self.plain(task, fetch)?,
                codec => self.compressed(task, fetch, codec, &name)?,
            }
        }
        Ok(task.end()?)
    }

    fn plain(&self, task: &mut MapTask, mut fetch: Fetch) -> Result<(), Stop> {
        while let Some(chunk) = fetch.next()? {
            self.check()?;
            if task.feed(&chunk)? == Feed::Done {
                break;
            }
        }
        Ok(())
    }

    fn compressed(&self, task: &mut MapTask, fetch: Fetch, codec: Codec, place: &str) -> Result<(), Stop> {
        let mut reader = Reader::new(fetch);
        let fed = match codec {
            Codec::Zstd => self.zstd(task, &mut reader, place),
            Codec::None | Codec::Gzip => self.decoded(task, &mut MultiGzDecoder::new(&mut reader), place),
        };
        // a fetch that failed looks like a damaged object to the decoder
        match reader.failed.take() {
            Some(error) => Err(error.into()),
            None => fed,
        }
    }

    /// Zstandard: frames, one after the other.
    fn zstd(&self, task: &mut MapTask, reader: &mut Reader, place: &str) -> Result<(), Stop> {
        let damaged = |message: String| Stop::Decompress { place: place.to_owned(), message };
        while !reader.is_at_end().map_err(|e| damaged(e.to_string()))? {
            let mut frame =
                ruzstd::decoding::StreamingDecoder::new(&mut *reader).map_err(|e| damaged(e.to_string()))?;
            self.decoded(task, &mut frame, place)?;
        }
        Ok(())
    }

    fn decoded(&self, task: &mut MapTask, decoder: &mut dyn Read, place: &str) -> Result<(), Stop> {
        let mut buffer = vec![0; PLAIN];
        loop {
            self.check()?;
            let damaged = |e: std::io::Error| Stop::Decompress { place: place.to_owned(), message: e.to_string() };
            let n = decoder.read(&mut buffer).map_err(damaged)?;
            if n == 0 {
                return Ok(());
            }
            task.feed(&buffer[..n])?;
        }
    }

    fn topic(&self, task: &mut MapTask, partition: i32, range: std::ops::Range<i64>) -> Result<(), Stop> {
        let InputSpec::Topic(input) = &self.context.spec.input else { return Ok(()) };
        let (mut stop, mut seen) = (None, 0_u64);
        let mut each = |record: TopicRecord<'_>| {
            seen += 1;
            let place = format_args!("topic {}, partition {partition}, offset {}", input.topic, record.offset);
            let mut taken = task.record(record.key, record.value, &place).map_err(Stop::from);
            if seen.is_multiple_of(RECORDS) && taken.is_ok() {
                taken = self.check();
            }
            match taken {
                Ok(()) => ControlFlow::Continue(()),
                Err(e) => {
                    stop = Some(e);
                    ControlFlow::Break(())
                }
            }
        };
        self.context.topics.read(&input.topic, partition, range, &mut each)?;
        stop.map_or(Ok(()), Err)
    }

    fn strings(&self, task: &mut MapTask, start: u32, end: u32) -> Result<(), Stop> {
        let InputSpec::Strings(strings) = &self.context.spec.input else { return Ok(()) };
        for (index, string) in strings.iter().enumerate().take(end as usize).skip(start as usize) {
            task.record(None, string.as_bytes(), &format_args!("spec.input.strings[{index}]"))?;
        }
        Ok(())
    }

    /// Keeps the records that were skipped: a JSON object a line.
    fn dead_letters(&self, records: &[BadRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let line = |r: &BadRecord| {
            let value = String::from_utf8_lossy(&r.value);
            format!("{}\n", json!({"place": r.place, "reason": r.reason, "value": value}))
        };
        let lines: String = records.iter().map(line).collect();
        let workspace = &self.context.workspace;
        let name = names::dead_letter(self.assignment.task, self.assignment.attempt);
        self.runtime.block_on(workspace.store.put(&workspace.key(&name), lines.into()))
    }
}

fn segment(name: String, index: &SegmentIndex) -> Segment {
    let ranges = &index.partitions;
    let end = ranges.last().map_or(0, |last| last.offset + last.length);
    Segment {
        name,
        offsets: ranges.iter().map(|r| r.offset).chain([end]).collect(),
        records: ranges.iter().map(|r| r.records).collect(),
    }
}
