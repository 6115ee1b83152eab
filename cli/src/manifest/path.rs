//! Paths into an object, written `spec.components[1].reads["a.b"]`.

/// A step into an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into a field.
    Field(String),
    /// Into an item, counted from 0.
    Index(usize),
}

/// The steps of a path. A text of another form is taken as far as it goes: it is only used to find a place.
pub fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, tail) = bracketed(inner);
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
    steps
}

/// What is left of `[` up to its `]`: a quoted name or an index.
fn bracketed(inner: &str) -> (Step, &str) {
    let mut strings = serde_json::Deserializer::from_str(inner).into_iter::<String>();
    if inner.starts_with('"')
        && let Some(Ok(name)) = strings.next()
    {
        let tail = &inner[strings.byte_offset()..];
        return (Step::Field(name), tail.strip_prefix(']').unwrap_or(tail));
    }
    let (index, tail) = inner.split_once(']').unwrap_or((inner, ""));
    (index.parse().map_or_else(|_| Step::Field(index.to_owned()), Step::Index), tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_blueprints::expr::child_path;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".{0,40}") {
            let _ = steps(&text);
        }

        #[test]
        fn the_paths_of_problems_are_read_back(expected in prop::collection::vec(prop_oneof![
            "[ -~]{1,8}".prop_map(Step::Field),
            (0_usize..99).prop_map(Step::Index),
        ], 0..6)) {
            let path = expected.iter().fold("spec".to_owned(), |path, step| match step {
                Step::Field(name) => child_path(&path, name),
                Step::Index(index) => format!("{path}[{index}]"),
            });
            prop_assert_eq!(&steps(&path)[1..], &expected[..]);
        }
    }
}
