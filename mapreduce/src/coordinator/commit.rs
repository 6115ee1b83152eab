//! Making an output visible: what a manifest names, and nothing else.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use tributary_crds::IfExists;
use tributary_mapreduce_core::commit::{Manifest, OutputPart, names};

use crate::store::{Place, StoreError};
use crate::task::Context;

/// Uploads that are completed at once.
const AT_ONCE: usize = 8;

/// What became of an output.
pub(super) enum Completed {
    /// All of it is there.
    All,
    /// The upload of a partition is gone, and there is no object.
    Lost(u32),
}

/// Completes the uploads that a manifest names, deletes what they replace, and writes `_SUCCESS`. May be done again, by
/// anyone who knows the manifest.
pub(super) async fn complete(context: &Context, manifest: &Manifest) -> Result<Completed, StoreError> {
    let (Some(spec), Some(place)) = (&context.spec.output, &context.output) else { return Ok(Completed::All) };
    if spec.if_exists == IfExists::Replace {
        make_room(place, manifest).await?;
    }
    let parts: Vec<_> =
        manifest.outputs.iter().zip(0..).map(|(part, at)| lost_part(place, &manifest.job, part, at)).collect();
    let lost: Vec<Option<u32>> = stream::iter(parts).buffer_unordered(AT_ONCE).try_collect().await?;
    if let Some(partition) = lost.into_iter().flatten().min() {
        return Ok(Completed::Lost(partition));
    }
    let success = serde_json::to_vec_pretty(&manifest.success()).map_err(|e| StoreError::Other {
        place: place.store.place(&place.key(names::SUCCESS)),
        message: e.to_string(),
    })?;
    place.store.put(&place.key(names::SUCCESS), success.into()).await?;
    Ok(Completed::All)
}

/// Deletes what was in the output's place, `_SUCCESS` first: what is there no longer belongs together.
async fn make_room(place: &Place, manifest: &Manifest) -> Result<(), StoreError> {
    let success = place.key(names::SUCCESS);
    let ours: HashSet<String> = manifest.outputs.iter().map(|part| place.key(&part.name)).collect();
    let there: Vec<String> = place.store.list(&place.prefix).await?.into_iter().map(|object| object.key).collect();
    if there.contains(&success) {
        place.store.delete(std::slice::from_ref(&success)).await?;
    }
    let old: Vec<String> = there.into_iter().filter(|key| *key != success && !ours.contains(key)).collect();
    if old.is_empty() { Ok(()) } else { place.store.delete(&old).await }
}

/// The partition, where its object is not there afterwards.
async fn lost_part(place: &Place, job: &str, part: &OutputPart, partition: u32) -> Result<Option<u32>, StoreError> {
    Ok((!complete_part(place, job, part).await?).then_some(partition))
}

async fn complete_part(place: &Place, job: &str, part: &OutputPart) -> Result<bool, StoreError> {
    let key = place.key(&part.name);
    match place.store.complete_upload(&key, &part.upload, &part.parts).await {
        Ok(()) => Ok(true),
        Err(StoreError::NoSuchUpload { .. } | StoreError::NotFound { .. }) => {
            // completed before, by us or by another coordinator; a store that keeps tags says whose it is
            let found = place.store.head(&key).await?;
            let tag = format!("{job}/{}", part.attempt);
            Ok(found.is_some_and(|o| o.size == part.bytes && o.tag.is_none_or(|found| found == tag)))
        }
        Err(e) => Err(e),
    }
}

/// Forgets the uploads of a job's output that nobody is going to complete.
pub(super) async fn abort_uploads(context: &Context) -> Result<(), StoreError> {
    let Some(place) = &context.output else { return Ok(()) };
    for upload in place.store.list_uploads(&place.prefix).await? {
        if upload.key.strip_prefix(&place.prefix).is_some_and(names::is_part) {
            place.store.abort_upload(&upload.key, &upload.id).await?;
        }
    }
    Ok(())
}
