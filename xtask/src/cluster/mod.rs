//! The cluster that tests run on: our own in a network namespace, or the one that TRIBUTARY_KUBECONFIG names.

pub mod backing;
mod clean;
mod diagnose;
mod named;
mod net;
mod parts;
mod pki;
mod process;
mod start;

pub use clean::ctr;
use named::Named;

use crate::dirs::Dirs;
use crate::sh;
use anyhow::{Result, bail};
use process::Daemons;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How the AWS clients come into our S3 server.
const S3_ACCESS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "tributary"), ("AWS_SECRET_ACCESS_KEY", "tributary-secret"), ("AWS_REGION", "us-east-1")];

/// Which cluster.
#[derive(Debug)]
pub enum Cluster {
    /// Ours, on this machine.
    Own(Dirs),
    /// Someone's, by a kubeconfig.
    Named(Dirs, Named),
}

impl Cluster {
    /// The cluster that the environment asks for.
    pub fn find(dirs: &Dirs) -> Self {
        match Named::from_env() {
            Some(named) => Self::Named(dirs.clone(), named),
            None => Self::Own(dirs.clone()),
        }
    }

    /// Brings it to where tests can run, unless it is there.
    pub fn up(&self, fresh: bool, fake_nodes: Option<usize>) -> Result<()> {
        match self {
            Self::Own(dirs) => {
                start::up(dirs, fresh)?;
                fake_nodes.map_or(Ok(()), |n| start::fake_nodes(dirs, n))
            }
            Self::Named(..) if fresh || fake_nodes.is_some() => {
                bail!(
                    "--fresh and --fake-nodes are for the test cluster of this machine, not for TRIBUTARY_KUBECONFIG's"
                )
            }
            Self::Named(dirs, named) => named.up(dirs, self),
        }
    }

    /// Takes away what `up` brought.
    pub fn down(&self) -> Result<()> {
        match self {
            Self::Own(dirs) => start::down(dirs),
            Self::Named(_, named) => named.down(self),
        }
    }

    /// Whether tests can run.
    pub fn healthy(&self) -> bool {
        match self {
            Self::Own(dirs) => start::healthy(dirs),
            Self::Named(..) => sh::succeeds(self.kubectl().args(["get", "--raw", "/readyz"])),
        }
    }

    /// A line for each part; fails unless all are well.
    pub fn status(&self) -> Result<()> {
        if let Self::Own(dirs) = self {
            let daemons = Daemons::new(&dirs.state());
            let kwok = [parts::kwok(dirs)].into_iter().filter(|k| daemons.find(k.name).is_some());
            for part in parts::all(dirs).into_iter().chain(kwok) {
                let state = match daemons.find(part.name) {
                    Some(p) if part.ready(&p) => format!("serves    pid {:<8} {}", p.pid, part.address()),
                    Some(p) => format!("starting  pid {:<8} log {}", p.pid, daemons.log(part.name).display()),
                    None => "stopped".into(),
                };
                println!("{:<20} {state}", part.name);
            }
        }
        if !self.healthy() {
            bail!("the cluster is not healthy; `cargo xtask cluster up` brings it up, whatever state it is in");
        }
        sh::run(self.kubectl().args(["get", "nodes"]))
    }

    /// The variables that tests find it by.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let (dirs, mut env) = match self {
            Self::Own(dirs) => (dirs, own_env(dirs)),
            Self::Named(dirs, named) => (dirs, named.env(self)),
        };
        let path = env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(dirs.bin()).chain(env::split_paths(&path).filter(|p| *p != dirs.bin()));
        env.push(("PATH", env::join_paths(paths).unwrap_or(path)));
        env.push(("TRIBUTARY_KAFKA_LIBS", dirs.kafka_libs().into()));
        env.push(("TRIBUTARY_STRIMZI_CRD", dirs.strimzi_crd().into()));
        env.extend(crate::images::env(dirs, self.image_prefix().as_deref()));
        env
    }

    /// The registry from which the cluster pulls our images, if they are not loaded into it.
    fn image_prefix(&self) -> Option<String> {
        match self {
            Self::Own(_) => None,
            Self::Named(_, named) => named.registry().ok(),
        }
    }

    /// Where images are pushed, if they are not loaded.
    pub fn registry(&self) -> Result<Option<String>> {
        match self {
            Self::Own(_) => Ok(None),
            Self::Named(_, named) => named.push_to().map(Some),
        }
    }

    /// A command that reaches the cluster: in its network namespace, if it has one, and with `env` set.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut cmd = match self {
            Self::Own(_) => net::inside(program),
            Self::Named(..) => Command::new(program),
        };
        cmd.envs(self.env());
        cmd
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self) -> Command {
        match self {
            Self::Own(dirs) => kubectl(dirs),
            Self::Named(dirs, named) => named.kubectl(dirs),
        }
    }

    /// Writes what there is to know of the cluster's state to a new directory, and prints its path.
    pub fn diagnose(&self, dirs: &Dirs) {
        match diagnose::dump(self, dirs) {
            Ok(path) => println!("the cluster's state is in {}", path.display()),
            Err(e) => println!("the cluster's state could not be written down: {e:#}"),
        }
    }

    /// Becomes `program`; returns only if that fails.
    pub fn exec(&self, program: &OsStr, args: &[OsString]) -> Result<()> {
        if let Self::Own(_) = self
            && !net::exists()
        {
            bail!("the cluster is down: cargo xtask cluster up");
        }
        let mut cmd = self.command(program);
        Err(cmd.args(args).exec().into())
    }
}

/// kubectl for our own cluster.
fn kubectl(dirs: &Dirs) -> Command {
    let mut cmd = net::inside(dirs.bin().join("kubectl"));
    cmd.env("KUBECONFIG", dirs.state().join("admin.kubeconfig"));
    cmd
}

fn own_env(dirs: &Dirs) -> Vec<(&'static str, OsString)> {
    let node = |rest: &str| OsString::from(format!("{}{rest}", net::NODE));
    let env = [
        ("KUBECONFIG", dirs.state().join("admin.kubeconfig").into()),
        ("TRIBUTARY_CLUSTER_STATE", dirs.state().into()),
        ("TRIBUTARY_KAFKA", node(":9092")),
        ("TRIBUTARY_S3", format!("http://{}:7070", net::NODE).into()),
        ("TRIBUTARY_REGISTRY", format!("http://{}:5000", net::NODE).into()),
    ];
    env.into_iter().chain(S3_ACCESS.map(|(n, v)| (n, v.into()))).collect()
}
