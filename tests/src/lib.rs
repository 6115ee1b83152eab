//! What the end-to-end tests stand on: a namespace of its own for each test, kubectl as a user types it, S3 and Kafka.
//!
//! `cargo xtask test e2e` brings the cluster up and sets the environment: `KUBECONFIG`, `TRIBUTARY_S3` (URL of the S3
//! service) and `TRIBUTARY_KAFKA` (bootstrap servers), both as pods and tests reach them.

pub mod cli;
pub mod counting;
pub mod job;
pub mod kafka;
pub mod kubectl;
pub mod namespace;
pub mod operator;
pub mod reference;
pub mod s3;
pub mod standin;
pub mod wait;

pub use kubectl::kubectl;
pub use namespace::Namespace;
pub use wait::{DEADLINE, until};

use std::path::PathBuf;

use tokio::sync::Mutex;

/// Held by whoever has JobTemplates and by whoever removes their type, and they with it, from the cluster.
pub static JOB_TEMPLATES: Mutex<()> = Mutex::const_new(());

/// The project's top directory.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// An environment variable that `cargo xtask test e2e` sets.
pub fn env(name: &str) -> anyhow::Result<String> {
    std::env::var(name).map_err(|_| anyhow::anyhow!("{name} is not set: run these tests by `cargo xtask test e2e`"))
}
