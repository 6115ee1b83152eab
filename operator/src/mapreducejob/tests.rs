//! The decision about a MapReduceJob, against a small model of what the apiserver and the Job controller do.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::core::{DynamicObject, ObjectMeta};
use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_blueprints::{plan::Action, world::Verb};
use tributary_crds::{JobPhase, MapReduceJob, MapReduceJobStatus, Reason, Timestamp};

use super::*;
use crate::controller::Decision;

/// A cluster with one job.
struct Model {
    world: World,
    now: Timestamp,
    uids: u32,
    deleted: bool,
}

fn spec() -> Value {
    json!({
        "input": {"s3": {"uri": "s3://texts/in", "secretRef": {"name": "s3"}}},
        "map": {"operator": "Words"}, "reduce": {"operator": "Sum"},
        "output": {"s3": {"uri": "s3://results/out", "secretRef": {"name": "s3"}}},
        "workers": {"replicas": 2},
    })
}

impl Model {
    fn new(spec: Value) -> Self {
        let job = json!({"metadata": {"name": "wc", "namespace": "ns", "uid": "job-uid", "generation": 1, "resourceVersion": "1"}, "spec": spec});
        let settings = Settings { engine_image: "engine:1".into() };
        let world = World { job: serde_json::from_value(job).unwrap(), settings, ..World::default() };
        Self { world, now: "2026-01-01T00:00:00Z".parse().unwrap(), uids: 0, deleted: false }
    }

    fn decide(&self) -> Decision<Effect> {
        evaluate(&self.world, self.now)
    }

    /// One pass: decides, and carries out so many of the writes.
    fn pass(&mut self, writes: usize) -> Decision<Effect> {
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
    fn settle(&mut self) {
        for _ in 0..20 {
            let decision = self.pass(usize::MAX);
            if decision.plan.is_empty() && decision.effects.is_empty() {
                return;
            }
        }
        panic!("does not settle: {:?}", self.decide());
    }

    fn write(&mut self, action: &Action) {
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

    fn create(&mut self, object: &DynamicObject) {
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

    fn job_slot(&mut self, name: &str) -> &mut Option<Job> {
        match name {
            "wc-coordinator" => &mut self.world.children.coordinator,
            "wc-worker" => &mut self.world.children.worker,
            other => panic!("{other}"),
        }
    }

    fn status(&self) -> MapReduceJobStatus {
        self.world.job.status.clone().unwrap_or_default()
    }

    fn engine(&mut self, engine: Value) {
        let mut status = self.status();
        status.engine = Some(serde_json::from_value(engine).unwrap());
        self.world.job.status = Some(status);
    }

    fn edit(&mut self, over: Value) {
        let mut spec = serde_json::to_value(&self.world.job.spec).unwrap();
        template::merge(&mut spec, &over);
        self.world.job.spec = serde_json::from_value(spec).unwrap();
        *self.world.job.metadata.generation.as_mut().unwrap() += 1;
    }

    fn end(&mut self, name: &str, condition: &str) {
        let at = self.now.to_string();
        let job = self.job_slot(name).as_mut().unwrap();
        job.status = serde_json::from_value(
            json!({"conditions": [{"type": condition, "status": "True", "lastTransitionTime": at}]}),
        )
        .unwrap();
    }

    fn pod(&mut self, role: children::Role, status: Value) {
        let owner = self.world.own_job(role).unwrap().metadata.uid.clone();
        let name = format!("wc-{}-{}", role.as_str(), self.world.children.pods.len());
        let pod = json!({"metadata": {"name": name, "labels": {"tributary.dev/role": role.as_str()},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": owner}]}, "status": status});
        self.world.children.pods.push(serde_json::from_value::<Pod>(pod).unwrap());
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    fn condition(&self, type_: &str) -> Option<(String, String, String)> {
        let status = self.status();
        let found = status.conditions.iter().find(|c| c.type_ == type_)?;
        Some((found.status.clone(), found.reason.clone(), found.message.clone()))
    }

    /// No pod runs, or will.
    fn is_still(&self) -> bool {
        [children::Role::Coordinator, children::Role::Worker].into_iter().all(|role| {
            let job = self.world.own_job(role);
            job.is_none_or(|j| j.spec.as_ref().unwrap().suspend == Some(true) || outcome::finished(j).is_some())
        })
    }

    fn suspended(&self) -> [Option<bool>; 2] {
        let of = |job: &Option<Job>| job.as_ref().and_then(|j| j.spec.as_ref().unwrap().suspend);
        [of(&self.world.children.coordinator), of(&self.world.children.worker)]
    }
}

const RUNNING: &str = r#"{"phase": "Running", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]}"#;

fn running() -> Value {
    serde_json::from_str(RUNNING).unwrap()
}

#[test]
fn everything_is_made_once_the_pods_last() {
    let mut model = Model::new(spec());
    let first = model.pass(usize::MAX);
    assert_eq!(first.effects, [Effect::MakeSecret]);
    let kinds: Vec<String> = first
        .plan
        .actions
        .iter()
        .map(|a| match a {
            Action::Create(o) => o.types.as_ref().unwrap().kind.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding", "Service", "Job", "Job"]);
    model.settle();
    assert_eq!(model.status().phase, JobPhase::Pending);
    assert_eq!(model.condition("CoordinatorReady").unwrap().1, "PodsStarting");
}

#[test]
fn pods_and_their_parts_are_as_agreed_with_the_engine() {
    let mut model = Model::new(spec());
    model.edit(json!({"workers": {"slots": 3, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "worker", "image": "mine"}]}}}}));
    let worker = serde_json::to_value(children::worker(&model.world.job, &model.world.settings)).unwrap();
    let pod = &worker["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "mine");
    assert_eq!(
        container["args"],
        json!([
            "worker",
            "--job",
            "/etc/tributary/job/job.json",
            "--key-file",
            "/etc/tributary/auth/key",
            "--coordinator",
            "http://wc-coordinator.ns.svc:7070",
            "--slots",
            "3"
        ])
    );
    assert_eq!(pod["spec"]["restartPolicy"], "OnFailure");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let env = container["env"].to_string();
    for name in ["POD_NAME", "TRIBUTARY_INPUT_AWS_ACCESS_KEY_ID", "TRIBUTARY_OUTPUT_AWS_SECRET_ACCESS_KEY"] {
        assert!(env.contains(name), "{env}");
    }
    assert_eq!(worker["spec"]["parallelism"], 2);
    assert!(worker["spec"].get("completions").is_none());
    let coordinator = serde_json::to_value(children::coordinator(&model.world.job, &model.world.settings)).unwrap();
    assert_eq!(coordinator["spec"]["template"]["spec"]["serviceAccountName"], "wc-coordinator");
    assert_eq!(coordinator["spec"]["template"]["spec"]["containers"][0]["image"], "engine:1");
}

#[test]
fn the_secret_holds_the_key_and_the_job_and_is_the_uids_own() {
    let job = Model::new(spec()).world.job;
    let mut other = job.clone();
    other.metadata.uid = Some("another".into());
    assert_ne!(children::Names::of(&job).secret, children::Names::of(&other).secret);
    let secret = serde_json::to_value(children::secret(&job, &[7; 32])).unwrap();
    let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret).unwrap();
    let data = secret.data.unwrap();
    assert_eq!(data["key"].0, [7; 32]);
    let what: Value = serde_json::from_slice(&data["job.json"].0).unwrap();
    assert_eq!((&what["namespace"], &what["name"], &what["uid"]), (&json!("ns"), &json!("wc"), &json!("job-uid")));
    assert_eq!(what["spec"]["input"]["s3"]["uri"], "s3://texts/in");
}

#[test]
fn names_that_no_service_may_have_get_one_that_it_may() {
    let mut job = Model::new(spec()).world.job;
    for name in ["1st.job", "a.b"] {
        job.metadata.name = Some(name.into());
        let service = children::Names::of(&job).service;
        assert!(service.starts_with("mrj-") && !service.contains('.'), "{service}");
    }
}

#[test]
fn running_pods_make_a_running_job_and_the_engines_end_is_its_end() {
    let mut model = Model::new(spec());
    model.settle();
    model.pod(children::Role::Coordinator, running());
    model.pod(children::Role::Worker, running());
    model.settle();
    assert_eq!(model.status().phase, JobPhase::Running);
    assert_eq!(model.condition("CoordinatorReady").unwrap().0, "True");
    assert_eq!(model.condition("WorkersReady").unwrap().2, "1 of 2 worker pods run");
    model.engine(json!({"phase": "Succeeded", "message": "", "completionTime": "2026-01-01T00:00:00Z"}));
    let plan = model.pass(usize::MAX).plan;
    assert_eq!(plan.actions, [], "the pods end by themselves");
    assert_eq!(plan.events.iter().map(|e| e.reason.as_str()).collect::<Vec<_>>(), ["Succeeded"]);
    assert!(!plan.status.unwrap().to_string().contains("engine"), "the engine's part is the coordinator's");
    assert_eq!(model.status().phase, JobPhase::Succeeded);
    assert_eq!(model.condition("Complete").unwrap().0, "True");
    // what happens to the pods afterwards changes nothing
    model.world.children = Children::default();
    model.later(3600);
    assert!(model.decide().plan.is_empty());
}

#[test]
fn pods_that_outlive_their_job_are_stopped() {
    let mut model = Model::new(spec());
    model.settle();
    model.engine(json!({"phase": "Succeeded"}));
    model.settle();
    assert_eq!(model.suspended(), [Some(false), Some(false)]);
    model.end("wc-coordinator", "Complete");
    let wait = model.decide().plan.requeue.unwrap();
    model.later(wait.as_secs() + 1);
    model.settle();
    assert_eq!(model.suspended(), [Some(false), Some(true)]);
}

#[test]
fn an_engine_that_failed_gives_its_own_reason_and_words() {
    let mut model = Model::new(spec());
    model.settle();
    model.engine(json!({"phase": "Failed", "reason": "InputNotFound", "message": "bucket texts does not exist"}));
    model.settle();
    assert_eq!(model.status().phase, JobPhase::Failed);
    let (status, reason, message) = model.condition("Failed").unwrap();
    assert_eq!((status.as_str(), reason.as_str()), ("True", "InputNotFound"));
    assert!(message.contains("bucket texts") && model.status().message == message);
}

#[test]
fn what_keeps_pods_from_running_is_told_and_heals() {
    let mut model = Model::new(spec());
    model.settle();
    let waiting = json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"s3\" not found"}}}]});
    model.pod(children::Role::Coordinator, waiting);
    model.settle();
    assert!(model.status().message.contains("secret \"s3\" not found"), "{:?}", model.status());
    assert_eq!(model.condition("CoordinatorReady").unwrap().1, "PodsBlocked");
    assert_eq!(model.status().phase, JobPhase::Pending);
    model.world.children.pods.clear();
    model.pod(children::Role::Coordinator, running());
    model.settle();
    assert!(!model.status().message.contains("s3"), "{:?}", model.status());
}

#[test]
fn a_coordinator_that_failed_for_good_fails_the_job_with_its_last_words() {
    let mut model = Model::new(spec());
    model.settle();
    let dead = json!({"phase": "Failed", "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 9,
        "state": {"terminated": {"exitCode": 2, "reason": "Error", "message": "no such option"}}}]});
    model.pod(children::Role::Coordinator, dead);
    model.end("wc-coordinator", "Failed");
    model.settle();
    let (_, reason, message) = model.condition("Failed").unwrap();
    assert_eq!(reason, "CoordinatorFailed");
    assert!(message.contains("no such option"), "{message}");
    assert_eq!(model.suspended()[1], Some(true), "the workers have nobody to work for");
}

#[test]
fn an_outcome_that_never_comes_is_lost_and_nothing_runs_again() {
    let mut model = Model::new(spec());
    model.settle();
    model.end("wc-coordinator", "Complete");
    model.settle();
    assert_eq!(model.status().phase, JobPhase::Pending, "its word may still be on the way");
    let wait = model.decide().plan.requeue.unwrap();
    model.later(wait.as_secs());
    model.settle();
    assert_eq!(model.condition("Failed").unwrap().1, "OutcomeLost");
}

#[test]
fn workers_that_ended_before_the_job_did_are_made_anew() {
    let mut model = Model::new(spec());
    model.settle();
    model.pod(children::Role::Coordinator, running());
    model.end("wc-worker", "Complete");
    let before = model.world.children.worker.clone().unwrap().metadata.uid;
    model.settle();
    assert_eq!(model.world.children.worker.clone().unwrap().metadata.uid, before);
    model.later(31);
    model.settle();
    assert_ne!(model.world.children.worker.clone().unwrap().metadata.uid, before);
}

#[test]
fn suspension_stops_the_pods_and_resumption_starts_them() {
    let mut model = Model::new(spec());
    model.edit(json!({"suspend": true}));
    model.settle();
    assert!(model.world.children.coordinator.is_none(), "nothing is made for a suspended job");
    assert_eq!(model.status().phase, JobPhase::Suspended);
    model.edit(json!({"suspend": false}));
    model.settle();
    assert_eq!(model.suspended(), [Some(false), Some(false)]);
    model.edit(json!({"suspend": true}));
    model.settle();
    assert_eq!(model.suspended(), [Some(true), Some(true)]);
    assert_eq!(model.condition("Suspended").unwrap().0, "True");
    model.edit(json!({"suspend": false}));
    model.settle();
    assert_eq!(model.suspended(), [Some(false), Some(false)]);
    assert!(model.condition("Suspended").is_none());
}

#[test]
fn replicas_scale_in_place_and_a_new_template_replaces_the_workers_only() {
    let mut model = Model::new(spec());
    model.settle();
    let uid = |job: &Option<Job>| job.as_ref().unwrap().metadata.uid.clone();
    let before = (uid(&model.world.children.coordinator), uid(&model.world.children.worker));
    model.edit(json!({"workers": {"replicas": 5}}));
    model.settle();
    assert_eq!(model.world.children.worker.as_ref().unwrap().spec.as_ref().unwrap().parallelism, Some(5));
    assert_eq!(before, (uid(&model.world.children.coordinator), uid(&model.world.children.worker)));
    model.edit(json!({"workers": {"template": {"spec": {"nodeSelector": {"a": "b"}}}}}));
    model.settle();
    assert_eq!(before.0, uid(&model.world.children.coordinator));
    assert_ne!(before.1, uid(&model.world.children.worker));
    // another engine image, as after an upgrade of the operator, leaves running pods alone
    model.world.settings.engine_image = "engine:2".into();
    assert!(model.decide().plan.is_empty());
}

#[test]
fn a_deadline_ends_the_job_and_its_pods() {
    let mut model = Model::new(spec());
    model.edit(json!({"activeDeadlineSeconds": 60}));
    model.settle();
    assert_eq!(model.decide().plan.requeue, Some(Duration::from_secs(60)));
    model.later(60);
    model.settle();
    assert_eq!(model.condition("Failed").unwrap().1, "DeadlineExceeded");
    assert_eq!(model.suspended(), [Some(true), Some(true)]);
}

#[test]
fn a_finished_job_goes_after_its_time() {
    let mut model = Model::new(spec());
    model.edit(json!({"ttlSecondsAfterFinished": 100}));
    model.settle();
    model.engine(json!({"phase": "Succeeded"}));
    model.end("wc-coordinator", "Complete");
    model.end("wc-worker", "Complete");
    model.settle();
    assert!(!model.deleted);
    let wait = model.decide().plan.requeue.unwrap();
    model.later(wait.as_secs());
    model.pass(usize::MAX);
    assert!(model.deleted);
}

#[test]
fn what_the_engine_cannot_do_fails_before_any_pod_and_an_edit_heals_it() {
    let mut model = Model::new(spec());
    model.edit(json!({"coordination": "Resource"}));
    model.settle();
    let (_, reason, message) = model.condition("Failed").unwrap();
    assert_eq!(reason, "InvalidSpec");
    assert!(message.contains("spec.coordination"), "{message}");
    assert!(model.world.children.coordinator.is_none() && !model.world.secret_made);
    model.edit(json!({"coordination": "Auto"}));
    model.settle();
    assert!(model.world.children.coordinator.is_some());
    assert_eq!(model.status().phase, JobPhase::Pending);
    assert_eq!(model.status().completion_time, None);
}

#[test]
fn strangers_are_left_alone_and_leftovers_are_waited_for() {
    let mut model = Model::new(spec());
    let foreign = json!({"metadata": {"name": "wc-worker", "namespace": "ns", "uid": "theirs"}});
    model.world.children.worker = Some(serde_json::from_value(foreign).unwrap());
    model.settle();
    assert_eq!(model.condition("CoordinatorReady").unwrap().1, "NameTaken");
    assert!(model.status().message.contains("wc-worker"), "{:?}", model.status());
    assert_eq!(model.world.children.worker.as_ref().unwrap().metadata.uid.as_deref(), Some("theirs"));

    let mut model = Model::new(spec());
    let owner = json!({"metadata": {"name": "wc-coordinator", "namespace": "ns", "uid": "old", "ownerReferences": [
        {"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "name": "wc", "uid": "former"}]}});
    model.world.children.service_account =
        Some(serde_json::from_value::<DynamicObject>(owner).map(|o| o.metadata).unwrap());
    model.settle();
    assert_eq!(model.condition("CoordinatorReady").unwrap().1, "WaitingForChildren");
    assert!(model.world.children.coordinator.is_none(), "no pod before what it needs");
    model.world.children.service_account = None;
    model.settle();
    assert!(model.world.children.coordinator.is_some());
}

#[test]
fn a_refusal_is_told_in_the_apiservers_words() {
    let mut model = Model::new(spec());
    let object = children::role(&model.world.job);
    let key = ObjectKey::of(&object).unwrap();
    let message = "roles is forbidden: exceeded quota".to_owned();
    model.world.refusals =
        vec![Refusal { verb: Verb::Create, key, reason: Reason::Forbidden, message: message.clone() }];
    model.pass(usize::MAX);
    assert_eq!(model.condition("CoordinatorReady"), Some(("False".into(), "Forbidden".into(), message)));
    assert!(model.world.children.coordinator.is_none());
}

#[test]
fn others_jobs_and_jobs_that_go_are_left_alone() {
    let mut model = Model::new(spec());
    model.world.job.spec.managed_by = Some("someone.else".into());
    assert!(model.decide().plan.is_empty() && model.decide().effects.is_empty());
    let mut model = Model::new(spec());
    model.world.job.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert!(model.decide().plan.is_empty() && model.decide().effects.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Pass(usize),
    Edit(u8),
    Engine(u8),
    End(u8),
    Lose(u8),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..9).prop_map(Step::Pass),
        1 => (0u8..5).prop_map(Step::Edit),
        1 => (0u8..6).prop_map(Step::Engine),
        1 => (0u8..4).prop_map(Step::End),
        1 => (0u8..6).prop_map(Step::Lose),
        1 => (0u64..100).prop_map(Step::Later),
    ]
}

fn perform(model: &mut Model, step: &Step) {
    match step {
        Step::Pass(writes) => drop(model.pass(*writes)),
        Step::Edit(n) => model.edit(match n {
            0 => json!({"suspend": true}),
            1 => json!({"suspend": false}),
            2 => json!({"workers": {"replicas": 3}}),
            3 => json!({"workers": {"template": {"spec": {"hostname": "x"}}}}),
            _ => json!({"activeDeadlineSeconds": 50}),
        }),
        Step::Engine(n) => {
            let phase = ["Planning", "Mapping", "Mapping", "Reducing", "Succeeded", "Failed"][usize::from(*n)];
            model.engine(json!({"phase": phase}));
        }
        Step::End(n) => {
            let name = ["wc-coordinator", "wc-worker"][usize::from(n % 2)];
            if model.job_slot(name).is_some() {
                model.end(name, ["Complete", "Failed"][usize::from(n / 2)]);
            }
        }
        Step::Lose(n) => {
            let children = &mut model.world.children;
            match n {
                0 => children.service_account = None,
                1 => children.service = None,
                2 => children.coordinator = None,
                3 => children.worker = None,
                4 => children.role = None,
                _ => model.world.secret_made = false,
            }
        }
        Step::Later(seconds) => model.later(*seconds),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens, and whatever writes are lost: it settles, the second plan is empty, and an end is an end.
    #[test]
    fn it_settles_and_an_end_stays(steps in proptest::collection::vec(step(), 0..30)) {
        let mut model = Model::new(spec());
        let mut ended: Option<JobPhase> = None;
        for step in &steps {
            perform(&mut model, step);
            let phase = model.status().phase;
            if let Some(before) = ended {
                prop_assert_eq!(phase, before);
            }
            if matches!(phase, JobPhase::Succeeded | JobPhase::Failed) {
                ended = Some(phase);
            }
        }
        model.settle();
        let status = model.status();
        prop_assert_eq!(status.observed_generation, model.world.job.metadata.generation);
        match status.phase {
            JobPhase::Suspended => prop_assert!(model.is_still()),
            JobPhase::Pending | JobPhase::Running => {
                prop_assert!(model.world.children.coordinator.is_some() && model.world.children.worker.is_some());
                prop_assert!(model.world.secret_made);
            }
            JobPhase::Succeeded | JobPhase::Failed => {
                prop_assert!(status.completion_time.is_some());
                model.later(60);
                model.settle();
                prop_assert!(model.is_still(), "pods outlive their job");
            }
        }
    }
}

#[test]
fn metadata_of_strangers_is_no_kin() {
    let model = Model::new(spec());
    assert_eq!(model.world.kinship(None), Kinship::Missing);
    assert_eq!(model.world.kinship(Some(&ObjectMeta::default())), Kinship::Foreign);
    let _: &MapReduceJob = &model.world.job;
}
