//! An image of Spark for one test that runs by name: PyPI's pyspark, which brings Spark's own jars, and this machine's JDK.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cluster::backing::{java, with_java};
use crate::dirs::Dirs;
use crate::oci::{Image, Layout};
use crate::{packages, sh, tools};

/// What Spark asks of a JDK.
const MODULES: &str = "java.se,jdk.charsets,jdk.crypto.ec,jdk.incubator.vector,jdk.jfr,jdk.management,jdk.naming.dns,\
                       jdk.security.auth,jdk.security.jgss,jdk.unsupported,jdk.zipfs";
/// What the native libraries in Spark's jars, such as that of zstd, are linked with and Java is not.
const NATIVE: &[&str] = &["libdl.so.2", "libpthread.so.0", "librt.so.1"];
const NAME: &str = "docker.io/tributary/spark:test";
/// The variable by which the test finds it.
pub const VARIABLE: &str = "TRIBUTARY_SPARK_IMAGE";

/// Where the image is written.
pub fn layout(dirs: &Dirs) -> PathBuf {
    dirs.cache.join("spark/spark")
}

/// Fetches what is missing, compiles the application and writes the image to the cache.
pub fn image(dirs: &Dirs) -> Result<Layout> {
    packages::ensure(packages::SPARK)?;
    let sources = dirs.cluster_sources().join("spark");
    let home = dirs.cache.join("spark");
    let requirements = sources.join("requirements.txt");
    let stamp = tools::hex(&[&fs::read(&requirements)?]);
    let stamp_file = home.join("stamp");
    let jars = home.join("jars");
    if !fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) {
        eprintln!("fetching Spark: 434 MB");
        tools::remove_dir(&home)?;
        fs::create_dir_all(&home)?;
        let mut pip = Command::new("pip3");
        pip.args(["download", "--quiet", "--no-deps", "--no-binary=:all:", "--require-hashes", "-r"])
            .arg(&requirements);
        sh::output(pip.arg("-d").arg(&home))?;
        let archive =
            fs::read_dir(&home)?.flatten().map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "gz"));
        let archive = archive.context("pip downloaded no archive")?;
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&archive).arg("-C").arg(&home);
        sh::output(tar.args(["--wildcards", "--strip-components=2", "*/deps/jars/*.jar"]))?;
        fs::remove_file(archive)?;
        fs::write(&stamp_file, stamp)?;
    }
    let classes = home.join("classes");
    tools::remove_dir(&classes)?;
    fs::create_dir_all(&classes)?;
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-cp"]).arg(format!("{}/*", jars.display())).arg("-d").arg(&classes);
    sh::output(javac.arg(sources.join("Words.java")))?;
    let app = home.join("words.jar");
    sh::output(Command::new("jar").arg("cf").arg(&app).arg("-C").arg(&classes).arg("."))?;

    let image = Image::new(NAME).tree("/spark/jars", &jars)?.program("/app/words.jar", app);
    let image = image.program("/opt/entrypoint.sh", sources.join("entrypoint.sh"));
    let image =
        ["sh", "env", "sed", "cat", "rm"].iter().fold(image, |i, name| i.link(&format!("/bin/{name}"), "busybox"));
    let image = with_java(image, &java(dirs, "spark-java", MODULES)?)?;
    let image = NATIVE.iter().try_fold(image, |image, name| -> Result<Image> {
        let path = sh::output(Command::new("cc").arg(format!("-print-file-name={name}")))?;
        let path = PathBuf::from(path.trim());
        Ok(image.program(&format!("/lib/{}-linux-gnu/{name}", std::env::consts::ARCH), path))
    })?;
    image.entrypoint(&["/opt/entrypoint.sh"]).write(&home)
}
