//! What the tests of whole jobs share: directories for buckets, texts, references.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tributary_crds::{EngineStatus, S3Location};
use tributary_mapreduce::input::{MemoryTopics, Topics};
use tributary_mapreduce::local::{self, LocalJob};
use tributary_mapreduce::store::{DirStore, Place, Result, StoreResolver, Use};

/// The bucket that is never there.
pub const NOWHERE: &str = "nowhere";

/// A directory whose subdirectories are buckets.
#[derive(Clone)]
pub struct Buckets(pub PathBuf);

impl StoreResolver for Buckets {
    fn resolve(&self, location: &S3Location, used_as: Use) -> Result<Place> {
        let path = location.uri.strip_prefix("s3://").unwrap();
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if used_as == Use::Output && bucket != NOWHERE {
            fs::create_dir_all(self.0.join(bucket)).unwrap();
        }
        Ok(Place::new(Arc::new(DirStore::new(self.0.join(bucket))), prefix))
    }
}

/// A temporary place for buckets, and topics.
pub struct World {
    pub dir: TempDir,
    pub topics: MemoryTopics,
}

impl World {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), topics: MemoryTopics::new() }
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(path)).unwrap()
    }

    /// Every file, hidden ones included, by its path.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(self.dir.path(), self.dir.path(), &mut found);
        found.sort();
        found
    }

    pub fn job(&self, spec: Value) -> LocalJob {
        LocalJob {
            name: "job".to_owned(),
            uid: "uid".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
            stores: Arc::new(Buckets(self.dir.path().to_owned())),
            topics: Arc::new(self.topics.clone()) as Arc<dyn Topics>,
            threads: NonZeroUsize::new(3).unwrap(),
            cancel: CancellationToken::new(),
        }
    }

    pub async fn run(&self, spec: Value) -> EngineStatus {
        let mut last = None;
        let status = local::run(self.job(spec), |status| last = Some(status.clone())).await.unwrap();
        assert_eq!(last.as_ref(), Some(&status), "the last status seen is the one returned");
        status
    }

    /// The rows of an output, of all its parts in order.
    pub fn rows(&self, output: &str) -> Vec<(String, String)> {
        let parts = self.files().into_iter().filter(|f| f.starts_with(&format!("{output}/part-r-")));
        parts.flat_map(|part| rows(&self.read(&part))).collect()
    }
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Rows as `key TAB value`.
pub fn rows(text: &[u8]) -> Vec<(String, String)> {
    let row = |line: &str| {
        let (key, value) = line.split_once('\t').unwrap_or((line, ""));
        (key.to_owned(), value.to_owned())
    };
    String::from_utf8_lossy(text).lines().map(row).collect()
}

/// How often each word is in the texts.
pub fn count_words<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for word in texts.into_iter().flat_map(str::split_ascii_whitespace) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts.into_iter().map(|(word, n)| (word, n.to_string())).collect()
}

/// A text of so many lines of varying length, the same for the same seed.
pub fn text(seed: u64, lines: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut text = String::new();
    for _ in 0..lines {
        for _ in 0..next(12) {
            let n = next(40) * next(40);
            text.push_str(&format!("w{n}{}", if n % 7 == 0 { "\t" } else { " " }));
        }
        text.push('\n');
    }
    text
}
