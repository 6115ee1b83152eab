//! `status.engine` of the job's own MapReduceJob, and nothing else.

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::json;
use tributary_crds::{API_VERSION, EngineStatus, MapReduceJob};

/// The field manager of the fields that a coordinator writes.
pub const FIELD_MANAGER: &str = "tributary-coordinator";

/// What became of the MapReduceJob meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is there.
    Alive,
    /// It is gone, is going, or is another one of the same name: the job is to be cleaned up.
    Deleted,
}

/// Writes one job's `status.engine`.
#[derive(Clone)]
pub struct StatusWriter {
    api: Api<MapReduceJob>,
    namespace: String,
    name: String,
    uid: String,
}

impl StatusWriter {
    /// For the MapReduceJob of this uid.
    pub fn new(client: Client, namespace: &str, name: &str, uid: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, namespace: namespace.into(), name: name.into(), uid: uid.into() }
    }

    /// Writes the status. An error is the apiserver's, and may pass.
    pub async fn write(&self, engine: &EngineStatus) -> Result<Seen, Error> {
        let status = json!({
            "apiVersion": API_VERSION,
            "kind": "MapReduceJob",
            "metadata": {"namespace": self.namespace, "name": self.name, "uid": self.uid},
            "status": {"engine": engine},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match self.api.patch_status(&self.name, &params, &Patch::Apply(&status)).await {
            Ok(job) if job.metadata.deletion_timestamp.is_some() => Ok(Seen::Deleted),
            Ok(_) => Ok(Seen::Alive),
            Err(Error::Api(status)) if status.code == 404 => Ok(Seen::Deleted),
            // a uid that is not the object's is a conflict that does not pass
            Err(Error::Api(status)) if status.code == 409 && status.message.to_lowercase().contains("uid") => {
                Ok(Seen::Deleted)
            }
            Err(e) => Err(e),
        }
    }

    /// Whether the MapReduceJob is still there.
    pub async fn look(&self) -> Result<Seen, Error> {
        Ok(self.read().await?.1)
    }

    /// The status that is written, and whether the MapReduceJob is still there.
    pub async fn read(&self) -> Result<(EngineStatus, Seen), Error> {
        let job = self.api.get_opt(&self.name).await?.filter(|j| j.metadata.uid.as_deref() == Some(&self.uid));
        let Some(job) = job else { return Ok((EngineStatus::default(), Seen::Deleted)) };
        let seen = if job.metadata.deletion_timestamp.is_some() { Seen::Deleted } else { Seen::Alive };
        Ok((job.status.and_then(|s| s.engine).unwrap_or_default(), seen))
    }
}
