//! `tributary`, as a user types it.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::kubectl::Output;
use crate::root;

/// Runs the release build of the CLI in the project's directory. An error only where it cannot be started.
pub async fn tributary(args: &[&str]) -> anyhow::Result<Output> {
    let cargo = ["run", "--quiet", "--release", "--offline", "-p", "tributary-cli", "--bin", "tributary", "--"];
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    // it asks clusters by kubectl, which the tests may have elsewhere
    if let Some(kubectl) = std::env::var_os("TRIBUTARY_KUBECTL").as_deref().and_then(|k| Path::new(k).parent()) {
        let all = [kubectl.to_owned()].into_iter().chain(std::env::split_paths(&path)).collect::<Vec<_>>();
        path = std::env::join_paths(all)?;
    }
    let mut command = Command::new("cargo");
    command.args(cargo).args(args).current_dir(root()).env("PATH", path).stdin(Stdio::null()).kill_on_drop(true);
    let out = command.output().await?;
    Ok(Output {
        ok: out.status.success(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}
