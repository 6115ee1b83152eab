//! Generated files, and benchmarks: both by binaries of the workspace.

use crate::cluster::Cluster;
use crate::dirs::Dirs;
use crate::{images, sh};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Writes crds/manifests, or fails if it is not what the types say.
pub fn crds(dirs: &Dirs, check: bool) -> Result<()> {
    let mut crdgen = Command::new(binary(dirs, "crdgen")?);
    sh::run(crdgen.current_dir(&dirs.root).arg("crds/manifests").args(check.then_some("--check")))
}

/// Writes docs/reference, or fails if it is not what the types say.
pub fn docs(dirs: &Dirs, check: bool) -> Result<()> {
    let mut docgen = Command::new(binary(dirs, "docgen")?);
    sh::run(docgen.current_dir(&dirs.root).arg("docs/reference").args(check.then_some("--check")))
}

/// Writes charts/install.yaml, or fails if it is not what the operator says.
pub fn manifests(dirs: &Dirs, check: bool) -> Result<()> {
    let text = sh::output(Command::new(binary(dirs, "tributary-operator")?).current_dir(&dirs.root).arg("manifests"))?;
    let path = dirs.root.join("charts/install.yaml");
    if !check {
        fs::create_dir_all(dirs.root.join("charts"))?;
        return fs::write(&path, text).with_context(|| path.display().to_string());
    }
    if fs::read_to_string(&path).with_context(|| path.display().to_string())? != text {
        bail!("charts/install.yaml is not what the operator says; run `cargo xtask manifests`");
    }
    Ok(())
}

/// Fake nodes to measure flows on.
const FAKE_NODES: usize = 50;

/// Runs a benchmark: a binary of benches/, or one of tests/bench/, which measures on the cluster and starts it if need be.
pub fn bench(dirs: &Dirs, name: &str, json: bool, args: &[OsString]) -> Result<()> {
    if dirs.root.join("tests/bench").join(format!("{}.rs", name.replace('-', "_"))).exists() {
        let (cluster, images) = (Cluster::find(dirs), images::build(dirs)?);
        // flows are measured on nodes that kwok simulates
        cluster.up(false, (name == "flow").then_some(FAKE_NODES))?;
        images::deliver(dirs, &cluster, &images)?;
        let mut cmd = cluster.command(optimized(dirs, name)?);
        return sh::run(cmd.current_dir(&dirs.root).args(json.then_some("--json")).args(args));
    }
    let mut cmd = sh::cargo();
    cmd.args(["run", "--quiet", "--release", "--package", "tributary-benches", "--bin", name, "--"]);
    sh::run(cmd.current_dir(&dirs.root).args(json.then_some("--json")).args(args))
}

/// A benchmark's client, as fast as it can be: it shares the machine with what it measures.
fn optimized(dirs: &Dirs, name: &str) -> Result<PathBuf> {
    built(dirs, name, "release", &["--release"])
}

/// A binary of the workspace, built with the same features as the tests, so that nothing is compiled twice: with a test
/// beside it, Cargo counts what development dependencies ask for.
fn binary(dirs: &Dirs, name: &str) -> Result<PathBuf> {
    built(dirs, name, "debug", &["--test", "sim"])
}

fn built(dirs: &Dirs, name: &str, to: &str, args: &[&str]) -> Result<PathBuf> {
    let mut cmd = sh::cargo();
    cmd.args(["build", "--quiet", "--workspace", "--all-features", "--bin", name]).args(args);
    sh::run(cmd.current_dir(&dirs.root))?;
    Ok(dirs.target.join(to).join(name))
}
