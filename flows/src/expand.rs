//! `${...}` in the strings of a JobSpec.
//!
//! A JobSpec is full of shell, where `${HOME}` is a variable. Only what refers to a name of the flow's own scope, such as
//! `${parameters.x}`, is taken for an expression; everything else stays as it is. `$${` keeps an expression as text.

use serde_json::{Map, Value};
use tributary_blueprints::expr::{Expression, Fields, Stop};

/// The names that expressions of templates begin with.
const ROOTS: [&str; 4] = ["parameters", "steps", "flow", "run"];
/// The names that there are beside them where a step has `forEach`.
const EACH: [&str; 2] = ["each", "index"];
/// Ends of one expression that are tried.
const MOST_ENDS: usize = 64;

enum Part {
    Literal(String),
    Expression(Expression),
}

/// The expressions in a template, each with the path of its string.
///
/// # Errors
/// The path and the reason, where something that is meant to be an expression is none.
pub(crate) fn expressions(template: &Value, each: bool) -> Result<Vec<(String, Expression)>, (String, String)> {
    let mut found = Vec::new();
    let mut stack = vec![(String::new(), template)];
    while let Some((path, value)) = stack.pop() {
        match value {
            Value::String(text) if text.contains("${") => {
                for part in parts(text, each).map_err(|reason| (path.clone(), reason))? {
                    if let Part::Expression(expression) = part {
                        found.push((path.clone(), expression));
                    }
                }
            }
            Value::Array(items) => stack.extend(items.iter().enumerate().map(|(i, v)| (format!("{path}[{i}]"), v))),
            Value::Object(fields) => stack.extend(fields.iter().map(|(k, v)| (format!("{path}.{k}"), v))),
            _ => {}
        }
    }
    Ok(found)
}

/// The template with the values of its expressions. A string that is one expression takes its type.
///
/// # Errors
/// As [`Expression::evaluate`].
pub(crate) fn expand(template: &Value, scope: &dyn Fields, each: bool) -> Result<Value, Stop> {
    Ok(match template {
        Value::String(text) if text.contains("${") => evaluate(parts(text, each).map_err(Stop::Error)?, scope)?,
        Value::Array(items) => {
            Value::Array(items.iter().map(|v| expand(v, scope, each)).collect::<Result<Vec<_>, _>>()?)
        }
        Value::Object(fields) => {
            let expanded = fields.iter().map(|(k, v)| Ok((k.clone(), expand(v, scope, each)?)));
            Value::Object(expanded.collect::<Result<Map<_, _>, Stop>>()?)
        }
        other => other.clone(),
    })
}

/// Makes numbers and booleans text where a JobSpec has nothing but text: in commands, arguments and the environment.
pub(crate) fn texts(spec: &mut Value) {
    for list in ["/template/spec/containers", "/template/spec/initContainers"] {
        for container in spec.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            for field in ["command", "args"] {
                container.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().for_each(text);
            }
            let env = container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten();
            env.filter_map(|variable| variable.get_mut("value")).for_each(text);
        }
    }
}

fn text(value: &mut Value) {
    if value.is_number() || value.is_boolean() {
        *value = Value::String(value.to_string());
    }
}

fn evaluate(parts: Vec<Part>, scope: &dyn Fields) -> Result<Value, Stop> {
    if let [Part::Expression(expression)] = parts.as_slice() {
        return expression.evaluate(scope);
    }
    let mut whole = String::new();
    for part in parts {
        match part {
            Part::Literal(text) => whole.push_str(&text),
            Part::Expression(expression) => match expression.evaluate(scope)? {
                Value::String(text) => whole.push_str(&text),
                other => whole.push_str(&other.to_string()),
            },
        }
    }
    Ok(Value::String(whole))
}

fn parts(text: &str, each: bool) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, body) = (&rest[..at], &rest[at + 2..]);
        match leading(body, each)? {
            None => {
                literal.push_str(&rest[..at + 2]);
                rest = body;
            }
            Some((_, end)) if before.ends_with('$') => {
                literal.push_str(&before[..at - 1]);
                literal.push_str(&rest[at..at + 2 + end + 1]);
                rest = &body[end + 1..];
            }
            Some((expression, end)) => {
                literal.push_str(before);
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Expression(expression));
                rest = &body[end + 1..];
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// The expression that `body` begins with, and where its `}` is; `None` where it is none of ours.
fn leading(body: &str, each: bool) -> Result<Option<(Expression, usize)>, String> {
    let is_ours = |root: &str| ROOTS.contains(&root) || (each && EACH.contains(&root));
    let mut first_error = None;
    for (end, _) in body.match_indices('}').take(MOST_ENDS).take_while(|(end, _)| *end <= Expression::MAX_LENGTH) {
        match Expression::parse(&body[..end]) {
            Ok(expression) => {
                let refers = |r: &tributary_blueprints::expr::Reference| {
                    is_ours(r.root()) && (r.path.len() > 1 || r.computed || EACH.contains(&r.root()))
                };
                let ours = expression.references().iter().any(refers);
                return Ok(ours.then_some((expression, end)));
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let begins = body.trim_start();
    let meant = ROOTS.iter().any(|r| begins.strip_prefix(r).is_some_and(|after| after.starts_with(['.', '['])));
    match (meant, first_error) {
        (true, Some(error)) => Err(error.to_string()),
        (true, None) => Err(format!("`${{{}` has no `}}`", begins.chars().take(40).collect::<String>())),
        (false, _) => Ok(None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn expanded(text: &str, each: bool) -> Value {
        let scope = json!({"parameters": {"n": 3, "name": "x"}, "run": {"number": 1}, "each": {"id": 7}, "index": 0});
        expand(&json!(text), scope.as_object().unwrap(), each).unwrap()
    }

    #[test]
    fn expressions_are_taken_and_shell_is_left_alone() {
        assert_eq!(expanded("${parameters.n}", false), json!(3));
        assert_eq!(expanded("a ${parameters.name}-${run.number} b", false), json!("a x-1 b"));
        assert_eq!(expanded("${each.id + 1}", true), json!(8));
        for shell in
            ["${HOME}", "${x:-y}", "${#a[@]}", "${index}", "${each}", "${parameters}", "${", "$$ ${a", "${run}"]
        {
            assert_eq!(expanded(shell, false), json!(shell));
        }
        assert_eq!(expanded("$${parameters.n} ${A}", false), json!("${parameters.n} ${A}"));
        assert_eq!(expanded("${ {'a}': parameters.n}['a}'] }", false), json!(3));
    }

    #[test]
    fn what_is_meant_but_wrong_is_told_with_its_path() {
        let template = json!({"spec": {"args": ["x", "${parameters.n +}"]}});
        let (path, reason) = expressions(&template, false).unwrap_err();
        assert_eq!(path, ".spec.args[1]");
        assert!(reason.contains("parameters.n +"), "{reason}");
        assert!(expressions(&json!("${steps.a"), false).is_err());
    }

    proptest! {
        #[test]
        fn text_without_our_names_stays(text in "[a-z${} \"'A-Z0-9:-]{0,60}") {
            prop_assume!(!ROOTS.iter().any(|r| text.contains(r)));
            prop_assert_eq!(expanded(&text, false), json!(text));
        }
    }
}
