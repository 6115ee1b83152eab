//! CronJob of Kubernetes' batch group: it goes on, whatever becomes of its Jobs.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::text;
use super::{Component, Definition, Lifetime, Port, Report, Switch, pods};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct CronJobDriver;

const TIMES: [&str; 2] = ["lastScheduleTime", "lastSuccessfulTime"];

impl Component for CronJobDriver {
    fn definition(&self) -> Definition {
        Definition { group: "batch", kind: "CronJob", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Stream
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("active", Type::Int), ("lastScheduleTime", Type::String), ("lastSuccessfulTime", Type::String)]
    }

    /// The names of its Jobs are eleven characters longer.
    fn max_name(&self) -> usize {
        52
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/jobTemplate/spec/template/spec", ports);
    }

    /// It has no condition and no observedGeneration: its schedule holds as soon as it is there. Whether its last Job came
    /// off, its status does not say.
    fn read(&self, child: &DynamicObject) -> Report {
        let active = field(child, &["status", "active"]).and_then(Value::as_array).map_or(0, Vec::len);
        let [scheduled, _] = TIMES.map(|name| text(child, &["status", name]));
        let last = if scheduled.is_empty() { "never yet".to_owned() } else { format!("last at {scheduled}") };
        let stopped = field(child, &["spec", "suspend"]).and_then(Value::as_bool) == Some(true);
        let mut report = if stopped {
            Report::new(Health::Suspended, "Suspended", format!("{active} Jobs still run"))
        } else {
            Report::new(Health::Ready, "Scheduled", format!("scheduled {last}; {active} Jobs run"))
        };
        report.outputs.insert("active".into(), active.into());
        for name in TIMES {
            report.outputs.extend(field(child, &["status", name]).map(|time| (name.to_owned(), time.clone())));
        }
        report
    }

    fn change(&self, _: &Value, _: &Value) -> Change {
        Change::new(Effect::InPlace, "its next Jobs are made from it; those that run go on")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}
