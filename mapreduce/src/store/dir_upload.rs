//! Multipart uploads into a directory: parts are files in the staging directory until the upload is completed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::dir::{DirStore, STAGING, create_with_parents};
use super::{Part, Result, StoreError};

/// The file of an upload that holds its key.
const KEY: &str = "key";

fn directory(store: &DirStore, upload: &str) -> Result<PathBuf> {
    if upload.len() != 16 || !upload.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(StoreError::NoSuchUpload { place: store.show(""), upload: upload.to_owned() });
    }
    Ok(store.root().join(STAGING).join(upload))
}

fn file_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:05}"))
}

/// The directory of an upload that is open, of this very key.
fn open(store: &DirStore, key: &str, upload: &str) -> Result<PathBuf> {
    let dir = directory(store, upload)?;
    match fs::read_to_string(dir.join(KEY)) {
        Ok(found) if found == key => Ok(dir),
        Ok(_) => Err(gone(store, key, upload)),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(gone(store, key, upload)),
        Err(e) => Err(store.error(&dir, &e)),
    }
}

fn gone(store: &DirStore, key: &str, upload: &str) -> StoreError {
    StoreError::NoSuchUpload { place: store.show(key), upload: upload.to_owned() }
}

pub(super) fn start(store: &DirStore, key: &str) -> Result<String> {
    store.path(key)?;
    let upload = format!("{:016x}", rand::random::<u64>());
    let path = directory(store, &upload)?.join(KEY);
    create_with_parents(&path, |path| fs::write(path, key)).map_err(|e| store.error(&path, &e))?;
    Ok(upload)
}

pub(super) fn part(store: &DirStore, key: &str, upload: &str, number: u32, body: &[u8]) -> Result<Part> {
    let dir = open(store, key, upload)?;
    let path = file_of(&dir, number);
    // a part sent twice at once must not be a mixture
    let temporary = dir.join(format!("{:016x}.tmp", rand::random::<u64>()));
    fs::write(&temporary, body).and_then(|()| fs::rename(&temporary, &path)).map_err(|e| store.error(&path, &e))?;
    Ok(Part { number, etag: format!("{:x}", body.len()) })
}

pub(super) fn complete(store: &DirStore, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
    let target = store.path(key)?;
    let dir = open(store, key, upload)?;
    let other = |message: String| StoreError::Other { place: store.show(key), message };
    if parts.is_empty() || !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(other("the parts of an upload must be in order, at least one".to_owned()));
    }
    for part in parts {
        let path = file_of(&dir, part.number);
        let size = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            // completed before, up to its last step
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(gone(store, key, upload)),
            Err(e) => return Err(store.error(&path, &e)),
        };
        if format!("{size:x}") != part.etag {
            return Err(other(format!("part {} of upload {upload} is another than was named", part.number)));
        }
    }
    let whole = if let [part] = parts {
        file_of(&dir, part.number)
    } else {
        let whole = dir.join(format!("{:016x}.tmp", rand::random::<u64>()));
        concatenate(&dir, parts, &whole).map_err(|e| store.error(&whole, &e))?;
        whole
    };
    match create_with_parents(&target, |target| fs::rename(&whole, target)) {
        Ok(()) => {}
        // another process completed it meanwhile
        Err(_) if !dir.join(KEY).exists() => return Err(gone(store, key, upload)),
        Err(e) => return Err(store.error(&target, &e)),
    }
    remove(store, &dir)
}

fn concatenate(dir: &Path, parts: &[Part], into: &Path) -> io::Result<()> {
    let mut whole = File::create(into)?;
    for part in parts {
        io::copy(&mut File::open(file_of(dir, part.number))?, &mut whole)?;
    }
    Ok(())
}

pub(super) fn abort(store: &DirStore, key: &str, upload: &str) -> Result<()> {
    match open(store, key, upload) {
        Ok(dir) => remove(store, &dir),
        Err(StoreError::NoSuchUpload { .. }) => Ok(()),
        Err(e) => Err(e),
    }
}

fn remove(store: &DirStore, dir: &Path) -> Result<()> {
    // the key first: without it the upload is gone, whatever else is left
    let done = fs::remove_file(dir.join(KEY)).and_then(|()| fs::remove_dir_all(dir));
    store.tidy();
    match done {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(store.error(dir, &e)),
        _ => Ok(()),
    }
}
