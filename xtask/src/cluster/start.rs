//! Starts the cluster: independent parts side by side, each waited for by a condition.

use super::clean::clean;
use super::parts::{self, NODE_NAME, Part};
use super::process::{Daemons, TICK};
use super::{kubectl, net};
use crate::dirs::Dirs;
use crate::oci::Image;
use crate::{images, packages, sh, tools};
use anyhow::{Context, Result, anyhow, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// Starts the cluster unless it is up and healthy with this very configuration.
pub fn up(dirs: &Dirs, fresh: bool) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the test cluster needs root: use sudo -E, or name another cluster by TRIBUTARY_KUBECONFIG");
    }
    packages::ensure(packages::CLUSTER)?;
    tools::ensure(dirs)?;
    let _lock = lock(dirs)?;
    let (begin, digest) = (Instant::now(), digest(dirs)?);
    let digest_file = dirs.state().join("digest");
    if !fresh && fs::read_to_string(&digest_file).is_ok_and(|d| d == digest) && healthy(dirs) {
        eprintln!("the cluster is up");
        return Ok(());
    }
    clean(dirs).context("clearing away the cluster's remains")?;
    start(dirs).context("starting the cluster")?;
    fs::write(digest_file, digest)?;
    eprintln!("the cluster is up after {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Stops the cluster.
pub fn down(dirs: &Dirs) -> Result<()> {
    let _lock = lock(dirs)?;
    clean(dirs)
}

fn lock(dirs: &Dirs) -> Result<fs::File> {
    sh::lock(&dirs.cache.join("cluster.lock"), "the test cluster")
}

/// A digest of all that decides how the cluster runs.
fn digest(dirs: &Dirs) -> Result<String> {
    let mut all = tools::digest(dirs)?;
    all.extend(parts::all(dirs).iter().map(Part::line));
    all.extend(parts::files(dirs)?.into_iter().map(|(_, text)| text));
    Ok(tools::hex(&[all.as_bytes(), fs::read_to_string(manifest(dirs))?.as_bytes()]))
}

/// Whether every part runs and serves, and the node is Ready.
pub fn healthy(dirs: &Dirs) -> bool {
    let daemons = Daemons::new(&dirs.state());
    let up = |p: &Part| daemons.find(p.name).is_some_and(|d| p.ready(&d));
    net::exists() && parts::all(dirs).iter().all(up) && node_ready(dirs)
}

fn node_ready(dirs: &Dirs) -> bool {
    let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let out = sh::output(kubectl(dirs).args(["get", "node", NODE_NAME, "--request-timeout=5s", "-o", path]));
    out.is_ok_and(|s| s == "True")
}

fn start(dirs: &Dirs) -> Result<()> {
    net::create()?;
    parts::prepare(dirs)?;
    let daemons = Daemons::new(&dirs.state());
    let parts = parts::all(dirs);
    let begin = |name: &str| {
        let part = parts.iter().find(|p| p.name == name).with_context(|| format!("no part {name}"))?;
        daemons.start(name, &part.command()).map(|_| part)
    };
    let wait = |part: &Part| daemons.wait(part.name, LIMIT, |p| part.ready(p));
    thread::scope(|s| {
        begin("etcd")?;
        let apiserver = begin("apiserver")?;
        let containerd = begin("containerd")?;
        let stores = ["s3", "registry"].map(|n| s.spawn(move || wait(begin(n)?)));
        let kafka = s.spawn(|| {
            format_kafka(dirs)?;
            wait(begin("kafka")?)
        });
        let images = s.spawn(|| {
            wait(containerd)?;
            import_base_images(dirs)
        });
        wait(apiserver)?;
        until("the apiserver is ready", || {
            sh::succeeds(kubectl(dirs).args(["get", "--raw", "/readyz", "--request-timeout=5s"]))
        })?;
        let control = ["controller-manager", "scheduler", "kube-proxy", "coredns"].map(begin);
        // A kubelet that meets no containerd, or no pause image, takes long to try again.
        join(images)?;
        wait(begin("kubelet")?)?;
        sh::output(kubectl(dirs).args(["apply", "-f"]).arg(manifest(dirs)))?;
        until("the node is Ready", || node_ready(dirs))?;
        until("pods can be created", || {
            sh::succeeds(kubectl(dirs).args(["get", "serviceaccount", "default", "--namespace", "default"]))
        })?;
        for part in control {
            wait(part?)?;
        }
        stores.into_iter().try_for_each(join)?;
        join(kafka)
    })
}

fn join(handle: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    handle.join().map_err(|_| anyhow!("a thread of the start panicked"))?
}

fn until(what: &str, condition: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        if Instant::now() > deadline {
            bail!("waited {} s in vain until {what}", LIMIT.as_secs());
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// Gives the broker's log directory its identity.
fn format_kafka(dirs: &Dirs) -> Result<()> {
    let mut java = Command::new("java");
    java.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(format!("{}/*", dirs.kafka_libs().display()));
    java.args(["kafka.tools.StorageTool", "format", "--cluster-id", "dHJpYnV0YXJ5LXRlc3RzMQ", "--config"]);
    sh::output(java.arg(dirs.state().join("kafka.properties")))?;
    Ok(())
}

/// The sandbox image, without which no pod starts, and one with a shell, under the name that tests use and under the one
/// that job-deploy-operator's examples use.
fn import_base_images(dirs: &Dirs) -> Result<()> {
    let pause = Image::new("docker.io/tributary/pause:1");
    let pause = pause.program("/pause", dirs.bin().join("pause")).entrypoint(&["/pause"]);
    let applets = sh::output(Command::new("/bin/busybox").arg("--list"))?;
    let busybox = |name: &str| {
        let busybox = Image::new(name).program("/bin/busybox", "/bin/busybox".into());
        let applets = applets.lines().filter(|a| *a != "busybox").map(|a| format!("/bin/{a}"));
        applets.fold(busybox, |image, path| image.link(&path, "busybox"))
    };
    for image in [pause, busybox("docker.io/tributary/busybox:1"), busybox("docker.io/library/busybox:1.28")] {
        images::load(&image.write(&dirs.cache.join("images"))?)?;
    }
    Ok(())
}

/// Services by which pods find what runs on the node.
fn manifest(dirs: &Dirs) -> PathBuf {
    dirs.cluster_sources().join("backing.yaml")
}

/// Creates exactly `count` fake nodes, and starts what simulates them.
pub fn fake_nodes(dirs: &Dirs, count: usize) -> Result<()> {
    tools::ensure_kwok(dirs)?;
    let daemons = Daemons::new(&dirs.state());
    let kwok = parts::kwok(dirs);
    if daemons.find(kwok.name).is_none() {
        daemons.start(kwok.name, &kwok.command())?;
    }
    daemons.wait(kwok.name, LIMIT, |p| kwok.ready(p))?;
    let names: Vec<_> = (0..count).map(|n| format!("fake-{n}")).collect();
    let there = sh::output(kubectl(dirs).args(["get", "nodes", "-l", "type=kwok", "-o", "name"]))?;
    let extra: Vec<_> = there.lines().filter(|l| !names.iter().any(|n| l.ends_with(&format!("/{n}")))).collect();
    if !extra.is_empty() {
        sh::output(kubectl(dirs).arg("delete").args(extra))?;
    }
    let nodes: String = names.iter().map(|n| fake_node(n)).collect();
    if count > 0 {
        sh::pipe(kubectl(dirs).args(["apply", "--server-side", "-f", "-"]), nodes.as_bytes())?;
    }
    Ok(())
}

/// Tainted, so that only pods meant for it come here.
fn fake_node(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Node
metadata:
  name: {name}
  annotations: {{kwok.x-k8s.io/node: fake, node.alpha.kubernetes.io/ttl: '0'}}
  labels: {{type: kwok, kubernetes.io/hostname: {name}, kubernetes.io/os: linux, kubernetes.io/arch: amd64}}
spec: {{taints: [{{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}}]}}
status:
  allocatable: {{cpu: '32', memory: 256Gi, pods: '110'}}
  capacity: {{cpu: '32', memory: 256Gi, pods: '110'}}
"
    )
}
