//! Writes an object as its bytes come, parts of it in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tributary_mapreduce_core::kernel::{BoxError, ByteSink};

use crate::store::{Part, Store, StoreError};

/// Bytes of a part.
const PART: usize = 8 << 20;
/// Parts of that size; later ones are larger, for S3 takes 10,000.
const SMALL_PARTS: u32 = 2_000;
/// Parts in flight.
const AT_ONCE: usize = 3;

/// An object being written from a thread of its own. What is not finished is aborted when dropped.
pub(super) struct Writer {
    handle: Handle,
    store: Arc<dyn Store>,
    key: String,
    tag: String,
    buffer: Vec<u8>,
    upload: Option<String>,
    started: u32,
    flying: VecDeque<JoinHandle<Result<Part, StoreError>>>,
    parts: Vec<Part>,
    bytes: u64,
}

/// An upload that is whole and not completed.
pub(super) struct Uploaded {
    pub upload: String,
    pub parts: Vec<Part>,
    pub bytes: u64,
}

impl Writer {
    pub fn new(handle: &Handle, store: Arc<dyn Store>, key: String, tag: String) -> Self {
        Self {
            handle: handle.clone(),
            store,
            key,
            tag,
            buffer: Vec::new(),
            upload: None,
            started: 0,
            flying: VecDeque::new(),
            parts: Vec::new(),
            bytes: 0,
        }
    }

    fn part_size(&self) -> usize {
        if self.started < SMALL_PARTS { PART } else { PART * 8 }
    }

    /// Sends what is in the buffer as the next part.
    fn send(&mut self) -> Result<(), StoreError> {
        let upload = match &self.upload {
            Some(upload) => upload.clone(),
            None => {
                let upload = self.handle.block_on(self.store.start_upload(&self.key, &self.tag))?;
                self.upload.insert(upload).clone()
            }
        };
        while self.flying.len() >= AT_ONCE {
            self.land()?;
        }
        self.started += 1;
        let (store, key, number) = (self.store.clone(), self.key.clone(), self.started);
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        let sent = async move { store.upload_part(&key, &upload, number, body).await };
        self.flying.push_back(self.handle.spawn(sent));
        Ok(())
    }

    /// Waits for the oldest part in flight.
    fn land(&mut self) -> Result<(), StoreError> {
        let Some(oldest) = self.flying.pop_front() else { return Ok(()) };
        let sent = self.handle.block_on(oldest).unwrap_or_else(|e| {
            let place = self.store.place(&self.key);
            Err(StoreError::Other { place, message: e.to_string() })
        });
        self.parts.push(sent?);
        Ok(())
    }

    /// Makes the object visible.
    pub fn into_object(mut self) -> Result<u64, StoreError> {
        if self.upload.is_none() {
            let body = Bytes::from(std::mem::take(&mut self.buffer));
            self.handle.block_on(self.store.put(&self.key, body))?;
            return Ok(self.bytes);
        }
        let uploaded = self.whole()?;
        self.handle.block_on(self.store.complete_upload(&self.key, &uploaded.upload, &uploaded.parts))?;
        self.upload = None;
        Ok(uploaded.bytes)
    }

    /// Leaves the object to be made visible by another.
    pub fn into_upload(mut self) -> Result<Uploaded, StoreError> {
        let uploaded = self.whole()?;
        self.upload = None;
        Ok(uploaded)
    }

    fn whole(&mut self) -> Result<Uploaded, StoreError> {
        // an object without bytes still has a part
        if !self.buffer.is_empty() || self.started == 0 {
            self.send()?;
        }
        while !self.flying.is_empty() {
            self.land()?;
        }
        let upload = self.upload.clone().unwrap_or_default();
        Ok(Uploaded { upload, parts: std::mem::take(&mut self.parts), bytes: self.bytes })
    }
}

impl ByteSink for Writer {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let room = self.part_size() - self.buffer.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend_from_slice(now);
            self.bytes += now.len() as u64;
            rest = later;
            if self.buffer.len() >= self.part_size() {
                self.send()?;
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let flying = std::mem::take(&mut self.flying);
        let (store, key) = (self.store.clone(), std::mem::take(&mut self.key));
        self.handle.spawn(async move {
            for part in flying {
                // a part that comes after the abort would stay
                let _ = part.await;
            }
            if let Err(error) = store.abort_upload(&key, &upload).await {
                tracing::warn!(%error, "an upload is left behind");
            }
        });
    }
}
