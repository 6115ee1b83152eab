//! Tools built from Go modules, and Kafka from Maven Central: pinned, checked, kept in the cache.

use crate::dirs::Dirs;
use crate::sh;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A module under tests/cluster/tools and the binaries that it yields.
struct GoTool {
    module: &'static str,
    binaries: &'static [&'static str],
}

const KUBE: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"];

const GO_TOOLS: &[GoTool] = &[
    GoTool { module: "pause", binaries: &["pause"] },
    GoTool { module: "crane", binaries: &["crane"] },
    GoTool { module: "versitygw", binaries: &["versitygw"] },
    GoTool { module: "etcd", binaries: &["etcd"] },
    GoTool { module: "kube", binaries: KUBE },
    GoTool { module: "coredns", binaries: &["coredns"] },
];

/// Only benchmarks simulate nodes.
const KWOK: GoTool = GoTool { module: "kwok", binaries: &["kwok"] };

/// Builds and fetches whatever the cluster needs that is missing or out of date.
pub fn ensure(dirs: &Dirs) -> Result<()> {
    let _lock = lock(dirs)?;
    GO_TOOLS.iter().try_for_each(|tool| tool.ensure(dirs))?;
    jars(dirs, "kafka", &dirs.kafka_libs()).context("fetching Kafka")?;
    strimzi(dirs).context("Strimzi's own CustomResourceDefinition")
}

/// Builds what simulates nodes, if it is missing or out of date.
pub fn ensure_kwok(dirs: &Dirs) -> Result<()> {
    let _lock = lock(dirs)?;
    KWOK.ensure(dirs)
}

fn lock(dirs: &Dirs) -> Result<fs::File> {
    sh::lock(&dirs.cache.join("tools.lock"), "the tools")
}

/// A digest of everything that `ensure` brings, by its sources.
pub fn digest(dirs: &Dirs) -> Result<String> {
    let stamps = GO_TOOLS.iter().map(|t| Ok(t.command(dirs)?.1)).collect::<Result<Vec<_>>>()?;
    Ok(hex(&[stamps.join("\n").as_bytes(), jars_stamp(dirs, "kafka")?.as_bytes()]))
}

impl GoTool {
    /// The command that builds it, and the stamp of its inputs.
    fn command(&self, dirs: &Dirs) -> Result<(Command, String)> {
        let dir = dirs.cluster_sources().join("tools").join(self.module);
        let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
        let (go_mod, go_sum, main) = (read("go.mod"), read("go.sum"), read("main.go"));
        let mut ldflags = "-s -w".to_string();
        if let Some(v) = required(&String::from_utf8_lossy(&go_mod), "k8s.io/kubernetes") {
            let minor = v.split('.').nth(1).unwrap_or_default();
            let set = |k: &str, v: &str| format!(" -X k8s.io/component-base/version.git{k}={v}");
            ldflags += &[set("Version", &v), set("Major", "1"), set("Minor", minor)].concat();
        }
        let mut cmd = Command::new("go");
        // a fifth less work: fewer collections of the compiler's garbage, and no debug information that the linker drops anyway
        cmd.current_dir(&dir).env("CGO_ENABLED", "0").env("GOGC", "400");
        cmd.args(["build", "-trimpath", "-mod=readonly", "-buildvcs=false", "-gcflags=all=-dwarf=false"]);
        cmd.args(["-ldflags", &ldflags, "-o"]);
        match self.binaries {
            [one] => cmd.arg(dirs.bin().join(one)),
            _ => cmd.arg(dirs.bin()),
        };
        cmd.arg(if main.is_empty() { "tool" } else { "." });
        let stamp = hex(&[&go_mod, &go_sum, &main, ldflags.as_bytes()]);
        Ok((cmd, stamp))
    }

    fn ensure(&self, dirs: &Dirs) -> Result<()> {
        self.build(dirs).with_context(|| format!("building {}", self.module))
    }

    fn build(&self, dirs: &Dirs) -> Result<()> {
        let (mut cmd, stamp) = self.command(dirs)?;
        let stamp_file = dirs.bin().join(format!(".{}.stamp", self.module));
        let built = self.binaries.iter().all(|b| dirs.bin().join(b).is_file());
        if built && fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) {
            return Ok(());
        }
        eprintln!("building {} from its Go module (the first time takes minutes)", self.module);
        fs::create_dir_all(dirs.bin())?;
        sh::run(&mut cmd).context("a Go toolchain, 1.21 or later, is needed in PATH")?;
        if let Some(lost) = self.binaries.iter().find(|b| !dirs.bin().join(b).is_file()) {
            bail!("the build made no {lost}");
        }
        Ok(fs::write(stamp_file, stamp)?)
    }
}

/// The version of `module` that a go.mod requires.
fn required(go_mod: &str, module: &str) -> Option<String> {
    let mut words = go_mod.lines().map(|l| l.split_whitespace().skip_while(|w| *w == "require"));
    words.find_map(|mut w| (w.next() == Some(module)).then(|| w.next())?.map(Into::into))
}

fn jars_stamp(dirs: &Dirs, module: &str) -> Result<String> {
    let dir = dirs.cluster_sources().join(module);
    let read = |n: &str| fs::read(dir.join(n)).with_context(|| dir.join(n).display().to_string());
    Ok(hex(&[&read("pom.xml")?, &read("SHA256SUMS")?]))
}

/// Strimzi's KafkaTopic, as its own generator writes it from its own classes.
fn strimzi(dirs: &Dirs) -> Result<()> {
    let (libs, crd) = (dirs.cache.join("strimzi"), dirs.strimzi_crd());
    if jars(dirs, "strimzi", &libs)? || !crd.is_file() {
        let fresh = crd.with_extension("new");
        let mut java = Command::new("java");
        java.arg("-cp").arg(format!("{}/*", libs.display())).arg("io.strimzi.crdgenerator.CrdGenerator");
        java.args(["--target-kube", "1.25+", "--crd-api-version", "v1", "--yaml"]);
        java.arg(format!("io.strimzi.api.kafka.model.topic.KafkaTopic={}", fresh.display()));
        sh::output(&mut java)?;
        fs::rename(&fresh, &crd)?;
    }
    Ok(())
}

/// Fetches what the pom.xml of tests/cluster/<module> names, unless it is there; whether it was not.
fn jars(dirs: &Dirs, module: &str, libs: &Path) -> Result<bool> {
    let stamp = jars_stamp(dirs, module)?;
    let stamp_file = libs.with_extension("stamp");
    if libs.is_dir() && fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) {
        return Ok(false);
    }
    eprintln!("fetching the jars of {module}");
    let sources = dirs.cluster_sources().join(module);
    let fresh = libs.with_extension("new");
    remove_dir(&fresh)?;
    let mut mvn = Command::new("mvn");
    mvn.args(["-B", "-q", "-C", "-f"]).arg(sources.join("pom.xml"));
    mvn.arg(format!("-Dlibs={}", fresh.display())).arg("package");
    sh::run(&mut mvn).context("Maven and a JDK, 17 or later, are needed in PATH")?;
    verify_sums(&fs::read_to_string(sources.join("SHA256SUMS"))?, &fresh)?;
    remove_dir(libs)?;
    fs::rename(&fresh, libs)?;
    fs::write(stamp_file, stamp)?;
    Ok(true)
}

/// Checks that `dir` holds exactly the files of a `sha256sum` listing, with these sums.
fn verify_sums(listing: &str, dir: &Path) -> Result<()> {
    let mut expected: BTreeMap<_, _> =
        listing.lines().filter_map(|l| l.split_once("  ")).map(|(s, n)| (n, s)).collect();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let sum = hex(&[&fs::read(entry.path())?]);
        match expected.remove(name.as_str()) {
            Some(want) if want == sum => {}
            Some(want) => bail!("{name} has SHA-256 {sum}, SHA256SUMS says {want}"),
            None => bail!("{name} is not listed in SHA256SUMS"),
        }
    }
    match expected.keys().next() {
        Some(name) => bail!("{name} is listed in SHA256SUMS and was not fetched"),
        None => Ok(()),
    }
}

/// Removes a directory that may not be there.
pub fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| path.display().to_string()),
        _ => Ok(()),
    }
}

/// SHA-256 over all of `parts`, each preceded by its length, in hexadecimal; a single part is hashed as it is.
pub fn hex(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        if parts.len() > 1 {
            sha.update((part.len() as u64).to_le_bytes());
        }
        sha.update(part);
    }
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_required_version_is_read_from_either_form_of_go_mod() {
        assert_eq!(required("require (\n\tk8s.io/kubernetes v1.34.4\n)", "k8s.io/kubernetes").unwrap(), "v1.34.4");
        assert_eq!(required("require k8s.io/kubernetes v1.2.3 // indirect", "k8s.io/kubernetes").unwrap(), "v1.2.3");
        assert_eq!(required("module k8s.io/kubernetes/x", "k8s.io/kubernetes"), None);
        assert_eq!(required("replace k8s.io/kubernetes => x v1", "k8s.io/kubernetes"), None);
    }

    #[test]
    fn sums_must_match_in_both_directions() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.jar"), "a").unwrap();
        let good = format!("{}  a.jar\n", hex(&[b"a"]));
        assert_eq!(hex(&[b"abc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        verify_sums(&good, dir.path()).unwrap();
        let wrong = format!("{}  a.jar\n", hex(&[b"b"]));
        assert!(verify_sums(&wrong, dir.path()).unwrap_err().to_string().contains("a.jar has SHA-256"));
        assert!(verify_sums("", dir.path()).unwrap_err().to_string().contains("not listed"));
        let more = format!("{good}{}  b.jar\n", hex(&[b"b"]));
        assert!(verify_sums(&more, dir.path()).unwrap_err().to_string().contains("was not fetched"));
    }
}
