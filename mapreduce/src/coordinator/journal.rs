//! The journal and the manifest: numbered objects that are written once.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tributary_mapreduce_core::commit::{Batch, Manifest, names};

use super::{CoordinatorError, patiently};
use crate::store::{Place, Put, StoreError};

/// What became of a batch.
pub(super) enum Written {
    /// It is stored.
    Ours,
    /// Another one has its number.
    Taken(Batch),
}

/// Makes sure that the store keeps an object that a conditional write meets.
pub(super) async fn probe(place: &Place) -> Result<(), CoordinatorError> {
    let key = place.key(names::PROBE);
    let put = || async {
        let word = Bytes::from(format!("{:032x}", rand::random::<u128>()));
        Ok(place.store.put_if_absent(&key, word).await?)
    };
    patiently(put).await?;
    match patiently(put).await? {
        Put::Exists => Ok(()),
        Put::Created => Err(CoordinatorError::StoreUnsafe { place: place.store.place(&key) }),
    }
}

/// The whole journal, in order.
pub(super) async fn read(place: &Place) -> Result<Vec<Batch>, CoordinatorError> {
    let mut batches = Vec::new();
    loop {
        let key = place.key(&names::journal(batches.len() as u64 + 1));
        match patiently(|| async { Ok(place.store.get(&key, None, None).await?) }).await {
            Ok(bytes) => batches.push(decode(place, &key, &bytes)?),
            Err(CoordinatorError::Store(StoreError::NotFound { .. })) => return Ok(batches),
            Err(e) => return Err(e),
        }
    }
}

/// Writes a batch, unless one has its number. A store that does not answer is asked again until it does.
pub(super) async fn write(place: &Place, number: u64, batch: &Batch) -> Result<Written, CoordinatorError> {
    let key = place.key(&names::journal(number));
    let found = patiently(|| once(place, &key, batch)).await?;
    Ok(found.map_or(Written::Ours, Written::Taken))
}

/// Writes a manifest, unless one has its number; the one that is stored.
pub(super) async fn write_manifest(place: &Place, manifest: &Manifest) -> Result<Manifest, CoordinatorError> {
    let key = place.key(&names::manifest(manifest.number));
    Ok(once(place, &key, manifest).await?.unwrap_or_else(|| manifest.clone()))
}

/// Deletes the workspace but for `kept`, the journal last: as long as it is there, a coordinator knows what has been done.
pub(super) async fn delete(place: &Place, kept: Option<&str>) -> Result<(), StoreError> {
    let (journal, kept) = (place.key(names::JOURNAL), kept.map(|name| place.key(name)));
    let all = place.store.list(&place.prefix).await?.into_iter().map(|object| object.key);
    let (last, first): (Vec<String>, Vec<String>) =
        all.filter(|key| kept.as_ref().is_none_or(|k| !key.starts_with(k))).partition(|key| key.starts_with(&journal));
    for keys in [first, last] {
        if !keys.is_empty() {
            place.store.delete(&keys).await?;
        }
    }
    Ok(())
}

/// Writes an object once; what was there before, if something was.
async fn once<T: Serialize + DeserializeOwned>(
    place: &Place,
    key: &str,
    content: &T,
) -> Result<Option<T>, CoordinatorError> {
    let body = serde_json::to_vec(content)
        .map_err(|e| CoordinatorError::Journal { place: place.store.place(key), message: e.to_string() })?;
    match place.store.put_if_absent(key, body.into()).await? {
        Put::Created => Ok(None),
        Put::Exists => decode(place, key, &place.store.get(key, None, None).await?).map(Some),
    }
}

fn decode<T: DeserializeOwned>(place: &Place, key: &str, bytes: &Bytes) -> Result<T, CoordinatorError> {
    serde_json::from_slice(bytes)
        .map_err(|e| CoordinatorError::Journal { place: place.store.place(key), message: e.to_string() })
}
