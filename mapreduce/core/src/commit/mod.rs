//! What a job keeps in its store: the [journal](Batch) that a new coordinator resumes from, and the [`Manifest`] that
//! names the output.
//!
//! Both are write-once objects, numbered without gaps and made by conditional writes, so that of several coordinators
//! one decides each number and the others read what it decided. See [`names`] for their places.

mod journal;
mod manifest;
pub mod names;

pub use journal::{Batch, Entry};
pub use manifest::{Counters, Manifest, OutputPart, Part, Row, Segment, Success, SuccessPart, UploadNote, UploadPlace};
