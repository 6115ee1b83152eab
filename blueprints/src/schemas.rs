//! The schemas of our own kinds, from the types themselves.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::object::Gvk;

fn all() -> &'static BTreeMap<String, Value> {
    static ALL: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    ALL.get_or_init(|| {
        let schema_of = |crd| {
            let crd = serde_json::to_value(crd).ok()?;
            let kind = crd.pointer("/spec/names/kind")?.as_str()?.to_owned();
            Some((kind, crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone()))
        };
        tributary_crds::schema::all().into_iter().filter_map(schema_of).collect()
    })
}

/// The kinds of our own group.
pub(crate) fn kinds() -> Vec<&'static str> {
    all().keys().map(String::as_str).collect()
}

/// The OpenAPI v3 schema of a kind; `None` where it is not known.
pub(crate) fn of(gvk: &Gvk) -> Option<&'static Value> {
    if gvk.group == tributary_crds::GROUP { all().get(&gvk.kind) } else { None }
}
