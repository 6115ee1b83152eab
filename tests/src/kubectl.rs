//! kubectl, as a user types it.

use std::{path::Path, process::Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::until;

/// What kubectl printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs kubectl; `stdin` may be empty. An error only where it cannot be started.
pub async fn run(args: &[&str], stdin: &str) -> anyhow::Result<Output> {
    let program = std::env::var("TRIBUTARY_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let mut child = Command::new(&program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} does not start"))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).await?;
    }
    let out = child.wait_with_output().await?;
    Ok(Output {
        ok: out.status.success(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    })
}

/// Standard output of a kubectl that must succeed.
pub async fn kubectl(args: &[&str]) -> anyhow::Result<String> {
    let out = run(args, "").await?;
    if !out.ok {
        bail!("kubectl {}: {}", args.join(" "), out.stderr);
    }
    Ok(out.stdout)
}

/// Applies the CustomResourceDefinitions of a file or folder and waits until they are served. Another test may remove one of them
/// meanwhile, to install it again.
pub async fn install_types(path: &Path) -> anyhow::Result<()> {
    let path = path.to_str().context("path")?;
    until("types to be served", || async {
        let applied = run(&["apply", "--server-side", "--force-conflicts", "-f", path], "").await?;
        let served = run(&["wait", "--for=condition=Established", "-f", path, "--timeout=60s"], "").await?;
        let words = format!("{path}: {}{}", applied.stderr, served.stderr);
        Ok(((applied.ok && served.ok).then_some(()), words))
    })
    .await
}

/// What kubectl prints with `-o json`, parsed.
pub async fn json(args: &[&str]) -> anyhow::Result<Value> {
    let mut all = args.to_vec();
    all.extend(["-o", "json"]);
    Ok(serde_json::from_str(&kubectl(&all).await?)?)
}
