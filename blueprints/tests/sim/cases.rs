//! What a user is told and what is done at the turns of a Pipeline's life, one by one.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::claims::claims;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::{Action, Plan};
use tributary_blueprints::resolve;
use tributary_blueprints::world::{Refusal, Verb};
use tributary_crds::{Any, Condition, Health, Pipeline, PipelinePhase, PipelineStatus, Reason, names};

use super::apiserver::{Apiserver, NAMESPACE};
use super::rng::Rng;
use super::world::Cluster;

pub struct Case {
    pub cluster: Cluster,
    pub rng: Rng,
}

fn component(name: &str, template: Value) -> Value {
    json!({"name": name, "template": template})
}

pub fn job() -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "${parameters.image}"}]});
    component("work", json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}))
}

pub fn deployment(app: &str) -> Value {
    let pod = json!({"containers": [{"name": "main", "image": "${parameters.image}"}]});
    component(
        "serve",
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2,
        "selector": {"matchLabels": {"app": app}},
        "template": {"metadata": {"labels": {"app": app}}, "spec": pod}}}),
    )
}

impl Case {
    pub fn new(components: Value, topics: Value) -> Self {
        let pipeline: Pipeline = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": NAMESPACE},
            "spec": {
                "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
                "blueprint": {
                    "parameters": {"image": {"type": "string", "default": "a"}},
                    "topics": topics, "components": components,
                },
            },
        }))
        .unwrap();
        Self { cluster: Cluster::new(Apiserver::new(pipeline), BTreeMap::new()), rng: Rng::new(1) }
    }

    pub fn settle(&mut self) -> PipelineStatus {
        assert!(self.cluster.settle(&mut self.rng), "{:#?}", self.status());
        self.status()
    }

    /// A pass, after a step of the children.
    pub fn pass(&mut self) -> Plan {
        self.cluster.step(&mut self.rng, 100);
        self.cluster.reconcile(&mut self.rng).unwrap()
    }

    fn status(&self) -> PipelineStatus {
        self.cluster.server.state.pipeline.as_ref().unwrap().status.clone().unwrap_or_default()
    }

    pub fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        self.cluster.server.edit(|p| {
            let mut value = serde_json::to_value(&*p).unwrap();
            change(&mut value["spec"]);
            *p = serde_json::from_value(value).unwrap();
        });
    }

    pub fn image(&mut self, image: &str) {
        let image = Any(image.into());
        self.cluster.server.edit(|p| drop(p.spec.parameters.insert("image".into(), image)));
    }

    fn annotate(&mut self, name: &str, value: &str) {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.cluster.server.edit(|p| drop(p.metadata.annotations.get_or_insert_default().insert(name, value)));
    }

    pub fn child(&self, kind: &str) -> Option<&DynamicObject> {
        self.cluster.server.state.objects.iter().find(|(k, _)| k.kind == kind).map(|(_, o)| &**o)
    }

    pub fn image_of(&self, kind: &str) -> Value {
        self.child(kind).unwrap().data["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    }

    pub fn put(&mut self, mut object: Value) -> ObjectKey {
        object["metadata"]["namespace"] = NAMESPACE.into();
        object["metadata"]["uid"] = "foreign".into();
        object["metadata"]["resourceVersion"] = "0".into();
        object["metadata"]["generation"] = 1.into();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let key = ObjectKey::of(&object).unwrap();
        self.cluster.server.state.objects.insert(key.clone(), object.into());
        key
    }
}

pub fn condition<'a>(status: &'a PipelineStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|c| c.type_ == type_).unwrap_or_else(|| panic!("no {type_}: {status:#?}"))
}

/// Status, reason and message of a condition.
pub fn told(status: &PipelineStatus, type_: &str) -> (String, String, String) {
    let c = condition(status, type_);
    (c.status.clone(), c.reason.clone(), c.message.clone())
}

#[test]
fn a_wrong_edit_leaves_what_runs_alone_and_says_so() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.settle();
    case.edit(|spec| spec["blueprint"]["components"][0]["after"] = json!(["nobody"]));
    case.cluster.server.delete(&ObjectKey::new(&Gvk::new("apps", "v1", "Deployment"), NAMESPACE, "p-serve"));
    let status = case.settle();
    assert_eq!((status.phase, status.revision), (PipelinePhase::Failed, Some(1)));
    assert_eq!(condition(&status, "Verified").reason, "InvalidBlueprint");
    assert!(condition(&status, "UpToDate").message.contains("revision 1 goes on"));
    assert!(case.child("Deployment").is_some(), "what runs is looked after");
    assert_eq!(status.problems[0].code, "UnknownComponent");
}

#[test]
fn what_is_too_large_for_a_revision_is_told() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.image(&"x".repeat(1 << 20));
    let status = case.settle();
    assert_eq!(
        (status.phase, condition(&status, "UpToDate").reason.as_str()),
        (PipelinePhase::Failed, "RevisionTooLarge")
    );
    assert!(case.child("Deployment").is_none() && status.message.contains("1048576"), "{}", status.message);
    case.image("b");
    assert_eq!(case.settle().phase, PipelinePhase::Running);
    case.image(&"y".repeat(1 << 20));
    let status = case.settle();
    assert_eq!((status.phase, status.revision), (PipelinePhase::Running, Some(1)));
    assert!(told(&status, "UpToDate").2.contains("revision 1 goes on"));
}

#[test]
fn revisions_that_cannot_be_kept_are_told() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    let mut world = case.cluster.observe(&mut case.rng, false).unwrap();
    let gvk = tributary_blueprints::revision::gvk();
    let refusal = |verb, name: &str| Refusal {
        verb,
        key: ObjectKey::new(&gvk, if name.is_empty() { "" } else { NAMESPACE }, name),
        reason: Reason::Forbidden,
        message: "no right".into(),
    };
    for refusal in [refusal(Verb::Watch, ""), refusal(Verb::Create, "p-r1")] {
        world.refusals = vec![refusal];
        let status: PipelineStatus = serde_json::from_value(case.cluster.decide(&world, 0).status.unwrap()).unwrap();
        assert_eq!((status.phase, condition(&status, "Ready").reason.as_str()), (PipelinePhase::Failed, "Forbidden"));
        assert!(status.message.contains("no right"), "{}", status.message);
    }
    // one of a former Pipeline of the name still goes away
    let key = case.put(json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {},
        "metadata": {"name": "p-r1", "labels": {names::PIPELINE: "p"}, "finalizers": ["a/b"], "ownerReferences": [{
            "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": "former"}]}}));
    for _ in 0..3 {
        case.cluster.step(&mut case.rng, 0);
        case.cluster.reconcile(&mut case.rng);
    }
    let status = case.status();
    assert_eq!(
        (status.phase, condition(&status, "Ready").reason.as_str()),
        (PipelinePhase::Pending, "WaitingForChildren")
    );
    case.cluster.server.state.objects.remove(&key);
    assert_eq!(case.settle().phase, PipelinePhase::Running);
}

#[test]
fn a_stream_is_stopped_before_it_is_replaced() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.settle();
    let uid = case.child("Deployment").unwrap().metadata.uid.clone();
    case.edit(|spec| spec["blueprint"]["components"] = json!([deployment("y")]));
    let mut done = Vec::new();
    for _ in 0..8 {
        let plan = case.pass();
        for action in &plan.actions {
            match action {
                Action::Apply { object } => done.push(format!("apply {}", object.data["spec"]["replicas"])),
                Action::Delete { .. } => done.push("delete".into()),
                Action::Create(o) => done.push(format!("create {}", o.types.as_ref().unwrap().kind)),
                Action::Finalizers(_) => {}
            }
        }
    }
    assert_eq!(done, ["create ControllerRevision", "apply 0", "delete", "create Deployment"]);
    let status = case.settle();
    assert_ne!(case.child("Deployment").unwrap().metadata.uid, uid);
    assert_eq!(case.child("Deployment").unwrap().data["spec"]["replicas"], 2);
    let change = status.components[0].change.clone().unwrap();
    assert_eq!((change.effect.as_str(), change.revision), ("drain", Some(2)));
    assert!(change.reason.contains("selector"), "{}", change.reason);
}

#[test]
fn a_stream_that_does_not_stop_is_replaced_in_the_end() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.settle();
    let uid = case.child("Deployment").unwrap().metadata.uid.clone();
    case.edit(|spec| spec["blueprint"]["components"] = json!([deployment("y")]));
    // its controller does nothing any more
    for _ in 0..6 {
        case.cluster.step(&mut case.rng, 0);
        case.cluster.reconcile(&mut case.rng);
    }
    let line = case.status().components[0].clone();
    assert_eq!((line.reason.as_str(), line.health), ("Draining", Health::Progressing));
    assert_eq!(case.child("Deployment").unwrap().metadata.uid, uid);
    case.cluster.server.now += std::time::Duration::from_secs(601);
    for _ in 0..3 {
        case.cluster.step(&mut case.rng, 0);
        case.cluster.reconcile(&mut case.rng);
    }
    assert_ne!(case.child("Deployment").unwrap().metadata.uid, uid);
}

#[test]
fn what_deletes_records_waits_to_be_confirmed() {
    let topic = |retention: i64| json!([{"name": "t", "partitions": 2, "retain": false, "config": {"retention.ms": retention}}]);
    let mut case = Case::new(json!([deployment("x")]), topic(1_000));
    case.settle();
    let retention = |case: &Case| case.child("Topic").unwrap().data["spec"]["config"]["retention.ms"].clone();
    case.edit(|spec| spec["blueprint"]["topics"] = topic(10));
    let status = case.settle();
    let (_, reason, message) = told(&status, "UpToDate");
    assert_eq!((retention(&case), reason.as_str()), (json!(1_000), "DestructiveChange"));
    assert!(message.contains("topic `t`") && message.contains("tributary.dev/confirm-revision=2"), "{message}");
    case.annotate(names::CONFIRM, "1");
    assert_eq!(condition(&case.settle(), "UpToDate").reason, "DestructiveChange", "of another revision");
    case.annotate(names::CONFIRM, "2");
    let status = case.settle();
    assert_eq!((retention(&case), condition(&status, "UpToDate").status.as_str()), (json!(10), "True"));
    // that it is not there any more is another revision
    case.edit(|spec| spec["blueprint"]["topics"] = json!([]));
    let status = case.settle();
    assert!(told(&status, "UpToDate").2.contains("not in the blueprint any more") && case.child("Topic").is_some());
    case.annotate(names::CONFIRM, "3");
    case.settle();
    assert!(case.child("Topic").is_none());
}

#[test]
fn what_kafka_cannot_do_is_told_and_not_tried() {
    let topic = |partitions: i64| json!([{"name": "t", "partitions": partitions}]);
    let mut case = Case::new(json!([deployment("x")]), topic(4));
    case.settle();
    case.edit(|spec| spec["blueprint"]["topics"] = topic(2));
    let status = case.settle();
    assert_eq!(case.child("Topic").unwrap().data["spec"]["partitions"], 4);
    assert_eq!((status.phase, status.topics[0].health), (PipelinePhase::Failed, Health::Failed));
    assert!(status.message.contains("it has 4, not 2"), "{}", status.message);
    case.edit(|spec| spec["blueprint"]["topics"] = topic(4));
    assert_eq!(case.settle().phase, PipelinePhase::Running);
}

#[test]
fn the_younger_of_two_that_claim_one_topic_begins_nothing() {
    let mut case = Case::new(json!([deployment("x")]), json!([{"name": "t", "topicName": "shared"}]));
    for _ in 0..2 {
        case.pass();
    }
    let created = case.cluster.server.created.len();
    let mut world = case.cluster.observe(&mut case.rng, false).unwrap();
    let mut other = world.pipeline.clone();
    other.metadata.name = Some("older".into());
    world.rivals = claims(&other, &resolve(&other, other.spec.blueprint.as_ref().unwrap()).unwrap());
    let plan = case.cluster.decide(&world, 0);
    assert!(plan.actions.is_empty() && created > 0, "{plan:#?}");
    let status: PipelineStatus = serde_json::from_value(plan.status.clone().unwrap()).unwrap();
    let (verified, reason, message) = told(&status, "Verified");
    assert_eq!((verified.as_str(), reason.as_str()), ("False", "ClaimedByOther"));
    assert!(message.contains("apps/older") && status.problems[0].code == "Collision", "{message}");
    world.rivals.clear();
    assert!(!case.cluster.decide(&world, 0).is_empty());
}

#[test]
fn a_schedule_begins_runs_one_after_the_other() {
    let mut case = Case::new(json!([job(), deployment("x")]), json!([]));
    case.cluster.server.edit(|p| {
        p.spec.schedule = Some("0 * * * *".into());
        p.spec.time_zone = Some("Europe/Berlin".into());
        p.spec.history_limit = Some(1);
    });
    let minute = std::time::Duration::from_secs(60);
    // 22:13:20 UTC
    case.pass();
    for _ in 0..4 {
        case.pass();
    }
    let status = case.status();
    assert_eq!((status.run, status.next_run_time.as_deref()), (None, Some("2023-11-14T23:00:00Z")));
    assert_eq!(status.components.iter().find(|c| c.name == "work").unwrap().reason, "WaitingForSchedule");
    assert!(case.child("Deployment").is_some() && case.child("Job").is_none());
    case.cluster.server.now += 50 * minute;
    case.pass();
    assert_eq!(
        (case.status().run, case.child("Job").is_some()),
        (Some(1), false),
        "the run is known before its children"
    );
    case.pass();
    assert_eq!(case.child("Job").unwrap().metadata.name.as_deref(), Some("p-work"));
    // it does not end, and the time comes twice
    case.cluster.server.now += 150 * minute;
    for _ in 0..3 {
        case.cluster.step(&mut case.rng, 0);
        case.cluster.reconcile(&mut case.rng);
    }
    assert_eq!(case.status().run, Some(1));
    let ends = |case: &mut Case| (0..6).for_each(|_| drop(case.pass()));
    ends(&mut case);
    let status = case.status();
    assert_eq!((status.run, status.history.len(), status.phase), (Some(2), 1, PipelinePhase::Running), "{status:#?}");
    assert_eq!(case.child("Job").unwrap().metadata.name.as_deref(), Some("p-work-2"));
    ends(&mut case);
    assert_eq!(case.status().run, Some(2), "times that were missed are one run");
    case.cluster.server.edit(|p| p.spec.suspend = true);
    case.cluster.server.now += 60 * minute;
    ends(&mut case);
    assert_eq!(case.status().run, Some(2));
    case.cluster.server.edit(|p| p.spec.suspend = false);
    ends(&mut case);
    let status = case.status();
    assert_eq!((status.run, status.history.len(), status.history[0].run), (Some(3), 1, 2));
    case.cluster.server.edit(|p| p.spec.schedule = None);
    case.cluster.server.edit(|p| p.spec.time_zone = None);
    assert_eq!(case.settle().next_run_time, None);
}

#[test]
fn a_wish_to_try_again_gives_the_failed_their_retries_anew_and_leaves_the_rest() {
    let mut case =
        Case::new(json!([job(), component("fine", json!({"apiVersion": "v1", "kind": "ConfigMap"}))]), json!([]));
    case.edit(|spec| spec["blueprint"]["components"][0]["retry"] = json!({"limit": 1, "backoff": "1s"}));
    case.cluster.fate.insert("p-work".into(), 4);
    let status = case.settle();
    let line = |status: &PipelineStatus| status.components.iter().find(|c| c.name == "work").unwrap().clone();
    assert_eq!((status.phase, line(&status).retries), (PipelinePhase::Failed, Some(1)));
    case.annotate(names::RETRY, "please");
    let status = case.settle();
    assert_eq!(
        (line(&status).health, line(&status).retries, line(&status).retried),
        (Health::Failed, Some(3), Some(2))
    );
    assert_eq!(case.settle(), status, "one wish, one answer");
    case.annotate(names::RETRY, "once more");
    let status = case.settle();
    assert_eq!((status.phase, line(&status).retries), (PipelinePhase::Succeeded, Some(4)));
    let made = case.cluster.server.created.iter().filter(|k| k.kind == "ConfigMap").count();
    assert_eq!(made, 1, "what was well stays");
}

#[test]
fn drift_that_cannot_be_put_right_is_told() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.settle();
    let key = ObjectKey::new(&Gvk::new("apps", "v1", "Deployment"), NAMESPACE, "p-serve");
    case.cluster.server.touch(&key, |d| d.data["spec"]["selector"]["matchLabels"]["app"] = "z".into());
    let status = case.settle();
    let line = &status.components[0];
    assert_eq!((line.reason.as_str(), line.health), ("Drifted", Health::Ready));
    assert!(line.message.contains("spec.selector.matchLabels.app"), "{}", line.message);
    case.cluster.server.touch(&key, |d| d.data["spec"]["selector"]["matchLabels"]["app"] = "x".into());
    assert_ne!(case.settle().components[0].reason, "Drifted");
}
