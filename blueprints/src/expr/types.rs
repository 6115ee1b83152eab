//! Types of expressions, as far as they are known beforehand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::Kinds;

/// The type of a value. Cheap to clone.
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
    List(Arc<Type>),
    /// An object.
    Object(Arc<Shape>),
    /// One of several kinds, and no more known of it. Made by [`Type::of_kinds`] alone: never of one kind or of all.
    OneOf(Kinds),
}

/// The fields of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// The fields that are known by name.
    pub fields: BTreeMap<String, Type>,
    /// The type of all others; `None` where there are none.
    pub others: Option<Type>,
}

impl Type {
    /// A list.
    pub fn list(of: Type) -> Self {
        Self::List(Arc::new(of))
    }

    /// An object of any keys, its values of one type.
    pub fn map(of: Type) -> Self {
        Self::Object(Arc::new(Shape { fields: BTreeMap::new(), others: Some(of) }))
    }

    /// An object of these fields and no others.
    pub fn object<N: Into<String>>(fields: impl IntoIterator<Item = (N, Type)>) -> Self {
        let fields = fields.into_iter().map(|(name, type_)| (name.into(), type_)).collect();
        Self::Object(Arc::new(Shape { fields, others: None }))
    }

    /// The type that an OpenAPI v3 schema describes. A `number` may be written as an integer, and then is one.
    pub fn of_schema(schema: &Value) -> Self {
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
        if flag("x-kubernetes-int-or-string") || flag("nullable") {
            return Self::Dyn;
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => Self::Bool,
            Some("integer") => Self::Int,
            Some("number") => Self::of_kinds(Kinds::NUMBER),
            Some("string") => Self::String,
            Some("array") => Self::list(schema.get("items").map_or(Self::Dyn, Self::of_schema)),
            Some("object") => Self::of_object(schema, flag("x-kubernetes-preserve-unknown-fields")),
            _ => Self::Dyn,
        }
    }

    fn of_object(schema: &Value, keeps_unknown: bool) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(others @ Value::Object(_)) => Some(Self::of_schema(others)),
            Some(_) => Some(Self::Dyn),
            None => (keeps_unknown || properties.is_none()).then_some(Self::Dyn),
        };
        let fields = properties.into_iter().flatten().map(|(k, v)| (k.clone(), Self::of_schema(v))).collect();
        Self::Object(Arc::new(Shape { fields, others }))
    }

    /// The type of a value.
    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(n) if n.is_f64() => Self::Double,
            Value::Number(_) => Self::Int,
            Value::String(_) => Self::String,
            Value::Array(items) => Self::list(items.iter().map(Self::of_value).reduce(Self::join).unwrap_or_default()),
            Value::Object(object) => Self::object(object.iter().map(|(k, v)| (k.clone(), Self::of_value(v)))),
        }
    }

    /// The type of a value of one of these kinds.
    pub fn of_kinds(kinds: Kinds) -> Self {
        match kinds {
            Kinds::NULL => Self::Null,
            Kinds::BOOL => Self::Bool,
            Kinds::INT => Self::Int,
            Kinds::DOUBLE => Self::Double,
            Kinds::STRING => Self::String,
            Kinds::LIST => Self::list(Self::Dyn),
            Kinds::OBJECT => Self::map(Self::Dyn),
            kinds if kinds.is_all() => Self::Dyn,
            kinds => Self::OneOf(kinds),
        }
    }

    /// The kinds that a value of this type may be of.
    pub fn kinds(&self) -> Kinds {
        match self {
            Self::Dyn => Kinds::all(),
            Self::Null => Kinds::NULL,
            Self::Bool => Kinds::BOOL,
            Self::Int => Kinds::INT,
            Self::Double => Kinds::DOUBLE,
            Self::String => Kinds::STRING,
            Self::List(_) => Kinds::LIST,
            Self::Object(_) => Kinds::OBJECT,
            Self::OneOf(kinds) => *kinds,
        }
    }

    /// Whether a value of this type may be of one of these kinds.
    pub fn may_be(&self, kinds: Kinds) -> bool {
        self.kinds().intersects(kinds)
    }

    /// The type of those values that are of one of these kinds; `None` where there are none.
    pub fn among(&self, kinds: Kinds) -> Option<Self> {
        let common = self.kinds() & kinds;
        if common == self.kinds() {
            return Some(self.clone());
        }
        (!common.is_empty()).then(|| Self::of_kinds(common))
    }

    /// The type of what is one or the other.
    pub fn join(self, other: Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::List(a), Self::List(b)) => Self::list(Type::clone(&a).join(Type::clone(&b))),
            (a, b) => Self::of_kinds(a.kinds() | b.kinds()),
        }
    }

    /// Whether a value of this type may be one of type `wanted`.
    pub fn fits(&self, wanted: &Type) -> bool {
        match (self, wanted) {
            (Self::List(a), Self::List(b)) => a.fits(b),
            (Self::Object(a), Self::Object(b)) => a.fields.iter().all(|(k, t)| match (b.fields.get(k), &b.others) {
                (Some(wanted), _) | (None, Some(wanted)) => t.fits(wanted),
                (None, None) => false,
            }),
            // a whole number is a number
            (a, Self::Double) => a.may_be(Kinds::NUMBER),
            (a, b) => a.may_be(b.kinds()),
        }
    }

    /// Whether two values of these types may be equal, or one be among others of the other type.
    pub fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.comparable(b),
            (a, b) if a.may_be(Kinds::NULL) || b.may_be(Kinds::NULL) => true,
            (a, b) => a.may_be(b.kinds().numbers_alike()),
        }
    }

    /// With its article, for a message: `an integer`, `a list of strings`.
    pub fn with_article(&self) -> String {
        match self {
            Self::Dyn => "any value".into(),
            Self::List(_) => format!("a {self}"),
            _ => self.kinds().with_article(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("any"),
            Self::List(of) => match &**of {
                Self::Dyn | Self::Null => f.write_str("list"),
                Self::List(_) => write!(f, "list of {of}s"),
                of => write!(f, "list of {}", of.kinds().plural()),
            },
            _ => self.kinds().fmt(f),
        }
    }
}
