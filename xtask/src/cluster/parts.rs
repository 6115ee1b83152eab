//! What runs in the cluster: command lines, configuration files, and when each part counts as ready.

use super::net;
use super::pki;
use super::process::Process;
use crate::dirs::Dirs;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The runtime directory of containerd: sockets, shims, pods' network namespaces.
pub const RUN: &str = "/run/tributary-containerd";
/// Where containerd listens.
pub const SOCKET: &str = "/run/tributary-containerd/containerd.sock";
/// The one real node.
pub const NODE_NAME: &str = "node-1";

/// A part of the cluster that runs as a process.
pub struct Part {
    /// Its name, as in logs and `status`.
    pub name: &'static str,
    /// The port that it listens on when it is ready; `None` for containerd, which has a socket.
    port: Option<u16>,
    program: PathBuf,
    args: Vec<String>,
}

impl Part {
    /// The command that starts it in the cluster's network namespace.
    pub fn command(&self) -> Command {
        let mut cmd = net::inside(&self.program);
        cmd.args(&self.args);
        // a fifth of the apiserver's time under load went into collecting garbage that there is memory for; with 30,000 objects
        // again, where its memory was held to 4 GiB
        let info = rustix::system::sysinfo();
        let memory = u128::from(info.totalram) * u128::from(info.mem_unit);
        cmd.env("GOGC", "400").env("GOMEMLIMIT", (memory / 3).to_string());
        cmd
    }

    /// Whether it serves.
    pub fn ready(&self, process: &Process) -> bool {
        self.port.map_or_else(|| UnixStream::connect(SOCKET).is_ok(), |p| process.listens(p))
    }

    /// What it listens on.
    pub fn address(&self) -> String {
        self.port.map_or_else(|| SOCKET.into(), |p| format!("port {p}"))
    }

    /// Its command line.
    pub fn line(&self) -> String {
        format!("{} {}", self.program.display(), self.args.join(" "))
    }
}

/// Every part, in the order in which they start.
pub fn all(dirs: &Dirs) -> Vec<Part> {
    let (state, bin) = (dirs.state(), dirs.bin());
    let part = |name, port, program: PathBuf, args: &str| Part { name, port, program, args: words(args, &state) };
    let mut kafka = part("kafka", Some(9092), "java".into(), KAFKA);
    kafka.args.splice(0..0, ["-cp".into(), format!("{}/*", dirs.kafka_libs().display())]);
    vec![
        part("etcd", Some(2379), bin.join("etcd"), ETCD),
        part("apiserver", Some(6443), bin.join("kube-apiserver"), APISERVER),
        part("containerd", None, "containerd".into(), "-c @STATE@/containerd.toml"),
        kafka,
        part("s3", Some(7070), bin.join("versitygw"), S3),
        part(
            "registry",
            Some(5000),
            bin.join("crane"),
            "registry serve --address 198.18.0.1:5000 --disk @STATE@/registry",
        ),
        part("kubelet", Some(10250), bin.join("kubelet"), KUBELET),
        part("controller-manager", Some(10257), bin.join("kube-controller-manager"), CONTROLLER_MANAGER),
        part("scheduler", Some(10259), bin.join("kube-scheduler"), SCHEDULER),
        part("kube-proxy", Some(10256), bin.join("kube-proxy"), "--config @STATE@/kube-proxy.yaml"),
        part("coredns", Some(53), bin.join("coredns"), "-conf @STATE@/Corefile"),
    ]
}

/// The simulator of nodes, which runs only where fake nodes are asked for.
pub fn kwok(dirs: &Dirs) -> Part {
    Part { name: "kwok", port: Some(10247), program: dirs.bin().join("kwok"), args: words(KWOK, &dirs.state()) }
}

const ETCD: &str = "--data-dir @STATE@/etcd --unsafe-no-fsync --quota-backend-bytes 4294967296 \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380";
const APISERVER: &str = "--etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --secure-port 6443 \
    --advertise-address 198.18.0.1 --service-cluster-ip-range 198.18.4.0/22 --authorization-mode Node,RBAC \
    --token-auth-file @STATE@/pki/tokens.csv --client-ca-file @STATE@/pki/ca.crt \
    --tls-cert-file @STATE@/pki/api.crt --tls-private-key-file @STATE@/pki/api.key \
    --service-account-key-file @STATE@/pki/sa.pub --service-account-signing-key-file @STATE@/pki/sa.key \
    --service-account-issuer https://kubernetes.default.svc --allow-privileged=true \
    --kubelet-client-certificate @STATE@/pki/api.crt --kubelet-client-key @STATE@/pki/api.key \
    --kubelet-preferred-address-types InternalIP";
/// Fake nodes have no heartbeat: taken for dead, they would have every pod's status written again.
const CONTROLLER_MANAGER: &str = "--kubeconfig @STATE@/admin.kubeconfig --leader-elect=false \
    --authentication-kubeconfig @STATE@/admin.kubeconfig --authorization-kubeconfig @STATE@/admin.kubeconfig \
    --root-ca-file @STATE@/pki/ca.crt --service-account-private-key-file @STATE@/pki/sa.key \
    --controllers *,-node-ipam-controller,-node-route-controller,-service-lb-controller,-cloud-node-lifecycle-controller \
    --flex-volume-plugin-dir @STATE@/kubelet/volumeplugins --kube-api-qps 500 --kube-api-burst 1000 \
    --node-monitor-grace-period 24h --concurrent-job-syncs 20";
const SCHEDULER: &str = "--kubeconfig @STATE@/admin.kubeconfig --leader-elect=false --kube-api-qps 500 --kube-api-burst 1000 \
    --authentication-kubeconfig @STATE@/admin.kubeconfig --authorization-kubeconfig @STATE@/admin.kubeconfig";
const KUBELET: &str = "--config @STATE@/kubelet.yaml --kubeconfig @STATE@/admin.kubeconfig --root-dir @STATE@/kubelet \
    --hostname-override node-1 --node-ip 198.18.0.1 --cert-dir @STATE@/kubelet/pki";
const KAFKA: &str = "-Xms256m -Xmx256m -XX:+UseSerialGC -XX:MaxDirectMemorySize=64m \
    -Dlog4j2.configurationFile=@STATE@/kafka-log4j2.yaml kafka.Kafka @STATE@/kafka.properties";
const S3: &str =
    "--access tributary --secret tributary-secret --region us-east-1 --port 198.18.0.1:7070 posix @STATE@/s3";
const KWOK: &str = "--config @STATE@/kwok-stages.yaml --kubeconfig @STATE@/admin.kubeconfig --manage-all-nodes=false \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake --node-ip 198.18.0.1 --server-address 127.0.0.1:10247";

/// Where each source under tests/cluster/config goes in the state directory.
const FILES: &[(&str, &str)] = &[
    ("containerd.toml", "containerd.toml"),
    ("hosts.toml", "certs.d/_default/hosts.toml"),
    ("cni.conflist", "cni/10-tributary.conflist"),
    ("kubelet.yaml", "kubelet.yaml"),
    ("kube-proxy.yaml", "kube-proxy.yaml"),
    ("Corefile", "Corefile"),
    ("kafka.properties", "kafka.properties"),
    ("kafka-log4j2.yaml", "kafka-log4j2.yaml"),
    ("kwok-stages.yaml", "kwok-stages.yaml"),
];

/// The configuration files, rendered: path and text.
pub fn files(dirs: &Dirs) -> Result<Vec<(PathBuf, String)>> {
    let (sources, state) = (dirs.cluster_sources().join("config"), dirs.state());
    let one = |(from, to): &(&str, &str)| {
        let text = fs::read_to_string(sources.join(from)).with_context(|| sources.join(from).display().to_string())?;
        Ok((state.join(to), render(&text, &state)))
    };
    FILES.iter().map(one).collect()
}

/// Writes the configuration, the administrator's kubeconfig and empty data directories.
pub fn prepare(dirs: &Dirs) -> Result<()> {
    let (state, keys) = (dirs.state(), dirs.state().join("pki"));
    for (path, text) in files(dirs)? {
        fs::create_dir_all(path.parent().unwrap_or(&state))?;
        fs::write(path, text)?;
    }
    for dir in ["s3", "registry", "kafka", "podlogs"] {
        fs::create_dir_all(state.join(dir))?;
    }
    pki::ensure(&keys)?;
    let template = fs::read_to_string(dirs.cluster_sources().join("config/admin.kubeconfig"))?;
    let text = template.replace("@CA@", &pki::authority(&keys)?).replace("@TOKEN@", &pki::token(&keys)?);
    Ok(fs::write(state.join("admin.kubeconfig"), text)?)
}

/// Words first, then the directories, which may hold spaces.
fn words(args: &str, state: &Path) -> Vec<String> {
    args.split_whitespace().map(|w| render(w, state)).collect()
}

fn render(text: &str, state: &Path) -> String {
    text.replace("@STATE@", &state.display().to_string()).replace("@RUN@", RUN)
}
