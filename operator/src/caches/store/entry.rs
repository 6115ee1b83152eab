//! How one object is kept.

use std::sync::Arc;

use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use tributary_blueprints::object::Gvk;
use tributary_crds::GROUP;

use super::{is_of_flow, version_of};
use crate::{
    caches::{events::own_lane, parse},
    queue::Lane,
};

/// One object of a store.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) version: Option<u128>,
    pub(super) uid: Option<Arc<str>>,
    /// When it is its own turn, where decisions are about it.
    pub(super) own_lane: Lane,
    pub(super) body: Body,
}

/// Most objects are looked at when they change and never again: as text they take a tenth of the memory. Of flows and nodes a pass
/// reads thousands.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Whole(Arc<DynamicObject>),
    /// Its JSON.
    Text(Arc<str>),
}

impl Entry {
    pub(super) fn new(object: &Arc<DynamicObject>, gvk: &Gvk) -> Self {
        let text = if is_read_by_thousands(object, gvk) { None } else { serde_json::to_string(&**object).ok() };
        Self {
            version: version_of(object),
            uid: object.metadata.uid.as_deref().map(Arc::from),
            own_lane: own_lane(object),
            body: text.map_or_else(|| Body::Whole(object.clone()), |text| Body::Text(text.into())),
        }
    }
}

impl Body {
    /// The object, which is of this kind.
    pub(super) fn object(&self, gvk: &Gvk) -> Arc<DynamicObject> {
        match self {
            Self::Whole(object) => object.clone(),
            // it was written from one
            Self::Text(text) => Arc::new(object_of(text, gvk).unwrap_or_else(|_| DynamicObject {
                types: None,
                metadata: ObjectMeta::default(),
                data: Value::Null,
            })),
        }
    }

    /// The object as the type it is of.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self {
            Self::Whole(object) => parse(object),
            Self::Text(text) => serde_json::from_str(text),
        }
    }
}

/// As [`DynamicObject`] reads itself, but without a detour over fields that may be any one's.
fn object_of(text: &str, gvk: &Gvk) -> Result<DynamicObject, serde_json::Error> {
    let mut data: Map<String, Value> = serde_json::from_str(text)?;
    let metadata = data.remove("metadata").map(ObjectMeta::deserialize).transpose()?.unwrap_or_default();
    data.remove("apiVersion");
    data.remove("kind");
    let types = Some(TypeMeta { api_version: gvk.api_version(), kind: gvk.kind.clone() });
    Ok(DynamicObject { types, metadata, data: Value::Object(data) })
}

fn is_read_by_thousands(object: &DynamicObject, gvk: &Gvk) -> bool {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Node" | "Pod") => true,
        (GROUP, "JobFlow" | "DaemonJob") => true,
        _ => is_of_flow(object),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_read_as_it_was_written() {
        let gvk = Gvk::new("example.com", "v1", "Widget");
        for rest in [
            json!({"spec": {"size": 1.5, "text": "\u{1F30A} \"x\" \n", "none": null}, "status": {"conditions": []}}),
            json!({"data": {"a": "b"}, "immutable": true}),
            // the reader of JSON would otherwise take its neighbour
            json!({"spec": {"exact": 31.245_270_191_439_438}}),
            json!({}),
        ] {
            let mut object = json!({"apiVersion": "example.com/v1", "kind": "Widget",
                "metadata": {"name": "w", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3,
                    "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}, "finalizers": ["f"],
                    "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "x", "controller": true}]}});
            object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let object: Arc<DynamicObject> = Arc::new(serde_json::from_value(object).unwrap());
            let entry = Entry::new(&object, &gvk);
            assert!(matches!(entry.body, Body::Text(_)));
            assert_eq!(entry.body.object(&gvk), object);
            assert_eq!(entry.body.read::<DynamicObject>().unwrap(), *object);
            assert_eq!((entry.version, entry.uid.as_deref()), (Some(7), Some("u")));
        }
    }
}
