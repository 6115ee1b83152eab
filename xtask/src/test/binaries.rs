//! Test binaries, built once for all parts.

use super::{Suite, cargo};
use crate::dirs::Dirs;
use crate::sh;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A binary with tests in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestBinary {
    /// Where it is.
    pub path: PathBuf,
    /// The directory of its package, where it runs.
    pub dir: PathBuf,
    /// That directory's name.
    pub package: String,
    /// The target's name.
    pub target: String,
    /// The part that it belongs to.
    pub suite: Suite,
}

/// Builds the workspace's test targets that `targets` selects, all features on. `built` gets them even if others fail.
pub fn build(dirs: &Dirs, targets: &[&str], built: &mut Vec<TestBinary>) -> Result<()> {
    let mut cmd = cargo(dirs);
    cmd.args([
        "test",
        "--workspace",
        "--all-features",
        "--no-run",
        "--no-fail-fast",
        "--message-format=json-render-diagnostics",
    ]);
    let out = cmd.args(targets).stdout(Stdio::piped()).spawn().context("cannot start cargo")?.wait_with_output()?;
    built.extend(String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| test_binary(l, &dirs.root)));
    built.sort_by(|a, b| (&a.package, &a.target).cmp(&(&b.package, &b.target)));
    if !out.status.success() {
        bail!("{}: {}", out.status, sh::show(&cmd));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The test binary that a line of cargo's JSON tells of, if it does.
fn test_binary(line: &str, root: &Path) -> Option<TestBinary> {
    let artifact: Artifact = serde_json::from_str(line).ok()?;
    let path = artifact.executable.filter(|_| artifact.profile.test)?;
    let dir = artifact.manifest_path.parent()?.to_path_buf();
    let package = dir.strip_prefix(root).ok()?.display().to_string();
    let Target { name, kind } = artifact.target;
    let integration = kind.iter().any(|k| k == "test");
    let suite = match (package.as_str(), integration) {
        (_, true) if name.starts_with("sim") => Suite::Sim,
        ("tests", true) => Suite::E2e,
        _ => Suite::Unit,
    };
    let target = if integration { format!("test {name}") } else { kind.join(" ") };
    Some(TestBinary { path, dir, package, target, suite })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn binaries_are_told_apart_by_package_and_target() {
        let suite = |package: &str, name: &str, kind: &str, test: bool| {
            let line = serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": format!("/w/{package}/Cargo.toml"), "executable": "/t/x",
                "target": {"name": name, "kind": [kind]}, "profile": {"test": test, "opt_level": "0"},
            });
            test_binary(&line.to_string(), Path::new("/w")).map(|b| b.suite)
        };
        assert_eq!(suite("tests", "e2e", "test", true), Some(Suite::E2e));
        assert_eq!(suite("tests", "tributary_tests", "lib", true), Some(Suite::Unit));
        assert_eq!(suite("mapreduce/core", "sim", "test", true), Some(Suite::Sim));
        assert_eq!(suite("cli", "manifests", "test", true), Some(Suite::Unit));
        assert_eq!(suite("cli", "tributary", "bin", false), None);
        assert_eq!(test_binary(r#"{"reason":"build-finished","success":true}"#, Path::new("/w")), None);
    }
}
