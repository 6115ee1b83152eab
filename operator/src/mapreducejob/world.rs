//! What a decision about a MapReduceJob is made from.

use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use tributary_blueprints::world::Refusal;
use tributary_crds::{MapReduceJob, names};

use super::children::Role;

/// What the operator was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The image of coordinators and workers.
    pub engine_image: String,
}

/// Everything that a decision about one MapReduceJob may know.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The job.
    pub job: MapReduceJob,
    /// Its children, and strangers that have their names.
    pub children: Children,
    /// The job's Secret was made; the operator may make Secrets, but not read them.
    pub secret_made: bool,
    /// Writes that the apiserver refused.
    pub refusals: Vec<Refusal>,
    /// What the operator was started with.
    pub settings: Settings,
}

/// The objects that have the names of a job's children.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// ServiceAccount.
    pub service_account: Option<ObjectMeta>,
    /// Role.
    pub role: Option<ObjectMeta>,
    /// RoleBinding.
    pub role_binding: Option<ObjectMeta>,
    /// Service.
    pub service: Option<ObjectMeta>,
    /// The coordinator's Job.
    pub coordinator: Option<Job>,
    /// The workers' Job.
    pub worker: Option<Job>,
    /// Pods that carry the job's label.
    pub pods: Vec<Pod>,
}

/// What an object of a child's name is to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinship {
    /// There is none.
    Missing,
    /// It is the job's.
    Ours,
    /// It is the job's, and being deleted.
    Dying,
    /// A former job of the same name left it; garbage collection will take it.
    Stale,
    /// It is somebody else's.
    Foreign,
}

impl World {
    /// The batch Job of a role.
    pub fn batch_job(&self, role: Role) -> Option<&Job> {
        match role {
            Role::Coordinator => self.children.coordinator.as_ref(),
            Role::Worker => self.children.worker.as_ref(),
        }
    }

    /// The batch Job of a role, where it is this job's own.
    pub fn own_job(&self, role: Role) -> Option<&Job> {
        self.batch_job(role).filter(|j| self.kinship(Some(&j.metadata)) == Kinship::Ours)
    }

    /// The pods of a role, those of former jobs left out.
    pub fn pods(&self, role: Role) -> Vec<&Pod> {
        let Some(uid) = self.own_job(role).and_then(|j| j.metadata.uid.as_deref()) else { return Vec::new() };
        let owned = |pod: &&Pod| pod.metadata.owner_references.iter().flatten().any(|o| o.uid == uid);
        let of_role = |pod: &&Pod| {
            let label = pod.metadata.labels.as_ref().and_then(|l| l.get(names::ROLE));
            label.map(String::as_str) == Some(role.as_str())
        };
        self.children.pods.iter().filter(of_role).filter(owned).collect()
    }

    /// What the object is to the job.
    pub fn kinship(&self, metadata: Option<&ObjectMeta>) -> Kinship {
        let Some(metadata) = metadata else { return Kinship::Missing };
        let owners = || metadata.owner_references.iter().flatten();
        if owners().any(|o| Some(&o.uid) == self.job.metadata.uid.as_ref()) {
            return if metadata.deletion_timestamp.is_some() { Kinship::Dying } else { Kinship::Ours };
        }
        let name = self.job.metadata.name.as_deref();
        if owners().any(|o| o.kind == "MapReduceJob" && Some(o.name.as_str()) == name) {
            Kinship::Stale
        } else {
            Kinship::Foreign
        }
    }
}
