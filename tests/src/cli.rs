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
    // what the test runner says of this package would have build scripts, and all that comes after them, run anew
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    let out = command.output().await?;
    Ok(Output {
        ok: out.status.success(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}
