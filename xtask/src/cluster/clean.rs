//! Ends the cluster, whatever state it is in, and leaves nothing of it behind but keys, logs and, after a clean end, images.

use super::net;
use super::parts::{self, Part, RUN, SOCKET};
use super::process::{Daemons, Process, end};
use crate::dirs::Dirs;
use crate::sh;
use crate::tools::remove_dir;
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

/// Stops all parts and pods, and removes processes, mounts, cgroups, the namespace and data.
pub fn clean(dirs: &Dirs) -> Result<()> {
    let (state, daemons) = (dirs.state(), Daemons::new(&dirs.state()));
    // All but containerd, whose images are kept, may end as they are: nothing of theirs is.
    let names = daemons.names();
    daemons.stop(&names.iter().map(String::as_str).filter(|n| *n != "containerd").collect::<Vec<_>>(), Duration::ZERO);
    let containers = state.join("containerd");
    let keep_images = daemons.find("containerd").is_some() && remove_containers(&containers).is_ok();
    daemons.stop(&["containerd"], GRACE);
    for strays in [strays(dirs), pod_processes(&containers), shims()] {
        end(&strays, Duration::ZERO);
    }
    for mount in mounts_below(&[&state, Path::new(RUN)])? {
        match unmount(&mount, UnmountFlags::DETACH) {
            // Gone already, with the mount that it lay in.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            Err(e) => return Err(e).with_context(|| format!("unmount {}", mount.display())),
        }
    }
    net::remove()?;
    remove_cgroups();
    if !keep_images {
        remove_dir(&containers)?;
    }
    for dir in
        ["etcd", "kubelet", "kafka", "s3", "registry", "ipam", "podlogs", "pids", "cni", "certs.d", "containerd-opt"]
    {
        remove_dir(&state.join(dir))?;
    }
    remove_traces(&state);
    remove_dir(Path::new(RUN))
}

/// Ends all pods and makes containerd forget them, so that its store can be used again.
fn remove_containers(containers: &Path) -> Result<()> {
    end(&pod_processes(containers), Duration::ZERO);
    for kind in ["tasks", "containers"] {
        let list = sh::output(ctr().args([kind, "list", "--quiet"]))?;
        let ids: Vec<_> = list.split_whitespace().collect();
        if !ids.is_empty() {
            sh::output(
                ctr().args([kind, "delete"]).args(if kind == "tasks" { &["--force"][..] } else { &[] }).args(ids),
            )?;
        }
    }
    let cri = containers.join("io.containerd.grpc.v1.cri");
    remove_dir(&cri.join("sandboxes"))?;
    remove_dir(&cri.join("containers"))
}

/// The client of the cluster's containerd, in the namespace where the kubelet keeps its images and containers.
pub fn ctr() -> Command {
    let mut cmd = Command::new("ctr");
    cmd.args(["--address", SOCKET, "--namespace", "k8s.io", "--timeout", "30s"]);
    cmd
}

/// Parts whose process id was lost, known by their whole command line.
fn strays(dirs: &Dirs) -> Vec<Process> {
    let lines: Vec<_> = parts::all(dirs).iter().chain([&parts::kwok(dirs)]).map(Part::line).collect();
    Process::all().filter(|p| lines.contains(&p.command_line())).collect()
}

/// Processes whose root is a snapshot of this containerd: those in containers, even if their shim was killed.
fn pod_processes(containers: &Path) -> Vec<Process> {
    let mark = format!("{}/", containers.display());
    let inside = |p: &Process| {
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", p.pid)).unwrap_or_default();
        mounts
            .lines()
            .any(|l| matches!(l.split(' ').collect::<Vec<_>>()[..], [_, "/", "overlay", o, ..] if o.contains(&mark)))
    };
    Process::all().filter(inside).collect()
}

/// Shims of this containerd.
fn shims() -> Vec<Process> {
    let ours = |p: &Process| {
        let line = p.command_line();
        let mut words = line.split(' ');
        words.next().is_some_and(|w| w.ends_with("containerd-shim-runc-v2")) && words.any(|w| w == SOCKET)
    };
    Process::all().filter(ours).collect()
}

/// Mount points under any of `roots`, innermost first.
fn mounts_below(roots: &[&Path]) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/mounts").context("/proc/mounts")?;
    let points = table.lines().filter_map(|l| l.split(' ').nth(1)).map(|p| PathBuf::from(unescape(p)));
    let mut below: Vec<_> = points.filter(|p| roots.iter().any(|r| p.starts_with(r))).collect();
    below.reverse();
    Ok(below)
}

/// /proc/mounts writes blanks in octal.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Removes the pods' cgroups. Only empty ones can be removed, so nothing of another kubelet's is lost.
fn remove_cgroups() {
    fn remove(dir: &Path) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).for_each(|e| remove(&e.path()));
        let _ = fs::remove_dir(dir);
    }
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path().join("kubepods"));
    controllers.chain([root.join("kubepods")]).filter(|d| d.is_dir()).for_each(|d| remove(&d));
}

/// What plugins and kubelet leave of the pods in directories that all runtimes share.
fn remove_traces(state: &Path) {
    let entries = |dir: &str| fs::read_dir(dir).into_iter().flatten().flatten();
    let results = entries("/var/lib/cni/results").filter(|e| e.file_name().to_string_lossy().starts_with("tributary-"));
    let ours = |e: &DirEntry| fs::read_link(e.path()).is_ok_and(|to| to.starts_with(state));
    let logs = entries("/var/log/containers").filter(ours);
    results.chain(logs).for_each(|e| drop(fs::remove_file(e.path())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }
}
