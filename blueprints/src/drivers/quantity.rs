//! Quantities as Kubernetes writes them: `1Gi`, `500m`, `1e3`.

use serde_json::Value;

/// Whether two values are the same quantity, however it is written. The apiserver keeps `1024Mi` as `1Gi`.
pub(super) fn same_quantity(a: &Value, b: &Value) -> bool {
    match (quantity(a), quantity(b)) {
        // a written number has at most 15 digits that count, and is then the same in either form
        (Some(a), Some(b)) => (a - b).abs() <= a.abs().max(b.abs()) * 1e-12,
        _ => false,
    }
}

fn quantity(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?;
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let scale = match unit {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024_f64,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10_f64.powi(exponent.parse().ok()?)
        }
    };
    Some(number * scale)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_compared_by_their_value() {
        for (a, b) in [("1Gi", "1024Mi"), ("1", "1000m"), ("1e3", "1k"), ("0.5", "500m"), ("1E", "1e18")] {
            assert!(same_quantity(&json!(a), &json!(b)), "{a} {b}");
        }
        assert!(same_quantity(&json!(2), &json!("2")));
        for (a, b) in
            [("1Gi", "1G"), ("1", "2"), ("standard", "standard"), ("", "0"), ("e3", "1e3"), ("1x", "1x"), ("é", "1")]
        {
            assert!(!same_quantity(&json!(a), &json!(b)), "{a} {b}");
        }
    }
}
