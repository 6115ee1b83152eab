//! Tokens of CEL.

use std::fmt;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    /// 2^63, which is a number only behind a minus.
    IntMin,
    Double(f64),
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "`{name}`"),
            Self::Int(n) => write!(f, "`{n}`"),
            Self::IntMin => write!(f, "`9223372036854775808`"),
            Self::Double(n) => write!(f, "`{n}`"),
            Self::Text(_) => f.write_str("a string"),
            Self::Symbol(s) => write!(f, "`{s}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

const SYMBOLS: [&str; 24] = [
    "||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")", "[", "]",
    "{", "}",
];

/// The tokens of a text, each with the character that it begins at, counted from 1.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, String> {
    let mut found = Vec::new();
    let mut rest = source;
    loop {
        rest = skip(rest);
        let column = source[..source.len() - rest.len()].chars().count() + 1;
        let Some(first) = rest.chars().next() else {
            found.push((Token::End, column));
            return Ok(found);
        };
        let (token, length) = if let Some(found) = text(rest).transpose() {
            found.map_err(|reason| format!("{reason} (column {column})"))?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            (Token::Name(rest[..end].to_owned()), end)
        } else if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            number(rest).map_err(|reason| format!("{reason} (column {column})"))?
        } else if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            (Token::Symbol(symbol), symbol.len())
        } else {
            return Err(format!("`{first}` means nothing here (column {column})"));
        };
        found.push((token, column));
        rest = &rest[length..];
    }
}

/// Leaves out white space and `// comments`.
fn skip(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("//") {
            Some(comment) => rest = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return rest,
        }
    }
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        unsigned(&hex[end..])?;
        let n = i64::from_str_radix(&hex[..end], 16).map_err(|_| format!("`{}` is no number", &rest[..end + 2]))?;
        return Ok((Token::Int(n), end + 2));
    }
    let mut end = digits(rest);
    let mut fraction = false;
    if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
        end += 1 + digits(&rest[end + 1..]);
        fraction = true;
    }
    if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let length = digits(&exponent[sign..]);
        if length > 0 {
            end += 1 + sign + length;
            fraction = true;
        }
    }
    unsigned(&rest[end..])?;
    let bad = || format!("`{}` is no number, or too large a one", &rest[..end]);
    if fraction {
        let n: f64 = rest[..end].parse().map_err(|_| bad())?;
        return if n.is_finite() { Ok((Token::Double(n), end)) } else { Err(bad()) };
    }
    match rest[..end].parse::<u64>() {
        Ok(n) if n == 1 << 63 => Ok((Token::IntMin, end)),
        Ok(n) => i64::try_from(n).map(|n| (Token::Int(n), end)).map_err(|_| bad()),
        Err(_) => Err(bad()),
    }
}

fn unsigned(rest: &str) -> Result<(), String> {
    if rest.starts_with(['u', 'U']) {
        return Err("unsigned numbers are not available; write it without the `u`".into());
    }
    Ok(())
}

/// A string literal with its prefix and quotes; `None` where there is none.
fn text(rest: &str) -> Result<Option<(Token, usize)>, String> {
    let quoted = rest.trim_start_matches(['r', 'R', 'b', 'B']);
    let prefix = &rest[..rest.len() - quoted.len()];
    let Some(quote @ ('"' | '\'')) = quoted.chars().next().filter(|_| prefix.len() <= 2) else { return Ok(None) };
    if prefix.contains(['b', 'B']) {
        return Err("byte strings are not available".into());
    }
    let triple = quoted.starts_with(&quote.to_string().repeat(3));
    let mark = quote.to_string().repeat(if triple { 3 } else { 1 });
    let body = &quoted[mark.len()..];
    let mut value = String::new();
    let mut at = 0;
    while let Some(c) = body[at..].chars().next() {
        if body[at..].starts_with(&mark) {
            return Ok(Some((Token::Text(value), prefix.len() + mark.len() + at + mark.len())));
        }
        if c == '\n' && !triple {
            break;
        }
        if c == '\\' && prefix.is_empty() {
            let (escaped, length) = escape(&body[at + 1..])?;
            value.push(escaped);
            at += 1 + length;
        } else {
            value.push(c);
            at += c.len_utf8();
        }
    }
    Err("the string has no end".into())
}

/// What stands behind a backslash, and its length.
fn escape(rest: &str) -> Result<(char, usize), String> {
    let code = |digits: &str, radix: u32| {
        let valid = digits.chars().all(|c| c.is_digit(radix));
        u32::from_str_radix(digits, radix).ok().filter(|_| valid).and_then(char::from_u32)
    };
    let Some(first) = rest.chars().next() else { return Err("the string has no end".into()) };
    let found = match first {
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'v' => Some(('\u{b}', 1)),
        '\\' | '?' | '"' | '\'' | '`' => Some((first, 1)),
        'x' | 'X' => rest.get(1..3).and_then(|d| code(d, 16)).map(|c| (c, 3)),
        'u' => rest.get(1..5).and_then(|d| code(d, 16)).map(|c| (c, 5)),
        'U' => rest.get(1..9).and_then(|d| code(d, 16)).map(|c| (c, 9)),
        '0'..='3' => rest.get(0..3).and_then(|d| code(d, 8)).map(|c| (c, 3)),
        _ => None,
    };
    found.ok_or_else(|| format!("`\\{first}` is no escape"))
}
