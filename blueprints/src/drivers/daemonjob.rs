//! DaemonJob: ports become environment variables of its pods.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{GROUP, Health, VERSION};

use super::conditions::count;
use super::{Component, Definition, Lifetime, Port, Report, Switch, jobflow, pods};
use crate::expr::Type;

pub(super) struct DaemonJobDriver;

const COUNTS: [&str; 3] = ["failed", "nodes", "succeeded"];

impl Component for DaemonJobDriver {
    fn definition(&self) -> Definition {
        Definition { group: GROUP, kind: "DaemonJob", versions: &[VERSION] }
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        jobflow::lifetime(template)
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        COUNTS.map(|name| (name, Type::Int)).into()
    }

    fn max_name(&self) -> usize {
        52
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        pods::wire(object, "/spec/template/spec", ports);
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let mut report = jobflow::report(child);
        if report.health == Health::Succeeded {
            report.outputs = COUNTS.map(|name| (name.to_owned(), count(child, &["status", name]).into())).into();
        }
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}
