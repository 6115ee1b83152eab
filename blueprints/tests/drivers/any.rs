//! What holds of any status whatever.

use kube::core::DynamicObject;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_blueprints::drivers;
use tributary_crds::{ComponentStatus, Health};

use super::one::One;

/// JSON with the names and words that drivers look for, in all the wrong places.
fn status() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "state",
        "phase",
        "conditions",
        "type",
        "status",
        "reason",
        "message",
        "applicationState",
        "errorMessage",
        "executorState",
        "driverInfo",
        "podName",
        "currentState",
        "currentStateSummary",
        "stateTransitionHistory",
        "1",
        "lastObservedDriverStatus",
        "containerStatuses",
        "jobStatus",
        "lifecycleState",
        "jobManagerDeploymentStatus",
        "replicatedJobsStatus",
        "active",
        "succeeded",
        "failed",
        "terminalState",
        "replicas",
        "readyReplicas",
        "observedGeneration",
        "desiredNumberScheduled",
        "numberAvailable",
        "loadBalancer",
        "ingress",
        "engine",
        "map",
        "total",
        "finished",
        "done",
        "outputs",
        "run",
        "completionTime",
        "terminationTime",
        "capacity",
        "storage",
        "scheduleState",
        "nextRun",
        "waiting",
        "lastTransitionTime",
        "currentAttemptSummary",
        "attemptInfo",
        "id",
        "restartCounter",
        "spec",
        "error",
        "topicName",
    ]);
    let words = prop::sample::select(vec![
        "",
        "True",
        "False",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "SUBMITTED",
        "UNKNOWN",
        "SUBMISSION_FAILED",
        "SUSPENDED",
        "Succeeded",
        "Failed",
        "Running",
        "Complete",
        "Completed",
        "Ready",
        "Suspended",
        "ResourceReleased",
        "Submitted",
        "RunningHealthy",
        "STABLE",
        "FINISHED",
        "Bound",
        "Lost",
        "Scheduled",
        "2026-01-01T00:00:00Z",
        "not a time",
        "9/0",
        "1/3",
        "\u{0}",
        "é\u{202e}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// A status that some kind's controller might show, right or wrong.
fn plausible() -> impl Strategy<Value = Value> {
    let spark = prop::sample::select(vec![
        "",
        "SUBMITTED",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "SUBMISSION_FAILED",
        "PENDING_RERUN",
        "FAILING",
        "SUCCEEDING",
        "SUSPENDED",
        "UNKNOWN",
        "ODD",
    ]);
    let condition = prop::sample::select(vec!["Complete", "Completed", "Failed", "Suspended", "Ready"]);
    let apache = prop::sample::select(vec!["Submitted", "RunningHealthy", "Failed", "Succeeded", "ResourceReleased"]);
    prop_oneof![
        spark.prop_map(|s| json!({"applicationState": {"state": s}, "state": s})),
        (condition, any::<bool>())
            .prop_map(|(c, on)| json!({"conditions": [{"type": c, "status": if on { "True" } else { "False" }}]})),
        (apache.clone(), apache).prop_map(|(now, was)| json!({"currentState": {"currentStateSummary": now},
                "stateTransitionHistory": {"1": {"currentStateSummary": was}}})),
        prop::sample::select(vec!["Succeeded", "Failed", "Running", "Pending"]).prop_map(|p| json!({"phase": p})),
        status(),
    ]
}

fn batch() -> Vec<Value> {
    let pod = json!({"spec": {"containers": [{"name": "main", "image": "x"}]}});
    vec![
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod}}),
        json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"driver": {}, "executor": {}}}),
        json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkApplication", "spec": {}}),
        json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "spec": {"replicatedJobs": []}}),
        json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
            "spec": {"job": {}, "flinkConfiguration": {"execution.runtime-mode": "BATCH"}}}),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {}}),
        json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "spec": {"input": {"strings": ["a"]},
            "map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "output": {"results": {}}}}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever an object holds, reading it gives a report with outputs of the types that are declared, or none.
    #[test]
    fn no_status_is_too_odd_to_be_read(status in status(), spec in status(), generation in any::<i64>()) {
        let pod: DynamicObject = serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        for driver in drivers::ALL.iter().copied().chain([drivers::of("example.com", "Widget")]) {
            let child: DynamicObject = serde_json::from_value(json!({"apiVersion": "example.com/v1", "kind": driver.kind(),
                "metadata": {"name": "x", "namespace": "y", "generation": generation}, "spec": spec, "status": status})).unwrap();
            let mut report = driver.observe(&child, None);
            prop_assert!(report.percent.is_none_or(|p| (0..=100).contains(&p)), "{}: {:?}", driver.kind(), report.percent);
            prop_assert!(!report.finished || matches!(report.health, Health::Succeeded | Health::Failed), "{}", driver.kind());
            prop_assert!(report.patience.is_none() || !report.finished);
            let declared = driver.outputs();
            for name in report.outputs.keys() {
                prop_assert!(declared.iter().any(|(n, _)| n == name), "{} {name}", driver.kind());
            }
            driver.related(&child);
            driver.explain(&mut report, &pod);
            driver.change(&child.data, &json!({"spec": status}));
            driver.suspended(&child.data);
            driver.lifetime(&child.data);
        }
    }

    /// An outcome that is latched stays what it is, whatever the child shows afterwards and whether it is there.
    #[test]
    fn a_latched_outcome_never_changes(
        kind in 0_usize..7,
        statuses in prop::collection::vec(prop::option::weighted(0.9, plausible()), 1..12),
    ) {
        let mut one = One::new(&batch()[kind]);
        let mut latched: Option<ComponentStatus> = None;
        for status in &statuses {
            one.status(status.as_ref());
            let line = one.line();
            if let Some(latched) = &latched {
                prop_assert_eq!(latched, &line);
            }
            if line.latched {
                prop_assert!(matches!(line.health, Health::Succeeded | Health::Failed));
                latched = Some(line);
            }
        }
    }
}
