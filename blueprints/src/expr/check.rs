//! The type checker: what an expression's value will be, and what can never have one, before anything is known but
//! types. Parts of unknown type are let through; what evaluation would refuse for every value is a fault.

use serde_json::Value;

use super::ast::{BinaryOp, Expr, Macro, UnaryOp};
use super::functions::{self, FUNCTIONS};
use super::kinds::Kinds;
use super::signatures;
use super::types::{Shape, Type};
use crate::problem::{listing, nearest};

/// What is wrong with a part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which rule.
    pub kind: FaultKind,
    /// What is wrong, the part named.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

/// A rule of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The value has no such field.
    Field,
    /// The value is of another type.
    Type,
    /// A call with a wrong number of arguments, a pattern that is none.
    Call,
}

/// The type of an expression in a scope of names, and its faults. A name that the scope has not is let through: names
/// are checked elsewhere.
pub(super) fn check(ast: &Expr, scope: &dyn Fn(&str) -> Option<Type>) -> (Type, Vec<Fault>) {
    let mut checker = Checker { scope, locals: Vec::new(), faults: Vec::new() };
    let type_ = checker.type_of(ast);
    (type_, checker.faults)
}

struct Checker<'a> {
    scope: &'a dyn Fn(&str) -> Option<Type>,
    /// Variables of the macros around, innermost last.
    locals: Vec<(&'a str, Type)>,
    faults: Vec<Fault>,
}

impl<'a> Checker<'a> {
    fn fault(&mut self, kind: FaultKind, message: String, suggestion: Option<String>) -> Type {
        self.faults.push(Fault { kind, message, suggestion });
        Type::Dyn
    }

    fn type_of(&mut self, ast: &'a Expr) -> Type {
        match ast {
            Expr::Literal(value) => Type::of_value(value),
            Expr::Name(name) => {
                let local = self.locals.iter().rev().find(|(local, _)| local == name).map(|(_, t)| t.clone());
                local.or_else(|| (self.scope)(name)).unwrap_or_default()
            }
            Expr::Field { of, name, test } => {
                let operand = self.type_of(of);
                let found = self.field(&operand, of, name);
                if *test { Type::Bool } else { found }
            }
            Expr::Index { of, index } => self.index(of, index),
            Expr::Call { name, target, args } => self.call(name, target.as_deref(), args),
            Expr::List(items) => {
                let of = items.iter().map(|item| self.type_of(item)).reduce(Type::join);
                Type::list(of.unwrap_or_default())
            }
            Expr::Object(entries) => self.object(entries),
            Expr::Unary { op: UnaryOp::Not, of } => {
                self.boolean(of, "`!` takes");
                Type::Bool
            }
            Expr::Unary { op: UnaryOp::Negate, of } => {
                let operand = self.type_of(of);
                operand.among(Kinds::NUMBER).unwrap_or_else(|| self.not_a(of, &operand, "a number"))
            }
            Expr::Binary { op, left, right } => self.binary(*op, left, right, ast),
            Expr::Conditional { condition, yes, no } => {
                self.boolean(condition, "a condition is");
                let yes = self.type_of(yes);
                let no = self.type_of(no);
                yes.join(no)
            }
            Expr::Macro { kind, range, variable, filter, body } => {
                self.comprehension(*kind, range, variable, filter.as_deref(), body)
            }
        }
    }

    fn not_a(&mut self, part: &Expr, type_: &Type, wanted: &str) -> Type {
        let message = format!("`{part}` is {}, not {wanted}", type_.with_article());
        self.fault(FaultKind::Type, message, None)
    }

    fn boolean(&mut self, part: &'a Expr, rule: &str) {
        let found = self.type_of(part);
        if !found.may_be(Kinds::BOOL) {
            let message = format!("{rule} a boolean, but `{part}` is {}", found.with_article());
            self.fault(FaultKind::Type, message, None);
        }
    }

    fn field(&mut self, operand: &Type, of: &Expr, name: &str) -> Type {
        match operand {
            Type::Object(shape) => self.named(shape, of, name),
            other if other.may_be(Kinds::OBJECT) => Type::Dyn,
            other => {
                let hint = if matches!(other, Type::List(_)) { "; choose an element: `[0]`" } else { "" };
                let message = format!("`{of}` is {} and has no field `{name}`{hint}", other.with_article());
                self.fault(FaultKind::Type, message, None)
            }
        }
    }

    fn named(&mut self, shape: &Shape, of: &Expr, name: &str) -> Type {
        if let Some(type_) = shape.fields.get(name).or(shape.others.as_ref()) {
            return type_.clone();
        }
        let known = || shape.fields.keys().map(String::as_str);
        let message = format!("`{of}` has no field `{name}`; {}", listing(known()));
        let suggestion = nearest(name, known());
        self.fault(FaultKind::Field, message, suggestion)
    }

    fn index(&mut self, of: &'a Expr, index: &'a Expr) -> Type {
        let operand = self.type_of(of);
        let at = self.type_of(index);
        match &operand {
            Type::List(element) if at.may_be(Kinds::INT) => Type::clone(element),
            Type::List(_) => self.not_a(index, &at, "an integer, which an index of a list is"),
            Type::Object(shape) if at.may_be(Kinds::STRING) => match index {
                Expr::Literal(Value::String(name)) => self.named(shape, of, name),
                _ => shape.fields.values().chain(&shape.others).cloned().reduce(Type::join).unwrap_or_default(),
            },
            Type::Object(_) => self.not_a(index, &at, "a string, which an index of an object is"),
            other if !other.may_be(Kinds::LIST | Kinds::OBJECT) => {
                self.not_a(of, &operand, "a list or an object, which alone have an index")
            }
            other => {
                let list = other.may_be(Kinds::LIST) && at.may_be(Kinds::INT);
                let object = other.may_be(Kinds::OBJECT) && at.may_be(Kinds::STRING);
                if list || object { Type::Dyn } else { self.not_a(index, &at, "an index") }
            }
        }
    }

    fn object(&mut self, entries: &'a [(Expr, Expr)]) -> Type {
        let (mut fields, mut named) = (Vec::new(), true);
        for (key, value) in entries {
            let key_type = self.type_of(key);
            if !key_type.may_be(Kinds::STRING) {
                self.not_a(key, &key_type, "a string, which a key is");
            }
            let type_ = self.type_of(value);
            match key {
                Expr::Literal(Value::String(name)) => fields.push((name.clone(), type_)),
                _ => named = false,
            }
        }
        if named { Type::object(fields) } else { Type::map(Type::Dyn) }
    }

    fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr, whole: &Expr) -> Type {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            let rule = format!("`{}` takes", op.symbol());
            self.boolean(left, &rule);
            self.boolean(right, &rule);
            return Type::Bool;
        }
        let (a, b) = (self.type_of(left), self.type_of(right));
        let words = |verb: &str| format!("`{whole}`: {} and {} {verb}", a.with_article(), b.with_article());
        match op {
            BinaryOp::Equal | BinaryOp::NotEqual => {
                if !a.comparable(&b) {
                    self.fault(FaultKind::Type, words("are never equal"), None);
                }
                Type::Bool
            }
            BinaryOp::In => {
                if !b.may_be(Kinds::LIST | Kinds::OBJECT) {
                    self.not_a(right, &b, "a list or an object, which `in` takes on its right");
                    return Type::Bool;
                }
                let fits = match &b {
                    Type::List(of) => a.comparable(of),
                    _ => b.may_be(Kinds::LIST) || a.may_be(Kinds::STRING),
                };
                if !fits {
                    let message = format!("`{whole}`: {} is never in {}", a.with_article(), b.with_article());
                    self.fault(FaultKind::Type, message, None);
                }
                Type::Bool
            }
            BinaryOp::Less | BinaryOp::LessEqual | BinaryOp::Greater | BinaryOp::GreaterEqual => {
                if !ordered(&a, &b) {
                    self.fault(FaultKind::Type, words("have no order"), None);
                }
                Type::Bool
            }
            _ => match arithmetic(op, &a, &b) {
                Some(type_) => type_,
                None => {
                    let mixed = matches!((&a, &b), (Type::Int, Type::Double) | (Type::Double, Type::Int));
                    let hint = if mixed && op != BinaryOp::Remainder { "; convert with int() or double()" } else { "" };
                    let message = words(&format!("cannot be operands of `{}`{hint}", op.symbol()));
                    let text = |t: &Type| *t == Type::String;
                    let hint = op == BinaryOp::Add && (text(&a) || text(&b)) && !mixed;
                    let suggestion = hint.then(|| as_text(left, right, &a));
                    self.fault(FaultKind::Type, message, suggestion)
                }
            },
        }
    }

    fn call(&mut self, name: &'a str, target: Option<&'a Expr>, args: &'a [Expr]) -> Type {
        let types: Vec<Type> = target.into_iter().chain(args).map(|arg| self.type_of(arg)).collect();
        let Some(function) = FUNCTIONS.iter().find(|f| f.name == name && f.method == target.is_some()) else {
            return Type::Dyn;
        };
        if args.len() < function.min || args.len() > function.max {
            let message = format!("`{name}` takes {} arguments, not {}", functions::arity(function), args.len());
            return self.fault(FaultKind::Call, message, None);
        }
        if let ("matches", [Expr::Literal(Value::String(pattern))]) = (name, args)
            && let Err(reason) = functions::compiled(pattern)
        {
            self.fault(FaultKind::Call, reason, None);
        }
        match signatures::result(name, target.is_some(), &types) {
            Some(type_) => type_,
            None => {
                let given: Vec<String> = types.iter().map(Type::with_article).collect();
                let subject = target.map_or_else(|| name.to_owned(), |t| format!("{t}.{name}"));
                let message = format!("`{subject}()` does not take {}", given.join(", "));
                self.fault(FaultKind::Type, message, None)
            }
        }
    }

    fn comprehension(
        &mut self,
        kind: Macro,
        range: &'a Expr,
        variable: &'a str,
        filter: Option<&'a Expr>,
        body: &'a Expr,
    ) -> Type {
        let range_type = self.type_of(range);
        let element = match &range_type {
            Type::List(of) => Type::clone(of),
            other if other.may_be(Kinds::LIST) => Type::Dyn,
            other if other.may_be(Kinds::OBJECT) => Type::String,
            other => self.not_a(range, other, "a list or an object, which alone can be gone through"),
        };
        self.locals.push((variable, element.clone()));
        if let Some(filter) = filter {
            self.boolean(filter, "a filter is");
        }
        let result = match kind {
            Macro::Map => Type::list(self.type_of(body)),
            Macro::Filter => {
                self.boolean(body, "a filter is");
                Type::list(element)
            }
            Macro::All | Macro::Exists | Macro::ExistsOne => {
                self.boolean(body, "a condition is");
                Type::Bool
            }
        };
        self.locals.pop();
        result
    }
}

/// The sum of a string and something else, as it must be written.
fn as_text(left: &Expr, right: &Expr, a: &Type) -> String {
    if *a == Type::String { format!("{left} + string({right})") } else { format!("string({left}) + {right}") }
}

fn ordered(a: &Type, b: &Type) -> bool {
    a.may_be((b.kinds() & Kinds::SCALAR).numbers_alike())
}

/// The type of `a op b`; `None` where it can have no value. Both operands are of one kind, and so is what comes out.
fn arithmetic(op: BinaryOp, a: &Type, b: &Type) -> Option<Type> {
    let taken = match op {
        BinaryOp::Add => Kinds::NUMBER | Kinds::STRING | Kinds::LIST,
        BinaryOp::Remainder => Kinds::INT,
        _ => Kinds::NUMBER,
    };
    match (a.kinds() & b.kinds() & taken, a, b) {
        (Kinds::LIST, Type::List(_), Type::List(_)) => Some(a.clone().join(b.clone())),
        (common, _, _) => (!common.is_empty()).then(|| Type::of_kinds(common)),
    }
}
