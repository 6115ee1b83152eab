//! Strings with `${...}` in them.

use serde_json::Value;

use super::functions::text;
use super::scope::Fields;
use super::{Error, Expression, Stop};

/// A string, its expressions parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    Expression(Expression),
}

impl Text {
    /// Whether a string may hold an expression or an escape.
    pub fn is_dynamic(source: &str) -> bool {
        source.contains("${")
    }

    /// Parses. `$${` stands for the characters `${`.
    ///
    /// # Errors
    /// Where an expression is not closed or is none.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = source;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                literal.push_str(&rest[..at - 1]);
                literal.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            let body = &rest[at + 2..];
            let end = closing(body).ok_or_else(|| Error::Unclosed(shortened(&rest[at..])))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression(Expression::parse(&body[..end])?));
            rest = &body[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts })
    }

    /// The expression, where the string is nothing else.
    pub fn single(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => Some(expression),
            _ => None,
        }
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Literal(_) => None,
        })
    }

    /// Its value: of any type where the string is one expression, otherwise a string.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate(&self, scope: &dyn Fields) -> Result<Value, Stop> {
        if let Some(expression) = self.single() {
            return expression.evaluate(scope);
        }
        let mut whole = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => whole.push_str(literal),
                Part::Expression(expression) => whole.push_str(&text(&expression.evaluate(scope)?)),
            }
        }
        Ok(whole.into())
    }
}

/// Where the `}` is that closes the expression which `body` begins with: braces within it and in its strings do not.
fn closing(body: &str) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            quote @ (b'"' | b'\'') => {
                let raw = at > 0 && matches!(bytes[at - 1], b'r' | b'R');
                at = string_end(bytes, at, quote, raw)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The index after a string literal that begins at `start`.
fn string_end(bytes: &[u8], start: usize, quote: u8, raw: bool) -> Option<usize> {
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mark: &[u8] = if triple { &[quote; 3] } else { &[quote] };
    let mut at = start + mark.len();
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at..].starts_with(mark) {
            return Some(at + mark.len());
        } else {
            at += 1;
        }
    }
    None
}

fn shortened(text: &str) -> String {
    tributary_crds::condition::truncated(text, 40)
}

/// Calls `visit` with every string of a value that may hold an expression, and its path below `path`.
pub fn texts_of<'a>(value: &'a Value, path: &str, visit: &mut dyn FnMut(&str, &'a str)) {
    let mut stack = vec![(path.to_owned(), value)];
    while let Some((path, value)) = stack.pop() {
        match value {
            Value::String(s) if Text::is_dynamic(s) => visit(&path, s),
            Value::Array(items) => {
                stack.extend(items.iter().enumerate().rev().map(|(i, v)| (format!("{path}[{i}]"), v)));
            }
            Value::Object(object) => {
                stack.extend(object.iter().rev().map(|(k, v)| (child_path(&path, k), v)));
            }
            _ => {}
        }
    }
}

/// `path.key`, or `path["key"]` for a key that is no plain name.
pub fn child_path(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { format!("{path}.{key}") } else { format!("{path}[{key:?}]") }
}
