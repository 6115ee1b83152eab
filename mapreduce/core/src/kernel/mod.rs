//! The kernel: bytes in, records mapped, partitioned, combined, sorted, spilled, merged and reduced, bytes out.
//!
//! A single-threaded library without I/O: the caller reads objects and topics, stores segments and writes output.
//!
//! ```text
//! map task     begin/feed/end, record ──> MapFn ──> collector ──(memory limit)──> runs in Scratch
//!              finish ──> merge of the runs ──> one segment ──> ByteSink, and its SegmentIndex
//! reduce task  a BlockSource for the partition's range of each segment ──> merge ──> reduce ──> ByteSink
//! ```
//!
//! * [`Program::compile`] checks what map and reduce steps say, once a process.
//! * [`MapTask`] runs a map task. [`Framing::read_from`] says where to begin to read an object for a [`Split`]; the
//!   caller feeds chunks of any size until [`Feed::Done`] or the object's end, and then calls [`MapTask::end`].
//! * [`MapTask::finish`] writes a segment (see [`segment`] for the format). A reducer reads the last
//!   [`SegmentIndex::tail_len`] bytes of it, decodes them by [`SegmentIndex::decode`] and then reads the range of
//!   its partition.
//! * [`reduce`] merges these ranges and writes the output. An error that is a segment's fault names the input.
//!
//! Results are deterministic: the same splits in the same order give the same bytes, whatever the memory limit.

mod collect;
mod combine;
mod error;
mod frame;
mod map;
mod merge;
mod number;
mod operators;
mod order;
mod output;
mod packed;
mod partition;
mod program;
mod reduce;
pub mod segment;
mod simd;
mod sort;
mod spill;
mod table;
mod tokens;
mod words;

pub use error::{BoxError, Error};
pub use frame::{Feed, Framing, MAX_RECORD_BYTES, Split};
pub use map::{BadRecord, MapConfig, MapOutput, MapStats, MapTask, Scratch};
pub use operators::{Emit, EmitError, MapFn, Record};
pub use output::{ByteSink, OutputFormat, OutputOptions};
pub use partition::partition;
pub use program::{MapStep, Program, ProgramError, ReduceStep};
pub use reduce::{ReduceInput, ReduceOutput, reduce};
pub use segment::{BlockSource, Chunks, PartitionRange, SegmentError, SegmentIndex};
pub use spill::MemoryScratch;
