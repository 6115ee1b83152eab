//! Batch Jobs and their pods, as the caches hold them.

use std::sync::Arc;

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use tributary_blueprints::{
    object::{Gvk, ObjectKey, field},
    plan::Action,
};
use tributary_crds::{Timestamp, names};

/// batch/v1 Job.
pub(crate) fn gvk() -> Gvk {
    Gvk::new("batch", "v1", "Job")
}

/// What an object of a wanted name is to its would-be owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinship {
    /// It is the owner's.
    Ours,
    /// A former owner of the same name left it; garbage collection will take it.
    Stale,
    /// It is somebody else's.
    Foreign,
}

/// What an object is to the owner of this kind.
pub(crate) fn kinship(object: &ObjectMeta, owner: &ObjectMeta, kind: &str) -> Kinship {
    let owners = || object.owner_references.iter().flatten();
    if owner.uid.is_some() && owners().any(|o| Some(&o.uid) == owner.uid.as_ref()) {
        Kinship::Ours
    } else if owners().any(|o| o.kind == kind && Some(&o.name) == owner.name.as_ref()) {
        Kinship::Stale
    } else {
        Kinship::Foreign
    }
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) succeeded: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) at: Option<Timestamp>,
}

/// How the Job ended by its own conditions; `None` while it goes on.
pub(crate) fn end(job: &DynamicObject) -> Option<End> {
    let conditions = field(job, &["status", "conditions"])?.as_array()?;
    let text = |c: &Value, name: &str| c.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ended = |c: &&Value| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed");
    let c = conditions.iter().find(ended)?;
    Some(End {
        succeeded: c["type"] == "Complete",
        reason: text(c, "reason"),
        message: text(c, "message"),
        at: text(c, "lastTransitionTime").parse().ok(),
    })
}

/// Whether it is certain that the Job will be Complete though its controller, which looks at pods once a second, has
/// not said so: it needs one pod, has never had another, that one succeeded, and nothing else can end it.
pub(crate) fn is_sure_to_complete(job: &DynamicObject, pods: &[Arc<DynamicObject>]) -> bool {
    let spec = |name: &str| field(job, &["spec", name]);
    let at_most_one = |name: &str| spec(name).and_then(Value::as_i64).is_none_or(|n| n == 1);
    let needs_one = at_most_one("completions") && at_most_one("parallelism");
    // a deadline may pass, a policy may decide otherwise, before the controller looks
    let may_end_otherwise = spec("activeDeadlineSeconds").is_some() || spec("successPolicy").is_some() || is_held(job);
    let conditions = field(job, &["status", "conditions"]).and_then(Value::as_array);
    let is_failing =
        conditions.is_some_and(|c| c.iter().any(|c| c["type"] == "FailureTarget" && c["status"] == "True"));
    let has_failed = field(job, &["status", "failed"]).and_then(Value::as_i64).unwrap_or(0) > 0;
    let [pod] = pods else { return false };
    needs_one
        && !may_end_otherwise
        && !is_failing
        && !has_failed
        && job.metadata.deletion_timestamp.is_none()
        && pod.metadata.deletion_timestamp.is_none()
        && phase(pod) == Some("Succeeded")
}

/// Whether it is suspended by its spec.
pub(crate) fn is_held(job: &DynamicObject) -> bool {
    field(job, &["spec", "suspend"]).and_then(Value::as_bool).unwrap_or(false)
}

/// The value of a label.
pub(crate) fn label<'a>(object: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    object.labels.as_ref()?.get(name).map(String::as_str)
}

/// The value of an annotation.
pub(crate) fn annotation<'a>(object: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    object.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The run that an object is of, by its label.
pub(crate) fn run_of(object: &ObjectMeta) -> Option<i64> {
    label(object, names::RUN)?.parse().ok()
}

/// Its deletion, of this uid and no other.
pub(crate) fn delete(gvk: Gvk, object: &ObjectMeta) -> Option<Action> {
    let key = ObjectKey::new(&gvk, object.namespace.as_deref()?, object.name.as_deref()?);
    Some(Action::Delete { gvk, key, uid: object.uid.clone()?, resource_version: None })
}

/// A Job is suspended, or goes on.
pub(crate) fn hold(job: &DynamicObject, on: bool) -> Action {
    let metadata = ObjectMeta {
        name: job.metadata.name.clone(),
        namespace: job.metadata.namespace.clone(),
        uid: job.metadata.uid.clone(),
        ..ObjectMeta::default()
    };
    let types = Some(kube::core::TypeMeta { api_version: "batch/v1".into(), kind: "Job".into() });
    let data = serde_json::json!({"spec": {"suspend": on}});
    Action::Apply { object: Box::new(DynamicObject { types, metadata, data }) }
}

/// What keeps a Job from ending, or made it fail, in the words of its pods; empty where there is nothing to tell.
pub(crate) fn words(pods: &[Arc<DynamicObject>]) -> Words {
    let parse = |pod: &Arc<DynamicObject>| serde_json::from_value(serde_json::to_value(pod.as_ref()).ok()?).ok();
    let pods: Vec<k8s_openapi::api::core::v1::Pod> =
        pods.iter().filter(|p| may_have_words(p)).filter_map(parse).collect();
    let report = crate::pods::report(&pods);
    Words { blocked: report.blocked.unwrap_or_default(), failure: report.last_failure.unwrap_or_default() }
}

/// The phase of a pod.
pub(crate) fn phase(pod: &DynamicObject) -> Option<&str> {
    field(pod, &["status", "phase"])?.as_str()
}

/// Whether a pod of a Job has come (`before` is none then) or has changed with nothing to decide: it has not ended, and nothing
/// keeps it from running that did not before. Most pods are made, bound and begin to run like that.
pub fn goes_on_as_before(before: Option<&Arc<DynamicObject>>, after: &Arc<DynamicObject>) -> bool {
    let goes_on = |pod: &DynamicObject| {
        pod.metadata.deletion_timestamp.is_none() && !matches!(phase(pod), Some("Succeeded" | "Failed"))
    };
    let said = |pod| words(std::slice::from_ref(pod));
    before.is_none_or(|pod| goes_on(pod)) && goes_on(after) && before.map(said).unwrap_or_default() == said(after)
}

/// Most pods run and have nothing to tell: they are not worth parsing.
fn may_have_words(pod: &DynamicObject) -> bool {
    let Some(status) = pod.data.get("status") else { return false };
    let is_waiting = |list: &str| {
        let all = status.get(list).and_then(Value::as_array).into_iter().flatten();
        all.into_iter().any(|c| c.pointer("/state/waiting").is_some() || c.pointer("/lastState/terminated").is_some())
    };
    match phase(pod) {
        Some("Succeeded") => false,
        Some("Running") => is_waiting("containerStatuses") || is_waiting("initContainerStatuses"),
        _ => true,
    }
}

/// What pods say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) blocked: String,
    pub(crate) failure: String,
}

/// Time from `now` until `at`; `None` once it has come.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> Option<std::time::Duration> {
    std::time::Duration::try_from(at.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// The deletion of an object by its owner's key; the owner itself where its TTL has passed.
pub(crate) fn delete_itself(kind: &str, metadata: &ObjectMeta) -> Option<Action> {
    match delete(Gvk::new(tributary_crds::GROUP, tributary_crds::VERSION, kind), metadata)? {
        Action::Delete { gvk, key, uid, .. } => {
            Some(Action::Delete { gvk, key, uid, resource_version: metadata.resource_version.clone() })
        }
        other => Some(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(spec: Value, status: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "j", "uid": "u"}, "spec": spec, "status": status})).unwrap()
    }

    fn pod(phase: &str) -> Arc<DynamicObject> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"phase": phase}})).unwrap())
    }

    #[test]
    fn a_pods_success_counts_only_where_nothing_can_come_of_it_but_the_jobs() {
        let sure = |spec, status, pods: &[_]| is_sure_to_complete(&job(spec, status), pods);
        assert!(sure(json!({"completions": 1, "parallelism": 1, "backoffLimit": 0}), json!({}), &[pod("Succeeded")]));
        assert!(sure(json!({}), json!({"active": 1}), &[pod("Succeeded")]));
        let no = [
            (json!({"completions": 2}), json!({}), vec![pod("Succeeded")]),
            (json!({"parallelism": 2}), json!({}), vec![pod("Succeeded")]),
            (json!({"activeDeadlineSeconds": 5}), json!({}), vec![pod("Succeeded")]),
            (json!({"suspend": true}), json!({}), vec![pod("Succeeded")]),
            (json!({}), json!({"failed": 1}), vec![pod("Succeeded")]),
            (json!({}), json!({"conditions": [{"type": "FailureTarget", "status": "True"}]}), vec![pod("Succeeded")]),
            (json!({}), json!({}), vec![pod("Succeeded"), pod("Running")]),
            (json!({}), json!({}), vec![pod("Running")]),
            (json!({}), json!({}), vec![]),
        ];
        for (spec, status, pods) in no {
            assert!(!sure(spec.clone(), status, &pods), "{spec}");
        }
    }
}
