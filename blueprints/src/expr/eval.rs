//! Evaluation: a walk over the syntax tree with fuel, so that no expression takes longer or grows larger than that.

use std::borrow::Cow;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use serde_json::{Map, Value};

use super::functions::{self, type_name};
use super::number::{Number, arithmetic, compare, equal, number};
use super::scope::{Fields, Node};
use super::{Stop, number};

/// What one evaluation may cost: a node visited, an element or 64 bytes copied cost 1 each.
pub const FUEL: u64 = 200_000;

pub(super) fn evaluate(ast: &IdedExpr, scope: &dyn Fields) -> Result<Value, Stop> {
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

    fn eval(&mut self, ast: &'a IdedExpr) -> Result<Node<'a>, Stop> {
        self.spend(1)?;
        match &ast.expr {
            Expr::Literal(literal) => Ok(Node::Json(Cow::Owned(literal_value(literal)?))),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for element in &list.elements {
                    items.push(self.owned(element)?);
                }
                Ok(owned(Value::Array(items)))
            }
            Expr::Map(map) => {
                let mut object = Map::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
                    let key = match self.owned(&entry.key)? {
                        Value::String(key) => key,
                        other => return Err(error(format!("a key is a string, not {}", type_name(&other)))),
                    };
                    let value = self.owned(&entry.value)?;
                    if object.insert(key.clone(), value).is_some() {
                        return Err(error(format!("the key \"{key}\" stands twice in one object")));
                    }
                }
                Ok(owned(Value::Object(object)))
            }
            Expr::Comprehension(c) => self.comprehension(c),
            Expr::Struct(_) | Expr::Unspecified => Err(error("this is not available in expressions")),
        }
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

    fn json(&mut self, ast: &'a IdedExpr) -> Result<Cow<'a, Value>, Stop> {
        let node = self.eval(ast)?;
        self.value(node)
    }

    fn owned(&mut self, ast: &'a IdedExpr) -> Result<Value, Stop> {
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

    fn select(&mut self, select: &'a SelectExpr) -> Result<Node<'a>, Stop> {
        let operand = self.eval(&select.operand)?;
        let found = self.field(operand, &select.field)?;
        if select.test {
            return match found {
                Some(Node::Unknown(what)) => Err(Stop::Unknown(what.into_owned())),
                Some(Node::Skipped(name)) => Err(Stop::Skipped(name.into_owned())),
                other => Ok(owned(Value::Bool(other.is_some()))),
            };
        }
        found.ok_or_else(|| error(format!("there is no field `{}`", select.field)))
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

    fn call(&mut self, call: &'a CallExpr) -> Result<Node<'a>, Stop> {
        let args = call.args.as_slice();
        match (call.func_name.as_str(), args) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                if self.bool(condition)? {
                    self.eval(yes)
                } else {
                    self.eval(no)
                }
            }
            (operators::LOGICAL_AND, [a, b]) => self.logical(a, b, false),
            (operators::LOGICAL_OR, [a, b]) => self.logical(a, b, true),
            (operators::LOGICAL_NOT, [a]) => Ok(owned((!self.bool(a)?).into())),
            (operators::NOT_STRICTLY_FALSE, [a]) => Ok(owned((!matches!(self.bool(a), Ok(false))).into())),
            (operators::INDEX, [operand, index]) => self.index(operand, index),
            (operators::IN, [item, container]) => {
                let item = self.json(item)?;
                let container = self.eval(container)?;
                self.contains(&item, container).map(|b| owned(b.into()))
            }
            _ => self.function(call).map(owned),
        }
    }

    /// Strict functions and operators: every argument is a value.
    fn function(&mut self, call: &'a CallExpr) -> Result<Value, Stop> {
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in call.target.iter().map(Box::as_ref).chain(&call.args) {
            args.push(self.json(arg)?);
        }
        self.spend(args.iter().map(|a| weight(a)).sum())?;
        let name = call.func_name.as_str();
        let result = match (name, args.as_slice()) {
            (operators::EQUALS, [a, b]) => Ok(equal(a, b).into()),
            (operators::NOT_EQUALS, [a, b]) => Ok((!equal(a, b)).into()),
            (operators::LESS, [a, b]) => ordered(a, b).map(|o| o.is_some_and(|o| o.is_lt()).into()),
            (operators::LESS_EQUALS, [a, b]) => ordered(a, b).map(|o| o.is_some_and(|o| o.is_le()).into()),
            (operators::GREATER, [a, b]) => ordered(a, b).map(|o| o.is_some_and(|o| o.is_gt()).into()),
            (operators::GREATER_EQUALS, [a, b]) => ordered(a, b).map(|o| o.is_some_and(|o| o.is_ge()).into()),
            (operators::ADD, [a, b]) => add(a, b),
            (operators::SUBSTRACT, [a, b]) => numeric('-', a, b),
            (operators::MULTIPLY, [a, b]) => numeric('*', a, b),
            (operators::DIVIDE, [a, b]) => numeric('/', a, b),
            (operators::MODULO, [a, b]) => numeric('%', a, b),
            (operators::NEGATE, [a]) => match number(a) {
                Some(Number::Int(n)) => arithmetic('-', Number::Int(0), Number::Int(n)),
                Some(Number::Double(n)) => Ok(number::double(-n).unwrap_or(Value::Null)),
                None => Err(format!("- is for numbers, not for {}", type_name(a))),
            },
            _ => functions::call(name, call.target.is_some(), &args),
        };
        let value = result.map_err(Stop::Error)?;
        self.spend(weight(&value))?;
        Ok(value)
    }

    fn bool(&mut self, ast: &'a IdedExpr) -> Result<bool, Stop> {
        match &*self.json(ast)? {
            Value::Bool(b) => Ok(*b),
            other => Err(error(format!("a condition is a boolean, not {}", type_name(other)))),
        }
    }

    /// `&&` (`absorbing` false) and `||` (true): the absorbing value wins over an error or an unknown on the other side.
    fn logical(&mut self, a: &'a IdedExpr, b: &'a IdedExpr, absorbing: bool) -> Result<Node<'a>, Stop> {
        let left = self.bool(a);
        if left == Ok(absorbing) {
            return Ok(owned(absorbing.into()));
        }
        let right = self.bool(b);
        if right == Ok(absorbing) {
            return Ok(owned(absorbing.into()));
        }
        // an unknown may yet turn out to absorb what is wrong on the other side
        match (left, right) {
            (Ok(_), Ok(right)) => Ok(owned(right.into())),
            (Err(stop @ Stop::Unknown(_)), _) | (_, Err(stop @ Stop::Unknown(_))) => Err(stop),
            (Err(stop), _) | (_, Err(stop)) => Err(stop),
        }
    }

    fn index(&mut self, operand: &'a IdedExpr, index: &'a IdedExpr) -> Result<Node<'a>, Stop> {
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

    fn comprehension(&mut self, c: &'a ComprehensionExpr) -> Result<Node<'a>, Stop> {
        let range = self.json(&c.iter_range)?;
        let items: Vec<Node<'a>> = match range {
            Cow::Borrowed(Value::Array(items)) => items.iter().map(Node::from).collect(),
            Cow::Owned(Value::Array(items)) => items.into_iter().map(owned).collect(),
            Cow::Borrowed(Value::Object(o)) => o.keys().map(|k| owned(k.clone().into())).collect(),
            Cow::Owned(Value::Object(o)) => o.into_iter().map(|(k, _)| owned(k.into())).collect(),
            other => return Err(error(format!("{} cannot be gone through", type_name(&other)))),
        };
        let init = self.eval(&c.accu_init)?;
        let depth = self.locals.len();
        self.locals.push((&c.accu_var, init));
        let outcome = self.iterate(c, items, depth);
        self.locals.truncate(depth);
        outcome
    }

    fn iterate(&mut self, c: &'a ComprehensionExpr, items: Vec<Node<'a>>, accu: usize) -> Result<Node<'a>, Stop> {
        for item in items {
            self.locals.push((&c.iter_var, item));
            let go_on = self.bool(&c.loop_cond);
            let next = match go_on {
                Ok(true) => self.step(&c.loop_step, c, accu).map(Some),
                Ok(false) => Ok(None),
                Err(stop) => Err(stop),
            };
            self.locals.truncate(accu + 1);
            match next? {
                Some(next) => self.locals[accu].1 = next,
                None => break,
            }
        }
        self.eval(&c.result)
    }

    /// One step. `map` and `filter` append to the accumulator, which is done in place instead of by a copy an element.
    fn step(&mut self, ast: &'a IdedExpr, c: &'a ComprehensionExpr, accu: usize) -> Result<Node<'a>, Stop> {
        if let Expr::Call(call) = &ast.expr {
            match (call.func_name.as_str(), call.args.as_slice()) {
                (operators::CONDITIONAL, [condition, yes, no]) => {
                    let branch = if self.bool(condition)? { yes } else { no };
                    return self.step(branch, c, accu);
                }
                (operators::ADD, [left, right]) if is_variable(left, &c.accu_var) => {
                    let Value::Array(added) = self.owned(right)? else {
                        return Err(error("only lists can be added to a list"));
                    };
                    let taken = std::mem::replace(&mut self.locals[accu].1, owned(Value::Null));
                    let Value::Array(mut list) = self.value(taken)?.into_owned() else {
                        return Err(error("only lists can be added to a list"));
                    };
                    list.extend(added);
                    return Ok(owned(Value::Array(list)));
                }
                _ => {}
            }
        }
        if is_variable(ast, &c.accu_var) {
            return Ok(std::mem::replace(&mut self.locals[accu].1, owned(Value::Null)));
        }
        self.eval(ast)
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

fn is_variable(ast: &IdedExpr, name: &str) -> bool {
    matches!(&ast.expr, Expr::Ident(ident) if ident == name)
}

fn literal_value(literal: &LiteralValue) -> Result<Value, Stop> {
    Ok(match literal {
        LiteralValue::Boolean(b) => (*b.inner()).into(),
        LiteralValue::Double(d) => number::double(*d.inner()).unwrap_or(Value::Null),
        LiteralValue::Int(i) => (*i.inner()).into(),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(s) => s.inner().into(),
        LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
            return Err(error("this literal is not available in expressions"));
        }
    })
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

fn ordered(a: &Value, b: &Value) -> Result<Option<std::cmp::Ordering>, String> {
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
