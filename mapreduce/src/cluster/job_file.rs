//! What the pods of a job are told of it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tributary_crds::MapReduceJobSpec;

/// The content of `job.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobFile {
    /// Namespace of the MapReduceJob.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its spec.
    pub spec: MapReduceJobSpec,
}

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub enum JobFileError {
    /// The file cannot be read.
    #[error("the job cannot be read from {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a job: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl JobFile {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, JobFileError> {
        let name = || path.display().to_string();
        let text = std::fs::read(path).map_err(|source| JobFileError::Read { path: name(), source })?;
        serde_json::from_slice(&text).map_err(|source| JobFileError::Parse { path: name(), source })
    }
}
