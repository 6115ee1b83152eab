//! Debian packages that the tests need.

use crate::sh;
use anyhow::{Result, bail};
use std::collections::HashSet;
use std::process::Command;

/// For building the workspace: C libraries behind rdkafka and OpenSSL.
pub const BUILD: &[&str] = &["gcc", "g++", "make", "perl", "pkg-config", "zlib1g-dev"];

/// For the test cluster.
pub const CLUSTER: &[&str] = &[
    "busybox-static",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "ethtool",
    "iproute2",
    "nftables",
    "openssl",
    "runc",
    "socat",
];

/// For the references that results are compared with.
pub const REFERENCE: &[&str] = &["coreutils", "mawk"];

/// Installs what is missing of `wanted`.
pub fn ensure(wanted: &[&str]) -> Result<()> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !sh::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("these are needed and this is not a Debian system: install them by hand: {names}");
    }
    if sh::output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("these Debian packages are missing, run as root or: sudo apt-get install {names}");
    }
    eprintln!("installing {names}");
    let apt = || {
        let mut cmd = Command::new("apt-get");
        cmd.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
        cmd
    };
    sh::output(apt().arg("update"))?;
    sh::output(apt().args(["install", "-y", "--no-install-recommends"]).args(&missing))?;
    Ok(())
}

fn missing<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Package}\n"]).args(wanted);
    // It fails when it does not know one of them: what it printed is right all the same.
    let out = query.output().map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&out);
    let installed: HashSet<_> = text.lines().filter_map(|l| l.strip_prefix("installed ")).collect();
    wanted.iter().copied().filter(|w| !installed.contains(w)).collect()
}
