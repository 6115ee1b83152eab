//! SparkApplication of kubeflow's Spark operator.
//!
//! Its operator kills and runs the application again at any edit of the spec but of `suspend`, and its status has neither
//! conditions nor observedGeneration: the object is made once and never applied again.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Health, StatusRules};

use super::conditions::{count, text};
use super::{Component, Definition, GRACE, Lifetime, Port, Report, START, Switch, object_at, pods};
use crate::expr::Type;
use crate::object::{Gvk, ObjectKey, field};

pub(super) struct SparkApplicationDriver;

/// The API group of kubeflow's Spark operator.
pub(super) const GROUP: &str = "sparkoperator.k8s.io";

impl Component for SparkApplicationDriver {
    fn definition(&self) -> Definition {
        Definition { group: GROUP, kind: "SparkApplication", versions: &["v1beta2"] }
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        lifetime(template.pointer("/spec/restartPolicy/type"))
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![
            ("applicationId", Type::String),
            ("driverPod", Type::String),
            ("executionAttempts", Type::Int),
            ("webUIAddress", Type::String),
        ]
    }

    /// The Service of its web UI is called `<name>-ui-svc`.
    fn max_name(&self) -> usize {
        56
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        if let Some(spec) = object.get_mut("spec") {
            wire(spec, ports);
        }
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let state = text(child, &["status", "applicationState", "state"]);
        let told = text(child, &["status", "applicationState", "errorMessage"]);
        let say = |own: &str| if told.is_empty() { own.to_owned() } else { told.to_owned() };
        let on_its_way = |own: &str| Report::new(Health::Progressing, state, say(own));
        let mut report = match state {
            "" => {
                Report::new(Health::Pending, state, say("the Spark operator has not looked at it yet")).at_most(START)
            }
            "SUBMITTED" => Report::new(Health::Pending, state, say("its driver has not started yet")).at_most(START),
            "RESUMING" => Report::new(Health::Pending, state, say("")).at_most(START),
            "SUSPENDING" | "SUSPENDED" => Report::new(Health::Suspended, state, say("")),
            "RUNNING" => running(child, told),
            "SUCCEEDING" | "FAILING" | "INVALIDATING" | "PENDING_RERUN" => on_its_way(""),
            // the operator submits it again, or gives it up as FAILED
            "SUBMISSION_FAILED" => on_its_way("it could not be submitted"),
            // whatever executorState says: the executors of one that has come off may be called FAILED
            "COMPLETED" => Report::finished(Health::Succeeded, state, say("")),
            "FAILED" => Report::finished(Health::Failed, state, say("")),
            "UNKNOWN" => {
                Report::new(Health::Unknown, state, say("the state of its driver is not known")).at_most(GRACE)
            }
            other => Report::new(Health::Unknown, other, say("")).at_most(GRACE),
        };
        report.percent = (report.health == Health::Succeeded).then_some(100);
        if report.finished {
            report.finished_at = text(child, &["status", "terminationTime"]).parse().ok();
        }
        report.outputs = outputs(child);
        report
    }

    fn related(&self, child: &DynamicObject) -> Option<ObjectKey> {
        let pod = text(child, &["status", "driverInfo", "podName"]);
        let namespace = child.metadata.namespace.as_deref()?;
        (!pod.is_empty()).then(|| ObjectKey::new(&Gvk::new("", "v1", "Pod"), namespace, pod))
    }

    /// A driver whose image cannot be had, or for which there is no node, leaves the application SUBMITTED and silent.
    fn explain(&self, report: &mut Report, pod: &DynamicObject) {
        let waits = matches!(report.reason.as_str(), "SUBMITTED" | "UNKNOWN");
        if let Some((reason, message)) = pod.data.get("status").and_then(pods::waiting).filter(|_| waits) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            report.message = format!("driver pod {name}: {reason}: {message}");
        }
    }

    fn immutable(&self) -> bool {
        true
    }

    /// While it is SUSPENDING, its pods are still there.
    fn drained(&self, child: &DynamicObject, _: Option<&StatusRules>) -> bool {
        text(child, &["status", "applicationState", "state"]) == "SUSPENDED"
    }

    fn ttl_field(&self) -> Option<&'static str> {
        Some("timeToLiveSeconds")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}

/// One that is always restarted never completes.
pub(super) fn lifetime(restart_policy: Option<&Value>) -> Lifetime {
    match restart_policy.and_then(Value::as_str) {
        Some("Always") => Lifetime::Stream,
        _ => Lifetime::Batch,
    }
}

/// Ready once as many executors run, or have run, as were asked for.
fn running(child: &DynamicObject, told: &str) -> Report {
    let states = field(child, &["status", "executorState"]).and_then(Value::as_object).into_iter().flatten();
    let up = states.filter(|(_, state)| matches!(state.as_str(), Some("RUNNING" | "COMPLETED"))).count();
    let number = |path: &[&str]| field(child, path).and_then(Value::as_u64);
    let dynamic = field(child, &["spec", "dynamicAllocation", "enabled"]).and_then(Value::as_bool) == Some(true);
    let wanted = match (dynamic, number(&["spec", "executor", "instances"])) {
        (true, _) => number(&["spec", "dynamicAllocation", "minExecutors"]).unwrap_or(0),
        (false, instances) => instances.unwrap_or(1),
    };
    let health = if up as u64 >= wanted { Health::Ready } else { Health::Progressing };
    let message = if told.is_empty() { format!("{up}/{wanted} executors are up") } else { told.to_owned() };
    Report::new(health, "RUNNING", message)
}

fn outputs(child: &DynamicObject) -> std::collections::BTreeMap<String, Value> {
    let ingress = text(child, &["status", "driverInfo", "webUIIngressAddress"]);
    let address = if ingress.is_empty() { text(child, &["status", "driverInfo", "webUIAddress"]) } else { ingress };
    let texts = [
        ("applicationId", text(child, &["status", "sparkApplicationId"])),
        ("driverPod", text(child, &["status", "driverInfo", "podName"])),
        ("webUIAddress", address),
    ];
    let texts = texts.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.into()));
    let attempts = ("executionAttempts", count(child, &["status", "executionAttempts"]).into());
    texts.chain([attempts]).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Wires the spec of an application: `env` of driver and executor, where neither says the variable in another way.
pub(super) fn wire(spec: &mut Value, ports: &[Port<'_>]) {
    let variables = pods::variables(ports);
    for (role, prefix) in [("driver", "spark.kubernetes.driverEnv."), ("executor", "spark.executorEnv.")] {
        let said = |name: &str| {
            let older = ["envVars", "envSecretKeyRefs"].iter().any(|f| spec[role][*f].get(name).is_some());
            older || spec["sparkConf"].get(format!("{prefix}{name}")).is_some()
        };
        let open: Vec<_> = variables.iter().filter(|(name, _)| !said(name)).cloned().collect();
        if let Some(pod) = object_at(spec, &[role]).filter(|_| !open.is_empty()) {
            pods::set(pod, &open);
        }
    }
}
