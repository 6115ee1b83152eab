//! The cluster's network namespace: nothing leaves it, and nothing outside can clash with it.

use crate::sh;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Its name under /run/netns.
pub const NAME: &str = "tributary";
/// The node's address in it.
pub const NODE: &str = "198.18.0.1";

const PATH: &str = "/run/netns/tributary";

/// The node's address sits on a veth pair: not every kernel has a dummy device.
const LINKS: &str = "link set lo up
link add node0 type veth peer name node0p
link set node0p up
address add 198.18.0.1/24 dev node0
link set node0 up
route add default dev node0
";

/// A command that will run in the namespace. Not by `ip netns exec`: that mounts another /sys, where runc finds no cgroups.
pub fn inside(program: impl AsRef<OsStr>) -> Command {
    let mut cmd = Command::new("nsenter");
    cmd.arg(format!("--net={PATH}")).arg(program);
    cmd
}

/// Creates the namespace with its links.
pub fn create() -> Result<()> {
    sh::output(Command::new("ip").args(["netns", "add", NAME])).context("creating a network namespace needs root")?;
    sh::pipe(Command::new("ip").args(["-netns", NAME, "-batch", "-"]), LINKS.as_bytes())?;
    sh::output(inside("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]))?;
    Ok(())
}

/// Whether the namespace is there.
pub fn exists() -> bool {
    Path::new(PATH).exists()
}

/// Removes it, with all its links.
pub fn remove() -> Result<()> {
    if exists() {
        sh::output(Command::new("ip").args(["netns", "delete", NAME]))?;
    }
    Ok(())
}
