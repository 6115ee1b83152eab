//! ScheduledSparkApplication of kubeflow's Spark operator: it goes on, whatever becomes of its runs.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::text;
use super::{Component, Definition, Lifetime, Port, Report, START, Switch, spark_kubeflow};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct ScheduledSparkApplicationDriver;

const OUTPUTS: [&str; 3] = ["lastRun", "lastRunName", "nextRun"];

impl Component for ScheduledSparkApplicationDriver {
    fn definition(&self) -> Definition {
        Definition { group: spark_kubeflow::GROUP, kind: "ScheduledSparkApplication", versions: &["v1beta2"] }
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        OUTPUTS.map(|name| (name, Type::String)).into()
    }

    /// Its runs are called `<name>-<nanoseconds>`, and are the value of a label.
    fn max_name(&self) -> usize {
        43
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        if let Some(spec) = object.pointer_mut("/spec/template") {
            spark_kubeflow::wire(spec, ports);
        }
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let state = text(child, &["status", "scheduleState"]);
        let reason = text(child, &["status", "reason"]);
        // its operator leaves one that is stopped alone, status and all
        let stopped = field(child, &["spec", "suspend"]).and_then(Value::as_bool) == Some(true);
        let mut report = match state {
            _ if stopped => Report::new(Health::Suspended, "Suspended", reason),
            "" | "Validating" => {
                Report::new(Health::Pending, state, "the Spark operator has not looked at it yet").at_most(START)
            }
            "Scheduled" => Report::new(Health::Ready, state, next(child)),
            "FailedValidation" => Report::new(Health::Failed, state, reason),
            other => Report::new(Health::Unknown, other, reason),
        };
        let known = OUTPUTS.map(|name| (name, field(child, &["status", name])));
        let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
        report.outputs = known.filter(|(_, value)| value.is_string()).collect();
        report
    }

    fn change(&self, _: &Value, _: &Value) -> Change {
        Change::new(Effect::InPlace, "its next runs are made from it; one that runs goes on")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}

fn next(child: &DynamicObject) -> String {
    let next = text(child, &["status", "nextRun"]);
    let runs = |name: &str| field(child, &["status", name]).and_then(Value::as_array).map_or(0, Vec::len);
    match (next, runs("pastFailedRunNames")) {
        ("", 0) => String::new(),
        ("", failed) => format!("{failed} of the runs that are kept have failed"),
        (next, 0) => format!("next run at {next}"),
        (next, failed) => format!("next run at {next}; {failed} of the runs that are kept have failed"),
    }
}
