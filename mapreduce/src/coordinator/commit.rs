//! Making an output visible: what a manifest names, and nothing else.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use tributary_crds::IfExists;
use tributary_mapreduce_core::commit::{Manifest, OutputPart, UploadNote, UploadPlace, names};

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
    let replaced =
        if spec.if_exists == IfExists::Replace { replaced(context, place, manifest).await? } else { Vec::new() };
    let success = place.key(names::SUCCESS);
    if replaced.contains(&success) {
        // what is there no longer belongs together
        place.store.delete(std::slice::from_ref(&success)).await?;
    }
    let parts: Vec<_> =
        manifest.outputs.iter().zip(0..).map(|(part, at)| lost_part(place, &manifest.job, part, at)).collect();
    let lost: Vec<Option<u32>> = stream::iter(parts).buffer_unordered(AT_ONCE).try_collect().await?;
    if let Some(partition) = lost.into_iter().flatten().min() {
        return Ok(Completed::Lost(partition));
    }
    // not before all of the new is there
    let old: Vec<String> = replaced.into_iter().filter(|key| *key != success).collect();
    if !old.is_empty() {
        place.store.delete(&old).await?;
    }
    let said = serde_json::to_vec_pretty(&manifest.success())
        .map_err(|e| StoreError::Other { place: place.store.place(&success), message: e.to_string() })?;
    place.store.put(&success, said.into()).await?;
    Ok(Completed::All)
}

/// What is in the output's place beside the objects that the manifest names.
async fn replaced(context: &Context, place: &Place, manifest: &Manifest) -> Result<Vec<String>, StoreError> {
    let ours: HashSet<String> = manifest.outputs.iter().map(|part| place.key(&part.name)).collect();
    Ok(others(context, place).await?.into_iter().filter(|key| !ours.contains(key)).collect())
}

/// The objects in the output's place that are not of some job's workspace.
pub(super) async fn others(context: &Context, place: &Place) -> Result<Vec<String>, StoreError> {
    let workspaces = place.below(names::WORKSPACES).prefix;
    let within = |key: &str| key.starts_with(&workspaces) || key.starts_with(&context.workspace.prefix);
    let there = place.store.list(&place.prefix).await?;
    Ok(there.into_iter().map(|object| object.key).filter(|key| !within(key)).collect())
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
            let tag = names::tag(job, part.attempt);
            Ok(found.is_some_and(|o| o.size == part.bytes && o.tag.is_none_or(|found| found == tag)))
        }
        Err(e) => Err(e),
    }
}

/// Forgets the uploads that attempts of the job have begun and nobody has completed.
pub(super) async fn abort_uploads(context: &Context) -> Result<(), StoreError> {
    let workspace = &context.workspace;
    let notes = workspace.store.list(&workspace.key(names::UPLOADS)).await?;
    let abort = |key: String| async move {
        let body = workspace.store.get(&key, None, None).await?;
        let note: UploadNote = serde_json::from_slice(&body)
            .map_err(|e| StoreError::Other { place: workspace.store.place(&key), message: e.to_string() })?;
        let place = match note.place {
            UploadPlace::Workspace => Some(workspace),
            UploadPlace::Output => context.output.as_ref(),
        };
        let Some(place) = place else { return Ok(()) };
        place.store.abort_upload(&place.key(&note.name), &note.upload).await
    };
    stream::iter(notes.into_iter().map(|o| abort(o.key))).buffer_unordered(AT_ONCE).try_collect().await
}
