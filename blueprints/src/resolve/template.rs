//! Templates: from a component to the object that is created.

use kube::core::{DynamicObject, TypeMeta};
use serde_json::{Map, Value, json};

use super::ports::bound;
use super::{Component, Resolved};
use crate::drivers::Port;
use crate::expr::{Error, Fields, Stop, Text};

/// The value with its expressions evaluated.
pub(crate) fn render(value: &Value, scope: &dyn Fields) -> Result<Value, Stop> {
    Ok(match value {
        Value::String(source) if Text::is_dynamic(source) => {
            let text = Text::parse(source).map_err(|e: Error| Stop::Error(e.to_string()))?;
            text.evaluate(scope).map_err(|stop| match stop {
                Stop::Error(reason) => Stop::Error(format!("`{source}` has no value: {reason}")),
                other => other,
            })?
        }
        Value::Array(items) => items.iter().map(|item| render(item, scope)).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(object) => {
            let fields = object.iter().map(|(k, v)| Ok((k.clone(), render(v, scope)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, Stop>>()?)
        }
        other => other.clone(),
    })
}

/// A component's object.
pub(crate) struct Rendered {
    /// The template with its expressions evaluated, before anything is added.
    pub(crate) template: Value,
    /// That template wired, with the child's name. Labels and owner come on top.
    pub(crate) object: Value,
    /// Seconds after its end at which the child goes: the operator's business, not the child's.
    pub(crate) ttl: Option<i64>,
}

/// The object that a component describes.
pub(crate) fn object(component: &Component, resolved: &Resolved, scope: &dyn Fields) -> Result<Rendered, Stop> {
    let template = render(&component.template, scope)?;
    Ok(wired(component, resolved, template, &bound(component, resolved)))
}

/// The object of a component whose template has been rendered, its ports bound to these.
pub(super) fn wired(component: &Component, resolved: &Resolved, template: Value, ports: &[Port<'_>]) -> Rendered {
    let mut object = template.clone();
    let driver = component.driver();
    driver.wire(&mut object, ports);
    let ttl = driver.ttl_field().and_then(|field| take_ttl(&mut object, field));
    if let Some(fields) = object.as_object_mut() {
        let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".into(), component.child.clone().into());
            metadata.insert("namespace".into(), resolved.namespace.clone().into());
        }
    }
    Rendered { template, object, ttl }
}

/// Takes the time that it stays after its end out of an object's spec, where it is a number.
fn take_ttl(object: &mut Value, field: &str) -> Option<i64> {
    let spec = object.get_mut("spec")?.as_object_mut()?;
    let ttl = spec.get(field)?.as_i64()?;
    spec.remove(field);
    Some(ttl)
}

/// A JSON object as kube carries one; `None` where it has no kind or bad metadata.
pub(crate) fn dynamic(mut value: Value) -> Option<DynamicObject> {
    let object = value.as_object_mut()?;
    let (api_version, kind) = (object.remove("apiVersion")?, object.remove("kind")?);
    let types = TypeMeta { api_version: api_version.as_str()?.into(), kind: kind.as_str()?.into() };
    let metadata = serde_json::from_value(object.remove("metadata")?).ok()?;
    Some(DynamicObject { types: Some(types), metadata, data: value })
}
