//! A job on a cluster: coordinator and workers in pods of their own, HTTP between them, the status in the apiserver.

pub mod auth;
pub mod client;
pub mod job_file;
#[cfg(all(feature = "s3", feature = "kafka"))]
pub mod run;
pub mod server;
pub mod status;
