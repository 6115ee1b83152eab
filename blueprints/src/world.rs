//! What a decision is made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{BlueprintSpec, Pipeline, Reason};

use crate::claims::Claim;
use crate::object::{Gvk, ObjectKey};
use crate::revision::Kept;

/// Everything that a decision about one Pipeline may know. `observe` fills it from caches.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The Pipeline, its last written status included.
    pub pipeline: Pipeline,
    /// The Blueprint that `blueprintRef` names; `None` where there is none, or it is inline.
    pub blueprint: Option<BlueprintSpec>,
    /// Its revisions; `None` where nobody keeps any, as in a run on one machine: it then runs what it says.
    pub revisions: Option<Vec<Kept>>,
    /// What older Pipelines claim of what this one claims.
    pub rivals: Vec<Claim>,
    /// Objects of the kinds that the Pipeline may have children of: those that carry its label, those that its
    /// inventory names, and those that have a name which one of its children would have.
    pub children: Objects,
    /// Objects that are not ours and tell more of the children: those that [`related`](crate::drivers::related) names.
    pub related: Objects,
    /// The kinds that the apiserver serves.
    pub served: Arc<Served>,
    /// Writes that the apiserver refused for good, and kinds that the operator may not watch: data for the user.
    pub refusals: Vec<Refusal>,
}

/// The verb of a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// POST.
    Create,
    /// Server-side apply.
    Apply,
    /// DELETE.
    Delete,
    /// List and watch; the key's name is empty.
    Watch,
}

/// A request that was refused and that will be refused again until somebody changes something: 403, 422, 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was tried.
    pub verb: Verb,
    /// On which object.
    pub key: ObjectKey,
    /// `Forbidden`, `Rejected` or `NameTaken`.
    pub reason: Reason,
    /// The apiserver's words.
    pub message: String,
}

/// Objects by their key.
#[derive(Clone, Debug, Default)]
pub struct Objects(pub BTreeMap<ObjectKey, DynamicObject>);

impl Objects {
    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<&DynamicObject> {
        self.0.get(key)
    }
}

impl FromIterator<DynamicObject> for Objects {
    /// Objects that carry no kind are left out.
    fn from_iter<T: IntoIterator<Item = DynamicObject>>(iter: T) -> Self {
        Self(iter.into_iter().filter_map(|o| Some((ObjectKey::of(&o)?, o))).collect())
    }
}

/// The kinds that are served: group and kind to what discovery says of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served(pub BTreeMap<(String, String), ServedKind>);

/// What discovery says of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedKind {
    /// The preferred version.
    pub version: String,
    /// All served versions.
    pub versions: Vec<String>,
    /// Plural name.
    pub plural: String,
    /// Whether it is namespaced.
    pub namespaced: bool,
    /// OpenAPI v3 schemas by version, without references to others; empty where they are not known.
    pub schemas: BTreeMap<String, Arc<Value>>,
}

impl Served {
    /// What discovery says of this group and kind.
    pub fn get(&self, group: &str, kind: &str) -> Option<&ServedKind> {
        self.0.get(&(group.to_owned(), kind.to_owned()))
    }

    /// Whether exactly this version of the kind is served.
    pub fn serves(&self, gvk: &Gvk) -> bool {
        self.get(&gvk.group, &gvk.kind).is_some_and(|k| k.versions.contains(&gvk.version))
    }

    /// Adds the kind that a CustomResourceDefinition defines, with the schemas of its versions.
    ///
    /// # Errors
    /// What is missing in it, where it is none.
    pub fn add_definition(&mut self, crd: &Value) -> Result<(), String> {
        let text = |pointer: &str| {
            let found = crd.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            found.ok_or_else(|| format!("the field `{}` is missing", pointer[1..].replace('/', ".")))
        };
        let (group, kind) = (text("/spec/group")?, text("/spec/names/kind")?);
        let served = |v: &&Value| v.get("served").and_then(Value::as_bool) != Some(false);
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten().filter(served);
        let mut found = ServedKind {
            plural: text("/spec/names/plural")?,
            namespaced: text("/spec/scope")? == "Namespaced",
            ..ServedKind::default()
        };
        for version in versions {
            let Some(name) = version.get("name").and_then(Value::as_str) else { continue };
            found.versions.push(name.to_owned());
            if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
                found.schemas.insert(name.to_owned(), Arc::new(crate::openapi::structural(schema, crd)));
            }
        }
        found.version = found.versions.first().cloned().ok_or("the field `spec.versions` is missing")?;
        self.0.insert((group, kind), found);
        Ok(())
    }

    /// Adds a kind with one version.
    pub fn add(&mut self, gvk: &Gvk, plural: &str, namespaced: bool) {
        let kind = ServedKind {
            version: gvk.version.clone(),
            versions: vec![gvk.version.clone()],
            plural: plural.into(),
            namespaced,
            schemas: BTreeMap::new(),
        };
        self.0.insert((gvk.group.clone(), gvk.kind.clone()), kind);
    }
}
