//! What the names in a flow's expressions stand for.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use serde_json::{Value, json};
use tributary_blueprints::expr::{Fields, Node};
use tributary_crds::Any;

use super::{frozen::Frozen, verify::FACTS};

/// Where a step is, as its byte in the status.
pub(super) mod byte {
    pub(crate) const PENDING: u8 = b'.';
    pub(crate) const RUNNING: u8 = b'r';
    pub(crate) const SUCCEEDED: u8 = b's';
    pub(crate) const FAILED: u8 = b'f';
    pub(crate) const SKIPPED: u8 = b'k';

    pub(crate) fn is_end(byte: u8) -> bool {
        matches!(byte, SUCCEEDED | FAILED | SKIPPED)
    }
}

/// A step in the course of a decision.
pub(super) struct Live<'a> {
    pub(super) name: &'a str,
    pub(super) byte: Cell<u8>,
    pub(super) outputs: RefCell<BTreeMap<String, Any>>,
}

impl Live<'_> {
    pub(super) fn has_ended(&self) -> bool {
        byte::is_end(self.byte.get())
    }
}

impl Fields for Live<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        let now = self.byte.get();
        let unknown = || Node::Unknown(Cow::Owned(format!("step `{}` has not ended", self.name)));
        let fact = |holds: bool| match self.has_ended() {
            true => Node::Json(Cow::Owned(Value::Bool(holds))),
            false => unknown(),
        };
        Some(match name {
            "succeeded" => fact(now == byte::SUCCEEDED),
            "failed" => fact(now == byte::FAILED),
            "skipped" => fact(now == byte::SKIPPED),
            "completed" => fact(matches!(now, byte::SUCCEEDED | byte::FAILED)),
            "outputs" if now == byte::SUCCEEDED => Node::Json(Cow::Owned(json!(&*self.outputs.borrow()))),
            "outputs" if self.has_ended() => Node::Skipped(Cow::Borrowed(self.name)),
            "outputs" => unknown(),
            _ => return None,
        })
    }

    fn names(&self) -> Vec<String> {
        FACTS.iter().chain(&["outputs"]).map(|n| (*n).to_owned()).collect()
    }
}

/// The steps by name.
pub(super) struct Steps<'a> {
    pub(super) frozen: &'a Frozen,
    pub(super) lives: &'a [Live<'a>],
}

impl Fields for Steps<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        self.frozen.index.get(name).map(|i| Node::Fields(&self.lives[*i]))
    }

    fn names(&self) -> Vec<String> {
        self.lives.iter().map(|l| l.name.to_owned()).collect()
    }
}

/// Everything that an expression may name.
pub(super) struct Scope<'a> {
    pub(super) steps: Steps<'a>,
    pub(super) flow: &'a Value,
    pub(super) run: &'a Value,
    pub(super) each: Option<(usize, &'a Value)>,
}

impl Fields for Scope<'_> {
    fn field(&self, name: &str) -> Option<Node<'_>> {
        match (name, self.each) {
            ("parameters", _) => Some((&self.steps.frozen.parameters).into()),
            ("steps", _) => Some(Node::Fields(&self.steps)),
            ("flow", _) => Some(self.flow.into()),
            ("run", _) => Some(self.run.into()),
            ("each", Some((_, item))) => Some(item.into()),
            ("index", Some((index, _))) => Some(Node::Json(Cow::Owned(json!(index)))),
            (step, _) => self.steps.field(step),
        }
    }

    fn names(&self) -> Vec<String> {
        ["parameters", "steps", "flow", "run"].map(str::to_owned).into()
    }
}
