//! JobSet of kubernetes-sigs: Jobs that begin, fail and end together.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::{condition, count, percent, text};
use super::{Component, Definition, Lifetime, Port, Report, Switch, pods};
use crate::expr::Type;
use crate::object::field;

pub(super) struct JobSetDriver;

impl Component for JobSetDriver {
    fn definition(&self) -> Definition {
        Definition { group: "jobset.x-k8s.io", kind: "JobSet", versions: &["v1", "v1alpha2"] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Batch
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("failed", Type::Int), ("restarts", Type::Int), ("succeeded", Type::Int)]
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        let jobs = object.pointer("/spec/replicatedJobs").and_then(Value::as_array).map_or(0, Vec::len);
        for i in 0..jobs {
            pods::wire(object, &format!("/spec/replicatedJobs/{i}/template/spec/template/spec"), ports);
        }
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let is = |type_: &str| condition(child, type_).filter(|c| c.is_true());
        let jobs = Jobs::of(child);
        let words = format!("{}/{} Jobs have succeeded, {} run", jobs.succeeded, jobs.all, jobs.active);
        let ended = is("Completed").map(|c| (Health::Succeeded, c));
        let ended = ended.or_else(|| is("Failed").map(|c| (Health::Failed, c)));
        let mut report = if let Some((health, c)) = ended {
            Report { finished_at: c.time.and_then(|t| t.parse().ok()), ..Report::finished(health, c.reason, c.message) }
        } else {
            // the conditions may come after it
            match text(child, &["status", "terminalState"]) {
                "" => under_way(child, &jobs, words),
                "Completed" => Report::finished(Health::Succeeded, "Completed", words),
                "Failed" => Report::finished(Health::Failed, "Failed", words),
                other => Report::new(Health::Unknown, other, words),
            }
        };
        report.percent = if report.health == Health::Succeeded { Some(100) } else { percent(jobs.succeeded, jobs.all) };
        if report.finished {
            let restarts = count(child, &["status", "restarts"]);
            report.outputs = [("failed", jobs.failed), ("restarts", restarts), ("succeeded", jobs.succeeded)]
                .map(|(name, n)| (name.to_owned(), n.into()))
                .into();
        }
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn ttl_field(&self) -> Option<&'static str> {
        Some("ttlSecondsAfterFinished")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}

fn under_way(child: &DynamicObject, jobs: &Jobs, words: String) -> Report {
    let is = |type_: &str| condition(child, type_).filter(|c| c.is_true());
    if let Some(c) = is("Suspended") {
        Report::new(Health::Suspended, c.reason, c.message)
    } else if let Some(c) = is("RestartingJobSet").or_else(|| is("StartupPolicyInProgress")) {
        Report::new(Health::Progressing, c.reason, c.message)
    } else if jobs.active + jobs.succeeded + jobs.failed > 0 {
        Report::new(Health::Progressing, "Running", words)
    } else {
        Report::new(Health::Pending, "", "")
    }
}

/// The Jobs of a JobSet, counted over all replicas.
struct Jobs {
    all: i64,
    active: i64,
    failed: i64,
    succeeded: i64,
}

impl Jobs {
    fn of(child: &DynamicObject) -> Self {
        let list = |path: &[&str]| field(child, path).and_then(Value::as_array).into_iter().flatten();
        let sum = |list: &mut dyn Iterator<Item = &Value>, name: &str, absent: i64| {
            list.map(|job| job.get(name).and_then(Value::as_i64).unwrap_or(absent)).fold(0, i64::saturating_add)
        };
        let told = |name| sum(&mut list(&["status", "replicatedJobsStatus"]), name, 0);
        Self {
            all: sum(&mut list(&["spec", "replicatedJobs"]), "replicas", 1),
            active: told("active"),
            failed: told("failed"),
            succeeded: told("succeeded"),
        }
    }
}
