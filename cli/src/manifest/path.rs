//! Paths into an object, written `spec.components[1].reads`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Steps from an object's top to one of its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a field.
    Field(String),
    /// Into an item, counted from 0.
    Index(usize),
}

impl Path {
    /// The path to a field of what this path leads to.
    pub fn field(&self, name: &str) -> Self {
        self.with(Step::Field(name.to_owned()))
    }

    /// The path to an item of what this path leads to.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if name.contains(['.', '[', ']', '/']) => write!(f, "[{name:?}]")?,
                Step::Field(name) if i == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = Infallible;

    /// Takes what `Display` writes; the rest of a text of another form becomes one field.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let quoted = inner.strip_prefix('"').and_then(|q| q.split_once("\"]"));
                let (step, tail) = match (quoted, inner.split_once(']')) {
                    (Some((name, tail)), _) => (Step::Field(name.to_owned()), tail),
                    (None, Some((index, tail))) => match index.parse() {
                        Ok(index) => (Step::Index(index), tail),
                        Err(_) => (Step::Field(index.to_owned()), tail),
                    },
                    (None, None) => (Step::Field(inner.to_owned()), ""),
                };
                steps.push(step);
                rest = tail;
            } else {
                let body = rest.strip_prefix('.').unwrap_or(rest);
                let end = body.find(['.', '[']).unwrap_or(body.len());
                if end > 0 {
                    steps.push(Step::Field(body[..end].to_owned()));
                }
                rest = &body[end..];
            }
        }
        Ok(Self(steps))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_reads_as_it_is_written() {
        let path: Path = "spec.components[1].reads[\"a.b/c\"].x".parse().unwrap();
        assert_eq!(path.0.len(), 6);
        assert_eq!(path.to_string(), "spec.components[1].reads[\"a.b/c\"].x");
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,40}") {
            let _ = text.parse::<Path>().unwrap();
        }

        #[test]
        fn written_paths_are_read_back(steps in prop::collection::vec(prop_oneof![
            "[a-zA-Z][a-zA-Z0-9./-]{0,8}".prop_map(Step::Field),
            (0_usize..99).prop_map(Step::Index),
        ], 0..6)) {
            let path = Path(steps);
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
    }
}
