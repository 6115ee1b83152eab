//! Development tasks: `cargo xtask --help`.

mod checks;
mod cluster;
mod dirs;
mod images;
mod oci;
mod packages;
mod sh;
mod spark;
mod test;
mod tools;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cluster::Cluster;
use dirs::Dirs;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

/// Development tasks of Tributary.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
enum Task {
    /// Install packages and build the tools that tests need
    Setup,
    /// The cluster that end-to-end tests run on
    ///
    /// A real one-node cluster in a network namespace of this machine, with Kafka at 198.18.0.1:9092, S3 at 198.18.0.1:7070 and an
    /// image registry at 198.18.0.1:5000 (in pods: kafka.backing:9092, s3.backing:9000, registry.backing:5000). With
    /// TRIBUTARY_KUBECONFIG set, the cluster that it names, with the services that TRIBUTARY_KAFKA (HOST:PORT), TRIBUTARY_S3 (URL)
    /// and TRIBUTARY_REGISTRY ([http://]HOST[:PORT][/PATH]) name.
    #[command(subcommand)]
    Cluster(ClusterTask),
    /// Build the images of operator and engine, FROM scratch, under target/images
    Images {
        /// Import them into the test cluster
        #[arg(long, conflicts_with = "push")]
        load: bool,
        /// Push them to a registry, preceded by http:// if it speaks no TLS
        #[arg(long, value_name = "REGISTRY")]
        push: Option<String>,
    },
    /// Run the tests: format, clippy, unit, generated files, the first command, end to end
    ///
    /// The last line says: N passed, N failed, N skipped. The exit code is 0 only if nothing failed.
    Test(test::Options),
    /// Write crds/manifests from the resource types
    Crds {
        /// Only compare, and fail on a difference
        #[arg(long)]
        check: bool,
    },
    /// Write docs/reference from the resource types, the problems and the functions of expressions
    Docs {
        /// Only compare, and fail on a difference
        #[arg(long)]
        check: bool,
    },
    /// Write charts/install.yaml: resource types, rights and the operator's Deployment
    Manifests {
        /// Only compare, and fail on a difference
        #[arg(long)]
        check: bool,
    },
    /// Run a benchmark
    Bench {
        /// A binary of benches/, or of tests/bench/ for those on the cluster
        name: String,
        /// Print one JSON object on the last line
        #[arg(long)]
        json: bool,
        /// Arguments of the benchmark
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Subcommand)]
enum ClusterTask {
    /// Start it, unless it is up and healthy; the remains of one that was killed are cleared away
    Up {
        /// Start anew even if it is healthy
        #[arg(long)]
        fresh: bool,
        /// Have exactly this many fake nodes, tainted kwok.x-k8s.io/node=fake:NoSchedule and labelled type=kwok
        #[arg(long, value_name = "N")]
        fake_nodes: Option<usize>,
    },
    /// Stop it and remove its pods, mounts, network namespace and data
    Down,
    /// Print a line for each part
    Status,
    /// Print the variables that tests find it by, for `eval`
    Env,
    /// Run kubectl on it
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Run a command in its network namespace with its variables set
    Exec {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Task::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does the task; `false` where it failed and has said so in its own words.
fn run(task: Task) -> Result<bool> {
    let dirs = Dirs::find()?;
    if !matches!(task, Task::Cluster(_)) && dirs.claim()? {
        let error = sh::cargo().arg("xtask").args(env::args_os().skip(1)).current_dir(&dirs.root).exec();
        return Err(error).context("cannot start cargo xtask again");
    }
    match task {
        Task::Setup => {
            packages::ensure(&[packages::BUILD, packages::CLUSTER, packages::REFERENCE].concat())?;
            tools::ensure(&dirs)?;
        }
        Task::Cluster(task) => on_cluster(task, &dirs)?,
        Task::Images { load, push } => {
            let cluster = Cluster::find(&dirs);
            let layouts = images::build(&dirs)?;
            if load {
                layouts.iter().try_for_each(images::load)?;
            }
            if let Some(registry) = push {
                layouts
                    .iter()
                    .try_for_each(|l| images::push(&dirs, &cluster, l, &registry).map(|n| println!("{n}")))?;
            }
        }
        Task::Test(options) => return Ok(test::run(&dirs, &options)),
        Task::Crds { check } => checks::crds(&dirs, check)?,
        Task::Docs { check } => checks::docs(&dirs, check)?,
        Task::Manifests { check } => checks::manifests(&dirs, check)?,
        Task::Bench { name, json, args } => checks::bench(&dirs, &name, json, &args)?,
    }
    Ok(true)
}

fn on_cluster(task: ClusterTask, dirs: &Dirs) -> Result<()> {
    let cluster = Cluster::find(dirs);
    match task {
        ClusterTask::Up { fresh, fake_nodes } => cluster.up(fresh, fake_nodes),
        ClusterTask::Down => cluster.down(),
        ClusterTask::Status => cluster.status(),
        ClusterTask::Env => {
            for (name, value) in cluster.env() {
                println!("export {name}='{}'", value.to_string_lossy().replace('\'', "'\\''"));
            }
            Ok(())
        }
        ClusterTask::Kubectl { args } => cluster.exec("kubectl".as_ref(), &args),
        ClusterTask::Exec { command } => cluster.exec(&command[0], &command[1..]),
    }
}
