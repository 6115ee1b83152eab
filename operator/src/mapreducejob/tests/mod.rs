//! The decision about a MapReduceJob, against a small model of its surroundings.
#![allow(clippy::unwrap_used)]

mod model;
mod property;

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};
use tributary_blueprints::{plan::Action, world::Verb};
use tributary_crds::{JobPhase, MapReduceJob, Reason};

use super::*;
use model::{Model, running, spec};

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

#[test]
fn metadata_of_strangers_is_no_kin() {
    let model = Model::new(spec());
    assert_eq!(model.world.kinship(None), Kinship::Missing);
    assert_eq!(model.world.kinship(Some(&ObjectMeta::default())), Kinship::Foreign);
    let _: &MapReduceJob = &model.world.job;
}
