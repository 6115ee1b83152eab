//! OCI images without a daemon: one layer, built from files. The same input always gives the same digest.

mod spec;

use crate::tools::remove_dir;
use anyhow::{Context, Result, bail};
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use sha2::{Digest, Sha256};
use spec::{CONFIG, Descriptor, ImageConfig, Index, LAYER, MANIFEST, Manifest, RootFs, RunConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// The user that images run as, a number so that the kubelet can tell that it is not root.
const USER: &str = "65532:65532";
const PASSWD: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";

/// The annotation with the name that containerd's import gives an image.
const NAME: &str = "io.containerd.image.name";

/// What an image is made of. Everything in it belongs to root, so that the user it runs as cannot change it.
#[derive(Debug)]
pub struct Image {
    name: String,
    entries: BTreeMap<PathBuf, Entry>,
    entrypoint: Vec<String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Entry {
    Program(PathBuf),
    Text(String),
    Link(PathBuf),
    Scratch,
}

/// An image on disk, as an OCI image layout.
#[derive(Debug)]
pub struct Layout {
    /// The directory.
    pub dir: PathBuf,
    /// The image's full name, with registry and tag.
    pub name: String,
    /// The manifest's digest, `sha256:...`.
    pub digest: String,
}

impl Image {
    /// An image named `registry/path:tag` with nothing in it but users and /tmp.
    pub fn new(name: &str) -> Self {
        let text = |t: &str| Entry::Text(t.into());
        let entries = [("etc/passwd", text(PASSWD)), ("etc/group", text(GROUP)), ("tmp", Entry::Scratch)];
        Self {
            name: name.into(),
            entries: entries.map(|(p, e)| (PathBuf::from(p), e)).into(),
            entrypoint: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Adds the file `source`, executable, at `path`.
    pub fn program(mut self, path: &str, source: PathBuf) -> Self {
        self.entries.insert(inner(path), Entry::Program(source));
        self
    }

    /// Adds all files below `source`, and those that symbolic links in it lead to, under `path`; all executable.
    pub fn tree(mut self, path: &str, source: &Path) -> Result<Self> {
        for entry in fs::read_dir(source).with_context(|| source.display().to_string())? {
            let entry = entry?;
            let inner = format!("{path}/{}", entry.file_name().to_string_lossy());
            self = match entry.path().is_dir() {
                true => self.tree(&inner, &entry.path())?,
                false => self.program(&inner, entry.path()),
            };
        }
        Ok(self)
    }

    /// Adds a symbolic link at `path`.
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.entries.insert(inner(path), Entry::Link(target.into()));
        self
    }

    /// Sets what a container runs.
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds a label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Writes the image to `parent/NAME`, in place of what was there.
    pub fn write(&self, parent: &Path) -> Result<Layout> {
        let base = repository(&self.name).rsplit('/').next().unwrap_or_default();
        let (dir, fresh) = (parent.join(base), parent.join(format!("{base}.new")));
        remove_dir(&fresh)?;
        let digest = self.write_fresh(&fresh).with_context(|| format!("writing image {}", self.name))?;
        remove_dir(&dir)?;
        fs::rename(&fresh, &dir)?;
        Ok(Layout { dir, name: self.name.clone(), digest })
    }

    fn write_fresh(&self, dir: &Path) -> Result<String> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let (layer, diff_id) = self.write_layer(&blobs)?;
        let env = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string();
        let run =
            RunConfig { user: USER, env: [env], entrypoint: &self.entrypoint, working_dir: "/", labels: &self.labels };
        let rootfs = RootFs { kind: "layers", diff_ids: [diff_id] };
        let config = ImageConfig { architecture: architecture()?, os: "linux", config: run, rootfs };
        let config = put(&blobs, CONFIG, &config)?;
        let manifest = Manifest { schema_version: 2, media_type: MANIFEST.into(), config, layers: vec![layer] };
        let mut manifest = put(&blobs, MANIFEST, &manifest)?;
        let digest = manifest.digest.clone();
        manifest.annotations.insert(NAME.into(), self.name.clone());
        let index = Index { schema_version: 2, manifests: vec![manifest] };
        fs::write(dir.join("index.json"), serde_json::to_vec(&index)?)?;
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(digest)
    }

    /// Writes the layer; returns its descriptor and the digest of the tar inside.
    fn write_layer(&self, blobs: &Path) -> Result<(Descriptor, String)> {
        let path = blobs.join("layer");
        let packed = Hashing::new(io::BufWriter::new(File::create(&path)?));
        // Without a time in it, and fast: layers stay on this machine or are small.
        let gzip = GzBuilder::new().mtime(0).write(packed, Compression::fast());
        let mut tar = Builder::new(Hashing::new(gzip));
        for dir in self.parents() {
            append(&mut tar, EntryType::Directory, &dir, 0o755, &[])?;
        }
        for (path, entry) in &self.entries {
            match entry {
                Entry::Program(source) => {
                    let data = fs::read(source).with_context(|| source.display().to_string())?;
                    append(&mut tar, EntryType::Regular, path, 0o755, &data)?;
                }
                Entry::Text(text) => append(&mut tar, EntryType::Regular, path, 0o644, text.as_bytes())?,
                Entry::Scratch => append(&mut tar, EntryType::Directory, path, 0o1777, &[])?,
                Entry::Link(target) => {
                    tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
                }
            }
        }
        let (gzip, diff_id, _) = tar.into_inner()?.finish();
        let (mut file, digest, size) = gzip.finish()?.finish();
        file.flush()?;
        fs::rename(&path, blobs.join(digest.trim_start_matches("sha256:")))?;
        Ok((Descriptor { media_type: LAYER.into(), digest, size, annotations: BTreeMap::new() }, diff_id))
    }

    /// The directories that the entries lie in, outermost first.
    fn parents(&self) -> BTreeSet<PathBuf> {
        let parents = self.entries.keys().flat_map(|p| p.ancestors().skip(1)).filter(|p| !p.as_os_str().is_empty());
        parents.map(Path::to_path_buf).collect()
    }
}

impl Layout {
    /// A layout that was written before.
    pub fn read(dir: &Path) -> Result<Self> {
        let text = fs::read(dir.join("index.json")).with_context(|| dir.join("index.json").display().to_string())?;
        let index: Index = serde_json::from_slice(&text)?;
        let [manifest] = &index.manifests[..] else { bail!("{} holds no single image", dir.display()) };
        let name = manifest.annotations.get(NAME).context("an image without a name")?.clone();
        Ok(Self { dir: dir.into(), name, digest: manifest.digest.clone() })
    }

    /// The image's name by digest.
    pub fn pinned(&self) -> String {
        format!("{}@{}", repository(&self.name), self.digest)
    }

    /// Writes the layout as one tar, as `ctr images import` reads it, under its name by tag and its name by digest.
    pub fn tar(&self, to: impl Write) -> Result<()> {
        let mut tar = Builder::new(to);
        let mut index: Index = serde_json::from_slice(&fs::read(self.dir.join("index.json"))?)?;
        let mut pinned = index.manifests.clone();
        pinned.iter_mut().for_each(|m| drop(m.annotations.insert(NAME.into(), self.pinned())));
        index.manifests.extend(pinned);
        append(&mut tar, EntryType::Regular, Path::new("index.json"), 0o644, &serde_json::to_vec(&index)?)?;
        let mut names = vec![PathBuf::from("oci-layout")];
        for blob in fs::read_dir(self.dir.join("blobs/sha256"))? {
            names.push(Path::new("blobs/sha256").join(blob?.file_name()));
        }
        for name in names {
            append(&mut tar, EntryType::Regular, &name, 0o644, &fs::read(self.dir.join(&name))?)?;
        }
        tar.into_inner()?.flush()?;
        Ok(())
    }
}

/// A name without its tag.
pub fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn inner(path: &str) -> PathBuf {
    path.trim_start_matches('/').into()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    for set in [Header::set_uid, Header::set_gid, Header::set_mtime] {
        set(&mut header, 0);
    }
    header
}

fn append(tar: &mut Builder<impl Write>, kind: EntryType, path: &Path, mode: u32, data: &[u8]) -> Result<()> {
    Ok(tar.append_data(&mut header(kind, mode, data.len()), path, data)?)
}

/// Go's name for the architecture of this machine, which images name.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("images are built for x86_64 and aarch64 machines, this is {other}"),
    }
}

fn put(blobs: &Path, media_type: &str, value: &impl Serialize) -> Result<Descriptor> {
    let data = serde_json::to_vec(value)?;
    let mut sink = Hashing::new(io::sink());
    sink.write_all(&data)?;
    let (_, digest, size) = sink.finish();
    fs::write(blobs.join(digest.trim_start_matches("sha256:")), data)?;
    Ok(Descriptor { media_type: media_type.into(), digest, size, annotations: BTreeMap::new() })
}

/// Counts and hashes what passes through.
struct Hashing<W> {
    inner: W,
    sha: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, sha: Sha256::new(), size: 0 }
    }

    fn finish(self) -> (W, String, u64) {
        let hex: String = self.sha.finalize().iter().map(|b| format!("{b:02x}")).collect();
        (self.inner, format!("sha256:{hex}"), self.size)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(data)?;
        self.sha.update(&data[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;
    use std::time::{Duration, SystemTime};

    fn image(program: &Path) -> Image {
        let image = Image::new("docker.io/tributary/thing:dev").label("b", "2").label("a", "1");
        image.program("/opt/thing/run", program.into()).link("/bin/run", "../opt/thing/run").entrypoint(&["/bin/run"])
    }

    fn read<T: serde::de::DeserializeOwned>(path: PathBuf) -> T {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_digest_whatever_the_time_and_place() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let build = |dir: &Path, data: &[u8], age: u64| {
            let program = dir.join(format!("program-{age}"));
            fs::write(&program, data).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + age);
            File::options().append(true).open(&program).unwrap().set_modified(time).unwrap();
            image(&program).write(dir).unwrap()
        };
        let first = build(one.path(), b"binary", 1);
        assert_eq!(first.digest, build(two.path(), b"binary", 2).digest);
        assert_eq!(first.digest, build(one.path(), b"binary", 3).digest);
        assert_ne!(first.digest, build(two.path(), b"another", 2).digest);

        let (mut a, mut b) = (Vec::new(), Vec::new());
        first.tar(&mut a).unwrap();
        first.tar(&mut b).unwrap();
        assert!(a == b && !a.is_empty());
    }

    #[test]
    fn every_digest_and_size_is_that_of_the_blob() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        fs::write(&program, "binary").unwrap();
        let layout = image(&program).write(dir.path()).unwrap();
        assert_eq!(layout.dir, dir.path().join("thing"));
        let blob = |digest: &str| layout.dir.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
        let check = |d: &Descriptor| {
            let data = fs::read(blob(&d.digest)).unwrap();
            assert_eq!(
                (data.len() as u64, format!("sha256:{}", crate::tools::hex(&[&data]))),
                (d.size, d.digest.clone())
            );
            data
        };
        let index: Index = read(layout.dir.join("index.json"));
        let [manifest] = &index.manifests[..] else { panic!("one manifest") };
        assert_eq!(manifest.digest, layout.digest);
        assert_eq!(manifest.annotations["io.containerd.image.name"], "docker.io/tributary/thing:dev");
        let manifest: Manifest = serde_json::from_slice(&check(manifest)).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&check(&manifest.config)).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/bin/run"]));
        assert_eq!(config["config"]["Labels"], serde_json::json!({"a": "1", "b": "2"}));

        let mut tar = Vec::new();
        GzDecoder::new(&check(&manifest.layers[0])[..]).read_to_end(&mut tar).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", crate::tools::hex(&[&tar])));
        let mut archive = tar::Archive::new(&tar[..]);
        let entries = archive.entries().unwrap().map(Result::unwrap).map(|e| {
            let h = e.header();
            assert_eq!((h.uid().unwrap(), h.gid().unwrap(), h.mtime().unwrap()), (0, 0, 0));
            (e.path().unwrap().display().to_string(), h.mode().unwrap())
        });
        let expected = [
            ("bin", 0o755),
            ("etc", 0o755),
            ("opt", 0o755),
            ("opt/thing", 0o755),
            ("bin/run", 0o777),
            ("etc/group", 0o644),
            ("etc/passwd", 0o644),
            ("opt/thing/run", 0o755),
            ("tmp", 0o1777),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected.map(|(p, m)| (p.to_string(), m)));
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = image(Path::new("/no/such/program")).write(dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/program"), "{error:#}");
    }
}
