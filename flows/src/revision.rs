//! The spec of a run, frozen when the run begins: a ControllerRevision.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::DynamicObject;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tributary_blueprints::object::Gvk;
use tributary_crds::Template;

use crate::template::{Making, object};

/// apps/v1 ControllerRevision.
pub(crate) fn gvk() -> Gvk {
    Gvk::new("apps", "v1", "ControllerRevision")
}

/// A revision of an owner, and what was frozen in it.
#[derive(Debug)]
pub struct Revision<F> {
    /// The object without its data.
    pub metadata: kube::core::ObjectMeta,
    /// What was frozen; `None` where it cannot be read, or nobody needs it.
    pub frozen: Option<Arc<F>>,
}

impl<F> Clone for Revision<F> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), frozen: self.frozen.clone() }
    }
}

/// Revisions by their run.
pub type Revisions<F> = BTreeMap<i64, Revision<F>>;

/// The object that keeps a spec and the JobTemplates that it refers to.
pub(crate) fn freeze<S: Serialize>(
    spec: &S,
    templates: &BTreeMap<String, Template>,
    run: i64,
    making: &Making<'_>,
) -> DynamicObject {
    let mut data = json!({"spec": spec});
    if !templates.is_empty() {
        data["templates"] = json!(templates);
    }
    object("apps/v1", "ControllerRevision", making, json!({"data": data, "revision": run}))
}

/// What a revision keeps; `None` where it cannot be read.
pub fn thaw<S: DeserializeOwned>(revision: &DynamicObject) -> Option<(S, BTreeMap<String, Template>)> {
    let data = revision.data.get("data")?;
    let spec = S::deserialize(data.get("spec")?).ok()?;
    let templates = data.get("templates").map_or(Ok(BTreeMap::new()), |t: &Value| BTreeMap::deserialize(t)).ok()?;
    Some((spec, templates))
}
