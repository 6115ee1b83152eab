//! What is known of kinds: their schemas and their rules.
//!
//! Our own come from the types themselves; those of others from the apiserver or from CustomResourceDefinitions in
//! files; those that every cluster has, from Kubernetes' own types, so that a file alone can be verified.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde_json::{Value, json};

use crate::expr::Type;
use crate::object::Gvk;
use crate::world::Served;

mod builtin;
mod own;

pub(crate) use own::{kinds, rule};

/// The OpenAPI v3 schema of a kind; `None` where it is not known.
pub(crate) fn schema(gvk: &Gvk, served: Option<&Served>) -> Option<Arc<Value>> {
    if gvk.group == tributary_crds::GROUP {
        return own::of(gvk);
    }
    let served = served.and_then(|s| s.get(&gvk.group, &gvk.kind)).and_then(|k| k.schemas.get(&gvk.version));
    served.cloned().or_else(|| builtin::of(gvk))
}

/// The kinds that every cluster has in a group, and whether each lives in a namespace; empty for other groups.
pub(crate) fn of_every_cluster(group: &str) -> impl Iterator<Item = (&'static str, bool)> {
    builtin::names(group)
}

/// The metadata that a template may have.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"labels": strings, "annotations": strings}})
    })
}

/// The types of a kind with a schema.
#[derive(Debug, Default)]
pub(crate) struct KindTypes {
    /// The type of a whole object, as the apiserver gives it.
    pub(crate) object: Type,
    /// The type of its status.
    pub(crate) status: Type,
}

/// The types that a schema describes. They are made once for each schema that lives, since some are large.
pub(crate) fn types(schema: &Arc<Value>) -> Arc<KindTypes> {
    type Made = HashMap<usize, (Weak<Value>, Arc<KindTypes>)>;
    static MADE: OnceLock<Mutex<Made>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let address = Arc::as_ptr(schema).addr();
    match made.get(&address) {
        // while the schema that it was made for lives, no other has its address
        Some((of, types)) if of.strong_count() > 0 => Arc::clone(types),
        _ => {
            made.retain(|_, (of, _)| of.strong_count() > 0);
            let status = schema.pointer("/properties/status").map_or(Type::Dyn, Type::of_schema);
            let types = Arc::new(KindTypes { object: object_type(schema), status });
            made.insert(address, (Arc::downgrade(schema), Arc::clone(&types)));
            types
        }
    }
}

fn object_type(schema: &Value) -> Type {
    let text = || Type::String;
    let texts = || Type::map(Type::String);
    let metadata = [
        ("name", text()),
        ("namespace", text()),
        ("uid", text()),
        ("resourceVersion", text()),
        ("creationTimestamp", text()),
        ("deletionTimestamp", text()),
        ("generation", Type::Int),
        ("labels", texts()),
        ("annotations", texts()),
        ("finalizers", Type::list(Type::String)),
        ("ownerReferences", Type::Dyn),
    ];
    let fields = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let fields = fields.map(|(name, schema)| (name.clone(), Type::of_schema(schema)));
    let whole = fields.chain([
        ("apiVersion".to_owned(), text()),
        ("kind".to_owned(), text()),
        ("metadata".to_owned(), Type::object(metadata)),
    ]);
    Type::object(whole)
}
