//! What the webhooks answer: pure.

use jsonpatch::{AddOperation, Patch, PatchOperation};
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, Operation},
    response::{StatusCause, StatusDetails},
};
use serde_json::json;
use tributary_blueprints::{kinds_of, object::Gvk, verify, world::Served};
use tributary_crds::{
    Blueprint, BlueprintSpec, DaemonJob, GROUP, JobFlow, Pipeline,
    names::{FINALIZER, MANAGER},
};
use tributary_flows::{daemonjob, jobflow};

use crate::caches::parse;

/// Problems that an answer names; kubectl prints them all.
const MOST_NAMED: usize = 20;

/// A problem of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, where it has a name.
    pub code: String,
    /// JSON path.
    pub path: String,
    /// What is wrong and why.
    pub message: String,
}

/// An object that is to be admitted.
#[derive(Clone, Debug)]
pub enum Subject {
    /// With what its `blueprintRef` names, where that is there.
    Pipeline(Box<Pipeline>),
    /// A Blueprint.
    Blueprint(Box<Blueprint>),
    /// A JobFlow.
    JobFlow(Box<JobFlow>),
    /// A DaemonJob.
    DaemonJob(Box<DaemonJob>),
}

impl Subject {
    /// What the request is about; `None` where nothing is to be said: a deletion, a change that leaves the spec as it
    /// was, an object on its way out, another kind.
    ///
    /// # Errors
    /// Where the object is not of its type.
    pub fn of(request: &AdmissionRequest<DynamicObject>) -> Result<Option<Self>, serde_json::Error> {
        let Some(object) = &request.object else { return Ok(None) };
        let spec = |o: &DynamicObject| o.data.get("spec").cloned();
        let unchanged = request.old_object.as_ref().is_some_and(|old| spec(old) == spec(object));
        let leaves = object.metadata.deletion_timestamp.is_some() || request.operation == Operation::Delete;
        if unchanged || leaves || request.kind.group != GROUP {
            return Ok(None);
        }
        Ok(match request.kind.kind.as_str() {
            "Pipeline" => Some(Self::Pipeline(Box::new(parse(object)?))),
            "Blueprint" => Some(Self::Blueprint(Box::new(parse(object)?))),
            "JobFlow" => Some(Self::JobFlow(Box::new(parse(object)?))),
            "DaemonJob" => Some(Self::DaemonJob(Box::new(parse(object)?))),
            _ => None,
        })
    }

    /// The Blueprint that it names.
    pub fn blueprint_ref(&self) -> Option<&str> {
        match self {
            Self::Pipeline(pipeline) => pipeline.spec.blueprint_ref.as_ref().map(|r| r.name.as_str()),
            _ => None,
        }
    }

    /// The kinds of its components.
    pub fn kinds(&self, referred: Option<&BlueprintSpec>) -> Vec<Gvk> {
        let blueprint = match self {
            Self::Pipeline(pipeline) => pipeline.spec.blueprint.as_ref().or(referred),
            Self::Blueprint(blueprint) => Some(&blueprint.spec),
            Self::JobFlow(_) | Self::DaemonJob(_) => None,
        };
        blueprint.map(kinds_of).into_iter().flatten().collect()
    }

    /// All that is wrong with it. A Pipeline whose Blueprint is not there yet is not looked at.
    pub fn findings(&self, referred: Option<&BlueprintSpec>, served: &Served) -> Vec<Finding> {
        let of_blueprint = |p: tributary_blueprints::Problem| Finding {
            code: p.code.as_str().into(),
            message: p.text(),
            path: p.path,
        };
        let of_flow = |p: tributary_flows::Problem| Finding { code: String::new(), path: p.path, message: p.message };
        match self {
            Self::Pipeline(pipeline) => {
                let Some(blueprint) = pipeline.spec.blueprint.as_ref().or(referred) else { return Vec::new() };
                verify::pipeline(pipeline, blueprint, Some(served)).into_iter().map(of_blueprint).collect()
            }
            Self::Blueprint(blueprint) => {
                verify::blueprint(&blueprint.spec, Some(served)).into_iter().map(of_blueprint).collect()
            }
            Self::JobFlow(flow) => {
                let name = flow.metadata.name.as_deref().unwrap_or_default();
                jobflow::problems(name, &flow.spec, None).into_iter().map(of_flow).collect()
            }
            Self::DaemonJob(job) => daemonjob::problems(&job.spec).into_iter().map(of_flow).collect(),
        }
    }
}

/// The answer: refused with every problem, in the text that kubectl prints and as causes for programs.
pub fn answer(request: &AdmissionRequest<DynamicObject>, findings: &[Finding]) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    if findings.is_empty() {
        return response;
    }
    let mut lines: Vec<String> =
        findings.iter().take(MOST_NAMED).map(|f| format!("{}: {}", f.path, f.message)).collect();
    if findings.len() > MOST_NAMED {
        lines.push(format!("and {} more: `tributary verify` lists them all", findings.len() - MOST_NAMED));
    }
    let mut response = response.deny(lines.join("\n"));
    response.result.code = 422;
    response.result.reason = "Invalid".into();
    let cause = |f: &Finding| StatusCause { reason: f.code.clone(), field: f.path.clone(), message: f.message.clone() };
    response.result.details = Some(StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        uid: String::new(),
        causes: findings.iter().take(MOST_NAMED).map(cause).collect(),
        retry_after_seconds: 0,
    });
    response
}

/// A new Pipeline of ours is born with the finalizer, which it needs before its first child: the controller has one write less.
pub fn guarded(request: &AdmissionRequest<DynamicObject>) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(object) = &request.object else { return response };
    let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
    let is_new = request.operation == Operation::Create && request.kind.kind == "Pipeline";
    // nobody would take it off one that cannot be read
    let is_ours = |pipeline: Pipeline| pipeline.spec.managed_by.is_none_or(|manager| manager == MANAGER);
    if !is_new || !parse(object).is_ok_and(is_ours) || finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        return response;
    }
    let all: Vec<&str> = finalizers.iter().map(String::as_str).chain([FINALIZER]).collect();
    let path = jsonpatch::jsonptr::PointerBuf::from_tokens(["metadata", "finalizers"]);
    let value = json!(all);
    let patch = Patch(vec![PatchOperation::Add(AddOperation { path, value })]);
    response.with_patch(patch).unwrap_or_else(|error| {
        tracing::warn!(%error, "a Pipeline comes without its finalizer");
        AdmissionResponse::from(request)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn request(kind: &str, spec: Value, old: Option<Value>) -> AdmissionRequest<DynamicObject> {
        let object = |spec: Value| {
            json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind, "metadata": {"name": "n", "namespace": "s"},
                "spec": spec})
        };
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        serde_json::from_value(json!({
            "uid": "u", "kind": {"group": "tributary.dev", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "tributary.dev", "version": "v1alpha1", "resource": "x"}, "name": "n",
            "operation": operation, "userInfo": {}, "object": object(spec), "oldObject": old.map(object),
        }))
        .unwrap()
    }

    fn flow(dependency: &str) -> Value {
        json!({"flows": [{"name": "a", "dependencies": [dependency], "jobTemplate": {"template": {"spec": {
            "containers": [{"name": "c", "image": "i"}]}}}}]})
    }

    fn findings(request: &AdmissionRequest<DynamicObject>) -> Vec<Finding> {
        let subject = Subject::of(request).unwrap();
        subject.map(|s| s.findings(None, &Served::default())).unwrap_or_default()
    }

    #[test]
    fn a_wrong_graph_is_refused_with_its_place_and_a_change_that_leaves_it_is_not_held_up() {
        let bad = request("JobFlow", flow("b"), None);
        let found = findings(&bad);
        assert_eq!(found[0].path, "spec.flows[0].dependencies[0]", "{found:?}");
        let answer = answer(&bad, &found);
        assert!(!answer.allowed && answer.result.message.contains("spec.flows[0].dependencies[0]: "));
        assert_eq!(answer.result.details.unwrap().causes[0].field, found[0].path);
        assert!(Subject::of(&request("JobFlow", flow("b"), Some(flow("b")))).unwrap().is_none());
        assert!(!findings(&request("JobFlow", flow("b"), Some(flow("c")))).is_empty());
    }

    #[test]
    fn a_new_pipeline_of_ours_gets_the_finalizer_beside_those_that_it_has() {
        let patched = |spec: Value, finalizers: Option<Value>, old: Option<Value>| {
            let mut request = request("Pipeline", spec, old);
            let object = request.object.as_mut().unwrap();
            object.metadata.finalizers = finalizers.map(|f| serde_json::from_value(f).unwrap());
            let mut after = serde_json::to_value(&*object).unwrap();
            let response = guarded(&request);
            assert!(response.allowed);
            if let Some(patch) = response.patch {
                jsonpatch::patch(&mut after, &serde_json::from_slice::<Patch>(&patch).unwrap()).unwrap();
            }
            after["metadata"]["finalizers"].clone()
        };
        assert_eq!(patched(json!({}), None, None), json!([FINALIZER]));
        assert_eq!(patched(json!({"managedBy": MANAGER}), Some(json!([])), None), json!([FINALIZER]));
        assert_eq!(patched(json!({}), Some(json!(["a/b"])), None), json!(["a/b", FINALIZER]));
        assert_eq!(patched(json!({}), Some(json!([FINALIZER])), None), json!([FINALIZER]));
        assert_eq!(patched(json!({"managedBy": "example.com/other"}), None, None), Value::Null);
        assert_eq!(patched(json!({}), None, Some(json!({}))), Value::Null);
        assert_eq!(patched(json!({"run": "cannot be read"}), None, None), Value::Null);
    }

    #[test]
    fn a_blueprint_is_refused_by_itself_and_in_a_pipeline_and_a_missing_one_waits() {
        let spec = json!({"datasets": [{"name": "d", "location": "b/d"}], "components": [{"name": "c",
            "reads": {"input": "e"}, "writes": {"output": "d"}, "template": {"apiVersion": "tributary.dev/v1alpha1",
            "kind": "MapReduceJob", "spec": {"map": {"operator": "Words"}, "reduce": {"operator": "Sum"}}}}]});
        let alone = findings(&request("Blueprint", spec.clone(), None));
        assert!(alone.iter().any(|f| f.path == "spec.components[0].reads.input" && !f.code.is_empty()), "{alone:?}");
        let inline = findings(&request("Pipeline", json!({"blueprint": spec}), None));
        assert!(inline.iter().any(|f| f.path == "spec.blueprint.components[0].reads.input"), "{inline:?}");
        assert_eq!(findings(&request("Pipeline", json!({"blueprintRef": {"name": "b"}}), None)), []);
    }
}
