//! A cluster named by TRIBUTARY_KUBECONFIG, with the Kafka, S3 and registry that stand beside it.

use super::{Cluster, backing};
use crate::dirs::Dirs;
use crate::{sh, tools};
use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A cluster that is not ours.
#[derive(Debug)]
pub struct Named {
    kubeconfig: PathBuf,
    kafka: Option<String>,
    s3: Option<String>,
    registry: Option<String>,
}

impl Named {
    /// What the environment names; `None` without TRIBUTARY_KUBECONFIG.
    pub fn from_env() -> Option<Self> {
        let var = |name: &str| env::var(name).ok().filter(|v| !v.is_empty());
        Some(Self {
            kubeconfig: var("TRIBUTARY_KUBECONFIG")?.into(),
            kafka: var("TRIBUTARY_KAFKA"),
            s3: var("TRIBUTARY_S3"),
            registry: var("TRIBUTARY_REGISTRY"),
        })
    }

    /// The registry as image names have it.
    pub fn registry(&self) -> Result<String> {
        let registry = self.push_to()?;
        Ok(registry.strip_prefix("http://").unwrap_or(&registry).trim_end_matches('/').into())
    }

    /// The registry as TRIBUTARY_REGISTRY has it, with `http://` where it speaks no TLS.
    pub fn push_to(&self) -> Result<String> {
        self.registry.clone().context(
            "TRIBUTARY_REGISTRY is not set: the cluster of TRIBUTARY_KUBECONFIG cannot see images of this machine, so name a \
             registry that this machine can push to and its nodes can pull from, as HOST[:PORT][/PATH], preceded by http:// if \
             it has no TLS",
        )
    }

    /// Checks that the cluster answers, and installs what is not named beside it.
    pub fn up(&self, dirs: &Dirs, cluster: &Cluster) -> Result<()> {
        tools::ensure(dirs)?;
        let registry = self.push_to()?;
        sh::output(cluster.kubectl().args(["get", "--raw", "/readyz", "--request-timeout=10s"])).with_context(
            || format!("the cluster of TRIBUTARY_KUBECONFIG ({}) does not answer", self.kubeconfig.display()),
        )?;
        if self.complete() { Ok(()) } else { backing::install(dirs, cluster, &registry) }
    }

    /// Takes away what `up` installed.
    pub fn down(&self, cluster: &Cluster) -> Result<()> {
        if self.complete() { Ok(()) } else { backing::remove(cluster) }
    }

    /// Whether Kafka and S3 are both named.
    fn complete(&self) -> bool {
        self.kafka.is_some() && self.s3.is_some()
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self, dirs: &Dirs) -> Command {
        let mut cmd = Command::new(dirs.bin().join("kubectl"));
        cmd.env("KUBECONFIG", &self.kubeconfig);
        cmd
    }

    /// The variables that tests find it by.
    pub fn env(&self, cluster: &Cluster) -> Vec<(&'static str, OsString)> {
        let mut all = vec![("KUBECONFIG", self.kubeconfig.clone().into())];
        let rest =
            [("TRIBUTARY_KAFKA", &self.kafka), ("TRIBUTARY_S3", &self.s3), ("TRIBUTARY_REGISTRY", &self.registry)];
        all.extend(rest.into_iter().filter_map(|(n, v)| v.as_ref().map(|v| (n, v.into()))));
        let node = (!self.complete()).then(|| backing::node(cluster)).flatten();
        if let Some(node) = node {
            if self.kafka.is_none() {
                all.push(("TRIBUTARY_KAFKA", format!("{node}:30092").into()));
            }
            if self.s3.is_none() {
                all.push(("TRIBUTARY_S3", format!("http://{node}:30070").into()));
                all.extend(super::S3_ACCESS.map(|(n, v)| (n, v.into())));
            }
        }
        all
    }
}
