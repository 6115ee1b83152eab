//! Objects of somebody else's that have a child's name.

use serde_json::{Value, json};
use tributary_blueprints::object::Gvk;
use tributary_crds::{PipelinePhase, names};

use super::cases::{Case, deployment, job};

#[test]
fn an_object_is_adopted_only_where_it_says_so() {
    let foreign = |app: &str, marks: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p-serve", "annotations": marks},
            "spec": {"replicas": 1, "paused": false, "selector": {"matchLabels": {"app": app}}}})
    };
    let offered = || json!({names::ADOPT_BY: "p"});
    for (object, words) in [
        (foreign("x", json!({})), "tributary.dev/adopt-by=p"),
        (foreign("x", json!({names::ADOPT_BY: "q"})), "tributary.dev/adopt-by=p"),
        (foreign("x", json!({names::ADOPT_BY: "elsewhere/p"})), "tributary.dev/adopt-by=p"),
        (foreign("z", offered()), "would have to be replaced"),
    ] {
        let mut case = Case::new(json!([deployment("x")]), json!([]));
        let key = case.put(object.clone());
        let status = case.settle();
        assert_eq!((status.phase, status.components[0].reason.as_str()), (PipelinePhase::Failed, "NameTaken"));
        assert!(status.message.contains(words), "{}", status.message);
        assert_eq!(case.cluster.server.state.objects[&key].data["spec"], object["spec"]);
    }
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    let mut owned = foreign("x", offered());
    owned["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "a/v1", "kind": "Shop", "name": "s", "uid": "u", "controller": true}]);
    case.put(owned);
    assert!(case.settle().message.contains("Shop s controls it"));

    let mut case = Case::new(json!([deployment("x")]), json!([]));
    let key = case.put(foreign("x", offered()));
    let status = case.settle();
    assert_eq!(status.phase, PipelinePhase::Running, "{status:#?}");
    let adopted = &case.cluster.server.state.objects[&key];
    assert_eq!(adopted.metadata.uid.as_deref(), Some("foreign"), "it is the same object");
    assert_eq!((&adopted.data["spec"]["replicas"], &adopted.data["spec"]["paused"]), (&json!(2), &json!(false)));
    case.cluster.server.delete_pipeline();
    case.cluster.settle(&mut case.rng);
    assert!(case.child("Deployment").is_none(), "it goes with its new owner");
}

#[test]
fn a_claim_of_another_class_is_told_and_left_alone() {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}});
    let mut case = Case::new(json!([{"name": "data", "template": claim}]), json!([]));
    let mut foreign = claim.clone();
    foreign["metadata"] = json!({"name": "p-data", "annotations": {names::ADOPT_BY: "p"}});
    foreign["spec"]["storageClassName"] = "slow".into();
    let key = case.put(foreign.clone());
    let status = case.settle();
    assert_eq!((status.phase, status.components[0].reason.as_str()), (PipelinePhase::Failed, "NameTaken"));
    assert!(status.message.contains("cannot be adopted: spec.storageClassName of a claim"), "{}", status.message);
    assert_eq!(case.cluster.server.state.objects[&key].data["spec"], foreign["spec"]);
}

#[test]
fn a_finished_job_and_a_topic_are_adopted_as_they_are() {
    let mut case = Case::new(json!([job()]), json!([{"name": "t", "partitions": 3}]));
    let done = json!({"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1});
    case.put(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "p-work",
        "annotations": {names::ADOPT_BY: "p"}}, "spec": {"template": {"a": "b"}}, "status": done}));
    case.put(json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Topic", "metadata": {"name": "p-t",
        "annotations": {names::ADOPT_BY: "p"}}, "spec": {"topicName": "apps.p.t", "partitions": 2}}));
    let status = case.settle();
    assert_eq!((status.phase, status.components[0].uid.as_str()), (PipelinePhase::Succeeded, "foreign"));
    assert_eq!(case.child("Job").unwrap().data["spec"], json!({"template": {"a": "b"}}));
    assert_eq!(case.child("Topic").unwrap().data["spec"]["partitions"], 3);
    assert_eq!(case.cluster.server.created.iter().filter(|k| k.kind != "ControllerRevision").count(), 0);
}

#[test]
fn a_pipeline_of_a_kind_that_nobody_knows_is_done_when_that_says_so() {
    let thing = |status: Value| {
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "p-it", "annotations": {names::ADOPT_BY: "p"}},
            "status": {"conditions": status}})
    };
    let condition = |type_: &str| json!([{"type": type_, "status": "True", "reason": "R", "message": ""}]);
    for (type_, phase) in [("Ready", PipelinePhase::Running), ("Complete", PipelinePhase::Succeeded)] {
        let template = json!({"apiVersion": "example.com/v1", "kind": "Thing"});
        let mut case = Case::new(json!([{"name": "it", "template": template}]), json!([]));
        case.cluster.server.served.add(&Gvk::new("example.com", "v1", "Thing"), "things", true);
        case.put(thing(condition(type_)));
        assert_eq!(case.settle().phase, phase, "{:#?}", case.cluster.server.state.pipeline);
    }
}
