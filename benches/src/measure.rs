//! Runs a command on one CPU and measures it: wall clock, CPU time and peak memory of it and of what it starts.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Wall clock, seconds.
    pub wall_s: f64,
    /// User and system time of all processes, seconds.
    pub cpu_s: f64,
    /// Peak resident memory of the largest process, in units of 10^6 bytes.
    pub rss_mb: f64,
}

const MARK: &str = "--measured-child";

/// Runs `command`, its output into a file. A process of its own does it, so that only this command's use is counted:
/// the binary must call [`child`] first of all.
///
/// # Errors
/// The command cannot be started, or fails.
pub fn run(command: &[OsString], out: &Path) -> Result<Sample> {
    let me = std::env::current_exe().context("finding this binary")?;
    let output = Command::new(me).arg(MARK).arg(out).args(command).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed: {}", name(command), output.status);
    serde_json::from_slice(&output.stdout).context("reading the measurement")
}

/// Does [`run`]'s part in the child process; `false` in any other.
///
/// # Errors
/// The command cannot be started, or fails.
pub fn child() -> Result<bool> {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_none_or(|first| first != MARK) {
        return Ok(false);
    }
    let out = args.next().context("no output file")?;
    let command: Vec<OsString> = args.collect();
    let (program, arguments) = command.split_first().context("no command")?;
    pin()?;
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(out)?)
        .status()
        .with_context(|| format!("starting {}", name(&command)))?;
    let wall_s = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("{}: {status}", name(&command));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu_s = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts in units of 1,024 bytes.
    let sample = Sample { wall_s, cpu_s, rss_mb: usage.max_rss() as f64 * 1024.0 / 1e6 };
    println!("{}", serde_json::to_string(&sample)?);
    Ok(true)
}

/// Keeps this process, and what it starts, on the last CPU that it may use.
fn pin() -> Result<()> {
    let allowed = sched_getaffinity(Pid::this())?;
    let last = (0..CpuSet::count()).rev().find(|&cpu| allowed.is_set(cpu).unwrap_or(false)).context("no CPU")?;
    let mut one = CpuSet::new();
    one.set(last)?;
    Ok(sched_setaffinity(Pid::this(), &one)?)
}

fn name(command: &[OsString]) -> String {
    command.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A shell command with `$1` as its argument.
pub fn shell(script: &str, argument: &Path) -> Vec<OsString> {
    let fixed = ["sh", "-euc", script, "sh"].map(OsStr::new);
    fixed.into_iter().chain([argument.as_os_str()]).map(OsStr::to_owned).collect()
}
