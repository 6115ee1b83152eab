//! Object stores: what the engine needs of S3, also over a directory.

mod dir;
mod dir_upload;
mod error;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod s3_error;
#[cfg(feature = "s3")]
mod s3_resolver;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tributary_crds::S3Location;

pub use dir::DirStore;
pub use error::StoreError;
#[cfg(feature = "s3")]
pub use s3::S3Store;
#[cfg(feature = "s3")]
pub use s3_resolver::S3Stores;
pub use tributary_mapreduce_core::commit::Part;

/// The result of the operations of a store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a listing says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// An opaque word that changes when the content does.
    pub etag: String,
    /// The tag of the upload that made it, where the store keeps one; a listing has none.
    pub tag: Option<String>,
}

/// What became of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is there now, with this content.
    Created,
    /// There was one already; it is unchanged.
    Exists,
}

/// The least bytes of a part that is not the last one.
pub const MIN_PART: usize = 5 << 20;

/// A bucket of objects. Every operation is retried within as the store sees fit; what it returns is final.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// The place of a key, for people: `s3://bucket/key` or a path.
    fn place(&self, key: &str) -> String;

    /// The objects whose keys begin with `prefix`, in byte order of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>>;

    /// The content, or `range` of it, cut at the object's end. With `etag`, only of the object that has it:
    /// else [`StoreError::Changed`].
    async fn get(&self, key: &str, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Bytes>;

    /// What is known of an object, if there is one.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>>;

    /// Writes an object, over one that may be there.
    async fn put(&self, key: &str, body: Bytes) -> Result<()>;

    /// Writes an object unless there is one. Atomic: of many writers at once, one gets [`Put::Created`]. Where the
    /// reply to a write is lost, what is stored decides: the same content counts as created.
    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<Put>;

    /// Deletes objects; one that is not there is no error.
    async fn delete(&self, keys: &[String]) -> Result<()>;

    /// Begins an upload; nothing is seen at the key until it is completed. The object keeps the `tag`, if the store can.
    async fn start_upload(&self, key: &str, tag: &str) -> Result<String>;

    /// Uploads a part. Every part but the last has at least [`MIN_PART`] bytes.
    async fn upload_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part>;

    /// Makes the object of its parts, at least one, in ascending order. [`StoreError::NoSuchUpload`] where it was
    /// completed or aborted before.
    async fn complete_upload(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()>;

    /// Forgets an upload and its parts; one that is not there is no error.
    async fn abort_upload(&self, key: &str, upload: &str) -> Result<()>;
}

/// What a location is to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Its input.
    Input,
    /// Its output.
    Output,
    /// Journal, segments, dead letters.
    Workspace,
}

/// A directory of a store: every key of it begins with `prefix`, which is empty or ends with `/`.
#[derive(Clone, Debug)]
pub struct Place {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Empty, or ends with `/`.
    pub prefix: String,
}

impl Place {
    /// The place `prefix` of a store; a `/` is added where it is missing.
    pub fn new(store: Arc<dyn Store>, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { store, prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// The place `name` below this one.
    pub fn below(&self, name: &str) -> Self {
        Self::new(self.store.clone(), &format!("{}{name}", self.prefix))
    }

    /// The key of `name` in this place.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// Finds the store of a location: by its credentials on a cluster, by a directory in a local run.
pub trait StoreResolver: Send + Sync {
    /// The place that `location` stands for. For [`Use::Workspace`] it may be any that no other job uses.
    fn resolve(&self, location: &S3Location, used_as: Use) -> Result<Place>;
}
