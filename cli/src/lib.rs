//! The command line: `tributary`, also `kubectl pipelines`.
//!
//! [`local`] runs a Pipeline on this machine with the operator's own `evaluate`; [`manifest`] reads the files.

pub mod args;
mod command;
pub mod local;
pub mod manifest;
mod output;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use local::RunError;
use manifest::Complaint;

/// How a command ended that did what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// All is well.
    Success,
    /// What was looked at is not well; it has been said.
    Failure,
}

/// Why a command could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Manifests are wrong.
    #[error("{}", joined(.0))]
    Manifests(Vec<Complaint>),
    /// The command line asks for what is not there.
    #[error("{0}")]
    Usage(String),
    /// No object of ours.
    #[error("there is no Pipeline and no Blueprint in the files given")]
    Nothing,
    /// Nothing to run.
    #[error("there is no Pipeline in the files given: `tributary run` needs one, beside its Blueprint")]
    NoPipeline,
    /// Kinds that need a cluster.
    #[error("{0}")]
    NeedsCluster(String),
    /// A dataset that cannot be read.
    #[error(
        "dataset {name}: {dir}: {reason}. Name its directory with --dataset {name}=DIR, or that of all buckets with \
         --store {store}=DIR", dir = dir.display()
    )]
    Dataset {
        /// The dataset.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
        /// Why it is none.
        reason: String,
        /// Its store.
        store: String,
    },
    /// What kubectl says.
    #[error("{0}")]
    Kubectl(String),
    /// A file for a topic that cannot be read.
    #[error("--topic {name}={file}: {reason}")]
    Topic {
        /// The topic.
        name: String,
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The run came to no outcome.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What a terminal or a file refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What cannot be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

fn joined(complaints: &[Complaint]) -> String {
    complaints.iter().map(Complaint::to_string).collect::<Vec<_>>().join("\n")
}

/// Does what the command line says. `name` is what people type: `tributary` or `kubectl pipelines`.
pub fn main(name: &'static str) -> ExitCode {
    let parsed = Cli::command().name(name).bin_name(name).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // prints help and version too, which are no errors
        Err(e) => e.exit(),
    };
    let done = match &cli.command {
        Command::Run(args) => command::run::run(args),
        Command::Verify(args) => command::verify::verify(args),
        Command::Plan(args) => command::plan::plan(args),
        Command::Graph(args) => command::graph::graph(args),
    };
    match done {
        Ok(Exit::Success) => ExitCode::SUCCESS,
        Ok(Exit::Failure) => ExitCode::FAILURE,
        Err(Failure::Run(RunError::Interrupted)) => {
            eprintln!("interrupted");
            ExitCode::from(130)
        }
        Err(Failure::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(Failure::Manifests(complaints)) => {
            eprintln!("{}", joined(&complaints));
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}
