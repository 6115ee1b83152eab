//! An output object: a multipart upload that somebody else completes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tributary_mapreduce_core::commit::Part;
use tributary_mapreduce_core::kernel::{BoxError, ByteSink};

use super::Stop;
use crate::store::{Place, Store, StoreError};

/// Bytes of a part: 10,000 of them make 160 GB.
const PART: usize = 16 << 20;
/// Parts on their way at once.
const AT_ONCE: usize = 2;

/// Takes an object's bytes.
pub(super) struct Upload<'a> {
    runtime: &'a Handle,
    store: Arc<dyn Store>,
    key: String,
    id: String,
    buffer: BytesMut,
    sent: Vec<JoinHandle<Result<Part, StoreError>>>,
    parts: Vec<Part>,
}

impl<'a> Upload<'a> {
    pub(super) fn start(runtime: &'a Handle, place: &Place, name: &str, tag: &str) -> Result<Self, StoreError> {
        let (store, key) = (place.store.clone(), place.key(name));
        let id = runtime.block_on(store.start_upload(&key, tag))?;
        Ok(Self { runtime, store, key, id, buffer: BytesMut::new(), sent: Vec::new(), parts: Vec::new() })
    }

    /// The upload's id and its parts, once they are all there.
    pub(super) fn finish(mut self) -> Result<(String, Vec<Part>), StoreError> {
        // an object has at least one part, if an empty one
        if !self.buffer.is_empty() || self.parts.is_empty() && self.sent.is_empty() {
            let last = self.buffer.split().freeze();
            self.send(last);
        }
        while !self.sent.is_empty() {
            self.settle()?;
        }
        Ok((self.id, self.parts))
    }

    /// Forgets the upload; that this fails is no matter, since the job's end forgets all of them.
    pub(super) fn abort(self) {
        self.sent.iter().for_each(JoinHandle::abort);
        let _ = self.runtime.block_on(self.store.abort_upload(&self.key, &self.id));
    }

    fn send(&mut self, body: Bytes) {
        let number = u32::try_from(self.parts.len() + self.sent.len() + 1).unwrap_or(u32::MAX);
        let (store, key, id) = (self.store.clone(), self.key.clone(), self.id.clone());
        self.sent.push(self.runtime.spawn(async move { store.upload_part(&key, &id, number, body).await }));
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let first = self.sent.remove(0);
        let part = self.runtime.block_on(first).unwrap_or_else(|e| {
            Err(StoreError::Other { place: self.store.place(&self.key), message: format!("a part was not sent: {e}") })
        })?;
        self.parts.push(part);
        Ok(())
    }
}

impl ByteSink for Upload<'_> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() >= PART {
            if self.sent.len() >= AT_ONCE {
                self.settle().map_err(Stop::from)?;
            }
            let part = self.buffer.split().freeze();
            self.send(part);
        }
        Ok(())
    }
}
