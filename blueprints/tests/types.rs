//! The type checker against the evaluator: what it lets through has no type error, what it refuses never has a value,
//! and a value is of the type that it said.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_blueprints::expr::{Expression, Stop, Type};

/// Names, their types, and how values of them are made. Lists are not empty: of an empty one no element is looked at.
fn scope() -> Vec<(&'static str, Type, BoxedStrategy<Value>)> {
    let object = Type::object([("a", Type::Int), ("b", Type::String)]);
    let ints = prop::collection::vec(-3_i64..4, 1..3);
    vec![
        ("n", Type::Int, (-3_i64..4).prop_map(Value::from).boxed()),
        ("d", Type::Double, prop::sample::select(vec![-1.5, 0.0, 2.5]).prop_map(Value::from).boxed()),
        ("s", Type::String, "[ab1]{0,3}".prop_map(Value::from).boxed()),
        ("t", Type::Bool, any::<bool>().prop_map(Value::from).boxed()),
        ("l", Type::list(Type::Int), ints.prop_map(Value::from).boxed()),
        ("m", Type::list(Type::String), prop::collection::vec("[ab]{0,2}", 1..3).prop_map(Value::from).boxed()),
        ("o", object, ((-3_i64..4), "[ab]{0,2}").prop_map(|(a, b)| json!({"a": a, "b": b})).boxed()),
    ]
}

/// Expressions of every shape but those that decide without looking at all their parts.
fn expression() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["n", "d", "s", "t", "l", "m", "o", "1", "2.5", "\"x\"", "true"]);
    names.prop_map(str::to_owned).prop_recursive(4, 16, 3, |e| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "%", "<", "<=", ">"]);
        let method0 = prop::sample::select(vec!["size", "trim", "upperAscii", "join"]);
        let method1 = prop::sample::select(vec!["contains", "startsWith", "split", "join", "substring", "indexOf"]);
        let global = prop::sample::select(vec!["size", "string", "int", "double", "bool"]);
        let two = prop::sample::select(vec!["min", "max"]);
        prop_oneof![
            (e.clone(), binary, e.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (e.clone(), method0).prop_map(|(a, f)| format!("{a}.{f}()")),
            (e.clone(), method1, e.clone()).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
            (global, e.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            // of an integer and a double either may come out, which is any type
            (two, e.clone()).prop_map(|(f, a)| format!("{f}({a}, {a})")),
            e.clone().prop_map(|a| format!("(!{a})")),
            e.clone().prop_map(|a| format!("(-{a})")),
            (e.clone(), e.clone()).prop_map(|(a, i)| format!("{a}[{i}]")),
            (e.clone(), prop::sample::select(vec!["a", "b", "c"])).prop_map(|(a, f)| format!("{a}.{f}")),
            (e.clone(), e.clone()).prop_map(|(a, body)| format!("{a}.map(n, {body})")),
        ]
    })
}

/// Errors that depend on the value and not on its type.
const OF_VALUES: [&str; 12] = [
    "has no value",
    "beyond 64 bits",
    "there is no element",
    "is not an integer",
    "is not a number",
    "neither true nor false",
    "empty list",
    "too long",
    "too large",
    "a list of strings",
    "`substring` does not take",
    "there is no key",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn the_checker_agrees_with_the_evaluator(
        source in expression(),
        values in scope().into_iter().map(|(_, _, s)| s).collect::<Vec<_>>(),
    ) {
        let Ok(parsed) = Expression::parse(&source) else { return Ok(()) };
        let types = scope();
        let (type_, faults) = parsed.check(&|name| types.iter().find(|(n, _, _)| *n == name).map(|(_, t, _)| t.clone()));
        let names: Map<String, Value> = types.iter().zip(&values).map(|((n, _, _), v)| ((*n).to_owned(), v.clone())).collect();
        match parsed.evaluate(&names) {
            Ok(value) => {
                prop_assert!(faults.is_empty(), "{source} = {value}, but {faults:?}");
                prop_assert!(Type::of_value(&value).fits(&type_), "{source} = {value} is no {type_}");
            }
            Err(Stop::Error(reason)) if faults.is_empty() => {
                prop_assert!(OF_VALUES.iter().any(|words| reason.contains(words)), "{source}: {reason}");
            }
            Err(_) => {}
        }
    }

    #[test]
    fn an_expression_reads_back_as_it_is_shown(source in expression()) {
        // the fault names its part in words that parse again
        let Ok(parsed) = Expression::parse(&format!("!({source} + 1)")) else { return Ok(()) };
        let (_, faults) = parsed.check(&|_| None);
        for part in faults.iter().filter_map(|f| f.message.split('`').nth(1)) {
            prop_assert!(part.len() < 3 || Expression::parse(part.trim_end_matches("()")).is_ok(), "{part}");
        }
    }
}

#[test]
fn what_is_wrong_is_said_of_the_part() {
    let types = scope();
    let said = |source: &str| {
        let parsed = Expression::parse(source).unwrap();
        let (_, faults) = parsed.check(&|name| types.iter().find(|(n, _, _)| *n == name).map(|(_, t, _)| t.clone()));
        faults.into_iter().map(|f| (f.message, f.suggestion)).collect::<Vec<_>>()
    };
    assert_eq!(
        said("s + n"),
        [("`s + n`: a string and an integer cannot be operands of `+`".into(), Some("s + string(n)".into()))]
    );
    assert_eq!(
        said("n + d"),
        [("`n + d`: an integer and a number cannot be operands of `+`; convert with int() or double()".into(), None)]
    );
    assert_eq!(said("o.aa"), [("`o` has no field `aa`; there are `a`, `b`".into(), None)]);
    assert_eq!(said("l.all(x, x.a == 1)"), [("`x` is an integer and has no field `a`".into(), None)]);
    assert_eq!(said("t && n"), [("`&&` takes a boolean, but `n` is an integer".into(), None)]);
    assert_eq!(said("s.startsWith(n)"), [("`s.startsWith()` does not take a string, an integer".into(), None)]);
    assert_eq!(said("n == s"), [("`n == s`: an integer and a string are never equal".into(), None)]);
    assert!(said("has(o.a) && o.a in l && (t ? n : 2) > 1 && m.exists(x, x == s) && size(m) > 0").is_empty());
}
