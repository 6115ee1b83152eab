//! Durations as Kubernetes writes them: `1h30m`, `10s`, `500ms`.

use std::time::Duration;

/// Parses.
///
/// # Errors
/// The reason, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{text}\" is not a duration such as 10s, 500ms or 1h30m");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let n: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return Err(bad()),
        };
        let part = u32::try_from(n).ok().and_then(|n| unit.checked_mul(n)).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = &rest[letters..];
    }
    Ok(total)
}

/// Writes one, to the second, in the form that [`parse`] reads.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(parse("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "10", "s", "10 s", "1d", "-1s", "99999999999999999999s", "é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for text in ["0s", "59s", "10m", "1h30m", "25h1s"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
