//! Where things are: the workspace, cargo's target directory, the cache.

use anyhow::{Context, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The directories that every task works in.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// The workspace's root.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// `~/.cache/tributary`: tools, jars and the test cluster's state.
    pub cache: PathBuf,
}

impl Dirs {
    /// Finds them from the environment and the current directory.
    pub fn find() -> Result<Self> {
        let cwd = env::current_dir().context("current directory")?;
        let root = cwd
            .ancestors()
            .find(|d| d.join("xtask/Cargo.toml").is_file())
            .with_context(|| format!("{} is not inside the Tributary workspace: cd there first", cwd.display()))?
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |t| cwd.join(t));
        let Some(home) = env::var_os("HOME").filter(|h| !h.is_empty()) else {
            bail!("HOME is not set: tools and the test cluster are kept in $HOME/.cache/tributary");
        };
        Ok(Self { root, target, cache: Path::new(&home).join(".cache/tributary") })
    }

    /// The Go tools: kubectl, the control plane and so on.
    pub fn bin(&self) -> PathBuf {
        self.cache.join("bin")
    }

    /// Strimzi's CustomResourceDefinition of KafkaTopic.
    pub fn strimzi_crd(&self) -> PathBuf {
        self.cache.join("kafkatopic.yaml")
    }

    /// The Kafka broker's and tools' jars.
    pub fn kafka_libs(&self) -> PathBuf {
        self.cache.join("kafka/libs")
    }

    /// What the test cluster keeps: data, keys, logs, process ids.
    pub fn state(&self) -> PathBuf {
        self.cache.join("cluster")
    }

    /// Sources of the test cluster in the workspace.
    pub fn cluster_sources(&self) -> PathBuf {
        self.root.join("tests/cluster")
    }
}
