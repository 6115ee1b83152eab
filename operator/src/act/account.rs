//! In whose name the children of a Pipeline are written.

use http::{HeaderName, HeaderValue, Request};
use kube::core::ApiResource;
use tributary_blueprints::object::ObjectKey;

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");
/// The role that comes with the operator, for the accounts of Pipelines.
pub const PIPELINE_ROLE: &str = "tributary-pipeline";
/// Kinds that the operator keeps for itself beside a Pipeline, whatever its account may do.
const OWN: [(&str, &str); 1] = [("apps", "ControllerRevision")];

/// A ServiceAccount. The apiserver adds the groups that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Account {
    /// Whether objects of this kind are written in its name.
    pub fn writes(&self, key: &ObjectKey) -> bool {
        !OWN.contains(&(key.group.as_str(), key.kind.as_str()))
    }

    /// Makes the request one of this account's.
    pub fn sign(&self, request: &mut Request<Vec<u8>>) -> Result<(), http::Error> {
        let user = format!("system:serviceaccount:{}:{}", self.namespace, self.name);
        request.headers_mut().insert(IMPERSONATE_USER, HeaderValue::try_from(user)?);
        Ok(())
    }

    /// What a user may do about a refusal, commands and rule included.
    pub fn grant(&self, key: &ObjectKey, resource: &ApiResource) -> String {
        let Self { namespace, name } = self;
        let to = if key.namespace.is_empty() { namespace } else { &key.namespace };
        format!(
            "; the ServiceAccount {namespace}/{name} needs the right: kubectl create rolebinding {PIPELINE_ROLE}-{name} \
             --namespace={to} --clusterrole={PIPELINE_ROLE} --serviceaccount={namespace}:{name}, or in a role of its own \
             the rule {{apiGroups: [\"{}\"], resources: [{}], verbs: [create, patch]}}",
            resource.group, resource.plural
        )
    }
}
