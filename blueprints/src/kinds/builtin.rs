//! The kinds that every cluster has: their names, and the schemas of those that components are likely to be.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use k8s_openapi::api::{apps, batch, core, networking};
use schemars::JsonSchema;
use serde_json::Value;

use crate::object::Gvk;
use crate::openapi::structural;

/// Group, the kinds in namespaces, the kinds outside.
const NAMES: [(&str, &[&str], &[&str]); 7] = [
    (
        "",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
        &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
    ),
    ("apps", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], &[]),
    ("batch", &["CronJob", "Job"], &[]),
    ("autoscaling", &["HorizontalPodAutoscaler"], &[]),
    ("policy", &["PodDisruptionBudget"], &[]),
    ("networking.k8s.io", &["Ingress", "NetworkPolicy"], &["IngressClass", "IPAddress", "ServiceCIDR"]),
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
];

/// The kinds of a group, and whether each lives in a namespace.
pub(super) fn names(group: &str) -> impl Iterator<Item = (&'static str, bool)> {
    let found = NAMES.iter().find(|(g, _, _)| *g == group);
    found.into_iter().flat_map(|(_, inside, outside)| {
        inside.iter().map(|kind| (*kind, true)).chain(outside.iter().map(|kind| (*kind, false)))
    })
}

type Generate = fn() -> Value;

const SCHEMAS: [(&str, &str, &str, Generate); 13] = [
    ("", "v1", "ConfigMap", schema::<core::v1::ConfigMap>),
    ("", "v1", "PersistentVolumeClaim", schema::<core::v1::PersistentVolumeClaim>),
    ("", "v1", "Pod", schema::<core::v1::Pod>),
    ("", "v1", "Secret", schema::<core::v1::Secret>),
    ("", "v1", "Service", schema::<core::v1::Service>),
    ("", "v1", "ServiceAccount", schema::<core::v1::ServiceAccount>),
    ("apps", "v1", "DaemonSet", schema::<apps::v1::DaemonSet>),
    ("apps", "v1", "Deployment", schema::<apps::v1::Deployment>),
    ("apps", "v1", "StatefulSet", schema::<apps::v1::StatefulSet>),
    ("batch", "v1", "CronJob", schema::<batch::v1::CronJob>),
    ("batch", "v1", "Job", schema::<batch::v1::Job>),
    ("networking.k8s.io", "v1", "Ingress", schema::<networking::v1::Ingress>),
    ("networking.k8s.io", "v1", "NetworkPolicy", schema::<networking::v1::NetworkPolicy>),
];

fn schema<T: JsonSchema>() -> Value {
    let whole: Value = schemars::SchemaGenerator::default().into_root_schema_for::<T>().into();
    structural(&whole, &whole)
}

/// The schema of a kind, made when it is first asked for.
pub(super) fn of(gvk: &Gvk) -> Option<Arc<Value>> {
    static MADE: OnceLock<HashMap<usize, OnceLock<Arc<Value>>>> = OnceLock::new();
    let at = SCHEMAS.iter().position(|(g, v, k, _)| (*g, *v, *k) == (&gvk.group, &gvk.version, &gvk.kind))?;
    let made = MADE.get_or_init(|| (0..SCHEMAS.len()).map(|i| (i, OnceLock::new())).collect());
    Some(Arc::clone(made.get(&at)?.get_or_init(|| Arc::new(SCHEMAS[at].3()))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_reaches_into_its_kind() {
        for (group, version, kind, _) in SCHEMAS {
            let schema = of(&Gvk::new(group, version, kind)).unwrap();
            assert!(!schema.to_string().contains("$ref"), "{kind}");
            assert!(schema.pointer("/properties/metadata").is_some(), "{kind}");
            assert!(names(group).any(|(k, _)| k == kind), "{kind}");
        }
        let job = of(&Gvk::new("batch", "v1", "Job")).unwrap();
        let image =
            "/properties/spec/properties/template/properties/spec/properties/containers/items/properties/image/type";
        assert_eq!(job.pointer(image).unwrap(), "string");
    }
}
