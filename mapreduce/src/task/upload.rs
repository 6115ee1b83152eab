//! Writes an object as its bytes come, parts of it in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tributary_mapreduce_core::commit::{Part, UploadNote, UploadPlace, names};
use tributary_mapreduce_core::job::Assignment;
use tributary_mapreduce_core::kernel::{BoxError, ByteSink};

use super::{Stop, Task};
use crate::store::{Place, Store, StoreError};

/// Bytes of a part, which some stores want to be all the same; 10,000 of them make 160 GB.
const PART: usize = 16 << 20;
/// Parts on their way at once.
const AT_ONCE: usize = 2;

/// Takes an object's bytes. What is not finished is forgotten when dropped.
pub(super) struct Upload {
    runtime: Handle,
    store: Arc<dyn Store>,
    key: String,
    note: Note,
    tag: String,
    id: Option<String>,
    buffer: Vec<u8>,
    sent: VecDeque<JoinHandle<Result<Part, StoreError>>>,
    parts: Vec<Part>,
}

/// Where the workspace says that the upload is open.
struct Note {
    store: Arc<dyn Store>,
    key: String,
    place: UploadPlace,
    name: String,
}

impl Note {
    async fn write(&self, upload: &str) -> Result<(), StoreError> {
        let note = UploadNote { place: self.place, name: self.name.clone(), upload: upload.to_owned() };
        let body = serde_json::to_vec(&note)
            .map_err(|e| StoreError::Other { place: self.store.place(&self.key), message: e.to_string() })?;
        self.store.put(&self.key, body.into()).await
    }
}

impl Upload {
    /// An object that is to be, by an attempt. Nothing is sent yet.
    pub(super) fn new(task: &Task<'_>, to: (UploadPlace, &Place), name: &str) -> Self {
        let Assignment { task: id, attempt, .. } = task.assignment;
        let ((place, to), workspace) = (to, &task.context.workspace);
        let note = Note {
            store: workspace.store.clone(),
            key: workspace.key(&names::upload_note(*id, *attempt)),
            place,
            name: name.to_owned(),
        };
        Self {
            runtime: task.runtime.clone(),
            store: to.store.clone(),
            key: to.key(name),
            note,
            tag: names::tag(&task.context.spec.config.job, *attempt),
            id: None,
            buffer: Vec::new(),
            sent: VecDeque::new(),
            parts: Vec::new(),
        }
    }

    /// Makes the object.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        if self.id.is_none() {
            let body = Bytes::from(std::mem::take(&mut self.buffer));
            return self.runtime.block_on(self.store.put(&self.key, body));
        }
        let id = self.whole()?;
        self.runtime.block_on(self.store.complete_upload(&self.key, &id, &self.parts))?;
        self.id = None;
        Ok(())
    }

    /// Sends what is left, and leaves it to another to make the object: the upload's id and its parts.
    pub(super) fn finish_for_another(mut self) -> Result<(String, Vec<Part>), StoreError> {
        let id = self.whole()?;
        self.id = None;
        Ok((id, std::mem::take(&mut self.parts)))
    }

    /// Sends what is left; the upload's id.
    fn whole(&mut self) -> Result<String, StoreError> {
        // an object has at least one part, if an empty one
        if !self.buffer.is_empty() || self.id.is_none() {
            self.send()?;
        }
        while !self.sent.is_empty() {
            self.settle()?;
        }
        Ok(self.id.clone().unwrap_or_default())
    }

    /// Sends what has come together as the next part.
    fn send(&mut self) -> Result<(), StoreError> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let id = self.runtime.block_on(self.store.start_upload(&self.key, &self.tag))?;
                self.id = Some(id.clone());
                // a worker that is killed from here on leaves it open
                self.runtime.block_on(self.note.write(&id))?;
                id
            }
        };
        if self.sent.len() >= AT_ONCE {
            self.settle()?;
        }
        let number = u32::try_from(self.parts.len() + self.sent.len() + 1).unwrap_or(u32::MAX);
        let (store, key) = (self.store.clone(), self.key.clone());
        let body = Bytes::from(std::mem::take(&mut self.buffer));
        self.sent.push_back(self.runtime.spawn(async move { store.upload_part(&key, &id, number, body).await }));
        Ok(())
    }

    /// Waits for the oldest part that is on its way.
    fn settle(&mut self) -> Result<(), StoreError> {
        let Some(oldest) = self.sent.pop_front() else { return Ok(()) };
        let part = self.runtime.block_on(oldest).unwrap_or_else(|e| {
            Err(StoreError::Other { place: self.store.place(&self.key), message: format!("a part was not sent: {e}") })
        })?;
        self.parts.push(part);
        Ok(())
    }
}

impl ByteSink for Upload {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == PART {
                self.send().map_err(Stop::from)?;
            }
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let (store, key, sent) = (self.store.clone(), std::mem::take(&mut self.key), std::mem::take(&mut self.sent));
        self.runtime.spawn(async move {
            for part in sent {
                // a part that came after the end would stay
                let _ = part.await;
            }
            if let Err(error) = store.abort_upload(&key, &id).await {
                tracing::warn!(%error, "an upload may be left until the job's end");
            }
        });
    }
}
