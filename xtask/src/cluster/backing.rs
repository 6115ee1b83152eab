//! Kafka and an S3 server as pods, for a cluster that is not ours and has none beside it.

use super::Cluster;
use crate::dirs::Dirs;
use crate::oci::Image;
use crate::tools::remove_dir;
use crate::{images, sh};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMESPACE: &str = "tributary-backing";
/// Where the namespace keeps the address of the node that clients are told of.
const NODE: &str = "tributary.dev/node";

/// What the broker and its tools use of the JDK.
const MODULES: &str = "java.base,java.desktop,java.instrument,java.logging,java.management,java.naming,java.rmi,java.security.jgss,\
                       java.security.sasl,java.sql,java.xml,jdk.management,jdk.unsupported";

/// Installs both, unless they are there, and waits until they serve.
pub fn install(dirs: &Dirs, cluster: &Cluster, registry: &str) -> Result<()> {
    if node(cluster).is_none() {
        let parent = dirs.cache.join("images");
        let push = |image: Image| images::push(dirs, cluster, &image.write(&parent)?, registry);
        let s3 = push(s3_image(dirs))?;
        let kafka = push(kafka_image(dirs)?)?;
        let path = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        let node = sh::output(cluster.kubectl().args(["get", "nodes", "-o", path]))?;
        if node.is_empty() {
            bail!("the first node of the cluster has no InternalIP: set TRIBUTARY_KAFKA and TRIBUTARY_S3 instead");
        }
        let manifest = fs::read_to_string(dirs.cluster_sources().join("backing-pods.yaml"))?;
        let images = manifest.replace("@KAFKA_IMAGE@", &kafka).replace("@S3_IMAGE@", &s3);
        sh::pipe(cluster.kubectl().args(["apply", "-f", "-"]), images.replace("@NODE@", &node).as_bytes())?;
        let note = format!("{NODE}={node}");
        sh::output(cluster.kubectl().args(["annotate", "--overwrite", "namespace", NAMESPACE, &note]))?;
    }
    for name in ["deployment/s3", "deployment/kafka"] {
        let mut wait = cluster.kubectl();
        wait.args(["rollout", "status", "--namespace", NAMESPACE, "--timeout=180s", name]);
        sh::output(&mut wait).with_context(|| format!("{name} in namespace {NAMESPACE} does not become ready"))?;
    }
    Ok(())
}

/// Removes both.
pub fn remove(cluster: &Cluster) -> Result<()> {
    sh::output(cluster.kubectl().args(["delete", "namespace", NAMESPACE, "--ignore-not-found"])).map(drop)
}

/// The node at whose address they are found, if they are installed.
pub fn node(cluster: &Cluster) -> Option<String> {
    let path = format!("jsonpath={{.metadata.annotations.{}}}", NODE.replace('.', "\\."));
    let args = ["get", "namespace", NAMESPACE, "--request-timeout=10s", "-o", &path];
    sh::output(cluster.kubectl().args(args)).ok().filter(|n| !n.is_empty())
}

fn s3_image(dirs: &Dirs) -> Image {
    let image = Image::new("docker.io/tributary/versitygw:dev");
    image.program("/versitygw", dirs.bin().join("versitygw")).entrypoint(&["/versitygw"])
}

/// The broker's jars and as much of this machine's JDK as they use, with a shell.
fn kafka_image(dirs: &Dirs) -> Result<Image> {
    let image = Image::new("docker.io/tributary/kafka:dev").tree("/kafka", &dirs.kafka_libs())?;
    let image = image.link("/bin/sh", "busybox").entrypoint(&["/bin/java"]);
    with_java(image, &java(dirs, "java", MODULES)?)
}

/// A JRE of these modules of this machine's JDK, in the cache.
pub fn java(dirs: &Dirs, name: &str, modules: &str) -> Result<PathBuf> {
    let java = dirs.cache.join(name);
    remove_dir(&java)?;
    let mut jlink = Command::new("jlink");
    jlink.args(["--add-modules", modules, "--strip-java-debug-attributes", "--no-man-pages", "--no-header-files"]);
    sh::output(jlink.arg("--output").arg(&java)).context("an image with Java needs jlink, of a JDK")?;
    Ok(java)
}

/// The image with a JRE, the libraries that it is linked with, and busybox.
pub fn with_java(image: Image, java: &Path) -> Result<Image> {
    let image = image.tree("/java", java)?.program("/bin/busybox", "/bin/busybox".into());
    let image = image.link("/bin/java", "../java/bin/java");
    let libraries = libraries(java)?.into_iter();
    Ok(libraries.fold(image, |image, path| image.program(&path.to_string_lossy(), path.clone())))
}

/// The loader and the libraries that a Java process without a screen is linked with, outside `java`.
fn libraries(java: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut libraries = BTreeSet::new();
    for program in ["bin/java", "lib/server/libjvm.so"] {
        let listed = sh::output(Command::new("ldd").arg(java.join(program)))?;
        let paths = listed.split_whitespace().filter(|w| w.starts_with('/')).map(PathBuf::from);
        libraries.extend(paths.filter(|p| !p.starts_with(java)));
    }
    Ok(libraries)
}
