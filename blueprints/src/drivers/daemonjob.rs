//! DaemonJob: ports become environment variables of its pods.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{GROUP, Health, StatusRules, VERSION};

use super::conditions::count;
use super::{Component, Lifetime, Port, Ports, Report, jobflow, pods, set_spec_suspend, spec_suspend};
use crate::expr::Type;

pub(super) struct DaemonJobDriver;

const COUNTS: [&str; 3] = ["failed", "nodes", "succeeded"];

impl Component for DaemonJobDriver {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn kind(&self) -> &'static str {
        "DaemonJob"
    }

    fn versions(&self) -> &'static [&'static str] {
        &[VERSION]
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        jobflow::lifetime(template)
    }

    fn ports(&self) -> Ports {
        Ports::Any
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

    fn observe(&self, child: &DynamicObject, _: Option<&StatusRules>) -> Report {
        let mut report = jobflow::report(child);
        if report.health == Health::Succeeded {
            report.outputs = COUNTS.map(|name| (name.to_owned(), count(child, &["status", name]).into())).into();
        }
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn suspended(&self, object: &Value) -> Option<bool> {
        Some(spec_suspend(object))
    }

    fn suspend(&self, object: &mut Value, on: bool) {
        set_spec_suspend(object, on);
    }
}
