//! The CustomResourceDefinitions, as they are applied.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{Blueprint, DaemonJob, JobFlow, JobTemplate, MapReduceJob, Pipeline, Topic};

/// kubectl apply keeps the whole object in an annotation, and annotations end at 256 KiB.
pub const MAX_MANIFEST_BYTES: usize = 256 * 1024;

/// Every CustomResourceDefinition of the group, ordered by name.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        Blueprint::crd(),
        DaemonJob::crd(),
        JobFlow::crd(),
        JobTemplate::crd(),
        MapReduceJob::crd(),
        Pipeline::crd(),
        Topic::crd(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_crd_fits_a_client_side_apply() {
        for crd in all() {
            let bytes = serde_json::to_vec(&crd).unwrap().len();
            assert!(bytes < MAX_MANIFEST_BYTES, "{} has {bytes} bytes", crd.metadata.name.unwrap());
        }
    }

    #[test]
    fn every_kind_has_columns_categories_and_the_status_subresource() {
        for crd in all() {
            let name = crd.metadata.name.clone().unwrap();
            let categories = crd.spec.names.categories.clone().unwrap_or_default();
            assert!(categories.contains(&"all".into()) && categories.contains(&"tributary".into()), "{name}");
            let version = &crd.spec.versions[0];
            assert!(version.subresources.as_ref().unwrap().status.is_some(), "{name}");
            assert_eq!(version.additional_printer_columns.as_ref().unwrap().last().unwrap().name, "Age", "{name}");
            assert!(!crd.spec.names.short_names.clone().unwrap_or_default().is_empty(), "{name}");
        }
    }
}
