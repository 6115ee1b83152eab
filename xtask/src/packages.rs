//! What the tests need of the system, and the Debian packages that bring it.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::env;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// A command, or a file by its absolute path, and the Debian package that it is in.
pub type Need = (&'static str, &'static str);

/// For building the workspace: C libraries behind rdkafka and OpenSSL.
pub const BUILD: &[Need] = &[
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("make", "make"),
    ("perl", "perl"),
    ("pkg-config", "pkg-config"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/include/zlib.h", "zlib1g-dev"),
];

/// For the test cluster.
pub const CLUSTER: &[Need] = &[
    ("/bin/busybox", "busybox-static"),
    ("conntrack", "conntrack"),
    ("containerd", "containerd"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("runc", "runc"),
    ("socat", "socat"),
];

/// For the references that results are compared with.
pub const REFERENCE: &[Need] = &[("sort", "coreutils"), ("mawk", "mawk")];

/// For the image of Spark.
pub const SPARK: &[Need] = &[("pip3", "python3-pip"), ("tar", "tar")];

/// Installs what is missing. Nothing is ever removed for it: where packages conflict, that is for the user to resolve.
pub fn ensure(needs: &[Need]) -> Result<()> {
    // two at once would be in each other's way
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing: Vec<_> = needs.iter().filter(|(what, _)| !there(what)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !there("apt-get") {
        bail!("this is not a Debian system: install by hand what is in its packages {names}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing and only root can install them: sudo apt-get install {names}");
    }
    eprintln!("installing {names}");
    let apt = || {
        let mut cmd = Command::new("apt-get");
        cmd.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
        cmd
    };
    sh::output(apt().arg("update"))?;
    sh::output(apt().args(["install", "-y", "--no-install-recommends", "--no-remove"]).args(&missing))
        .with_context(|| format!("installing {names}"))?;
    Ok(())
}

fn there(what: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    // A user's PATH may lack what root's has.
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.into_iter().any(|d| d.join(what).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_files_are_found() {
        assert!(there("sh") && there("/bin/sh"));
        assert!(!there("no-such-command") && !there("/no/such/file"));
    }
}
