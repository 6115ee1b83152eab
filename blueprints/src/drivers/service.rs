//! Service: its addresses.

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::Health;

use super::conditions::text;
use super::{Component, Definition, Lifetime, Report, says_otherwise};
use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::field;

pub(super) struct ServiceDriver;

impl Component for ServiceDriver {
    fn definition(&self) -> Definition {
        Definition { group: "", kind: "Service", versions: &["v1"] }
    }

    fn on_demand(&self) -> bool {
        true
    }

    fn lifetime(&self, _: &Value) -> Lifetime {
        Lifetime::Static
    }

    /// `address` is where others reach it: of a load balancer its host name or address, of an external name that name, else
    /// the host name within the cluster. `clusterIP` is absent where it has none.
    fn outputs(&self) -> Vec<(&'static str, Type)> {
        vec![("address", Type::String), ("clusterIP", Type::String), ("host", Type::String)]
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let name = child.metadata.name.as_deref().unwrap_or_default();
        let host = format!("{name}.{}.svc", child.metadata.namespace.as_deref().unwrap_or_default());
        let ip = text(child, &["spec", "clusterIP"]);
        let (address, pending) = match text(child, &["spec", "type"]) {
            "LoadBalancer" => (balancer(child), "its load balancer has no address yet"),
            "ExternalName" => (Some(text(child, &["spec", "externalName"])), ""),
            "" | "ClusterIP" | "NodePort" if ip.is_empty() => (None, "it has no address yet"),
            _ => (Some(host.as_str()), ""),
        };
        let mut report = match address {
            Some(address) => Report::new(Health::Ready, "", address),
            None => Report::new(Health::Progressing, "AddressPending", pending),
        };
        let known = [("address", address), ("clusterIP", Some(ip)), ("host", Some(host.as_str()))];
        let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let known = known.filter(|(_, value)| !matches!(*value, "" | "None"));
        report.outputs = known.map(|(name, value)| (name.to_owned(), value.into())).collect();
        report
    }

    fn change(&self, old: &Value, new: &Value) -> Change {
        if says_otherwise(old.pointer("/spec/clusterIP"), new.pointer("/spec/clusterIP")) {
            Change::new(Effect::Replace, "spec.clusterIP cannot be changed; it has another address afterwards")
        } else {
            Change::new(Effect::InPlace, "it keeps its address")
        }
    }
}

/// The host name or address of a load balancer.
fn balancer(child: &DynamicObject) -> Option<&str> {
    let all = field(child, &["status", "loadBalancer", "ingress"]).and_then(Value::as_array);
    let of = |ingress: &'_ Value, name: &str| ingress.get(name).and_then(Value::as_str).is_some_and(|a| !a.is_empty());
    all.into_iter().flatten().find_map(|ingress| {
        let name = ["hostname", "ip"].into_iter().find(|name| of(ingress, name))?;
        ingress.get(name)?.as_str()
    })
}
