//! Evaluation: a walk over the syntax tree with fuel, so that no expression takes longer or grows larger than that.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::ast::{BinaryOp, Expr, Macro, UnaryOp};
use super::functions::{self, type_name};
use super::number::{Number, arithmetic, compare, equal, number};
use super::scope::{Fields, Node};
use super::{Stop, number};

/// What one evaluation may cost: a node visited, an element or 64 bytes copied cost 1 each.
pub const FUEL: u64 = 200_000;

pub(super) fn evaluate(ast: &Expr, scope: &dyn Fields) -> Result<Value, Stop> {
    let mut evaluation = Evaluation { scope, locals: Vec::new(), fuel: FUEL };
    let node = evaluation.eval(ast)?;
    evaluation.value(node).map(Cow::into_owned)
}

struct Evaluation<'a> {
    scope: &'a dyn Fields,
    /// Variables of the comprehensions around, innermost last.
    locals: Vec<(&'a str, Node<'a>)>,
    fuel: u64,
}

impl<'a> Evaluation<'a> {
    fn spend(&mut self, cost: usize) -> Result<(), Stop> {
        self.fuel = self.fuel.saturating_sub(cost as u64);
        if self.fuel == 0 {
            return Err(Stop::Error("the expression takes too long or its value is too large".into()));
        }
        Ok(())
    }

    fn eval(&mut self, ast: &'a Expr) -> Result<Node<'a>, Stop> {
        self.spend(1)?;
        match ast {
            Expr::Literal(value) => Ok(value.into()),
            Expr::Name(name) => self.variable(name),
            Expr::Field { of, name, test } => self.select(of, name, *test),
            Expr::Index { of, index } => self.index(of, index),
            Expr::Call { name, target, args } => self.function(name, target.as_deref(), args).map(owned),
            Expr::Unary { op, of } => self.unary(*op, of).map(owned),
            Expr::Binary { op, left, right } => self.binary(*op, left, right),
            Expr::Conditional { condition, yes, no } => {
                let chosen = if self.bool(condition)? { yes } else { no };
                self.eval(chosen)
            }
            Expr::List(elements) => {
                let mut items = Vec::with_capacity(elements.len());
                for element in elements {
                    items.push(self.owned(element)?);
                }
                Ok(owned(Value::Array(items)))
            }
            Expr::Object(entries) => self.object(entries).map(owned),
            Expr::Macro { kind, range, variable, filter, body } => {
                let items = self.items(range)?;
                let depth = self.locals.len();
                let outcome = self.each(*kind, items, variable, filter.as_deref(), body);
                self.locals.truncate(depth);
                outcome.map(owned)
            }
        }
    }

    fn object(&mut self, entries: &'a [(Expr, Expr)]) -> Result<Value, Stop> {
        let mut object = Map::new();
        for (key, value) in entries {
            let key = match self.owned(key)? {
                Value::String(key) => key,
                other => return Err(error(format!("a key is a string, not {}", type_name(&other)))),
            };
            let value = self.owned(value)?;
            if object.insert(key.clone(), value).is_some() {
                return Err(error(format!("the key \"{key}\" stands twice in one object")));
            }
        }
        Ok(Value::Object(object))
    }

    /// The value of a node that is one; scopes are no values.
    fn value(&mut self, node: Node<'a>) -> Result<Cow<'a, Value>, Stop> {
        match node {
            Node::Json(value) => Ok(value),
            Node::Fields(fields) => {
                Err(error(format!("this is not a value; choose one of its fields: {}", fields.names().join(", "))))
            }
            Node::Unknown(what) => Err(Stop::Unknown(what.into_owned())),
            Node::Skipped(name) => Err(Stop::Skipped(name.into_owned())),
        }
    }

    fn json(&mut self, ast: &'a Expr) -> Result<Cow<'a, Value>, Stop> {
        let node = self.eval(ast)?;
        self.value(node)
    }

    fn owned(&mut self, ast: &'a Expr) -> Result<Value, Stop> {
        let value = self.json(ast)?;
        self.spend(weight(&value))?;
        Ok(value.into_owned())
    }

    fn variable(&mut self, name: &str) -> Result<Node<'a>, Stop> {
        if let Some((_, node)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            let node = node.clone();
            if let Node::Json(Cow::Owned(value)) = &node {
                self.spend(weight(value))?;
            }
            return Ok(node);
        }
        let scope = self.scope;
        scope.field(name).ok_or_else(|| error(format!("`{name}` stands for nothing here")))
    }

    fn select(&mut self, of: &'a Expr, name: &'a str, test: bool) -> Result<Node<'a>, Stop> {
        let operand = self.eval(of)?;
        let found = self.field(operand, name)?;
        if test {
            return match found {
                Some(Node::Unknown(what)) => Err(Stop::Unknown(what.into_owned())),
                Some(Node::Skipped(name)) => Err(Stop::Skipped(name.into_owned())),
                other => Ok(owned(Value::Bool(other.is_some()))),
            };
        }
        found.ok_or_else(|| error(format!("there is no field `{name}`")))
    }

    fn field(&mut self, operand: Node<'a>, name: &str) -> Result<Option<Node<'a>>, Stop> {
        match operand {
            Node::Fields(fields) => Ok(fields.field(name)),
            Node::Json(Cow::Borrowed(Value::Object(object))) => Ok(object.get(name).map(Node::from)),
            Node::Json(Cow::Owned(Value::Object(mut object))) => Ok(object.remove(name).map(owned)),
            Node::Json(other) => Err(error(format!("{} has no field `{name}`", type_name(&other)))),
            Node::Unknown(what) => Err(Stop::Unknown(what.into_owned())),
            Node::Skipped(name) => Err(Stop::Skipped(name.into_owned())),
        }
    }

    fn unary(&mut self, op: UnaryOp, of: &'a Expr) -> Result<Value, Stop> {
        match op {
            UnaryOp::Not => Ok((!self.bool(of)?).into()),
            UnaryOp::Negate => {
                let value = self.json(of)?;
                match number(&value) {
                    Some(Number::Int(n)) => arithmetic('-', Number::Int(0), Number::Int(n)).map_err(Stop::Error),
                    Some(Number::Double(n)) => Ok(number::double(-n).unwrap_or(Value::Null)),
                    None => Err(error(format!("- is for numbers, not for {}", type_name(&value)))),
                }
            }
        }
    }

    fn binary(&mut self, op: BinaryOp, left: &'a Expr, right: &'a Expr) -> Result<Node<'a>, Stop> {
        match op {
            BinaryOp::And => return self.logical(left, right, false),
            BinaryOp::Or => return self.logical(left, right, true),
            BinaryOp::In => {
                let item = self.json(left)?;
                let container = self.eval(right)?;
                return self.contains(&item, container).map(|b| owned(b.into()));
            }
            _ => {}
        }
        let (a, b) = (self.json(left)?, self.json(right)?);
        self.spend(weight(&a) + weight(&b))?;
        let holds = |test: fn(Ordering) -> bool| ordered(&a, &b).map(|o| o.is_some_and(test).into());
        let result = match op {
            BinaryOp::Equal => Ok(equal(&a, &b).into()),
            BinaryOp::NotEqual => Ok((!equal(&a, &b)).into()),
            BinaryOp::Less => holds(Ordering::is_lt),
            BinaryOp::LessEqual => holds(Ordering::is_le),
            BinaryOp::Greater => holds(Ordering::is_gt),
            BinaryOp::GreaterEqual => holds(Ordering::is_ge),
            BinaryOp::Subtract => numeric('-', &a, &b),
            BinaryOp::Multiply => numeric('*', &a, &b),
            BinaryOp::Divide => numeric('/', &a, &b),
            BinaryOp::Remainder => numeric('%', &a, &b),
            _ => add(&a, &b),
        };
        result.map(owned).map_err(Stop::Error)
    }

    /// Functions: every argument is a value.
    fn function(&mut self, name: &str, target: Option<&'a Expr>, args: &'a [Expr]) -> Result<Value, Stop> {
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in target.into_iter().chain(args) {
            values.push(self.json(arg)?);
        }
        self.spend(values.iter().map(|a| weight(a)).sum())?;
        let value = functions::call(name, target.is_some(), &values).map_err(Stop::Error)?;
        self.spend(weight(&value))?;
        Ok(value)
    }

    fn bool(&mut self, ast: &'a Expr) -> Result<bool, Stop> {
        match &*self.json(ast)? {
            Value::Bool(b) => Ok(*b),
            other => Err(error(format!("a condition is a boolean, not {}", type_name(other)))),
        }
    }

    /// `&&` (`absorbing` false) and `||` (true): the absorbing value wins over an error or an unknown on the other side.
    fn logical(&mut self, a: &'a Expr, b: &'a Expr, absorbing: bool) -> Result<Node<'a>, Stop> {
        let left = self.bool(a);
        if left == Ok(absorbing) {
            return Ok(owned(absorbing.into()));
        }
        let right = self.bool(b);
        if right == Ok(absorbing) {
            return Ok(owned(absorbing.into()));
        }
        match (left, right) {
            (Ok(_), Ok(right)) => Ok(owned(right.into())),
            (Err(left), Err(right)) => Err(worse(Some(left), right)),
            (Err(stop), _) | (_, Err(stop)) => Err(stop),
        }
    }

    fn index(&mut self, operand: &'a Expr, index: &'a Expr) -> Result<Node<'a>, Stop> {
        let operand = self.eval(operand)?;
        let index = self.json(index)?;
        match (operand, &*index) {
            (node @ (Node::Fields(_) | Node::Unknown(_) | Node::Skipped(_)), Value::String(name)) => {
                self.field(node, name)?.ok_or_else(|| error(format!("there is no `{name}`")))
            }
            (Node::Json(Cow::Borrowed(Value::Array(items))), Value::Number(n)) => n
                .as_u64()
                .and_then(|i| items.get(i as usize))
                .map(Node::from)
                .ok_or_else(|| out_of_range(n, items.len())),
            (Node::Json(Cow::Owned(Value::Array(mut items))), Value::Number(n)) => match n.as_u64() {
                Some(i) if (i as usize) < items.len() => Ok(owned(items.swap_remove(i as usize))),
                _ => Err(out_of_range(n, items.len())),
            },
            (node @ Node::Json(_), Value::String(name)) => {
                self.field(node, name)?.ok_or_else(|| error(format!("there is no key \"{name}\"")))
            }
            (Node::Unknown(what), _) => Err(Stop::Unknown(what.into_owned())),
            (Node::Skipped(name), _) => Err(Stop::Skipped(name.into_owned())),
            (_, other) => Err(error(format!("{} cannot be an index here", type_name(other)))),
        }
    }

    fn contains(&mut self, item: &Value, container: Node<'a>) -> Result<bool, Stop> {
        if let (Node::Fields(fields), Value::String(name)) = (&container, item) {
            return Ok(fields.field(name).is_some());
        }
        let container = self.value(container)?;
        self.spend(weight(&container))?;
        match (&*container, item) {
            (Value::Array(items), item) => Ok(items.iter().any(|i| equal(i, item))),
            (Value::Object(object), Value::String(key)) => Ok(object.contains_key(key)),
            (other, _) => Err(error(format!("`in` takes a list or an object on its right, not {}", type_name(other)))),
        }
    }

    /// What a macro goes through: the elements of a list, the keys of an object.
    fn items(&mut self, range: &'a Expr) -> Result<Vec<Node<'a>>, Stop> {
        Ok(match self.json(range)? {
            Cow::Borrowed(Value::Array(items)) => items.iter().map(Node::from).collect(),
            Cow::Owned(Value::Array(items)) => items.into_iter().map(owned).collect(),
            Cow::Borrowed(Value::Object(o)) => o.keys().map(|k| owned(k.clone().into())).collect(),
            Cow::Owned(Value::Object(o)) => o.into_iter().map(|(k, _)| owned(k.into())).collect(),
            other => return Err(error(format!("{} cannot be gone through", type_name(&other)))),
        })
    }

    fn each(
        &mut self,
        kind: Macro,
        items: Vec<Node<'a>>,
        variable: &'a str,
        filter: Option<&'a Expr>,
        body: &'a Expr,
    ) -> Result<Value, Stop> {
        let depth = self.locals.len();
        let (mut list, mut count, mut stopped) = (Vec::new(), 0, None);
        for item in items {
            self.locals.truncate(depth);
            self.locals.push((variable, item.clone()));
            match kind {
                Macro::All | Macro::Exists => match self.bool(body) {
                    // the deciding value wins over an error or an unknown of another element
                    Ok(b) if b == (kind == Macro::Exists) => return Ok(b.into()),
                    Ok(_) => {}
                    Err(stop) => stopped = Some(worse(stopped, stop)),
                },
                Macro::ExistsOne => count += usize::from(self.bool(body)?),
                Macro::Map => {
                    if filter.map_or(Ok(true), |f| self.bool(f))? {
                        list.push(self.owned(body)?);
                    }
                }
                Macro::Filter => {
                    if self.bool(body)? {
                        let value = self.value(item)?;
                        self.spend(weight(&value))?;
                        list.push(value.into_owned());
                    }
                }
            }
        }
        match (kind, stopped) {
            (_, Some(stop)) => Err(stop),
            (Macro::All, None) => Ok(true.into()),
            (Macro::Exists, None) => Ok(false.into()),
            (Macro::ExistsOne, None) => Ok((count == 1).into()),
            (Macro::Map | Macro::Filter, None) => Ok(Value::Array(list)),
        }
    }
}

/// An unknown may yet turn out to decide; an error never will.
fn worse(before: Option<Stop>, new: Stop) -> Stop {
    match before {
        Some(before @ Stop::Unknown(_)) => before,
        Some(_) | None => new,
    }
}

fn owned<'a>(value: Value) -> Node<'a> {
    Node::Json(Cow::Owned(value))
}

fn error(message: impl Into<String>) -> Stop {
    Stop::Error(message.into())
}

fn out_of_range(index: &serde_json::Number, length: usize) -> Stop {
    error(format!("there is no element {index} in a list of {length}"))
}

/// What copying a value costs.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(s) => 1 + s.len() / 64,
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::Object(object) => 1 + object.values().map(|v| 1 + weight(v)).sum::<usize>(),
        _ => 1,
    }
}

fn ordered(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    let comparable = match (a, b) {
        (Value::Number(_), Value::Number(_)) => true,
        _ => std::mem::discriminant(a) == std::mem::discriminant(b) && (a.is_string() || a.is_boolean()),
    };
    if comparable { Ok(compare(a, b)) } else { Err(format!("{} and {} have no order", type_name(a), type_name(b))) }
}

fn add(a: &Value, b: &Value) -> Result<Value, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(format!("{a}{b}").into()),
        (Value::Array(a), Value::Array(b)) => Ok(a.iter().chain(b).cloned().collect()),
        _ => numeric('+', a, b),
    }
}

fn numeric(op: char, a: &Value, b: &Value) -> Result<Value, String> {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => arithmetic(op, a, b),
        _ => Err(format!("{op} does not take {} and {}", type_name(a), type_name(b))),
    }
}
