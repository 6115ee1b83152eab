//! YAML documents as trees that know where each node stands.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_yaml::{Location, Spanned, UserMessageFormatter};

use super::path::{Step, steps};

/// A place in a file; both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    fn of(location: &Location) -> Self {
        Self { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A node and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub tree: Tree,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping: key, where the key stands, value.
    Map(Vec<(String, Place, Node)>),
}

/// Text that is not YAML.
#[derive(Clone, Debug)]
pub struct Syntax {
    /// Where.
    pub place: Place,
    /// Why.
    pub message: String,
}

/// Every document of a YAML text that is not empty.
pub fn documents(text: &str) -> Result<Vec<Node>, Syntax> {
    let found: Vec<Spanned<Tree>> = serde_yaml::from_multiple(text).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map_or(Place::START, |l| Place::of(&l));
        let rendered = error.render_with_formatter(&UserMessageFormatter);
        Syntax { place, message: without_position(&rendered).to_owned() }
    })?;
    let nodes = found.into_iter().map(Node::from);
    Ok(nodes.filter(|n| !matches!(n.tree, Tree::Scalar(Value::Null))).collect())
}

/// The parser ends its messages with the position, which stands in front of ours already.
fn without_position(message: &str) -> &str {
    let line = message.lines().next().unwrap_or_default().trim_end();
    line.split(" at line ").next().unwrap_or(line)
}

impl Node {
    /// The value without its places.
    pub fn value(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Tree::Map(fields) => {
                Value::Object(fields.iter().map(|(k, _, v)| (k.clone(), v.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// Where the deepest node on `path` stands that exists; of a mapping's field, its key.
    pub fn locate(&self, path: &str) -> Place {
        let (mut node, mut place) = (self, self.place);
        for step in &steps(path) {
            let next = match (&node.tree, step) {
                (Tree::Map(fields), Step::Field(name)) => {
                    fields.iter().find(|(k, _, _)| k == name).map(|(_, key, value)| (value, *key))
                }
                (Tree::List(items), Step::Index(i)) => items.get(*i).map(|item| (item, item.place)),
                _ => None,
            };
            match next {
                Some(found) => (node, place) = found,
                None => break,
            }
        }
        place
    }
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Self {
        Self { place: Place::of(&spanned.referenced), tree: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(v.into()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Tree, E> {
        let number = Number::from_f64(v).ok_or_else(|| E::custom("a number must be finite"))?;
        Ok(Tree::Scalar(number.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(v.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Tree>>()? {
            items.push(item.into());
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let place = Place::of(&key.referenced);
            fields.push((key.value, place, map.next_value::<Spanned<Tree>>()?.into()));
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(line: u64, column: u64) -> Place {
        Place { line, column }
    }

    #[test]
    fn nodes_know_their_places() {
        let docs = documents("# first\na: 1\nb:\n  - x\n  - {c: [true, null], d: \"2\"}\n---\n---\ne: 1.5\n").unwrap();
        assert_eq!(docs.len(), 2);
        assert_eq!(docs[0].value(), serde_json::json!({"a": 1, "b": ["x", {"c": [true, null], "d": "2"}]}));
        let at = |path: &str| docs[0].locate(path);
        assert_eq!(at("a"), place(2, 1));
        assert_eq!(at("b[1].d"), place(5, 23));
        assert_eq!(at("b[1].c[0]"), place(5, 10));
        assert_eq!(at("b[7].c"), place(3, 1));
        assert_eq!(docs[1].value(), serde_json::json!({"e": 1.5}));
        assert_eq!(docs[1].locate("e"), place(8, 1));
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let docs = documents("base: &b {x: 1}\nuse: *b\nmore:\n  <<: *b\n  y: 2\n").unwrap();
        assert_eq!(docs[0].value(), serde_json::json!({"base": {"x": 1}, "use": {"x": 1}, "more": {"x": 1, "y": 2}}));
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        for (text, line) in [
            ("a: 1\nb: [1, 2\nc: 3\n", 3),
            ("a: 1\na: 2\n", 2),
            ("a: b: c\n", 1),
            ("a:\n\t- 1\n", 2),
            ("a: *nowhere\n", 1),
            ("a: .nan\n", 1),
        ] {
            let error = documents(text).unwrap_err();
            assert_eq!(error.place.line, line, "{text:?}: {error:?}");
            assert!(!error.message.is_empty() && !error.message.contains("at line"), "{error:?}");
        }
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(",");
            text += &format!("a{i}: &a{i} [{refs}]\n");
        }
        assert!(documents(&text).is_err());
        assert!(documents(&"[".repeat(100_000)).is_err());
    }
}
