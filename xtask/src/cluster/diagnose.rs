//! What to look at after a failure, before the cluster goes.

use super::Cluster;
use crate::dirs::Dirs;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const QUERIES: &[(&str, &str)] = &[
    ("all.txt", "get all --all-namespaces --output=wide"),
    ("resources.yaml", "get tributary --all-namespaces --output=yaml"),
    ("events.txt", "get events --all-namespaces --sort-by=.lastTimestamp"),
    ("pods.txt", "describe pods --all-namespaces"),
    ("nodes.txt", "describe nodes"),
];

/// Writes everything to a directory named by the time; returns it.
pub fn dump(cluster: &Cluster, dirs: &Dirs) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let dir = dirs.cache.join("diagnostics").join(now.to_string());
    fs::create_dir_all(dir.join("logs"))?;
    for (file, args) in QUERIES {
        query(cluster, &dir.join(file), args)?;
    }
    let list = "get pods --all-namespaces --output=custom-columns=:metadata.namespace,:metadata.name --no-headers";
    let pods = cluster.kubectl().args(list.split(' ')).output()?;
    for pod in String::from_utf8_lossy(&pods.stdout).lines() {
        let mut names = pod.split_whitespace();
        let (Some(namespace), Some(name)) = (names.next(), names.next()) else { continue };
        let args = format!("logs --namespace={namespace} {name} --all-containers --prefix --tail=2000");
        query(cluster, &dir.join("logs").join(format!("{namespace}-{name}.log")), &args)?;
    }
    if let Cluster::Own(dirs) = cluster {
        for entry in fs::read_dir(dirs.state().join("log"))?.flatten() {
            let name = format!("node-{}", entry.file_name().to_string_lossy());
            fs::copy(entry.path(), dir.join("logs").join(name))?;
        }
    }
    Ok(dir)
}

/// What kubectl says, be it an error.
fn query(cluster: &Cluster, path: &Path, args: &str) -> Result<()> {
    let out = cluster.kubectl().args(args.split(' ')).arg("--request-timeout=20s").output().context("kubectl")?;
    fs::write(path, [out.stdout, out.stderr].concat()).with_context(|| path.display().to_string())
}
