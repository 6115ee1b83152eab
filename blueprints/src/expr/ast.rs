//! The syntax tree of an expression.

use serde_json::Value;

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// null, a boolean, a number or a string.
    Literal(Value),
    /// A name of the scope, or a variable of a macro around.
    Name(String),
    /// `of.name`; with `test`, `has(of.name)`.
    Field { of: Box<Expr>, name: String, test: bool },
    /// `of[index]`.
    Index { of: Box<Expr>, index: Box<Expr> },
    /// `name(args)` or `target.name(args)`.
    Call { name: String, target: Option<Box<Expr>>, args: Vec<Expr> },
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `{a: b}`.
    Object(Vec<(Expr, Expr)>),
    /// `!a` or `-a`.
    Unary { op: UnaryOp, of: Box<Expr> },
    /// `a op b`.
    Binary { op: BinaryOp, left: Box<Expr>, right: Box<Expr> },
    /// `condition ? yes : no`.
    Conditional { condition: Box<Expr>, yes: Box<Expr>, no: Box<Expr> },
    /// `range.all(variable, body)` and its like; `filter` is the condition of `map` with three arguments.
    Macro { kind: Macro, range: Box<Expr>, variable: String, filter: Option<Box<Expr>>, body: Box<Expr> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Not,
    Negate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl BinaryOp {
    /// How tightly it binds; all bind to the left.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual
            | Self::In => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Macro {
    /// The macro that `target.name(...)` with so many arguments is.
    pub(crate) fn of(name: &str, args: usize) -> Option<Self> {
        Some(match (name, args) {
            ("all", 2) => Self::All,
            ("exists", 2) => Self::Exists,
            ("exists_one" | "existsOne", 2) => Self::ExistsOne,
            ("map", 2 | 3) => Self::Map,
            ("filter", 2) => Self::Filter,
            _ => return None,
        })
    }
}

impl Expr {
    /// Calls `visit` with each direct part, in the order of the text.
    pub(crate) fn parts<'a>(&'a self, mut visit: impl FnMut(&'a Expr)) {
        match self {
            Self::Literal(_) | Self::Name(_) => {}
            Self::Field { of, .. } | Self::Unary { of, .. } => visit(of),
            Self::Index { of, index } => [of, index].into_iter().for_each(|e| visit(e)),
            Self::Call { target, args, .. } => target.iter().map(Box::as_ref).chain(args).for_each(visit),
            Self::List(items) => items.iter().for_each(visit),
            Self::Object(entries) => entries.iter().flat_map(|(k, v)| [k, v]).for_each(visit),
            Self::Binary { left, right, .. } => [left, right].into_iter().for_each(|e| visit(e)),
            Self::Conditional { condition, yes, no } => [condition, yes, no].into_iter().for_each(|e| visit(e)),
            Self::Macro { range, filter, body, .. } => {
                visit(range);
                filter.iter().for_each(|f| visit(f));
                visit(body);
            }
        }
    }
}
