//! How requests are made, and what their answers mean.

use kube::core::{ApiResource, DynamicObject};
use tributary_blueprints::object::{Gvk, ObjectKey};

use super::{Account, ActError};

pub(super) fn gvk_of(object: &DynamicObject, key: &ObjectKey) -> Result<Gvk, ActError> {
    match &object.types {
        Some(types) => Ok(Gvk::parse(&types.api_version, &types.kind)),
        None => Err(ActError::Malformed { key: key.clone(), message: "an object without a kind".into() }),
    }
}

pub(super) fn url(resource: &ApiResource, namespace: &str) -> String {
    let group = if resource.group.is_empty() { "/api".into() } else { format!("/apis/{}", resource.group) };
    let base = format!("{group}/{}", resource.version);
    match namespace {
        "" => format!("{base}/{}", resource.plural),
        _ => format!("{base}/namespaces/{namespace}/{}", resource.plural),
    }
}

/// A quota and an admission policy forbid as well.
pub(super) fn is_for_want_of_a_right(message: &str) -> bool {
    message.contains(" cannot create resource ") || message.contains(" cannot patch resource ")
}

pub(super) fn signed(
    mut request: http::Request<Vec<u8>>,
    key: &ObjectKey,
    account: Option<&Account>,
) -> kube::Result<http::Request<Vec<u8>>> {
    if let Some(account) = account.filter(|account| account.writes(key)) {
        account.sign(&mut request).map_err(kube::Error::HttpError)?;
    }
    Ok(request)
}

pub(super) fn is_already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists")
}
