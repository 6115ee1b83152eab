//! The project's images: static binaries FROM scratch, loaded into the test cluster or pushed to a registry.

use crate::cluster::{self, Cluster};
use crate::dirs::Dirs;
use crate::oci::{self, Image, Layout};
use crate::{packages, sh, spark};
use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A binary that becomes an image of its own.
struct Product {
    image: &'static str,
    variable: &'static str,
    package: &'static str,
    binary: &'static str,
    features: &'static [&'static str],
}

const PRODUCTS: &[Product] = &[
    Product {
        image: "operator",
        variable: "TRIBUTARY_OPERATOR_IMAGE",
        package: "tributary-operator",
        binary: "tributary-operator",
        features: &[],
    },
    Product {
        image: "engine",
        variable: "TRIBUTARY_ENGINE_IMAGE",
        package: "tributary-mapreduce",
        binary: "tributary-engine",
        features: &["s3", "kafka", "cluster"],
    },
];

/// Compiles and writes all images under `target/images`.
pub fn build(dirs: &Dirs) -> Result<Vec<Layout>> {
    packages::ensure(packages::BUILD)?;
    let target = host()?;
    let compiled = dirs.target.join("images/compiled");
    compile(dirs, &target, &compiled)?;
    let release = compiled.join(&target).join("release");
    let image = |p: &Product| {
        let path = format!("/{}", p.binary);
        let image = Image::new(&format!("docker.io/tributary/{}:dev", p.image));
        let image = image.label("org.opencontainers.image.title", p.binary);
        let image = image.label("org.opencontainers.image.licenses", "Apache-2.0");
        image.program(&path, release.join(p.binary)).entrypoint(&[&path]).write(&dirs.target.join("images"))
    };
    let layouts = PRODUCTS.iter().map(image).collect::<Result<Vec<_>>>()?;
    layouts.iter().for_each(|l| println!("{} {}", l.name, l.digest));
    Ok(layouts)
}

/// Compiles the binaries statically. Cargo sees everything at the same paths on every machine, in a mount namespace of its own:
/// an OpenSSL that is compiled with them, for one, has the place where it was built in it.
fn compile(dirs: &Dirs, target: &str, to: &Path) -> Result<()> {
    let home = env::home_dir().context("HOME is not set")?;
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let rustup_home = env::var_os("RUSTUP_HOME").map_or_else(|| home.join(".rustup"), PathBuf::from);
    for dir in [&dirs.root, &cargo_home, &rustup_home, to] {
        if dir.starts_with("/mnt") {
            bail!(
                "images are built with the sources mounted at /mnt, which hides {}: move it elsewhere",
                dir.display()
            );
        }
    }
    fs::create_dir_all(to)?;
    let mut cmd = Command::new("unshare");
    sh::forget_package(&mut cmd);
    if !rustix::process::geteuid().is_root() {
        cmd.args(["--user", "--map-root-user"]);
    }
    cmd.args(["--mount", "sh", "-ec", FIXED_PATHS]).arg(&dirs.root).arg(&cargo_home).arg(to);
    cmd.args(["build", "--release", "--target", target]);
    // Only for this target, not for build scripts and macros.
    cmd.args(["--config", &format!("target.{target}.rustflags=['-Ctarget-feature=+crt-static']")]);
    link_openssl(&mut cmd)?;
    cmd.env("SOURCE_DATE_EPOCH", "0").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    for product in PRODUCTS {
        cmd.args(["--package", product.package, "--bin", product.binary]);
        let features = product.features.iter().map(|f| format!("{}/{f}", product.package));
        cmd.args(features.flat_map(|f| ["--features".to_string(), f]));
    }
    sh::run(&mut cmd)
}

/// Lets the binaries have OpenSSL as they have the C library: from the distribution, which mends it, where it comes as a static
/// library. Otherwise one is compiled with them.
fn link_openssl(cargo: &mut Command) -> Result<()> {
    let found = sh::output(Command::new("cc").arg("-print-file-name=libssl.a"))?;
    let dir = Path::new(found.trim()).parent().and_then(|dir| dir.canonicalize().ok());
    // one from elsewhere has its headers elsewhere
    match dir.filter(|dir| dir.starts_with("/usr/lib")) {
        Some(dir) => {
            cargo.env("OPENSSL_NO_VENDOR", "1").env("OPENSSL_STATIC", "1");
            cargo.env("OPENSSL_LIB_DIR", dir).env("OPENSSL_INCLUDE_DIR", "/usr/include");
        }
        None => {
            cargo.env("OPENSSL_NO_VENDOR", "0");
        }
    }
    Ok(())
}

/// Runs cargo with the workspace, its own home and the target directory at fixed places.
const FIXED_PATHS: &str = "mount -t tmpfs none /mnt
mkdir /mnt/src /mnt/cargo /mnt/target
mount --bind \"$0\" /mnt/src
mount --bind \"$1\" /mnt/cargo
mount --bind \"$2\" /mnt/target
shift 2
cd /mnt/src
export CARGO_HOME=/mnt/cargo CARGO_TARGET_DIR=/mnt/target
exec cargo \"$@\"";

/// The triple of this machine.
fn host() -> Result<String> {
    let about = sh::output(Command::new("rustc").arg("-vV"))?;
    about.lines().find_map(|l| l.strip_prefix("host: ")).map(Into::into).context("rustc -vV names no host")
}

/// The variables that name the images for tests, by digest where they have been built: a new image is then never taken for an
/// old one of the same tag.
pub fn env(dirs: &Dirs, registry: Option<&str>) -> Vec<(&'static str, OsString)> {
    let ours = PRODUCTS.iter().map(|p| (p.variable, p.image, dirs.target.join("images").join(p.image)));
    let spark = (spark::VARIABLE, "spark", spark::layout(dirs));
    let names = ours.chain([spark]).map(|(variable, image, layout)| {
        let repository = format!("{}/tributary/{image}", registry.unwrap_or("docker.io"));
        let built = Layout::read(&layout);
        let name = built.map_or_else(|_| format!("{repository}:dev"), |l| format!("{repository}@{}", l.digest));
        (variable, name.into())
    });
    names.collect()
}

/// Puts images where the cluster finds them.
pub fn deliver(dirs: &Dirs, cluster: &Cluster, layouts: &[Layout]) -> Result<()> {
    match cluster.registry()? {
        None => layouts.iter().try_for_each(load),
        Some(registry) => layouts.iter().try_for_each(|l| push(dirs, cluster, l, &registry).map(drop)),
    }
}

/// Imports an image into the test cluster's containerd, unless it is there.
pub fn load(layout: &Layout) -> Result<()> {
    let listed = sh::output(cluster::ctr().args(["images", "list", &format!("name=={}", layout.name)]))?;
    if listed.split_whitespace().any(|w| w == layout.digest) {
        return Ok(());
    }
    let mut import = cluster::ctr();
    import.args(["images", "import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = import.spawn().context("cannot start ctr, of the Debian package containerd")?;
    let stdin = child.stdin.take().context("no pipe to ctr")?;
    let written = layout.tar(stdin);
    let out = child.wait_with_output()?;
    if !out.status.success() {
        bail!("{}: {}\n{}", out.status, sh::show(&import), String::from_utf8_lossy(&out.stderr));
    }
    written
}

/// Pushes an image to `registry`, which may have a path and may be preceded by `http://`; returns its name there, by digest.
pub fn push(dirs: &Dirs, cluster: &Cluster, layout: &Layout, registry: &str) -> Result<String> {
    let plain = registry.strip_prefix("http://");
    let prefix = plain.unwrap_or(registry).trim_end_matches('/');
    let name = layout.name.strip_prefix("docker.io/").unwrap_or(&layout.name);
    let full = format!("{prefix}/{name}");
    let mut crane = cluster.command(dirs.bin().join("crane"));
    crane.arg("push").args(plain.map(|_| "--insecure")).arg(&layout.dir).arg(&full);
    sh::output(&mut crane).with_context(|| format!("pushing {full}"))?;
    Ok(format!("{}@{}", oci::repository(&full), layout.digest))
}
