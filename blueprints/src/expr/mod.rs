//! Expressions: `${...}` in the strings of a blueprint, and the rules of `when`, `forEach` and `status`.
//!
//! The language is CEL over JSON values, for the functions that [`functions`] lists. Parser, type checker and evaluator
//! are our own: all must be bounded in stack and time on whatever a user writes, and evaluation must tell "not known yet"
//! from "wrong". Tests hold them against the `cel` crate.

use std::sync::Arc;

use serde_json::Value;

mod ast;
mod check;
mod eval;
pub mod functions;
mod kinds;
mod lexer;
mod number;
mod parse;
mod refs;
pub mod scope;
mod show;
mod signatures;
mod text;
mod types;

pub use check::{Fault, FaultKind};
pub use kinds::Kinds;
pub use refs::Reference;
pub use scope::{Fields, Node, value_at};
pub use text::{Text, child_path, texts_of};
pub use types::{Shape, Type};

/// Why an expression is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// CEL's grammar says no.
    #[error("`{source_text}` is not an expression: {reason}")]
    Syntax {
        /// The expression.
        source_text: String,
        /// The parser's words.
        reason: String,
    },
    /// Longer than [`Expression::MAX_LENGTH`].
    #[error("an expression has at most {max} bytes, this one has {length}", max = Expression::MAX_LENGTH)]
    TooLong {
        /// Its bytes.
        length: usize,
    },
    /// Nested deeper than [`Expression::MAX_DEPTH`].
    #[error("an expression is nested at most {max} deep", max = Expression::MAX_DEPTH)]
    TooDeep,
    /// `${` without its `}`.
    #[error("`${{` without `}}` in `{0}`; write `$${{` for the characters themselves")]
    Unclosed(String),
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It depends on something that is not known yet; says what.
    #[error("{0}")]
    Unknown(String),
    /// It depends on something that never will be, because its component is left out; names the component.
    #[error("component `{0}` is left out")]
    Skipped(String),
    /// It is wrong.
    #[error("{0}")]
    Error(String),
}

/// A parsed expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    ast: Arc<ast::Expr>,
    references: Arc<[Reference]>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Expression {
    /// Bytes that an expression may have.
    pub const MAX_LENGTH: usize = 4_096;
    /// How deep its parts may be nested.
    pub const MAX_DEPTH: usize = 96;

    /// Parses.
    ///
    /// # Errors
    /// Where it is not CEL, or too long or too deep.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let ast = parse::parse(source)?;
        let references = refs::references(&ast).into();
        Ok(Self { source: source.into(), ast: Arc::new(ast), references })
    }

    /// A rule that may or may not be wrapped as `${...}`: `when` and its like take both.
    ///
    /// # Errors
    /// As [`Expression::parse`].
    pub fn parse_rule(source: &str) -> Result<Self, Error> {
        let trimmed = source.trim();
        match Text::parse(trimmed)?.single() {
            Some(expression) => Ok(expression.clone()),
            None => Self::parse(trimmed),
        }
    }

    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it refers to, each once, in the order of the text.
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The functions that it calls, operators left out: name, and whether it is called on a value.
    pub fn functions(&self) -> Vec<(&str, bool)> {
        refs::functions(&self.ast)
    }

    /// The type of its value where names have these types, and what can have no value at all. Names that the scope does
    /// not know are let through.
    pub fn check(&self, scope: &dyn Fn(&str) -> Option<Type>) -> (Type, Vec<Fault>) {
        check::check(&self.ast, scope)
    }

    /// Its value in a scope.
    ///
    /// # Errors
    /// [`Stop`]: not known yet, left out, or wrong.
    pub fn evaluate(&self, scope: &dyn Fields) -> Result<Value, Stop> {
        eval::evaluate(&self.ast, scope)
    }

    /// Its value as a condition.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and where the value is not a boolean.
    pub fn holds(&self, scope: &dyn Fields) -> Result<bool, Stop> {
        match self.evaluate(scope)? {
            Value::Bool(b) => Ok(b),
            other => Err(Stop::Error(format!("`{}` is {}, not a boolean", self.source, functions::type_name(&other)))),
        }
    }
}
