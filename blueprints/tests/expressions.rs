//! Expressions: what they yield, what they refuse, that they end, and that they agree with the `cel` crate's evaluator.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_blueprints::expr::{Expression, Stop, Text};

fn scope() -> Map<String, Value> {
    let value = json!({
        "n": 3, "d": 1.5, "s": "Abc", "b": true, "nothing": null,
        "list": [1, 2, 3], "words": ["x", "y"], "o": {"a": 1, "b-c": {"d": "deep"}},
    });
    value.as_object().unwrap().clone()
}

fn eval(source: &str) -> Result<Value, Stop> {
    Expression::parse(source).unwrap_or_else(|e| panic!("{source}: {e}")).evaluate(&scope())
}

#[test]
fn values() {
    let table = [
        ("n + 1", json!(4)),
        ("n / 2", json!(1)),
        ("n % 2", json!(1)),
        ("-n", json!(-3)),
        ("!(-n > 0)", json!(true)),
        ("d * 2.0", json!(3.0)),
        ("s + '!'", json!("Abc!")),
        ("list + [4]", json!([1, 2, 3, 4])),
        ("n > 2 && b", json!(true)),
        ("n == 3.0", json!(true)),
        ("1 < 1.5", json!(true)),
        ("b ? 'yes' : 'no'", json!("yes")),
        ("2 in list", json!(true)),
        ("'a' in o", json!(true)),
        ("o['b-c'].d", json!("deep")),
        ("o[\"b-c\"].d.size()", json!(4)),
        ("list[1]", json!(2)),
        ("has(o.a) && !has(o.z)", json!(true)),
        ("list.map(x, x * x)", json!([1, 4, 9])),
        ("list.filter(x, x > 1)", json!([2, 3])),
        ("list.map(x, x > 1, x + 1)", json!([3, 4])),
        ("list.all(x, x > 0) && list.exists(x, x == 2) && list.exists_one(x, x == 3)", json!(true)),
        ("o.map(k, k)", json!(["a", "b-c"])),
        ("{'k': n}.k", json!(3)),
        ("size(list) + size(s) + size(o)", json!(8)),
        ("string(n) + string(b)", json!("3true")),
        ("int('42') + int(1.9)", json!(43)),
        ("double(n)", json!(3.0)),
        ("s.lowerAscii().startsWith('ab') && s.endsWith('c') && s.contains('b')", json!(true)),
        ("s.matches('^[A-Z]bc$')", json!(true)),
        ("'a,b'.split(',').join('-')", json!("a-b")),
        ("'banana'.replace('an', 'o').substring(1, 3)", json!("oo")),
        ("' x '.trim() + 'xy'.upperAscii()", json!("xXY")),
        ("'xay'.indexOf('a') + 'x'.indexOf('q')", json!(0)),
        ("max(1, 7, 3) - min(list)", json!(6)),
        ("nothing == null", json!(true)),
        // the side that decides wins over an error on the other
        ("o.z == 1 || true", json!(true)),
        ("false && 1 / 0 == 1", json!(false)),
    ];
    for (source, expected) in table {
        assert_eq!(eval(source).unwrap_or_else(|e| panic!("{source}: {e}")), expected, "{source}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    let table = [
        ("9223372036854775807 + 1", "beyond 64 bits"),
        ("n / 0", "no value"),
        ("n + 1.0", "int() or double()"),
        ("n + s", "does not take"),
        ("s > n", "no order"),
        ("o.z", "no field `z`"),
        ("s.z", "a string has no field `z`"),
        ("list[3]", "no element 3"),
        ("z", "stands for nothing"),
        ("s ? 1 : 2", "a condition is a boolean"),
        ("int('x')", "not an integer"),
        ("s.matches('(')", "not a regular expression"),
        ("n.map(x, x)", "cannot be gone through"),
    ];
    for (source, words) in table {
        let stop = eval(source).unwrap_err();
        assert!(matches!(stop, Stop::Error(_)) && stop.to_string().contains(words), "{source}: {stop}");
    }
}

#[test]
fn what_is_no_expression_is_refused() {
    let long = format!("'{}'", "x".repeat(5_000));
    let chain = vec!["1"; 1_500].join("+");
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    let lists = format!("{}1{}", "[".repeat(150), "]".repeat(150));
    for source in
        ["", "1 +", "a.b.", "a b", "b'bytes'", "1u", "Type{a: 1}", "a ? b", "'open", &long, &chain, &deep, &lists]
    {
        assert!(Expression::parse(source).is_err(), "{source:.40}");
    }
}

#[test]
fn nothing_grows_without_bound() {
    let doubling = format!("['x']{}", ".map(a, a + a)".repeat(60));
    let nested = "list.map(a, list.map(b, list.map(c, list.map(d, list.map(e, list.map(f, list.map(g, list.map(h, \
                  list.map(i, list.map(j, list.map(k, list.map(l, list.map(m, m)))))))))))))";
    let replaced = format!("'aaaaaaaa'{}", ".replace('a', 'aaaaaaaa')".repeat(20));
    for source in [doubling.as_str(), nested, &replaced] {
        assert!(matches!(eval(source), Err(Stop::Error(_))), "{source:.40}");
    }
}

#[test]
fn a_small_stack_is_enough() {
    let run = || {
        for n in [90, 700, 2_000] {
            let _ = Expression::parse(&vec!["n"; n].join("+")).map(|e| e.evaluate(&scope()));
            let _ = Expression::parse(&format!("{}n{}", "(".repeat(n), ")".repeat(n))).map(|e| e.evaluate(&scope()));
            let _ = Expression::parse(&format!("{}n", "!".repeat(n))).map(|e| e.evaluate(&scope()));
            let _ = Expression::parse(&format!("n{}", ".a".repeat(n))).map(|e| e.evaluate(&scope()));
            let _ = Expression::parse(&format!("n{}", "[0]".repeat(n))).map(|e| e.evaluate(&scope()));
            let _ = Expression::parse(&vec!["true"; n.min(800)].join("?1:")).map(|e| e.evaluate(&scope()));
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn text_keeps_the_type_of_a_single_expression() {
    let table = [
        ("plain", json!("plain")),
        ("${n}", json!(3)),
        ("${list}", json!([1, 2, 3])),
        ("n=${n}, s=${s}", json!("n=3, s=Abc")),
        ("${words}!", json!("[\"x\",\"y\"]!")),
        ("$${n}", json!("${n}")),
        ("a$$${n}", json!("a$${n}")),
        ("$n $(VAR) $", json!("$n $(VAR) $")),
        ("${ {'a': '}'}['a'] }", json!("}")),
        ("${'\\'}' + s}", json!("'}Abc")),
        ("é${s}é", json!("éAbcé")),
    ];
    for (source, expected) in table {
        let text = Text::parse(source).unwrap_or_else(|e| panic!("{source}: {e}"));
        assert_eq!(text.evaluate(&scope()).unwrap(), expected, "{source}");
    }
    for open in ["${n", "a ${'}", "${{}"] {
        assert!(Text::parse(open).is_err(), "{open}");
    }
}

#[test]
fn references_are_the_names_of_the_outer_scope() {
    let source = "topics['raw-clicks'].topicName + components.count.outputs.rows[0] + parameters[each.x].y \
                  + string(list.map(topics, topics.z)) + string(has(datasets.d.uri))";
    let expression = Expression::parse(source).unwrap();
    let shown: Vec<String> = expression
        .references()
        .iter()
        .map(|r| format!("{}{}{}", r.path.join("/"), if r.computed { "*" } else { "" }, if r.test { "?" } else { "" }))
        .collect();
    let expected = [
        "topics/raw-clicks/topicName",
        "components/count/outputs/rows*",
        "parameters*",
        "each/x",
        "list",
        "datasets/d/uri?",
    ];
    for reference in expected {
        assert!(shown.iter().any(|s| s == reference), "{reference} not in {shown:?}");
    }
    assert_eq!(shown.len(), expected.len(), "{shown:?}");
}

/// Expressions over `n`, `d`, `s`, `b`, `list` and `o`, well-typed or not.
fn source() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("n".to_owned()),
        Just("d".to_owned()),
        Just("s".to_owned()),
        Just("b".to_owned()),
        Just("list".to_owned()),
        Just("o.a".to_owned()),
        Just("null".to_owned()),
        any::<i16>().prop_map(|n| n.to_string()),
        "[a-c]{0,2}".prop_map(|s| format!("'{s}'")),
        Just("2.5".to_owned()),
        Just("true".to_owned()),
        Just("x".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]);
        prop_oneof![
            (inner.clone(), op.clone(), inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            // without brackets, so that precedence shows
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a} ? {b} : {c}")),
            // the crate takes `--x` for `x` even where x is no number
            inner.clone().prop_map(|a| if a.starts_with('-') { a } else { format!("-{a}") }),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("size({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.filter(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.all(x, {b})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a}.exists(x, {b})")),
        ]
    })
}

/// JSON as the crate's own values, whole numbers as integers.
fn cel_value(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.as_i64().map_or_else(|| n.as_f64().unwrap().into(), cel::Value::from),
        Value::String(s) => s.as_str().into(),
        Value::Array(items) => items.iter().map(cel_value).collect::<Vec<_>>().into(),
        Value::Object(o) => {
            o.iter().map(|(k, v)| (k.clone(), cel_value(v))).collect::<std::collections::HashMap<_, _>>().into()
        }
    }
}

/// The same by the `cel` crate; `None` where it has no value.
fn by_cel(source: &str) -> Option<Value> {
    let program = cel::Program::compile(source).ok()?;
    let mut context = cel::Context::default();
    for (name, value) in scope() {
        context.add_variable_from_value(name, cel_value(&value));
    }
    program.execute(&context).ok()?.json().ok()
}

/// JSON writes 2.0 as 2.0 and 2 as 2; only the number matters.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn our_values_are_the_crates_values(source in source()) {
        let ours = Expression::parse(&source).ok().and_then(|e| e.evaluate(&scope()).ok());
        let theirs = by_cel(&source);
        if let (Some(ours), Some(theirs)) = (&ours, &theirs) {
            prop_assert!(same(ours, theirs), "{}: {} but {}", source, ours, theirs);
        }
        prop_assert!(ours.is_some() || theirs.is_none(), "{}: the crate has {:?}", source, theirs);
        prop_assert!(theirs.is_some() || ours.is_none(), "{}: only we have {:?}", source, ours);
    }

    #[test]
    fn no_text_makes_the_parser_panic(source in "\\PC{0,60}") {
        let _ = Text::parse(&source).map(|t| t.evaluate(&scope()));
        let _ = Expression::parse(&source).map(|e| e.evaluate(&scope()));
    }

    #[test]
    fn no_text_of_its_own_letters_makes_the_parser_panic(source in "[a-c0-9.\\[\\](){}?:+*/%!<>=&|,'\"$ \\\\`u-]{0,40}") {
        let _ = Text::parse(&source).map(|t| t.evaluate(&scope()));
        let _ = Text::parse(&format!("${{{source}}}")).map(|t| t.evaluate(&scope()));
        let _ = Expression::parse(&source).map(|e| e.evaluate(&scope()));
    }
}
