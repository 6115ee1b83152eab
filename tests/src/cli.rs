//! `tributary`, as a user types it.

use std::process::Stdio;

use tokio::process::Command;

use crate::kubectl::Output;
use crate::root;

/// Runs the release build of the CLI in the project's directory. An error only where it cannot be started.
pub async fn tributary(args: &[&str]) -> anyhow::Result<Output> {
    let cargo = ["run", "--quiet", "--release", "--offline", "-p", "tributary-cli", "--bin", "tributary", "--"];
    let mut command = Command::new("cargo");
    command.args(cargo).args(args).current_dir(root()).stdin(Stdio::null()).kill_on_drop(true);
    let out = command.output().await?;
    Ok(Output {
        ok: out.status.success(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}
