//! Names of kinds and of objects.

use std::fmt;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::ObjectRef;

/// `apiVersion` and `kind`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Gvk {
    /// From its three parts.
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// From `apiVersion` (`v1` or `group/version`) and `kind`.
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

/// Where an object is found: its kind without the version, its namespace (empty if cluster-wide) and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// Of an object of this kind.
    pub fn new(gvk: &Gvk, namespace: &str, name: &str) -> Self {
        Self { group: gvk.group.clone(), kind: gvk.kind.clone(), namespace: namespace.into(), name: name.into() }
    }

    /// Of an inventory's entry.
    pub fn of_ref(r: &ObjectRef) -> Self {
        Self::new(&Gvk::parse(&r.api_version, &r.kind), &r.namespace, &r.name)
    }

    /// Of an object that carries its kind; `None` where it does not.
    pub fn of(object: &DynamicObject) -> Option<Self> {
        let types = object.types.as_ref()?;
        Some(Self::new(
            &Gvk::parse(&types.api_version, &types.kind),
            object.metadata.namespace.as_deref().unwrap_or_default(),
            object.metadata.name.as_deref()?,
        ))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The value at a path of fields, such as `["status", "phase"]`.
pub fn field<'a>(object: &'a DynamicObject, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(&object.data, |value, name| value.get(name))
}
