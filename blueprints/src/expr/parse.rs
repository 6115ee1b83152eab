//! From text to a syntax tree that is safe to walk: bounded in length and depth, and only of what evaluation knows.

use std::cell::RefCell;
use std::collections::HashMap;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::Parser;

use super::{Error, Expression};

pub(super) fn parse(source: &str) -> Result<IdedExpr, Error> {
    if source.len() > Expression::MAX_LENGTH {
        return Err(Error::TooLong { length: source.len() });
    }
    if let Some(ast) = path(source) {
        return Ok(ast);
    }
    thread_local! {
        // The same few expressions stand in many templates, and each is parsed again at every decision.
        static PARSED: RefCell<HashMap<String, IdedExpr>> = RefCell::default();
    }
    if let Some(ast) = PARSED.with_borrow(|parsed| parsed.get(source).cloned()) {
        return Ok(ast);
    }
    let ast = grammar(source)?;
    PARSED.with_borrow_mut(|parsed| {
        if parsed.len() >= 1_024 {
            parsed.clear();
        }
        parsed.insert(source.to_owned(), ast.clone());
    });
    Ok(ast)
}

fn grammar(source: &str) -> Result<IdedExpr, Error> {
    if nesting(source) > Expression::MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let ast = Parser::new().max_recursion_depth(Expression::MAX_DEPTH as u16).parse(source).map_err(|e| {
        let reason = e.errors.first().map_or_else(String::new, |first| first.msg.replace('\n', " "));
        Error::Syntax { source_text: source.trim().into(), reason }
    })?;
    check(&ast)?;
    Ok(ast)
}

/// An upper bound of how deep the parser would have to go: operators count, since a chain of them nests too.
fn nesting(source: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    let mut operators = 0_usize;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'?' | b'<' | b'>' | b'=' => operators += 1,
            _ => {}
        }
    }
    deepest + operators / 8
}

/// `a.b["c"].d[0]`, by far the most frequent expression, without the grammar.
fn path(source: &str) -> Option<IdedExpr> {
    let source = source.trim();
    let (first, mut rest) = identifier(source)?;
    if matches!(first, "true" | "false" | "null" | "in") {
        return None;
    }
    let mut ast = node(Expr::Ident(first.into()));
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let (field, tail) = identifier(after)?;
            ast = node(Expr::Select(SelectExpr { operand: Box::new(ast), field: field.into(), test: false }));
            rest = tail;
        } else {
            let inner = rest.strip_prefix('[')?;
            let (index, tail) = index(inner)?;
            let call = CallExpr { func_name: operators::INDEX.into(), target: None, args: vec![ast, index] };
            ast = node(Expr::Call(call));
            rest = tail.strip_prefix(']')?;
        }
    }
    Some(ast)
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0 && !text.starts_with(|c: char| c.is_ascii_digit())).then(|| text.split_at(end))
}

fn index(text: &str) -> Option<(IdedExpr, &str)> {
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let end = text[1..].find(quote)? + 1;
        let literal = &text[1..end];
        let plain = !literal.contains(['\\', '\n']);
        return plain.then(|| (node(Expr::Literal(LiteralValue::String(literal.to_owned().into()))), &text[end + 1..]));
    }
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let n: i64 = text[..end].parse().ok()?;
    Some((node(Expr::Literal(LiteralValue::Int(n.into()))), &text[end..]))
}

/// Refuses what evaluation does not know, and too deep a tree; without recursion.
fn check(ast: &IdedExpr) -> Result<(), Error> {
    let mut stack = vec![(ast, 1)];
    while let Some((node, depth)) = stack.pop() {
        if depth > Expression::MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        unsupported(&node.expr)?;
        children(&node.expr, |child| stack.push((child, depth + 1)));
    }
    Ok(())
}

fn unsupported(expr: &Expr) -> Result<(), Error> {
    let what = match expr {
        Expr::Unspecified => "an empty expression",
        Expr::Struct(_) => "a typed object",
        Expr::Literal(LiteralValue::Bytes(_)) => "a byte string",
        Expr::Literal(LiteralValue::UInt(_)) => "an unsigned literal (write it without the `u`)",
        Expr::List(list) if !list.optional_indices.is_empty() => "an optional element",
        Expr::Comprehension(c) if c.iter_var2.is_some() => "a comprehension over two variables",
        _ => return Ok(()),
    };
    Err(Error::Unsupported(what.into()))
}

/// Calls `visit` with each direct part of a node.
pub(super) fn children<'a>(expr: &'a Expr, mut visit: impl FnMut(&'a IdedExpr)) {
    match expr {
        Expr::Call(call) => call.target.iter().map(Box::as_ref).chain(&call.args).for_each(visit),
        Expr::Comprehension(c) => {
            [&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result].into_iter().for_each(visit);
        }
        Expr::List(list) => list.elements.iter().for_each(visit),
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    visit(&entry.key);
                    visit(&entry.value);
                }
            }
        }
        Expr::Select(select) => visit(&select.operand),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => {}
    }
}
