//! What a plan is about.

use kube::core::ObjectMeta;

use super::Account;
use crate::caches::Primary;

/// The object that a plan is about, as the decision saw it. Its version moves on with each write to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which object.
    pub primary: Primary,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// In whose name its children are created and applied; `None` is the operator's own.
    pub account: Option<Account>,
}

impl Target {
    /// The object with this metadata.
    pub fn new(primary: &Primary, metadata: &ObjectMeta) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (uid, resource_version) = (text(&metadata.uid), text(&metadata.resource_version));
        Self { primary: primary.clone(), uid, resource_version, account: None }
    }

    /// With children that are written in the name of this ServiceAccount of its namespace.
    pub fn acting_as(mut self, service_account: &str) -> Self {
        self.account = Some(Account { namespace: self.primary.namespace.clone(), name: service_account.into() });
        self
    }
}
