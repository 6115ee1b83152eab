//! What an expression refers to: the edges of the graph come from here.

use std::rc::Rc;

use serde_json::Value;

use super::ast::Expr;

/// A name of the outer scope and the fields below it, as far as the text says them: `components.count.outputs.rows`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The names, the scope's own first.
    pub path: Vec<String>,
    /// The path goes on by an index that is a number or is computed.
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

/// The variables that macros around a node bind, innermost first.
type Bound<'a> = Option<Rc<Variable<'a>>>;

struct Variable<'a> {
    name: &'a str,
    outer: Bound<'a>,
}

fn is_bound(bound: &Bound<'_>, name: &str) -> bool {
    let mut current = bound.as_ref();
    while let Some(variable) = current {
        if variable.name == name {
            return true;
        }
        current = variable.outer.as_ref();
    }
    false
}

pub(super) fn references(ast: &Expr) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut stack: Vec<(&Expr, Bound<'_>)> = vec![(ast, None)];
    while let Some((node, bound)) = stack.pop() {
        if let Some((reference, indices)) = chain(node) {
            if !is_bound(&bound, reference.root()) && !found.contains(&reference) {
                found.push(reference);
            }
            stack.extend(indices.into_iter().map(|i| (i, bound.clone())));
            continue;
        }
        if let Expr::Macro { range, variable, filter, body, .. } = node {
            let inner = Some(Rc::new(Variable { name: variable, outer: bound.clone() }));
            stack.push((body, inner.clone()));
            stack.extend(filter.iter().map(|f| (f.as_ref(), inner.clone())));
            stack.push((range, bound));
            continue;
        }
        let from = stack.len();
        node.parts(|part| stack.push((part, bound.clone())));
        stack[from..].reverse();
    }
    found
}

/// The functions called in a tree: name, and whether it is called on a value.
pub(super) fn functions(ast: &Expr) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut stack = vec![ast];
    while let Some(node) = stack.pop() {
        if let Expr::Call { name, target, .. } = node {
            found.push((name.as_str(), target.is_some()));
        }
        node.parts(|part| stack.push(part));
    }
    found
}

/// A chain of fields and indices down to a name; with it, the computed indices within.
fn chain(node: &Expr) -> Option<(Reference, Vec<&Expr>)> {
    let mut path = Vec::new();
    let mut indices = Vec::new();
    let mut computed = false;
    let mut current = node;
    let test = matches!(node, Expr::Field { test: true, .. });
    loop {
        match current {
            Expr::Name(name) => {
                path.push(name.clone());
                path.reverse();
                return Some((Reference { path, computed, test }, indices));
            }
            Expr::Field { of, name, .. } => {
                path.push(name.clone());
                current = of;
            }
            Expr::Index { of, index } => {
                match index.as_ref() {
                    Expr::Literal(Value::String(key)) => path.push(key.clone()),
                    other => {
                        // what follows such an index is not known by name
                        path.clear();
                        computed = true;
                        indices.push(other);
                    }
                }
                current = of;
            }
            _ => return None,
        }
    }
}
