//! Where things are: the workspace, cargo's target directory, the cache.

use anyhow::{Context, Result, bail};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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

    /// Makes what is compiled from here on that of this checkout. Cargo goes by the times of files and sees the crates of every
    /// checkout as the same ones: in a target directory that several share, as `.ci/run` has it, what was compiled of another
    /// one's newer sources would stand for ours. So ours become newer when the checkout is another one than before; gives whether
    /// they did, since this very program may be another one's, too.
    pub fn claim(&self) -> Result<bool> {
        let (stamp, ours) = (self.target.join("sources"), self.root.as_os_str().as_encoded_bytes());
        let known = fs::read(&stamp).map_or(self.target.starts_with(&self.root), |of| of == ours);
        if !known {
            touch(&self.root, SystemTime::now())?;
            let write = fs::create_dir_all(&self.target).and_then(|()| fs::write(&stamp, ours));
            write.with_context(|| stamp.display().to_string())?;
        }
        Ok(!known)
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

/// Sets the time of every file below, but of what Git and Cargo keep for themselves.
fn touch(dir: &Path, now: SystemTime) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry.with_context(|| dir.display().to_string())?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(|| dir.display().to_string())?);
        if kind.is_dir() && entry.file_name() != ".git" && entry.file_name() != "target" {
            touch(&path, now)?;
        } else if kind.is_file() {
            let set = File::open(&path).and_then(|file| file.set_modified(now));
            set.with_context(|| format!("setting the time of {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_sources_of_another_checkout_become_newer_than_what_was_compiled_and_those_of_the_same_one_stay() {
        let dir = tempfile::tempdir().unwrap();
        let long_ago = SystemTime::now() - Duration::from_secs(3_600);
        let checkout = |name: &str, target: PathBuf| {
            let root = dir.path().join(name);
            fs::create_dir_all(root.join("a/src")).unwrap();
            File::create(root.join("a/src/lib.rs")).unwrap().set_modified(long_ago).unwrap();
            Dirs { root, target, cache: PathBuf::new() }
        };
        let is_old =
            |dirs: &Dirs| fs::metadata(dirs.root.join("a/src/lib.rs")).unwrap().modified().unwrap() == long_ago;
        let shared = dir.path().join("shared");
        let (one, other) = (checkout("one", shared.clone()), checkout("other", shared));
        assert!(one.claim().unwrap());
        assert!(!is_old(&one) && is_old(&other));
        File::open(one.root.join("a/src/lib.rs")).unwrap().set_modified(long_ago).unwrap();
        assert!(!one.claim().unwrap());
        assert!(is_old(&one));
        other.claim().unwrap();
        assert!(!is_old(&other));
        one.claim().unwrap();
        assert!(!is_old(&one));
        let own = checkout("own", dir.path().join("own/target"));
        assert!(!own.claim().unwrap());
        assert!(is_old(&own));
        fs::create_dir_all(&own.target).unwrap();
        fs::write(own.target.join("sources"), "another").unwrap();
        assert!(own.claim().unwrap());
    }
}
