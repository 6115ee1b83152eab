//! SparkApplication of Apache's Spark operator. It is made once and never applied again.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::{Component, Definition, GRACE, Lifetime, Port, Report, START, Switch, object_at, pods, spark_kubeflow};
use crate::expr::Type;
use crate::object::field;

pub(super) struct SparkApplicationDriver;

impl Component for SparkApplicationDriver {
    fn definition(&self) -> Definition {
        Definition { group: "spark.apache.org", kind: "SparkApplication", versions: &["v1", "v1beta1", "v1alpha1"] }
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        spark_kubeflow::lifetime(template.pointer("/spec/applicationTolerations/restartConfig/restartPolicy"))
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("attempts", Type::Int), ("restarts", Type::Int)]
    }

    /// Each role's variables are Spark's own settings; those that its pod template sets itself stay.
    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        let variables = pods::variables(ports);
        let roles = [("driverSpec", "spark.kubernetes.driverEnv."), ("executorSpec", "spark.executorEnv.")];
        for (role, prefix) in roles {
            let containers = object.pointer(&format!("/spec/{role}/podTemplateSpec/spec/containers"));
            let env =
                containers.and_then(Value::as_array).into_iter().flatten().filter_map(|c| c.get("env")?.as_array());
            let said: Vec<String> = env.flatten().filter_map(|e| Some(e.get("name")?.as_str()?.to_owned())).collect();
            let open: Vec<_> = variables.iter().filter(|(name, _)| !said.contains(name)).collect();
            if open.is_empty() {
                continue;
            }
            let Some(conf) = object_at(object, &["spec", "sparkConf"]) else { return };
            for (name, value) in open {
                conf.entry(format!("{prefix}{name}")).or_insert_with(|| value.clone().into());
            }
        }
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let current = field(child, &["status", "currentState"]).unwrap_or(&Value::Null);
        let state = summary(current);
        let message = words(current);
        let of = |health| Report::new(health, state, message.as_str());
        let mut report = match state {
            "" => Report::new(Health::Pending, state, "the Spark operator has not looked at it yet").at_most(START),
            "Submitted" | "ScheduledToRestart" | "DriverRequested" => of(Health::Pending).at_most(START),
            "DriverStarted" | "DriverReady" | "InitializedBelowThresholdExecutors" => of(Health::Progressing),
            "RunningHealthy" => of(Health::Ready),
            "RunningWithPartialCapacity" | "RunningWithBelowThresholdExecutors" => of(Health::Progressing),
            "Suspended" => of(Health::Suspended),
            // known, but a restart may follow
            _ if outcome(state).is_some() => of(Health::Progressing),
            "ResourceReleased" | "TerminatedWithoutReleaseResources" => ended(child, current),
            other => Report::new(Health::Unknown, other, message.as_str()).at_most(GRACE),
        };
        report.percent = (report.health == Health::Succeeded).then_some(100);
        report.outputs = outputs(child);
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn switch(&self) -> Switch {
        Switch::SuspendIfThere
    }
}

/// What a state says of the attempt's outcome; `None` for one that says nothing.
fn outcome(state: &str) -> Option<Health> {
    match state {
        "Succeeded" => Some(Health::Succeeded),
        "Failed" | "SchedulingFailure" | "DriverEvicted" => Some(Health::Failed),
        timed_out if timed_out.ends_with("TimedOut") => Some(Health::Failed),
        _ => None,
    }
}

/// What has ended is as the last outcome in its history says, numbered in the order of time.
fn ended(child: &DynamicObject, current: &Value) -> Report {
    let history = field(child, &["status", "stateTransitionHistory"]).and_then(Value::as_object);
    let numbered = history.into_iter().flatten().filter_map(|(n, state)| Some((n.parse::<i64>().ok()?, state)));
    let outcomes = numbered.filter_map(|(n, state)| Some((n, state, outcome(summary(state))?)));
    let mut report = match outcomes.max_by_key(|(n, _, _)| *n) {
        Some((_, state, health)) => {
            let words = [words(state), words(current)].into_iter().find(|w| !w.is_empty()).unwrap_or_default();
            Report::finished(health, summary(state), words)
        }
        None => {
            let message = format!("it is {}, and its history does not tell how it ended", summary(current));
            Report::finished(Health::Failed, "OutcomeLost", message)
        }
    };
    report.finished_at = current.get("lastTransitionTime").and_then(Value::as_str).and_then(|t| t.parse().ok());
    report
}

fn summary(state: &Value) -> &str {
    state.get("currentStateSummary").and_then(Value::as_str).unwrap_or_default()
}

/// The message of a state, and why the driver's pod waits where the state tells.
fn words(state: &Value) -> String {
    let message = state.get("message").and_then(Value::as_str).unwrap_or_default();
    match state.get("lastObservedDriverStatus").and_then(pods::waiting) {
        Some((reason, why)) => format!("driver pod: {reason}: {why}"),
        None => message.to_owned(),
    }
}

fn outputs(child: &DynamicObject) -> std::collections::BTreeMap<String, Value> {
    let of = |name| field(child, &["status", "currentAttemptSummary", "attemptInfo", name]).and_then(Value::as_i64);
    let attempts = of("id").map(|id| ("attempts", id.saturating_add(1)));
    let restarts = of("restartCounter").map(|n| ("restarts", n));
    attempts.into_iter().chain(restarts).map(|(name, n)| (name.to_owned(), n.into())).collect()
}
