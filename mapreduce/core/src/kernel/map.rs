//! The map task.

use std::fmt;

use memchr::{memchr, memchr_iter};

use super::collect::{Collect, collector};
use super::error::{BoxError, Error, lossy};
use super::frame::{Feed, FrameError, Framer, Framing, MAX_RECORD_BYTES, Slab, Split};
use super::operators::{Emit, EmitError, MapFn, Record, is_space};
use super::order::MAX_PARTITIONS;
use super::output::ByteSink;
use super::program::Program;
use super::segment::{SegmentIndex, SegmentWriter};
use super::spill::Spill;

/// How a map task runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapConfig {
    /// How records are told apart in what is fed.
    pub framing: Framing,
    /// Partitions of the job: what [`Program::partitions`] says, at most 2^24.
    pub partitions: u32,
    /// Bytes of output held before a run is spilled; at least 64 KiB and at most 2 GiB are used.
    pub memory: usize,
    /// Bad records to skip before the task fails.
    pub skip_bad_records: u64,
}

/// Append-only space for the runs of one map task: memory, or a file. Dropped with the task.
pub trait Scratch: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// The caller's own; the task stops.
    fn append(&self, bytes: &[u8]) -> Result<(), BoxError>;

    /// Fills `buffer` with the bytes at `offset`, which have been appended.
    ///
    /// # Errors
    /// The caller's own; the task stops.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BoxError>;
}

/// What a map task counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapStats {
    /// Records read, the skipped ones included.
    pub records_read: u64,
    /// Bytes of these records; over the splits of an object this adds up to its size.
    pub bytes_read: u64,
    /// Bad records skipped.
    pub records_skipped: u64,
    /// Runs spilled for want of memory.
    pub spills: u64,
}

/// A record that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The object and the byte, or what [`MapTask::record`] was told.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its value, cut at 64 KiB.
    pub value: Vec<u8>,
}

/// What a map task gives besides the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapOutput {
    /// Counts.
    pub stats: MapStats,
    /// The segment's index.
    pub index: SegmentIndex,
    /// The records skipped.
    pub bad_records: Vec<BadRecord>,
}

/// A map task: splits of objects, or single records, into one segment.
pub struct MapTask {
    framing: Framing,
    framer: Option<Framer>,
    object: String,
    carry: Vec<u8>,
    work: Work,
}

/// What is apart from the framer, so that both can be borrowed.
struct Work {
    /// `None` for Words.
    map: Option<Box<dyn MapFn>>,
    buffer: Buffer,
    stats: MapStats,
    limit: u64,
    bad_records: Vec<BadRecord>,
}

/// Collects pairs and spills them.
struct Buffer {
    collect: Box<dyn Collect>,
    memory: usize,
    spill: Spill,
}

const MIN_MEMORY: usize = 64 << 10;
const MAX_MEMORY: usize = 2 << 30;
/// Text whose words are taken before memory is looked at.
const WORDS_BYTES: usize = 64 << 10;
const BAD_RECORD_BYTES: usize = 64 << 10;

impl MapTask {
    /// A task that has read nothing yet.
    pub fn new(program: &Program, config: &MapConfig, scratch: Box<dyn Scratch>) -> Self {
        let partitions = config.partitions.clamp(1, MAX_PARTITIONS);
        let memory = config.memory.clamp(MIN_MEMORY, MAX_MEMORY);
        let buffer = Buffer {
            collect: collector(program, partitions),
            memory,
            spill: Spill::new(program, partitions, memory, scratch),
        };
        let work = Work {
            map: program.map_fn(),
            buffer,
            stats: MapStats::default(),
            limit: config.skip_bad_records,
            bad_records: Vec::new(),
        };
        Self { framing: config.framing, framer: None, object: String::new(), carry: Vec::new(), work }
    }

    /// Begins a split of an object; feed it from [`Framing::read_from`]. A task may read many, one after the other.
    /// [`Feed::Done`] means that the split has no record.
    ///
    /// # Errors
    /// [`Error::Misuse`] before the end of the split before.
    pub fn begin(&mut self, object: &str, split: Split) -> Result<Feed, Error> {
        if self.framer.is_some() {
            return Err(Error::Misuse("begin before end"));
        }
        let framer = Framer::new(self.framing, split, std::mem::take(&mut self.carry));
        object.clone_into(&mut self.object);
        let state = framer.state();
        self.framer = Some(framer);
        Ok(state)
    }

    /// Takes the next bytes of the object. What is fed after [`Feed::Done`] is ignored.
    ///
    /// # Errors
    /// A bad record beyond those that may be skipped, a record too large, an overflow, or the scratch space's error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Feed, Error> {
        let Self { framer, object, work, .. } = self;
        let framer = framer.as_mut().ok_or(Error::Misuse("feed before begin"))?;
        let fed = framer.feed(chunk, &mut |slab| work.slab(self.framing, object, &slab).map_err(Stop::Task));
        fed.or_else(|stop| work.stopped(stop, object).map(|()| Feed::Done))
    }

    /// Ends the split: it is done, or the object has no more bytes.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn end(&mut self) -> Result<(), Error> {
        let Self { framer, object, work, .. } = self;
        let mut framer = framer.take().ok_or(Error::Misuse("end before begin"))?;
        let ended = framer.end(&mut |slab| work.slab(self.framing, object, &slab).map_err(Stop::Task));
        ended.or_else(|stop| work.stopped(stop, object))?;
        self.carry = framer.into_carry();
        Ok(())
    }

    /// Takes a single record, such as Kafka's. `place` names it in errors.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn record(&mut self, key: Option<&[u8]>, value: &[u8], place: &dyn fmt::Display) -> Result<(), Error> {
        if key.map_or(0, <[u8]>::len).max(value.len()) > MAX_RECORD_BYTES {
            return Err(Error::RecordTooLarge { place: place.to_string(), limit: MAX_RECORD_BYTES });
        }
        self.work.stats.bytes_read += (key.map_or(0, <[u8]>::len) + value.len()) as u64;
        self.work.record(Record { key, value }, place)
    }

    /// Counts so far.
    pub fn stats(&self) -> MapStats {
        MapStats { spills: self.work.buffer.spill.spills(), ..self.work.stats }
    }

    /// Writes the segment, in chunks.
    ///
    /// # Errors
    /// [`Error::Misuse`] within a split, an overflow, or the error of the sink or the scratch space.
    pub fn finish(self, sink: &mut dyn ByteSink) -> Result<MapOutput, Error> {
        if self.framer.is_some() {
            return Err(Error::Misuse("finish before end"));
        }
        let stats = self.stats();
        let index = self.work.buffer.finish(sink)?;
        Ok(MapOutput { stats, index, bad_records: self.work.bad_records })
    }
}

/// Why a framer stopped.
enum Stop {
    Frame(FrameError),
    Task(Error),
}

impl From<FrameError> for Stop {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl Work {
    /// Maps the records of a slab.
    fn slab(&mut self, framing: Framing, object: &str, slab: &Slab<'_>) -> Result<(), Error> {
        self.stats.bytes_read += slab.bytes.len() as u64;
        if self.map.is_none() && framing == Framing::Lines {
            let open = !slab.bytes.ends_with(b"\n");
            self.stats.records_read += memchr_iter(b'\n', slab.bytes).count() as u64 + u64::from(open);
            return self.buffer.words(slab.bytes).map_err(|error| match error {
                EmitError::Task(error) => error,
                EmitError::Record(_) => Error::Misuse("a word is never a bad record"),
            });
        }
        let mut rest = slab.bytes;
        let mut offset = slab.offset;
        loop {
            let (key, length, delimiter) = match framing {
                Framing::WholeObject => (Some(object.as_bytes()), rest.len(), 0),
                Framing::FixedLength(length) => (None, length.get() as usize, 0),
                Framing::Lines => match memchr(b'\n', rest) {
                    Some(lf) => (None, lf, 1),
                    None => (None, rest.len(), 0),
                },
            };
            self.record(Record { key, value: &rest[..length] }, &Place { object, offset })?;
            rest = &rest[length + delimiter..];
            offset += (length + delimiter) as u64;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn record(&mut self, record: Record<'_>, place: &dyn fmt::Display) -> Result<(), Error> {
        self.stats.records_read += 1;
        let mapped = match &mut self.map {
            Some(map) => map.map(record, &mut self.buffer),
            None => self.buffer.words(record.value),
        };
        match mapped {
            Ok(()) => Ok(()),
            Err(EmitError::Task(error)) => Err(error),
            Err(EmitError::Record(reason)) => self.skip(record.value, reason, place),
        }
    }

    fn skip(&mut self, value: &[u8], reason: String, place: &dyn fmt::Display) -> Result<(), Error> {
        let place = place.to_string();
        if self.stats.records_skipped >= self.limit {
            return Err(Error::BadRecord { place, reason, limit: self.limit });
        }
        self.stats.records_skipped += 1;
        let value = value[..value.len().min(BAD_RECORD_BYTES)].to_vec();
        self.bad_records.push(BadRecord { place, reason, value });
        Ok(())
    }

    fn stopped(&mut self, stop: Stop, object: &str) -> Result<(), Error> {
        match stop {
            Stop::Task(error) => Err(error),
            Stop::Frame(FrameError::TooLarge(offset)) => {
                let place = Place { object, offset }.to_string();
                Err(Error::RecordTooLarge { place, limit: MAX_RECORD_BYTES })
            }
            Stop::Frame(FrameError::Truncated(offset, bytes)) => {
                self.stats.records_read += 1;
                self.stats.bytes_read += bytes as u64;
                self.skip(b"", format!("the object ends after {bytes} bytes of it"), &Place { object, offset })
            }
        }
    }
}

struct Place<'a> {
    object: &'a str,
    offset: u64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.object, self.offset)
    }
}

impl Emit for Buffer {
    fn emit(&mut self, key: &[u8], value: &[u8]) -> Result<(), EmitError> {
        if key.len() > MAX_RECORD_BYTES {
            return Err(EmitError::Record(format!("key {:?} is over {MAX_RECORD_BYTES} bytes", lossy(key))));
        }
        self.collect.add(key, value)?;
        Ok(self.make_room()?)
    }
}

impl Buffer {
    /// Takes the words of a text, in pieces that end between words.
    fn words(&mut self, text: &[u8]) -> Result<(), EmitError> {
        let piece = (self.memory / 16).min(WORDS_BYTES);
        let mut rest = text;
        while !rest.is_empty() {
            let after = rest.get(piece..).and_then(|after| after.iter().position(|&b| is_space(b)));
            let (now, later) = rest.split_at(after.map_or(rest.len(), |at| piece + at));
            self.collect.add_words(now)?;
            self.make_room()?;
            rest = later;
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Error> {
        if self.collect.memory() > self.memory && !self.collect.is_empty() {
            self.spill.spill(&mut *self.collect)?;
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut dyn ByteSink) -> Result<SegmentIndex, Error> {
        if self.spill.spills() == 0 {
            let mut writer = SegmentWriter::new(sink, self.spill.partitions())?;
            self.collect.drain(&mut writer)?;
            return writer.finish();
        }
        if !self.collect.is_empty() {
            self.spill.spill(&mut *self.collect)?;
        }
        drop(self.collect);
        self.spill.merge(sink)
    }
}
