//! The functions that expressions have, all of them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::number::{self, Number, compare};

/// A function: its name, whether it is called on a value (`x.f()`), and how many arguments it takes beside that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: &'static str,
    /// Called as `x.f(...)` rather than as `f(...)`.
    pub method: bool,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
}

const fn global(name: &'static str, min: usize, max: usize) -> Function {
    Function { name, method: false, min, max }
}

const fn method(name: &'static str, min: usize, max: usize) -> Function {
    Function { name, method: true, min, max }
}

/// Every function beside the operators and the macros `has`, `all`, `exists`, `exists_one`, `map` and `filter`.
pub const FUNCTIONS: &[Function] = &[
    global("size", 1, 1),
    global("string", 1, 1),
    global("int", 1, 1),
    global("double", 1, 1),
    global("bool", 1, 1),
    global("dyn", 1, 1),
    global("min", 1, 16),
    global("max", 1, 16),
    method("size", 0, 0),
    method("contains", 1, 1),
    method("startsWith", 1, 1),
    method("endsWith", 1, 1),
    method("matches", 1, 1),
    method("lowerAscii", 0, 0),
    method("upperAscii", 0, 0),
    method("trim", 0, 0),
    method("replace", 2, 2),
    method("split", 1, 1),
    method("join", 0, 1),
    method("substring", 1, 2),
    method("indexOf", 1, 1),
];

/// The macros, which the parser turns into comprehensions and tests.
pub const MACROS: &[&str] = &["has", "all", "exists", "exists_one", "map", "filter"];

/// `a string`, `an integer`, ...
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Calls a function; `args` begins with the value that a method is called on.
pub(super) fn call(name: &str, is_method: bool, args: &[Cow<'_, Value>]) -> Result<Value, String> {
    let values: Vec<&Value> = args.iter().map(|a| &**a).collect();
    let given = values.len() - usize::from(is_method);
    let known = FUNCTIONS.iter().find(|f| f.name == name && f.method == is_method);
    let Some(function) = known else { return Err(format!("there is no function `{name}`")) };
    if given < function.min || given > function.max {
        return Err(format!("`{name}` takes {} arguments, not {given}", arity(function)));
    }
    let result = match (name, values.as_slice()) {
        ("size", [x]) => size(x),
        ("string", [x]) => Some(text(x).into()),
        ("dyn", [x]) => Some((*x).clone()),
        ("int", [x]) => return to_int(x),
        ("double", [x]) => return to_double(x),
        ("bool", [x]) => return to_bool(x),
        ("min", items) => return extreme(items, std::cmp::Ordering::Less),
        ("max", items) => return extreme(items, std::cmp::Ordering::Greater),
        ("join", [Value::Array(items), rest @ ..]) => return join(items, rest),
        ("matches", [Value::String(s), Value::String(pattern)]) => return matches(s, pattern),
        (_, [Value::String(s), rest @ ..]) => string_method(name, s, rest),
        _ => None,
    };
    result.ok_or_else(|| {
        let types: Vec<_> = values.iter().map(|v| type_name(v)).collect();
        format!("`{name}` does not take {}", types.join(", "))
    })
}

pub(super) fn arity(function: &Function) -> String {
    if function.min == function.max {
        function.min.to_string()
    } else {
        format!("{} to {}", function.min, function.max)
    }
}

fn string_method(name: &str, s: &str, args: &[&Value]) -> Option<Value> {
    Some(match (name, args) {
        ("contains", [Value::String(x)]) => s.contains(x.as_str()).into(),
        ("startsWith", [Value::String(x)]) => s.starts_with(x.as_str()).into(),
        ("endsWith", [Value::String(x)]) => s.ends_with(x.as_str()).into(),
        ("lowerAscii", []) => s.to_ascii_lowercase().into(),
        ("upperAscii", []) => s.to_ascii_uppercase().into(),
        ("trim", []) => s.trim().into(),
        // an empty pattern would put the replacement between all characters: growth by a product
        ("replace", [Value::String(from), Value::String(to)]) if !from.is_empty() => {
            bounded_replace(s, from, to)?.into()
        }
        ("split", [Value::String(separator)]) if !separator.is_empty() => {
            s.split(separator.as_str()).map(Value::from).collect()
        }
        ("split", [Value::String(_)]) => s.chars().map(|c| Value::from(c.to_string())).collect(),
        ("substring", [from, rest @ ..]) => {
            let to = rest.first().map_or(Some(usize::MAX), |v| index(v));
            substring(s, index(from)?, to?)?.into()
        }
        ("indexOf", [Value::String(x)]) => match s.find(x.as_str()) {
            Some(byte) => s[..byte].chars().count().into(),
            None => Value::from(-1),
        },
        _ => return None,
    })
}

/// A replacement that grows a string beyond a mebibyte has no value.
fn bounded_replace(s: &str, from: &str, to: &str) -> Option<String> {
    let hits = s.matches(from).count();
    let size = s.len().saturating_add(hits.saturating_mul(to.len()));
    (size <= 1 << 20).then(|| s.replace(from, to))
}

fn index(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn substring(s: &str, from: usize, to: usize) -> Option<String> {
    let length = s.chars().count();
    let to = if to == usize::MAX { length } else { to };
    (from <= to && to <= length).then(|| s.chars().skip(from).take(to - from).collect())
}

fn size(value: &Value) -> Option<Value> {
    Some(match value {
        Value::String(s) => s.chars().count().into(),
        Value::Array(items) => items.len().into(),
        Value::Object(object) => object.len().into(),
        _ => return None,
    })
}

/// How a value reads inside a longer string: strings as they are, all else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn to_int(value: &Value) -> Result<Value, String> {
    let found = match value {
        Value::String(s) => s.trim().parse::<i64>().ok(),
        other => match number::number(other) {
            Some(Number::Int(i)) => Some(i),
            #[allow(clippy::cast_possible_truncation)]
            Some(Number::Double(d)) if d.abs() < 9.2e18 => Some(d as i64),
            _ => None,
        },
    };
    found.map(Value::from).ok_or_else(|| format!("{value} is not an integer"))
}

fn to_double(value: &Value) -> Result<Value, String> {
    let found = match value {
        Value::String(s) => s.trim().parse::<f64>().ok(),
        #[allow(clippy::cast_precision_loss)]
        other => number::number(other).map(|n| match n {
            Number::Int(i) => i as f64,
            Number::Double(d) => d,
        }),
    };
    found.and_then(number::double).ok_or_else(|| format!("{value} is not a number"))
}

fn to_bool(value: &Value) -> Result<Value, String> {
    match value {
        Value::Bool(b) => Ok((*b).into()),
        Value::String(s) if s == "true" => Ok(true.into()),
        Value::String(s) if s == "false" => Ok(false.into()),
        other => Err(format!("{other} is neither true nor false")),
    }
}

fn extreme(items: &[&Value], wanted: std::cmp::Ordering) -> Result<Value, String> {
    let (list, of_list): (Vec<&Value>, bool) = match items {
        [Value::Array(list)] => (list.iter().collect(), true),
        _ => (items.to_vec(), false),
    };
    let unordered = |a: &Value, b: &Value| match (type_name(a), type_name(b)) {
        (a, b) if of_list => format!("a list of {a} and {b} has neither least nor greatest"),
        (a, b) => format!("{a} and {b} have no order"),
    };
    if let Some(other) = list.iter().find(|item| item.is_null() || item.is_array() || item.is_object()) {
        return Err(format!("{} has no order", type_name(other)));
    }
    let mut best: Option<&Value> = None;
    for item in list {
        best = match best {
            None => Some(item),
            Some(b) => match compare(item, b) {
                Some(order) => Some(if order == wanted { item } else { b }),
                None => return Err(unordered(item, b)),
            },
        };
    }
    best.cloned().ok_or_else(|| "an empty list has neither least nor greatest".into())
}

fn join(items: &[Value], rest: &[&Value]) -> Result<Value, String> {
    let separator = match rest {
        [] => "",
        [Value::String(s)] => s,
        _ => return Err("`join` takes a string".into()),
    };
    let parts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    let parts = parts.ok_or("`join` is for a list of strings")?;
    if parts.len().saturating_mul(separator.len()) > 1 << 20 {
        return Err("the joined string is too long".into());
    }
    Ok(parts.join(separator).into())
}

fn matches(s: &str, pattern: &str) -> Result<Value, String> {
    compiled(pattern).map(|regex| regex.is_match(s).into())
}

/// A compiled regular expression, bounded in size.
///
/// # Errors
/// The reason, where the pattern is none or too large.
pub(crate) fn compiled(pattern: &str) -> Result<Arc<Regex>, String> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Arc<Regex>>> = RefCell::default();
    }
    if let Some(regex) = COMPILED.with_borrow(|all| all.get(pattern).cloned()) {
        return Ok(regex);
    }
    let regex = regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map(Arc::new)
        .map_err(|e| format!("`{pattern}` is not a regular expression: {}", last_line(&e.to_string())))?;
    COMPILED.with_borrow_mut(|all| {
        if all.len() >= 64 {
            all.clear();
        }
        all.insert(pattern.to_owned(), Arc::clone(&regex));
    });
    Ok(regex)
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}
