//! What the names in an expression stand for.

use std::borrow::Cow;

use serde_json::Value;

/// What a name or a field stands for.
#[derive(Clone)]
pub enum Node<'a> {
    /// A value.
    Json(Cow<'a, Value>),
    /// Something whose fields are looked up one by one.
    Fields(&'a dyn Fields),
    /// Not known yet; says what it waits for.
    Unknown(Cow<'a, str>),
    /// Never to be known: the component of this name is left out.
    Skipped(Cow<'a, str>),
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        Node::Json(Cow::Borrowed(value))
    }
}

/// Something that has fields.
pub trait Fields {
    /// The field of this name.
    fn field(&self, name: &str) -> Option<Node<'_>>;

    /// The names of all fields, for messages and for `in`.
    fn names(&self) -> Vec<String>;
}

/// The value at a path of names; `None` where there is none, or it is not known.
pub fn value_at(scope: &dyn Fields, path: &[String]) -> Option<Value> {
    let (first, rest) = path.split_first()?;
    match scope.field(first)? {
        Node::Json(value) => rest.iter().try_fold(value.as_ref(), |v, name| v.get(name)).cloned(),
        Node::Fields(fields) => value_at(fields, rest),
        Node::Unknown(_) | Node::Skipped(_) => None,
    }
}

/// The top level of a JSON object is a scope.
impl Fields for serde_json::Map<String, Value> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        self.get(name).map(Node::from)
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// A scope with one name, as status rules have: `self`.
pub struct OneName<'a> {
    /// The name.
    pub name: &'static str,
    /// What it stands for.
    pub value: &'a Value,
}

impl Fields for OneName<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        (name == self.name).then(|| self.value.into())
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.into()]
    }
}
