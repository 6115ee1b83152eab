//! Sets of kinds of values, for what is known of a type that is not one of them alone.

use std::fmt;

bitflags::bitflags! {
    /// The kinds that a value may be of.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Kinds: u8 {
        /// null
        const NULL = 1;
        /// A boolean.
        const BOOL = 1 << 1;
        /// A 64-bit integer.
        const INT = 1 << 2;
        /// A double.
        const DOUBLE = 1 << 3;
        /// A string.
        const STRING = 1 << 4;
        /// A list.
        const LIST = 1 << 5;
        /// An object.
        const OBJECT = 1 << 6;
        /// What has an order.
        const SCALAR = Self::BOOL.bits() | Self::INT.bits() | Self::DOUBLE.bits() | Self::STRING.bits();
        /// What arithmetic is for.
        const NUMBER = Self::INT.bits() | Self::DOUBLE.bits();
    }
}

impl Kinds {
    /// Both kinds of numbers where one of them is here: numbers compare by value, whatever their kind.
    pub(super) fn numbers_alike(self) -> Self {
        if self.intersects(Self::NUMBER) { self | Self::NUMBER } else { self }
    }

    /// The words for each kind; an integer needs none beside a number, which it is.
    fn words(self) -> Vec<&'static str> {
        let shown = if self.contains(Self::DOUBLE) { self - Self::INT } else { self };
        shown.iter().map(Self::word).collect()
    }

    fn word(self) -> &'static str {
        match self {
            Self::NULL => "null",
            Self::BOOL => "boolean",
            Self::INT => "integer",
            Self::DOUBLE => "number",
            Self::STRING => "string",
            Self::LIST => "list",
            _ => "object",
        }
    }

    /// With their articles, for a message: `an integer or a string`.
    pub(super) fn with_article(self) -> String {
        let article = |word: &str| match word {
            "null" => word.to_owned(),
            "integer" | "object" => format!("an {word}"),
            _ => format!("a {word}"),
        };
        alternatives(&self.words().into_iter().map(article).collect::<Vec<_>>())
    }

    /// More than one of them: `integers or strings`.
    pub(super) fn plural(self) -> String {
        alternatives(&self.words().into_iter().map(|word| format!("{word}s")).collect::<Vec<_>>())
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.words().into_iter().map(str::to_owned).collect();
        f.write_str(&alternatives(&words))
    }
}

fn alternatives(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::Kinds;

    #[test]
    fn kinds_are_told_in_words() {
        let said = |kinds: Kinds| (kinds.with_article(), kinds.to_string(), kinds.plural());
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(said(Kinds::NUMBER), of("a number", "number", "numbers"));
        assert_eq!(said(Kinds::INT | Kinds::NULL), of("null or an integer", "null or integer", "nulls or integers"));
        assert_eq!(
            said(Kinds::NUMBER | Kinds::STRING | Kinds::LIST),
            of("a number, a string or a list", "number, string or list", "numbers, strings or lists")
        );
    }
}
