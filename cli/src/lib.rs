//! The command line: `tributary`, also `kubectl pipelines`.

pub mod manifest;
