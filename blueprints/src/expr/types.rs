//! Types of expressions, as far as they are known beforehand.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// The type of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Not known: anything goes.
    #[default]
    Dyn,
    /// null
    Null,
    /// A boolean.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A double.
    Double,
    /// A string.
    String,
    /// A list of one type.
    List(Box<Type>),
    /// An object of any keys, its values of one type.
    Map(Box<Type>),
    /// An object of these fields.
    Object(BTreeMap<String, Type>),
}

impl Type {
    /// A list.
    pub fn list(of: Type) -> Self {
        Self::List(Box::new(of))
    }

    /// An object of known fields.
    pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        Self::Object(fields.into_iter().map(|(name, type_)| (name.to_owned(), type_)).collect())
    }

    /// The type that an OpenAPI v3 (or JSON) schema describes.
    pub fn of_schema(schema: &Value) -> Self {
        if schema.get("x-kubernetes-int-or-string").and_then(Value::as_bool) == Some(true) {
            return Self::Dyn;
        }
        if schema.get("nullable").and_then(Value::as_bool) == Some(true) {
            return Self::Dyn;
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => Self::Bool,
            Some("integer") => Self::Int,
            Some("number") => Self::Double,
            Some("string") => Self::String,
            Some("array") => Self::list(schema.get("items").map_or(Self::Dyn, Self::of_schema)),
            Some("object") => match schema.get("properties").and_then(Value::as_object) {
                Some(fields) => Self::Object(fields.iter().map(|(k, v)| (k.clone(), Self::of_schema(v))).collect()),
                None => match schema.get("additionalProperties").filter(|a| a.is_object()) {
                    Some(values) => Self::Map(Box::new(Self::of_schema(values))),
                    None => Self::Dyn,
                },
            },
            _ => Self::Dyn,
        }
    }

    /// Whether a value of this type may stand where `wanted` is asked for.
    pub fn fits(&self, wanted: &Type) -> bool {
        match (self, wanted) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            // a whole number is a number
            (Self::Int, Self::Double) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (Self::Object(a), Self::Object(b)) => a.iter().all(|(k, t)| b.get(k).is_none_or(|u| t.fits(u))),
            (Self::Object(fields), Self::Map(of)) => fields.values().all(|t| t.fits(of)),
            (Self::Map(of), Self::Object(fields)) => fields.values().all(|t| of.fits(t)),
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("boolean"),
            Self::Int => f.write_str("integer"),
            Self::Double => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::List(of) => write!(f, "list of {of}"),
            Self::Map(of) => write!(f, "object of {of}"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}
