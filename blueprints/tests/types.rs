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

/// An expression and all its parts, itself among them. What stands in a macro is a part as the macro gives it: a list.
#[derive(Clone, Debug)]
struct Source {
    text: String,
    parts: Vec<String>,
}

impl Source {
    fn of(text: String, operands: impl IntoIterator<Item = Source>) -> Self {
        let mut parts: Vec<String> = operands.into_iter().flat_map(|operand| operand.parts).collect();
        parts.push(text.clone());
        Self { text, parts }
    }

    fn mapped(range: Source, body: Source) -> Self {
        let text = format!("{}.map(n, {})", range.text, body.text);
        let within = body.parts.iter().map(|part| format!("{}.map(n, {part})", range.text));
        let parts = range.parts.iter().cloned().chain(within).collect();
        Self { text, parts }
    }
}

/// Expressions of every shape but those that decide without looking at all their parts.
fn expression() -> impl Strategy<Value = Source> {
    let names = prop::sample::select(vec!["n", "d", "s", "t", "l", "m", "o", "1", "2.5", "\"x\"", "true"]);
    names.prop_map(|name| Source::of(name.to_owned(), [])).prop_recursive(4, 16, 3, |e| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "%", "<", "<=", ">"]);
        let method0 = prop::sample::select(vec!["size", "trim", "upperAscii", "join"]);
        let method1 = prop::sample::select(vec!["contains", "startsWith", "split", "join", "substring", "indexOf"]);
        let global = prop::sample::select(vec!["size", "string", "int", "double", "bool", "min", "max"]);
        let two = prop::sample::select(vec!["min", "max"]);
        let field = prop::sample::select(vec!["a", "b", "c"]);
        prop_oneof![
            (e.clone(), binary, e.clone())
                .prop_map(|(a, op, b)| Source::of(format!("({} {op} {})", a.text, b.text), [a, b])),
            (e.clone(), method0).prop_map(|(a, f)| Source::of(format!("{}.{f}()", a.text), [a])),
            (e.clone(), method1, e.clone())
                .prop_map(|(a, f, b)| Source::of(format!("{}.{f}({})", a.text, b.text), [a, b])),
            (global, e.clone()).prop_map(|(f, a)| Source::of(format!("{f}({})", a.text), [a])),
            (two, e.clone(), e.clone())
                .prop_map(|(f, a, b)| Source::of(format!("{f}({}, {})", a.text, b.text), [a, b])),
            e.clone().prop_map(|a| Source::of(format!("(!{})", a.text), [a])),
            e.clone().prop_map(|a| Source::of(format!("(-{})", a.text), [a])),
            (e.clone(), e.clone()).prop_map(|(a, i)| Source::of(format!("{}[{}]", a.text, i.text), [a, i])),
            (e.clone(), field).prop_map(|(a, f)| Source::of(format!("{}.{f}", a.text), [a])),
            (e.clone(), e.clone()).prop_map(|(a, body)| Source::mapped(a, body)),
        ]
    })
}

/// Whether a type says of what kind each value is. That of `o[s]` does not, for instance: one field is an integer,
/// another a string.
fn is_known(type_: &Type) -> bool {
    match type_ {
        Type::Dyn | Type::OneOf(_) => false,
        Type::List(of) => is_known(of),
        Type::Object(shape) => shape.fields.values().chain(&shape.others).all(is_known),
        _ => true,
    }
}

/// Errors that depend on the value and not on its type.
const OF_VALUES: [&str; 12] = [
    "has no value",
    "beyond 64 bits",
    "there is no element",
    "is not an integer",
    "is not a number",
    "neither true nor false",
    "neither least nor greatest",
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
        let Source { text: source, parts } = source;
        let Ok(parsed) = Expression::parse(&source) else { return Ok(()) };
        let types = scope();
        let of_name = |name: &str| types.iter().find(|(n, _, _)| *n == name).map(|(_, t, _)| t.clone());
        let (type_, faults) = parsed.check(&of_name);
        let names: Map<String, Value> = types.iter().zip(&values).map(|((n, _, _), v)| ((*n).to_owned(), v.clone())).collect();
        match parsed.evaluate(&names) {
            Ok(value) => {
                prop_assert!(faults.is_empty(), "{source} = {value}, but {faults:?}");
                prop_assert!(Type::of_value(&value).fits(&type_), "{source} = {value} is no {type_}");
            }
            // with a part of more than one kind only values can tell
            Err(Stop::Error(reason)) if faults.is_empty() && parts.iter().all(|part| {
                Expression::parse(part).is_ok_and(|part| is_known(&part.check(&of_name).0))
            }) => {
                prop_assert!(OF_VALUES.iter().any(|words| reason.contains(words)), "{source}: {reason}");
            }
            Err(_) => {}
        }
    }

    #[test]
    fn an_expression_reads_back_as_it_is_shown(source in expression()) {
        // the fault names its part in words that parse again
        let Ok(parsed) = Expression::parse(&format!("!({} + 1)", source.text)) else { return Ok(()) };
        let (_, faults) = parsed.check(&|_| None);
        for part in faults.iter().filter_map(|f| f.message.split('`').nth(1)) {
            prop_assert!(part.len() < 3 || Expression::parse(part.trim_end_matches("()")).is_ok(), "{part}");
        }
    }
}

#[test]
fn a_number_of_a_schema_may_be_written_as_an_integer() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}});
    for source in ["o[k] + 1", "o.a + 1", "o.a % 2", "o.a + 1.5"] {
        let (_, faults) =
            Expression::parse(source).unwrap().check(&|name| (name == "o").then(|| Type::of_schema(&schema)));
        assert!(faults.is_empty(), "{source}: {faults:?}");
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
    // of what is not known, what an operator makes of it is
    assert_eq!(said("!(-x.y)"), [("`!` takes a boolean, but `-x.y` is a number".into(), None)]);
    assert_eq!(said("(x.y % x.z).a"), [("`x.y % x.z` is an integer and has no field `a`".into(), None)]);
    assert_eq!(
        said("x.y + x.z ? 1 : 2"),
        [("a condition is a boolean, but `x.y + x.z` is a number, a string or a list".into(), None)]
    );
    assert_eq!(said("o[s] && t"), [("`&&` takes a boolean, but `o[s]` is an integer or a string".into(), None)]);
    assert_eq!(said("(t ? n : s)[0]").len(), 1);
    assert_eq!(said("min({})").len(), 1);
    assert_eq!(said("n == s"), [("`n == s`: an integer and a string are never equal".into(), None)]);
    assert!(said("has(o.a) && o.a in l && (t ? n : 2) > 1 && m.exists(x, x == s) && size(m) > 0").is_empty());
}
