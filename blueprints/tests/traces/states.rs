//! Tables of states: each row for itself.

use std::collections::BTreeMap;
use std::path::Path;

use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tributary_blueprints::drivers::{self, Report};
use tributary_blueprints::expr::Type;
use tributary_crds::{Health, StatusRules};

/// The states of kinds whose controllers have a fixed set of them.
pub const KNOWN: &[(&str, &str, &[&str])] = &[
    (
        "sparkoperator.k8s.io",
        "SparkApplication",
        &[
            "",
            "SUBMITTED",
            "RUNNING",
            "COMPLETED",
            "FAILED",
            "SUBMISSION_FAILED",
            "PENDING_RERUN",
            "INVALIDATING",
            "SUCCEEDING",
            "FAILING",
            "SUSPENDING",
            "SUSPENDED",
            "RESUMING",
            "UNKNOWN",
        ],
    ),
    ("sparkoperator.k8s.io", "ScheduledSparkApplication", &["", "Validating", "Scheduled", "FailedValidation"]),
    (
        "spark.apache.org",
        "SparkApplication",
        &[
            "",
            "Submitted",
            "ScheduledToRestart",
            "DriverRequested",
            "DriverStarted",
            "DriverReady",
            "InitializedBelowThresholdExecutors",
            "RunningHealthy",
            "RunningWithPartialCapacity",
            "RunningWithBelowThresholdExecutors",
            "DriverStartTimedOut",
            "ExecutorsStartTimedOut",
            "DriverReadyTimedOut",
            "Succeeded",
            "Failed",
            "SchedulingFailure",
            "DriverEvicted",
            "ResourceReleased",
            "TerminatedWithoutReleaseResources",
            "Suspended",
        ],
    ),
    (
        "flink.apache.org",
        "FlinkDeployment",
        &[
            "",
            "CREATED",
            "SUSPENDED",
            "UPGRADING",
            "DEPLOYED",
            "STABLE",
            "ROLLING_BACK",
            "ROLLED_BACK",
            "FAILED",
            "DELETING",
            "DELETED",
        ],
    ),
    (
        "jobset.x-k8s.io",
        "JobSet",
        &["", "Completed", "Failed", "Suspended", "RestartingJobSet", "StartupPolicyInProgress"],
    ),
    (
        "kafka.strimzi.io",
        "KafkaTopic",
        &[
            "",
            "Ready",
            "KafkaError",
            "InternalError",
            "NotSupported",
            "ResourceConflict",
            "Unmanaged",
            "ReconciliationPaused",
        ],
    ),
    ("batch", "Job", &["", "active", "Suspended", "SuccessCriteriaMet", "FailureTarget", "Complete", "Failed"]),
    ("", "PersistentVolumeClaim", &["", "Pending", "Bound", "Lost"]),
];

/// A file of states.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    api_version: String,
    kind: String,
    /// Of the rows that have none of their own.
    #[serde(default)]
    spec: Value,
    /// The component's status rules.
    #[serde(default)]
    rules: Option<StatusRules>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    /// The state, in the controller's own word.
    state: String,
    #[serde(default)]
    spec: Option<Value>,
    /// Fields beside spec and status.
    #[serde(default)]
    beside: BTreeMap<String, Value>,
    #[serde(default = "one")]
    generation: i64,
    #[serde(default)]
    status: Option<Value>,
    reads: Health,
    #[serde(default)]
    reason: Option<String>,
    /// A part of the message.
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    finished: bool,
    #[serde(default)]
    finished_at: Option<String>,
    #[serde(default)]
    percent: Option<i32>,
    #[serde(default)]
    outputs: Option<BTreeMap<String, Value>>,
    /// Seconds.
    #[serde(default)]
    patience: Option<u64>,
}

fn one() -> i64 {
    1
}

impl Table {
    pub fn is_of(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.kind == kind
    }

    pub fn has(&self, state: &str) -> bool {
        self.rows.iter().any(|row| row.state == state)
    }

    fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    fn child(&self, row: &Row) -> DynamicObject {
        let mut object = json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": "child", "namespace": "apps", "generation": row.generation},
        });
        for (name, value) in &row.beside {
            object[name] = value.clone();
        }
        let spec = row.spec.as_ref().unwrap_or(&self.spec);
        for (name, value) in [("spec", Some(spec)), ("status", row.status.as_ref())] {
            if let Some(value) = value.filter(|v| !v.is_null()) {
                object[name] = value.clone();
            }
        }
        serde_json::from_value(object).unwrap()
    }
}

/// The rows that read otherwise.
pub fn faults(path: &Path) -> Vec<String> {
    let table: Table = super::read(path);
    let driver = drivers::of(table.group(), &table.kind);
    let known: BTreeMap<&str, Type> = driver.outputs().into_iter().collect();
    let mut faults = Vec::new();
    for row in &table.rows {
        let report = driver.observe(&table.child(row), table.rules.as_ref());
        let mut fault = |what: String| faults.push(format!("{}: {}: {what}", path.display(), row.state));
        for what in differences(row, &report) {
            fault(what);
        }
        if table.rules.is_none() {
            for (name, value) in &report.outputs {
                if known.get(name.as_str()).is_none_or(|type_| !Type::of_value(value).fits(type_)) {
                    fault(format!("output {name} is {value}, but {:?} is declared", known.get(name.as_str())));
                }
            }
        }
    }
    faults
}

fn differences(row: &Row, report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, is: String, must: String| {
        if is != must {
            found.push(format!("{what} is {is}, not {must}"));
        }
    };
    differ("health", format!("{:?}", report.health), format!("{:?}", row.reads));
    differ("finished", report.finished.to_string(), row.finished.to_string());
    differ("percent", format!("{:?}", report.percent), format!("{:?}", row.percent));
    differ("patience", format!("{:?}", report.patience.map(|p| p.as_secs())), format!("{:?}", row.patience));
    if let Some(at) = &row.finished_at {
        differ("finishedAt", report.finished_at.map(|t| t.to_string()).unwrap_or_default(), at.clone());
    }
    if let Some(reason) = &row.reason {
        differ("reason", report.reason.clone(), reason.clone());
    }
    if let Some(message) = row.message.as_ref().filter(|m| !report.message.contains(*m)) {
        differ("message", report.message.clone(), message.clone());
    }
    if let Some(outputs) = &row.outputs {
        differ("outputs", json!(report.outputs).to_string(), json!(outputs).to_string());
    }
    found
}
