//! Reads ahead: ranges of objects, several in flight, handed over in order to the thread that works on them.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tributary_mapreduce_core::kernel::{BlockSource, BoxError};

use super::Stop;
use crate::store::{Store, StoreError};

/// A range of an object.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// The key in its store.
    pub key: Arc<str>,
    /// The version, where only that will do.
    pub etag: Option<Arc<str>>,
    /// The bytes.
    pub range: Range<u64>,
}

/// Ranges on their way, in order. Stops fetching when dropped.
#[derive(Debug)]
pub(super) struct Fetch {
    chunks: mpsc::Receiver<Result<Bytes, StoreError>>,
    task: JoinHandle<()>,
}

impl Fetch {
    /// Begins to fetch, so many at once. `permits` limit the requests of all fetches that share them.
    pub(super) fn start(
        runtime: &Handle,
        store: Arc<dyn Store>,
        wants: impl Iterator<Item = Want> + Send + 'static,
        at_once: usize,
        permits: Arc<Semaphore>,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        let task = runtime.spawn(async move {
            let get = |want: Want| {
                let (store, permits) = (store.clone(), permits.clone());
                async move {
                    let _permit = permits.acquire_owned().await;
                    let length = want.range.end - want.range.start;
                    let bytes = store.get(&want.key, Some(want.range), want.etag.as_deref()).await?;
                    // an object that is shorter than it was is no longer the one that was listed
                    if bytes.len() as u64 == length {
                        Ok(bytes)
                    } else {
                        Err(StoreError::Changed { place: store.place(&want.key) })
                    }
                }
            };
            let mut got = stream::iter(wants.map(get)).buffered(at_once);
            while let Some(chunk) = got.next().await {
                let failed = chunk.is_err();
                if sender.send(chunk).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { chunks, task }
    }

    /// The next range's bytes; `None` after the last. Blocks.
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

/// The ranges that make up a range, cut where offsets are multiples of `chunk`.
pub(super) fn chunks(range: Range<u64>, chunk: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        at = (start / chunk + 1).saturating_mul(chunk).min(range.end);
        (start < range.end).then_some(start..at)
    })
}

/// So many of the next ranges of a fetch as a reader, for decompression.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    fetch: &'a mut Fetch,
    left: usize,
    chunk: Bytes,
    /// What kept it from being read; a reader's error cannot carry it.
    pub failed: Option<StoreError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(fetch: &'a mut Fetch, ranges: usize) -> Self {
        Self { fetch, left: ranges, chunk: Bytes::new(), failed: None }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && self.left > 0 {
            self.left -= 1;
            match self.fetch.next() {
                Ok(chunk) => self.chunk = chunk.unwrap_or_default(),
                Err(error) => {
                    self.left = 0;
                    let message = error.to_string();
                    self.failed = Some(error);
                    return Err(io::Error::other(message));
                }
            }
        }
        let n = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_aligned() {
        let of = |range| chunks(range, 10).collect::<Vec<_>>();
        assert_eq!(of(0..25), [0..10, 10..20, 20..25]);
        assert_eq!(of(9..11), [9..10, 10..11]);
        assert_eq!(of(10..30), [10..20, 20..30]);
        assert_eq!(of(7..7), [] as [Range<u64>; 0]);
    }
}
