//! A directory as a store.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;

use super::{ObjectMeta, Part, Put, Result, Store, StoreError, dir_upload};

/// Where files are before they are complete, at the top of the directory; never listed.
pub(super) const STAGING: &str = ".uploads";

/// A directory that stands for a bucket; a file is an object, its path below the directory the key. Writes are atomic:
/// a file appears complete or not at all. Many processes may share it, on a file system that has hard links.
#[derive(Clone, Debug)]
pub struct DirStore {
    root: PathBuf,
}

impl DirStore {
    /// The store of a directory, which the first write makes where it is missing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, key: &str) -> Result<PathBuf> {
        let bad = |message: &str| Err(StoreError::Invalid { place: self.show(key), message: message.to_owned() });
        let mut parts = key.split('/');
        if parts.clone().any(|p| matches!(p, "" | "." | "..")) || key.contains(['\0', '\\']) {
            return bad("this key cannot be a file's path");
        }
        if parts.next() == Some(STAGING) {
            return bad("`.uploads` is reserved for files that are not complete");
        }
        Ok(self.root.join(key))
    }

    pub(super) fn show(&self, key: &str) -> String {
        self.root.join(key).display().to_string()
    }

    /// An operation's error in the terms of a store.
    pub(super) fn error(&self, place: &Path, error: &io::Error) -> StoreError {
        let place = place.display().to_string();
        match error.kind() {
            ErrorKind::NotFound => StoreError::NotFound { place },
            ErrorKind::PermissionDenied => StoreError::AccessDenied { place, message: error.to_string() },
            _ => StoreError::Other { place, message: error.to_string() },
        }
    }

    /// Runs file operations where they may block.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || work(&this)).await {
            Ok(done) => done,
            Err(e) => Err(StoreError::Other { place: self.root.display().to_string(), message: e.to_string() }),
        }
    }

    /// A new file in the staging directory with this content.
    fn stage(&self, body: &[u8]) -> Result<PathBuf> {
        let staging = self.root.join(STAGING);
        let path = staging.join(format!("{:016x}.tmp", rand::random::<u64>()));
        create_with_parents(&path, |path| fs::write(path, body)).map_err(|e| self.error(&path, &e))?;
        Ok(path)
    }

    /// Takes the staging directory away if nothing is in it.
    pub(super) fn tidy(&self) {
        // fails where it is in use, which is the point
        let _ = fs::remove_dir(self.root.join(STAGING));
    }

    /// Walks the directory tree below `dir`, whose key is `at` (empty, or ends with `/`).
    fn walk(&self, dir: &Path, at: &str, prefix: &str, found: &mut Vec<ObjectMeta>) -> Result<()> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.error(dir, &e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| self.error(dir, &e))?;
            let path = entry.path();
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                let message = "the name is not UTF-8".to_owned();
                return Err(StoreError::Invalid { place: path.display().to_string(), message });
            };
            let key = format!("{at}{name}");
            if key == STAGING || !(key.starts_with(prefix) || prefix.starts_with(&format!("{key}/"))) {
                continue;
            }
            let kind = entry.file_type().map_err(|e| self.error(&path, &e))?;
            if kind.is_dir() {
                self.walk(&path, &format!("{key}/"), prefix, found)?;
                continue;
            }
            match fs::metadata(&path) {
                // a link to a directory may lead round in a circle
                Ok(meta) if meta.is_file() => found.push(object(key, &meta)),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(self.error(&path, &e)),
            }
        }
        Ok(())
    }
}

/// Does `work` on a path, and again after making the directory it is in. Another process may be taking away a directory
/// that has become empty, hence the tries.
pub(super) fn create_with_parents<T>(path: &Path, mut work: impl FnMut(&Path) -> io::Result<T>) -> io::Result<T> {
    let mut tries = 0;
    loop {
        match work(path) {
            Err(e) if e.kind() == ErrorKind::NotFound && tries < 10 => {
                tries += 1;
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
            }
            other => return other,
        }
    }
}

fn object(key: String, meta: &Metadata) -> ObjectMeta {
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
    ObjectMeta { key, size: meta.len(), etag: format!("{modified:x}-{:x}", meta.len()), tag: None }
}

#[async_trait]
impl Store for DirStore {
    fn place(&self, key: &str) -> String {
        self.show(key)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix = prefix.to_owned();
        self.blocking(move |this| {
            if !this.root.is_dir() {
                return Err(StoreError::NoSuchBucket { place: this.root.display().to_string() });
            }
            let mut found = Vec::new();
            this.walk(&this.root, "", &prefix, &mut found)?;
            found.sort_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Bytes> {
        let (key, etag) = (key.to_owned(), etag.map(str::to_owned));
        self.blocking(move |this| {
            let path = this.path(&key)?;
            let failed = |e: io::Error| this.error(&path, &e);
            let mut file = File::open(&path).map_err(failed)?;
            let meta = file.metadata().map_err(failed)?;
            if meta.is_dir() {
                return Err(StoreError::NotFound { place: path.display().to_string() });
            }
            let meta = object(key, &meta);
            if etag.is_some_and(|wanted| wanted != meta.etag) {
                return Err(StoreError::Changed { place: path.display().to_string() });
            }
            let range = range.unwrap_or(0..meta.size);
            let end = range.end.min(meta.size);
            let mut body = Vec::with_capacity(end.saturating_sub(range.start) as usize);
            file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
            file.take(end.saturating_sub(range.start)).read_to_end(&mut body).map_err(failed)?;
            Ok(body.into())
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        let key = key.to_owned();
        self.blocking(move |this| {
            let path = this.path(&key)?;
            match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => Ok(Some(object(key, &meta))),
                Ok(_) => Ok(None),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
                Err(e) => Err(this.error(&path, &e)),
            }
        })
        .await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let key = key.to_owned();
        self.blocking(move |this| {
            let path = this.path(&key)?;
            let staged = this.stage(&body)?;
            let done = create_with_parents(&path, |path| fs::rename(&staged, path));
            done.inspect_err(|_| drop(fs::remove_file(&staged))).map_err(|e| this.error(&path, &e))?;
            this.tidy();
            Ok(())
        })
        .await
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<Put> {
        let key = key.to_owned();
        self.blocking(move |this| {
            let path = this.path(&key)?;
            let staged = this.stage(&body)?;
            let linked = create_with_parents(&path, |path| fs::hard_link(&staged, path));
            let removed = fs::remove_file(&staged);
            this.tidy();
            match linked {
                Ok(()) => removed.map(|()| Put::Created).map_err(|e| this.error(&staged, &e)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
                Err(e) => Err(this.error(&path, &e)),
            }
        })
        .await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let keys = keys.to_vec();
        self.blocking(move |this| {
            for key in &keys {
                let path = this.path(key)?;
                match fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                    Err(e) => return Err(this.error(&path, &e)),
                }
                // a bucket has no empty directories
                for dir in path.ancestors().skip(1).take_while(|dir| *dir != this.root) {
                    if fs::remove_dir(dir).is_err() {
                        break;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    async fn start_upload(&self, key: &str, _tag: &str) -> Result<String> {
        let key = key.to_owned();
        self.blocking(move |this| dir_upload::start(this, &key)).await
    }

    async fn upload_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part> {
        let (key, upload) = (key.to_owned(), upload.to_owned());
        self.blocking(move |this| dir_upload::part(this, &key, &upload, number, &body)).await
    }

    async fn complete_upload(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
        let (key, upload, parts) = (key.to_owned(), upload.to_owned(), parts.to_vec());
        self.blocking(move |this| dir_upload::complete(this, &key, &upload, &parts)).await
    }

    async fn abort_upload(&self, key: &str, upload: &str) -> Result<()> {
        let (key, upload) = (key.to_owned(), upload.to_owned());
        self.blocking(move |this| dir_upload::abort(this, &key, &upload)).await
    }
}
