//! A job and the places it reads and writes.

use std::sync::Arc;

use tributary_crds::S3Location;

use crate::input::Topics;
use crate::spec::{InputSpec, JobSpec};
use crate::store::{Place, Result, StoreResolver, Use};

/// A job and the places it reads and writes: what coordinator and workers have in common.
#[derive(Clone, Debug)]
pub struct JobContext {
    /// The job.
    pub spec: JobSpec,
    /// Where the input's objects are, if it is objects.
    pub input: Option<Place>,
    /// Where the output's objects go, if it is objects.
    pub output: Option<Place>,
    /// Where this job's journal and segments are.
    pub workspace: Place,
    /// Keys of the output's store that begin with it are not the output's: workspaces.
    pub not_output: Option<String>,
    /// The topics of the cluster that the spec names.
    pub topics: Arc<dyn Topics>,
}

impl JobContext {
    /// Finds the places of a job.
    ///
    /// # Errors
    /// A location that `stores` does not know.
    pub fn new(spec: JobSpec, stores: &dyn StoreResolver, topics: Arc<dyn Topics>) -> Result<Self> {
        let input = match &spec.input {
            InputSpec::Objects(objects) => Some(stores.resolve(&objects.location, Use::Input)?),
            InputSpec::Topic(_) | InputSpec::Strings(_) => None,
        };
        let output = spec.output.as_ref().map(|output| stores.resolve(&output.location, Use::Output)).transpose()?;
        let workspaces = stores.resolve(&spec.workspace, Use::Workspace)?;
        let shared = spec.output.as_ref().filter(|output| same_bucket(&output.location, &spec.workspace));
        let not_output = shared.map(|_| workspaces.prefix.clone());
        let workspace = workspaces.below(&spec.config.job);
        Ok(Self { spec, input, output, workspace, not_output, topics })
    }
}

fn same_bucket(a: &S3Location, b: &S3Location) -> bool {
    fn bucket(location: &S3Location) -> Option<&str> {
        location.uri.strip_prefix("s3://")?.split('/').next()
    }
    a.connection.endpoint == b.connection.endpoint && bucket(a) == bucket(b)
}
