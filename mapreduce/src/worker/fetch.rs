//! Reads ahead: ranges of objects, several in flight, handed over in order to a thread that computes.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tributary_mapreduce_core::kernel::{BlockSource, BoxError};

use crate::store::{Store, StoreError};

/// Bytes of a range, whose ends are multiples of it.
pub(super) const CHUNK: u64 = 8 << 20;

/// A range of an object.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub key: Arc<str>,
    pub range: Range<u64>,
    /// The version that is wanted.
    pub etag: Option<Arc<str>>,
}

/// Ranges on their way. Stops fetching when dropped.
pub(super) struct Fetch {
    receiver: mpsc::Receiver<Result<Bytes, StoreError>>,
    task: JoinHandle<()>,
}

impl Fetch {
    /// Begins to fetch, so many requests at once. With `permits`, no more than these over all fetches.
    pub fn start(
        handle: &Handle,
        store: Arc<dyn Store>,
        requests: impl Iterator<Item = Request> + Send + 'static,
        at_once: usize,
        permits: Option<Arc<Semaphore>>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let task = handle.spawn(async move {
            let get = |request: Request| {
                let (store, permits) = (store.clone(), permits.clone());
                async move {
                    let _permit = match permits {
                        Some(permits) => permits.acquire_owned().await.ok(),
                        None => None,
                    };
                    store.get(&request.key, Some(request.range), request.etag.as_deref()).await
                }
            };
            let mut answers = stream::iter(requests.map(get)).buffered(at_once);
            while let Some(answer) = answers.next().await {
                let failed = answer.is_err();
                if sender.send(answer).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { receiver, task }
    }

    /// The next range's bytes. Blocks the thread, which must not be one of the runtime's own.
    pub fn next(&mut self) -> Option<Result<Bytes, StoreError>> {
        self.receiver.blocking_recv()
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BlockSource for Fetch {
    fn next_block(&mut self) -> Result<Option<Bytes>, BoxError> {
        self.next().transpose().map_err(BoxError::from)
    }
}

/// The ranges of `chunk` bytes that make up a range; cut where offsets are multiples of it.
pub(super) fn chunks(range: Range<u64>, chunk: u64) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        at = (start / chunk + 1).saturating_mul(chunk).min(range.end);
        (start < range.end).then_some(start..at)
    })
}

/// So many of the next ranges of a fetch, as one stream of bytes.
pub(super) struct Ranges<'a> {
    pub fetch: &'a mut Fetch,
    pub left: u64,
    pub current: Bytes,
    /// The error that ended the stream.
    pub failed: Option<StoreError>,
}

impl Read for Ranges<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && self.left > 0 {
            self.left -= 1;
            match self.fetch.next() {
                Some(Ok(bytes)) => self.current = bytes,
                Some(Err(error)) => {
                    self.left = 0;
                    let message = error.to_string();
                    self.failed = Some(error);
                    return Err(io::Error::other(message));
                }
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let n = self.current.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.current[..n]);
        self.current.advance(n);
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
        assert_eq!(of(10..20), [10..20]);
        assert_eq!(of(7..7), [] as [Range<u64>; 0]);
    }
}
