//! What an expression refers to: the edges of the graph come from here.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

use super::parse::children;

/// A name of the outer scope and the fields below it, as far as the text says them: `components.count.outputs.rows`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The names, the scope's own first.
    pub path: Vec<String>,
    /// The path goes on by an index that is computed.
    pub computed: bool,
    /// It is only asked whether the last field is there.
    pub test: bool,
}

impl Reference {
    /// The name in the outer scope.
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The name below the root.
    pub fn name(&self) -> Option<&str> {
        self.path.get(1).map(String::as_str)
    }
}

pub(super) fn references(ast: &IdedExpr) -> Vec<Reference> {
    let mut found = Vec::new();
    // with each node, the variables that comprehensions around it bind
    let mut stack: Vec<(&IdedExpr, Vec<&str>)> = vec![(ast, Vec::new())];
    while let Some((node, bound)) = stack.pop() {
        if let Some((reference, rest)) = chain(node) {
            if !bound.contains(&reference.root()) && !found.contains(&reference) {
                found.push(reference);
            }
            rest.into_iter().for_each(|r| stack.push((r, bound.clone())));
            continue;
        }
        if let Expr::Comprehension(c) = &node.expr {
            let mut inner = bound.clone();
            inner.extend([c.iter_var.as_str(), c.accu_var.as_str()]);
            for part in [&c.result, &c.loop_step, &c.loop_cond] {
                stack.push((part, inner.clone()));
            }
            stack.push((&c.accu_init, bound.clone()));
            stack.push((&c.iter_range, bound));
            continue;
        }
        let from = stack.len();
        children(&node.expr, |child| stack.push((child, bound.clone())));
        stack[from..].reverse();
    }
    found
}

/// The functions called in a tree; operators are not named like functions.
pub(super) fn functions(ast: &IdedExpr) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut stack = vec![ast];
    while let Some(node) = stack.pop() {
        if let Expr::Call(call) = &node.expr
            && call.func_name.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            found.push((call.func_name.as_str(), call.target.is_some()));
        }
        children(&node.expr, |child| stack.push(child));
    }
    found
}

/// A chain of fields and indices down to a name; with it, the computed indices within.
fn chain(node: &IdedExpr) -> Option<(Reference, Vec<&IdedExpr>)> {
    let mut path = Vec::new();
    let mut indices = Vec::new();
    let mut computed = false;
    let mut current = node;
    let test = matches!(&node.expr, Expr::Select(s) if s.test);
    loop {
        match &current.expr {
            Expr::Ident(name) => {
                path.push(name.clone());
                path.reverse();
                return Some((Reference { path, computed, test }, indices));
            }
            Expr::Select(select) => {
                path.push(select.field.clone());
                current = &select.operand;
            }
            Expr::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
                match &call.args[1].expr {
                    Expr::Literal(LiteralValue::String(key)) => path.push(key.inner().to_owned()),
                    other => {
                        // what follows a computed or a numeric index is not known by name
                        path.clear();
                        computed = true;
                        if !matches!(other, Expr::Literal(_)) {
                            indices.push(&call.args[1]);
                        }
                    }
                }
                current = &call.args[0];
            }
            _ => return None,
        }
    }
}
