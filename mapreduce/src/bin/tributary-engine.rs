//! The engine in a pod: `tributary-engine coordinator` or `tributary-engine worker`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tributary_mapreduce::cluster::run::{self, Files};

/// Runs a part of a MapReduceJob in a pod
#[derive(Debug, Parser)]
#[command(name = "tributary-engine", version)]
struct Engine {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Hands out the job's tasks, and commits its output
    Coordinator {
        #[command(flatten)]
        files: FileArgs,
        /// The address that workers reach it at
        #[arg(long, default_value = "0.0.0.0:7070")]
        listen: String,
    },
    /// Runs tasks
    Worker {
        #[command(flatten)]
        files: FileArgs,
        /// URL of the coordinator
        #[arg(long)]
        coordinator: String,
        /// Tasks at once; the default is one a CPU
        #[arg(long)]
        slots: Option<u32>,
    },
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The job
    #[arg(long = "job")]
    job: PathBuf,
    /// The key that the job's pods know each other by
    #[arg(long)]
    key_file: PathBuf,
}

impl From<FileArgs> for Files {
    fn from(args: FileArgs) -> Self {
        Self { job: args.job, key: args.key_file }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            terminated.recv().await;
            stopper.cancel();
        }
    });
    let done = match Engine::parse().part {
        Part::Coordinator { files, listen } => run::coordinate(files.into(), listen, stop).await,
        Part::Worker { files, coordinator, slots } => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
            run::work(files.into(), &coordinator, slots.unwrap_or(cpus), stop).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ends");
            ExitCode::FAILURE
        }
    }
}
