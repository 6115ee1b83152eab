//! A small model of what the apiserver and the Job controller do.

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::plan::Action;
use tributary_crds::{MapReduceJobStatus, Timestamp};

use super::super::*;

/// A cluster with one job.
pub(super) struct Model {
    pub(super) world: World,
    pub(super) now: Timestamp,
    pub(super) uids: u32,
    pub(super) deleted: bool,
}

pub(super) fn spec() -> Value {
    json!({
        "input": {"s3": {"uri": "s3://texts/in", "secretRef": {"name": "s3"}}},
        "map": {"operator": "Words"}, "reduce": {"operator": "Sum"},
        "output": {"s3": {"uri": "s3://results/out", "secretRef": {"name": "s3"}}},
        "workers": {"replicas": 2},
    })
}

impl Model {
    pub(super) fn new(spec: Value) -> Self {
        let job = json!({"metadata": {"name": "wc", "namespace": "ns", "uid": "job-uid", "generation": 1, "resourceVersion": "1"}, "spec": spec});
        let settings = Settings { engine_image: "engine:1".into() };
        let world = World { job: serde_json::from_value(job).unwrap(), settings, ..World::default() };
        Self { world, now: "2026-01-01T00:00:00Z".parse().unwrap(), uids: 0, deleted: false }
    }

    pub(super) fn decide(&self) -> Decision<Effect> {
        evaluate(&self.world, self.now)
    }

    /// One pass: decides, and carries out so many of the writes.
    pub(super) fn pass(&mut self, writes: usize) -> Decision<Effect> {
        let decision = self.decide();
        let mut left = writes;
        for _ in decision.effects.iter().take(left) {
            self.world.secret_made = true;
        }
        left = left.saturating_sub(decision.effects.len());
        for action in decision.plan.actions.iter().take(left) {
            self.write(action);
        }
        if left > decision.plan.actions.len()
            && let Some(status) = &decision.plan.status
        {
            let engine = self.status().engine;
            let status: MapReduceJobStatus = serde_json::from_value(status.clone()).unwrap();
            self.world.job.status = Some(MapReduceJobStatus { engine, ..status });
        }
        decision
    }

    /// Passes until there is nothing left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            let decision = self.pass(usize::MAX);
            if decision.plan.is_empty() && decision.effects.is_empty() {
                return;
            }
        }
        panic!("does not settle: {:?}", self.decide());
    }

    pub(super) fn write(&mut self, action: &Action) {
        match action {
            Action::Create(object) => self.create(object),
            Action::Apply { object } => {
                let slot = self.job_slot(object.metadata.name.as_deref().unwrap());
                let job = slot.as_mut().unwrap();
                assert_eq!(job.metadata.uid, object.metadata.uid);
                let mut value = serde_json::to_value(&*job).unwrap();
                template::merge(&mut value["spec"], &object.data["spec"]);
                *job = serde_json::from_value(value).unwrap();
            }
            Action::Delete { key, uid, .. } if key.kind == "MapReduceJob" => {
                assert_eq!(Some(uid), self.world.job.metadata.uid.as_ref());
                self.deleted = true;
            }
            Action::Delete { key, .. } => *self.job_slot(&key.name) = None,
            Action::Finalizers(_) => panic!("a MapReduceJob has no finalizer"),
        }
    }

    pub(super) fn create(&mut self, object: &DynamicObject) {
        self.uids += 1;
        let mut object = object.clone();
        object.metadata.uid = Some(format!("uid-{}", self.uids));
        let kind = object.types.as_ref().unwrap().kind.clone();
        let children = &mut self.world.children;
        let slot = match kind.as_str() {
            "ServiceAccount" => &mut children.service_account,
            "Role" => &mut children.role,
            "RoleBinding" => &mut children.role_binding,
            "Service" => &mut children.service,
            _ => {
                let job: Job = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
                let slot = self.job_slot(job.metadata.name.as_deref().unwrap());
                assert!(slot.is_none(), "created twice");
                *slot = Some(job);
                return;
            }
        };
        assert!(slot.is_none(), "created twice");
        *slot = Some(object.metadata);
    }

    pub(super) fn job_slot(&mut self, name: &str) -> &mut Option<Job> {
        match name {
            "wc-coordinator" => &mut self.world.children.coordinator,
            "wc-worker" => &mut self.world.children.worker,
            other => panic!("{other}"),
        }
    }

    pub(super) fn status(&self) -> MapReduceJobStatus {
        self.world.job.status.clone().unwrap_or_default()
    }

    pub(super) fn engine(&mut self, engine: Value) {
        let mut status = self.status();
        status.engine = Some(serde_json::from_value(engine).unwrap());
        self.world.job.status = Some(status);
    }

    pub(super) fn edit(&mut self, over: Value) {
        let mut spec = serde_json::to_value(&self.world.job.spec).unwrap();
        template::merge(&mut spec, &over);
        self.world.job.spec = serde_json::from_value(spec).unwrap();
        *self.world.job.metadata.generation.as_mut().unwrap() += 1;
    }

    pub(super) fn end(&mut self, name: &str, condition: &str) {
        let at = self.now.to_string();
        let job = self.job_slot(name).as_mut().unwrap();
        job.status = serde_json::from_value(
            json!({"conditions": [{"type": condition, "status": "True", "lastTransitionTime": at}]}),
        )
        .unwrap();
    }

    pub(super) fn pod(&mut self, role: children::Role, status: Value) {
        let owner = self.world.own_job(role).unwrap().metadata.uid.clone();
        let name = format!("wc-{}-{}", role.as_str(), self.world.children.pods.len());
        let pod = json!({"metadata": {"name": name, "labels": {"tributary.dev/role": role.as_str()},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": owner}]}, "status": status});
        self.world.children.pods.push(serde_json::from_value::<Pod>(pod).unwrap());
    }

    pub(super) fn later(&mut self, seconds: u64) {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    pub(super) fn condition(&self, type_: &str) -> Option<(String, String, String)> {
        let status = self.status();
        let found = status.conditions.iter().find(|c| c.type_ == type_)?;
        Some((found.status.clone(), found.reason.clone(), found.message.clone()))
    }

    /// No pod runs, or will.
    pub(super) fn is_still(&self) -> bool {
        [children::Role::Coordinator, children::Role::Worker].into_iter().all(|role| {
            let job = self.world.own_job(role);
            job.is_none_or(|j| j.spec.as_ref().unwrap().suspend == Some(true) || outcome::finished(j).is_some())
        })
    }

    pub(super) fn suspended(&self) -> [Option<bool>; 2] {
        let of = |job: &Option<Job>| job.as_ref().and_then(|j| j.spec.as_ref().unwrap().suspend);
        [of(&self.world.children.coordinator), of(&self.world.children.worker)]
    }
}

pub(super) const RUNNING: &str = r#"{"phase": "Running", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}"#;

pub(super) fn running() -> Value {
    serde_json::from_str(RUNNING).unwrap()
}
