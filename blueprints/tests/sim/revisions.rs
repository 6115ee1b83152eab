//! Which revision runs, and what a user is told of those that wait.

use serde_json::{Value, json};
use tributary_crds::{BlueprintSpec, PipelinePhase, UpdatePolicy};

use super::cases::{Case, condition, deployment, told};

#[test]
fn a_revision_waits_where_updates_are_manual_and_is_taken_by_its_number() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    case.cluster.server.edit(|p| p.spec.update_policy = Some(UpdatePolicy::Manual));
    let status = case.settle();
    assert_eq!((status.revision, condition(&status, "UpToDate").status.as_str()), (Some(1), "True"));
    case.image("b");
    let status = case.settle();
    let (_, reason, message) = told(&status, "UpToDate");
    assert_eq!((status.revision, reason.as_str(), status.phase), (Some(1), "UpdateWaiting", PipelinePhase::Running));
    assert!(message.contains("revision 2 waits") && message.contains("spec.revision: 2"), "{message}");
    assert_eq!(case.image_of("Deployment"), "a");
    case.cluster.server.edit(|p| p.spec.revision = Some(2));
    let status = case.settle();
    assert_eq!((status.revision, case.image_of("Deployment")), (Some(2), json!("b")));
    let change = status.components[0].change.clone().unwrap();
    assert_eq!((change.revision, change.effect.as_str()), (Some(2), "restart"));
    // back again, and then to one that is not there
    case.cluster.server.edit(|p| p.spec.revision = Some(1));
    let status = case.settle();
    assert_eq!((status.revision, case.image_of("Deployment")), (Some(1), json!("a")));
    assert_eq!(condition(&status, "UpToDate").reason, "RevisionPinned");
    case.cluster.server.edit(|p| p.spec.revision = Some(7));
    let status = case.settle();
    let (_, reason, message) = told(&status, "UpToDate");
    assert_eq!((status.revision, reason.as_str()), (Some(1), "RevisionNotFound"));
    assert!(message.contains("there are: 1, 2"), "{message}");
}

#[test]
fn another_blueprint_under_a_named_account_waits_until_who_may_use_it_takes_it() {
    let mut case = Case::new(json!([deployment("x")]), json!([]));
    let blueprint = case.cluster.server.state.pipeline.as_ref().unwrap().spec.blueprint.clone().unwrap();
    let mut edited = serde_json::to_value(&blueprint).unwrap();
    case.cluster.server.state.blueprint = Some(blueprint.into());
    case.edit(|spec| {
        spec["blueprint"] = Value::Null;
        spec["blueprintRef"] = json!({"name": "b"});
        spec["serviceAccountName"] = json!("robot");
    });
    assert_eq!(case.settle().revision, Some(1));
    edited["parameters"]["image"]["default"] = "evil".into();
    let edited: BlueprintSpec = serde_json::from_value(edited).unwrap();
    case.cluster.server.state.blueprint = Some(edited.into());
    let status = case.settle();
    let (_, reason, message) = told(&status, "UpToDate");
    assert_eq!((status.revision, reason.as_str(), case.image_of("Deployment")), (Some(1), "UpdateWaiting", json!("a")));
    assert!(message.contains("spec.revision: 2") && message.contains("robot"), "{message}");
    case.cluster.server.edit(|p| p.spec.update_policy = Some(UpdatePolicy::Automatic));
    assert_eq!((case.settle().revision, case.image_of("Deployment")), (Some(2), json!("evil")));
}
