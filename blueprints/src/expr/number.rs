//! CEL's arithmetic and comparisons over JSON values: 64-bit integers that never wrap, and doubles.

use std::cmp::Ordering;

use serde_json::Value;

/// A JSON number as CEL sees it.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

/// The number in a value. Whole numbers beyond an i64 become doubles.
pub(super) fn number(value: &Value) -> Option<Number> {
    let n = value.as_number()?;
    match n.as_i64() {
        Some(i) => Some(Number::Int(i)),
        None => n.as_f64().map(Number::Double),
    }
}

/// A double as JSON; `None` for NaN and infinities, which JSON does not have.
pub(super) fn double(value: f64) -> Option<Value> {
    serde_json::Number::from_f64(value).map(Value::Number)
}

/// `a op b` for `+ - * / %`.
pub(super) fn arithmetic(op: char, a: Number, b: Number) -> Result<Value, String> {
    match (a, b) {
        (Number::Int(a), Number::Int(b)) => {
            if b == 0 && matches!(op, '/' | '%') {
                return Err(format!("{a} {op} 0 has no value"));
            }
            let result = match op {
                '+' => a.checked_add(b),
                '-' => a.checked_sub(b),
                '*' => a.checked_mul(b),
                '/' => a.checked_div(b),
                _ => a.checked_rem(b),
            };
            result.map(Value::from).ok_or_else(|| format!("{a} {op} {b} is beyond 64 bits"))
        }
        (Number::Double(a), Number::Double(b)) if op != '%' => {
            let result = match op {
                '+' => a + b,
                '-' => a - b,
                '*' => a * b,
                _ => a / b,
            };
            double(result).ok_or_else(|| format!("{a} {op} {b} is not a number"))
        }
        (Number::Double(_), Number::Double(_)) => Err("% is for integers".into()),
        _ => Err(format!("{op} takes two integers or two doubles, not one of each; convert with int() or double()")),
    }
}

/// The order of two values of one type; `None` where they have none.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => match (number(a)?, number(b)?) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Double(a), Number::Double(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Double(b)) => int_to_double(a, b),
            (Number::Double(a), Number::Int(b)) => int_to_double(b, a).map(Ordering::reverse),
        },
    }
}

/// Exact where a cast to f64 would round.
fn int_to_double(a: i64, b: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        return None;
    }
    if b >= TWO_63 {
        return Some(Ordering::Less);
    }
    if b < -TWO_63 {
        return Some(Ordering::Greater);
    }
    let whole = b.trunc();
    #[allow(clippy::cast_possible_truncation)]
    let order = a.cmp(&(whole as i64));
    Some(order.then_with(|| 0.0_f64.partial_cmp(&(b - whole)).unwrap_or(Ordering::Equal)))
}

/// CEL's equality: numbers by value whatever their type, values of different types differ.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}
