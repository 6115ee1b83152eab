//! Bytes of an object, fetched ahead of the thread that works on them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tributary_mapreduce_core::kernel::{BlockSource, BoxError};

use super::Stop;
use crate::store::{Store, StoreError};

/// What is fetched of an object.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// The key in its store.
    pub key: String,
    /// The version, where only that will do.
    pub etag: Option<String>,
    /// The bytes.
    pub range: Range<u64>,
    /// Bytes of a request.
    pub chunk: u64,
    /// Chunks that wait to be taken, at least 1.
    pub ahead: usize,
}

/// The chunks of an object's range, in order.
#[derive(Debug)]
pub(super) struct Fetch {
    chunks: mpsc::Receiver<Result<Bytes, StoreError>>,
    task: JoinHandle<()>,
}

impl Fetch {
    /// Begins to fetch. `at_once` limits the requests of all fetches that share it.
    pub(super) fn start(runtime: &Handle, store: Arc<dyn Store>, want: Want, at_once: Arc<Semaphore>) -> Self {
        let (sender, chunks) = mpsc::channel(want.ahead);
        let task = runtime.spawn(async move {
            let mut at = want.range.start;
            while at < want.range.end {
                let end = want.range.end.min(at.saturating_add(want.chunk));
                let got = {
                    let Ok(_permit) = at_once.acquire().await else { return };
                    store.get(&want.key, Some(at..end), want.etag.as_deref()).await
                };
                // an object that is shorter than it was is no longer the one that was listed
                let got = got.and_then(|bytes| match bytes.len() as u64 == end - at {
                    true => Ok(bytes),
                    false => Err(StoreError::Changed { place: store.place(&want.key) }),
                });
                let failed = got.is_err();
                if sender.send(got).await.is_err() || failed {
                    return;
                }
                at = end;
            }
        });
        Self { chunks, task }
    }

    /// The next chunk; `None` at the end. Blocks.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.chunks.blocking_recv().transpose()
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BlockSource for Fetch {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        Ok(self.next().map_err(Stop::from)?)
    }
}

/// A fetch as a reader, for decompression.
#[derive(Debug)]
pub(super) struct Reader {
    fetch: Fetch,
    chunk: Bytes,
    /// What kept it from being read; a reader's error cannot carry it.
    pub failed: Option<StoreError>,
}

impl Reader {
    pub(super) fn new(fetch: Fetch) -> Self {
        Self { fetch, chunk: Bytes::new(), failed: None }
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        self.fill()?;
        Ok(self.chunk.is_empty())
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.chunk.is_empty() {
            match self.fetch.next() {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(()),
                Err(e) => {
                    let message = e.to_string();
                    self.failed = Some(e);
                    return Err(io::Error::other(message));
                }
            }
        }
        Ok(())
    }
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let n = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}
