//! The manifest: which attempt's output is the job's.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::job::AttemptId;

/// What a task read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Records read.
    pub records_in: u64,
    /// Bytes read, as they are in the store.
    pub bytes_in: u64,
    /// Records written.
    pub records_out: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Bad records skipped.
    pub skipped: u64,
}

impl Counters {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            records_in: self.records_in.saturating_add(other.records_in),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            records_out: self.records_out.saturating_add(other.records_out),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }

    /// Without what `other` counted.
    pub fn minus(self, other: Self) -> Self {
        Self {
            records_in: self.records_in.saturating_sub(other.records_in),
            bytes_in: self.bytes_in.saturating_sub(other.bytes_in),
            records_out: self.records_out.saturating_sub(other.records_out),
            bytes_out: self.bytes_out.saturating_sub(other.bytes_out),
            skipped: self.skipped.saturating_sub(other.skipped),
        }
    }
}

/// A map attempt's output: a segment object in the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Its name in the workspace.
    pub name: String,
    /// Where each partition begins, and where the last one ends: one number more than there are partitions, ascending.
    pub offsets: Vec<u64>,
    /// Records of each partition.
    pub records: Vec<u64>,
}

impl Segment {
    /// The bytes of a partition and its records; none where there is no such partition.
    pub fn partition(&self, partition: u32) -> (Range<u64>, u64) {
        let at = partition as usize;
        match (self.offsets.get(at), self.offsets.get(at.saturating_add(1)), self.records.get(at)) {
            (Some(&start), Some(&end), Some(&records)) if start < end => (start..end, records),
            _ => (0..0, 0),
        }
    }

    /// Whether it is of so many partitions, each after the one before.
    pub fn is_valid(&self, partitions: u32) -> bool {
        let partitions = partitions as usize;
        self.offsets.len() == partitions + 1 && self.records.len() == partitions && self.offsets.is_sorted()
    }
}

/// A part of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// From 1, in the order of the content.
    pub number: u32,
    /// The store's word for the part.
    pub etag: String,
}

/// A row of the result, for the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Row {
    /// The key; bytes that are not UTF-8 are replaced.
    pub key: String,
    /// The value, likewise.
    pub value: String,
}

/// A reduce attempt's output: an upload at its final name that is not completed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputPart {
    /// The object's name below the output's prefix.
    pub name: String,
    /// The attempt that wrote it.
    pub attempt: AttemptId,
    /// The upload.
    pub upload: String,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Bytes in all.
    pub bytes: u64,
    /// Records in all.
    pub records: u64,
}

/// Where an attempt's object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UploadPlace {
    /// In the job's workspace.
    Workspace,
    /// In the output's place.
    Output,
}

/// An upload that an attempt has begun: what is left of it is forgotten at the job's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadNote {
    /// Where the object is to be.
    pub place: UploadPlace,
    /// Its name there.
    pub name: String,
    /// The upload.
    pub upload: String,
}

/// Names, for every partition, the attempt whose output is the job's. Written once; then the uploads are completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The job's UID.
    pub job: String,
    /// From 1. A later one exists only where the store lost an upload that an earlier one names.
    pub number: u32,
    /// The output objects, by partition; empty where the output is not in a store.
    pub outputs: Vec<OutputPart>,
    /// What the map tasks read and skipped, and the reduce tasks wrote.
    pub counters: Counters,
}

/// The content of `_SUCCESS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// The job's UID.
    pub job: String,
    /// The manifest's name, in the workspace that the job had.
    pub manifest: String,
    /// The objects.
    pub outputs: Vec<SuccessPart>,
    /// What was read, skipped and written.
    pub counters: Counters,
}

/// An object of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SuccessPart {
    /// Its name below the output's prefix.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

impl Manifest {
    /// What `_SUCCESS` says of it.
    pub fn success(&self) -> Success {
        let part = |o: &OutputPart| SuccessPart { name: o.name.clone(), bytes: o.bytes, records: o.records };
        Success {
            job: self.job.clone(),
            manifest: super::names::manifest(self.number),
            outputs: self.outputs.iter().map(part).collect(),
            counters: self.counters,
        }
    }
}
