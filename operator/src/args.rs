//! The command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

/// The operator of Tributary.
#[derive(Clone, Debug, Parser)]
#[command(name = "tributary-operator", version)]
pub struct Cli {
    /// What to do; the default is `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `run`.
    #[command(flatten)]
    pub run: Run,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Run),
    /// Print the manifest that installs the operator.
    Manifests(Manifests),
}

/// Options of `run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Image of the coordinators and workers of MapReduceJobs.
    #[arg(long, env = "TRIBUTARY_ENGINE_IMAGE", default_value = DEFAULT_ENGINE_IMAGE)]
    pub engine_image: String,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "TRIBUTARY_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Address of the admission webhook, which speaks TLS; without it there is none.
    #[arg(long, env = "TRIBUTARY_WEBHOOK_LISTEN")]
    pub webhook_listen: Option<SocketAddr>,
    /// Namespace of the lease and of the webhook's Service and Secret; the default is the pod's own.
    #[arg(long, env = "POD_NAMESPACE", default_value = "tributary-system")]
    pub namespace: String,
    /// This replica's name in the lease and in events.
    #[arg(long, env = "POD_NAME", default_value = "tributary-operator")]
    pub pod_name: String,
    /// The uid of the pod that this runs in: a process that is started again in it frees the lease that the former one held.
    #[arg(long, env = "POD_UID")]
    pub pod_uid: Option<String>,
    /// Objects of a kind that are worked on at a time.
    #[arg(long, env = "TRIBUTARY_WORKERS", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Which log lines are written, such as `info` or `tributary_operator=debug`.
    // what the kube crates warn of comes back as an error, which is logged with what it is about
    #[arg(long, env = "TRIBUTARY_LOG", default_value = "info,kube_client=off,kube_runtime=off")]
    pub log: String,
    /// Write the log as JSON.
    #[arg(long, env = "TRIBUTARY_LOG_JSON")]
    pub log_json: bool,
}

/// Options of `manifests`.
#[derive(Args, Clone, Debug)]
pub struct Manifests {
    /// Image of the operator.
    #[arg(long, default_value = "tributary/operator:dev")]
    pub image_operator: String,
    /// Image of the coordinators and workers of MapReduceJobs.
    #[arg(long, default_value = DEFAULT_ENGINE_IMAGE)]
    pub image_engine: String,
    /// Namespace of the operator.
    #[arg(long, default_value = "tributary-system")]
    pub namespace: String,
}

const DEFAULT_ENGINE_IMAGE: &str = "tributary/engine:dev";
