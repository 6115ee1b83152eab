//! The names that a blueprint's expressions know.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::expr::{Fields, Node};

/// A tree of names whose leaves are values or not known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Json(Value),
    Unknown(String),
    Names(BTreeMap<String, Tree>),
}

impl Fields for Tree {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        match self {
            Tree::Names(names) => names.get(name).map(Tree::node),
            Tree::Json(Value::Object(object)) => object.get(name).map(Node::from),
            Tree::Json(_) => None,
            Tree::Unknown(what) => Some(Node::Unknown(Cow::Borrowed(what))),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Tree::Names(names) => names.keys().cloned().collect(),
            Tree::Json(Value::Object(object)) => object.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

impl Tree {
    fn node(&self) -> Node<'_> {
        match self {
            Tree::Json(value) => value.into(),
            Tree::Unknown(what) => Node::Unknown(Cow::Borrowed(what)),
            Tree::Names(_) => Node::Fields(self),
        }
    }
}

/// What is known of the components while expressions are evaluated.
pub trait ComponentScope {
    /// `components.<name>`; `None` where there is no such component.
    fn component(&self, name: &str) -> Option<Node<'_>>;
}

/// `parameters`, `topics`, `datasets`, `pipeline` and `run`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineScope {
    names: BTreeMap<String, Tree>,
}

/// The names that every expression of a blueprint knows.
pub const ROOTS: &[&str] = &["components", "datasets", "each", "parameters", "pipeline", "run", "topics"];

impl PipelineScope {
    /// Sets `<root>.<name>`.
    pub(crate) fn set(&mut self, root: &str, name: &str, tree: Tree) {
        let names = self.names.entry(root.to_owned()).or_insert_with(|| Tree::Names(BTreeMap::new()));
        if let Tree::Names(names) = names {
            names.insert(name.to_owned(), tree);
        }
    }

    /// The scope of one component's expressions: with `each`, and with the components.
    pub fn within<'a>(&'a self, each: Option<&'a Value>, components: Option<&'a dyn ComponentScope>) -> Within<'a> {
        Within { scope: self, each, each_unknown: false, components: ComponentsNode(components) }
    }
}

/// A [`PipelineScope`] seen from one component.
pub struct Within<'a> {
    scope: &'a PipelineScope,
    each: Option<&'a Value>,
    each_unknown: bool,
    components: ComponentsNode<'a>,
}

impl Within<'_> {
    /// `each` stands for an item that is not known.
    pub(crate) fn with_unknown_each(mut self, unknown: bool) -> Self {
        self.each_unknown = unknown;
        self
    }
}

struct ComponentsNode<'a>(Option<&'a dyn ComponentScope>);

impl Fields for ComponentsNode<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        match self.0 {
            Some(components) => components.component(name),
            None => Some(Node::Unknown(Cow::Owned(format!("waits for component `{name}`")))),
        }
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Fields for Within<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        match name {
            "components" => Some(Node::Fields(&self.components)),
            "each" if self.each_unknown => Some(Node::Unknown(Cow::Borrowed("the list of forEach is not known"))),
            "each" => self.each.map(Node::from),
            _ => match self.scope.names.get(name) {
                Some(tree) => Some(tree.node()),
                // an empty group of names is a group all the same
                None if ROOTS.contains(&name) => Some(Node::Fields(&NONE)),
                None => None,
            },
        }
    }

    fn names(&self) -> Vec<String> {
        ROOTS.iter().filter(|r| **r != "each" || self.each.is_some()).map(|r| (*r).to_owned()).collect()
    }
}

struct Nothing;
static NONE: Nothing = Nothing;

impl Fields for Nothing {
    fn field(&self, _: &str) -> Option<Node<'_>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// `components.<name>` of a component whose outputs or status may not be known yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct ComponentNode {
    pub(crate) name: String,
    pub(crate) child: Value,
    /// Outputs, once it is done or ready.
    pub(crate) outputs: Option<Value>,
    /// The child's status, once it exists.
    pub(crate) status: Option<Value>,
    pub(crate) skipped: bool,
}

impl Fields for ComponentNode {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        let wait = || Node::Unknown(Cow::Owned(format!("waits for component `{}`", self.name)));
        match name {
            "name" => Some(Node::from(&self.child)),
            "outputs" | "status" if self.skipped => Some(Node::Skipped(Cow::Borrowed(&self.name))),
            "outputs" => Some(self.outputs.as_ref().map_or_else(wait, Node::from)),
            "status" => Some(self.status.as_ref().map_or_else(wait, Node::from)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        vec!["name".into(), "outputs".into(), "status".into()]
    }
}

impl ComponentNode {
    /// As a value, for the list that a component with `forEach` stands for.
    pub(crate) fn to_value(&self) -> Option<Value> {
        Some(json!({"name": self.child, "outputs": self.outputs.as_ref()?, "status": self.status}))
    }
}

/// An object from fields.
pub(crate) fn names(fields: impl IntoIterator<Item = (&'static str, Tree)>) -> Tree {
    Tree::Names(fields.into_iter().map(|(name, tree)| (name.to_owned(), tree)).collect())
}

/// A known string.
pub(crate) fn text(value: impl Into<String>) -> Tree {
    Tree::Json(Value::String(value.into()))
}
