//! The places of a job: what its locations are in the stores at hand.

use std::sync::Arc;

use crate::input::Topics;
use crate::spec::{InputSpec, JobSpec};
use crate::store::{Result, StoreResolver, Use};
use crate::task::Context;

/// What the tasks of a job need. Nothing is read or written yet.
///
/// # Errors
/// A location that is none.
pub fn context(spec: JobSpec, stores: &dyn StoreResolver, topics: Arc<dyn Topics>) -> Result<Context> {
    let input = match &spec.input {
        InputSpec::Objects(objects) => Some(stores.resolve(&objects.location, Use::Input)?),
        InputSpec::Topic(_) | InputSpec::Strings(_) => None,
    };
    let output = spec.output.as_ref().map(|o| stores.resolve(&o.location, Use::Output)).transpose()?;
    let workspace = stores.resolve(&spec.workspace, Use::Workspace)?;
    let workspace = workspace.below(&spec.config.job);
    Ok(Context { spec: Arc::new(spec), input, output, workspace, topics, scratch: std::env::temp_dir() })
}
