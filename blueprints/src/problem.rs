//! What is wrong with a blueprint or a Pipeline, in words that say where, why and what may have been meant.

use std::collections::HashSet;
use std::fmt;

use tributary_crds::ProblemStatus;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident),* $(,)?) => {
        /// The rule that is broken. The words are stable: tools may depend on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])* $variant),* }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Self::$variant),*];

            /// The word as it stands in a status and in reports.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii()),* }
            }
        }
    };
}

codes! {
    /// A name that Kubernetes or an expression cannot take.
    BadName,
    /// Two things of one kind have the same name.
    DuplicateName,
    /// A topic and a dataset share a name, so that a port cannot tell them apart.
    AmbiguousName,
    /// The child's name would be longer than its kind allows.
    NameTooLong,
    /// There is nothing to run.
    NoComponents,
    /// No topic of this name.
    UnknownTopic,
    /// No dataset of this name.
    UnknownDataset,
    /// A port names neither a topic nor a dataset.
    UnknownTarget,
    /// The kind has no such port.
    UnknownPort,
    /// No component of this name.
    UnknownComponent,
    /// No parameter of this name.
    UnknownParameter,
    /// The Pipeline has no such store.
    UnknownStore,
    /// The Pipeline has no such Kafka cluster.
    UnknownCluster,
    /// No record schema of this name.
    UnknownSchema,
    /// No such kind.
    UnknownKind,
    /// The kind's schema has no such field.
    UnknownField,
    /// A name in an expression that stands for nothing.
    UnknownName,
    /// A function that expressions do not have.
    UnknownFunction,
    /// The component has no such output.
    UnknownOutput,
    /// A parameter without a default has no value.
    MissingParameter,
    /// A field that the kind's schema requires.
    MissingField,
    /// The value's type is another.
    WrongType,
    /// The type is right, but the value is not allowed.
    WrongValue,
    /// A default does not fit its own schema.
    BadDefault,
    /// A parameter's or record's schema is none.
    BadSchema,
    /// An expression that cannot be read or computed.
    BadExpression,
    /// Not a name for a Kafka topic.
    BadTopicName,
    /// Not a place in a store.
    BadLocation,
    /// A duration that cannot be read.
    BadDuration,
    /// A cron expression or a time zone that cannot be read.
    BadSchedule,
    /// A key that Kafka's topics do not have, or a value that it cannot take.
    BadTopicConfig,
    /// Components that wait for each other.
    Cycle,
    /// One port, two bindings.
    PortBoundTwice,
    /// A port that is read is written, or the other way round.
    PortDirection,
    /// A port that must be bound is not.
    PortNotBound,
    /// Two components write one dataset.
    DatasetWrittenTwice,
    /// Two topics have one name in Kafka, or two datasets one place.
    Collision,
    /// A field that Tributary itself sets.
    ReservedField,
    /// A rule of the target kind is broken.
    RuleBroken,
    /// A component may only be of a kind that lives in a namespace.
    ClusterScoped,
    /// What is written cannot be read by the topic's or the reader's schema.
    IncompatibleSchema,
    /// More components or edges than one Pipeline can have.
    TooLarge,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The object that a problem's path is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// The Blueprint.
    #[default]
    Blueprint,
    /// The Pipeline, its inline blueprint included.
    Pipeline,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The rule.
    pub code: Code,
    /// The object that `path` is in.
    pub origin: Origin,
    /// JSON path, such as `spec.components[1].reads.input`.
    pub path: String,
    /// What is wrong, and why.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

impl Problem {
    /// The message with its suggestion.
    pub fn text(&self) -> String {
        match &self.suggestion {
            Some(s) => format!("{} (did you mean `{s}`?)", self.message),
            None => self.message.clone(),
        }
    }

    /// As it stands in a status.
    pub fn to_status(&self) -> ProblemStatus {
        ProblemStatus { code: self.code.as_str().into(), path: self.path.clone(), message: self.text() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text())
    }
}

/// Problems being found, each once.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    seen: HashSet<Problem>,
    pub(crate) origin: Origin,
}

impl Problems {
    pub(crate) fn of(origin: Origin) -> Self {
        Self { origin, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are so far.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn add(&mut self, code: Code, path: impl Into<String>, message: impl Into<String>) {
        self.suggest(code, path, message, None);
    }

    pub(crate) fn suggest(
        &mut self,
        code: Code,
        path: impl Into<String>,
        message: impl Into<String>,
        suggestion: Option<String>,
    ) {
        self.push(Problem { code, origin: self.origin, path: path.into(), message: message.into(), suggestion });
    }

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.seen.insert(problem.clone()) {
            self.list.push(problem);
        }
    }

    /// The problems ordered by path, the tenth element of a list after the second.
    pub(crate) fn in_order(mut self) -> Vec<Problem> {
        self.list.sort_by_cached_key(|p| (p.origin, steps(&p.path)));
        self.list
    }
}

/// The names and numbers of a path.
fn steps(path: &str) -> Vec<(u64, String)> {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_or_else(|_| (0, part.to_owned()), |n| (n, String::new()))).collect()
}

/// The candidate that `word` is most likely a slip of; `None` where none is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let limit = match word.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        n => n.div_ceil(3),
    };
    candidates
        .into_iter()
        // a distance is never less than the difference of the lengths
        .filter(|c| *c != word && c.chars().count().abs_diff(word.chars().count()) <= limit)
        .map(|c| (strsim::damerau_levenshtein(&lower, &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= limit && *distance < c.chars().count())
        .min()
        .map(|(_, c)| c.to_owned())
}

/// ``there is none`` or ``there are `a`, `b` and 3 more``, for a message about an unknown name.
pub(crate) fn listing<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(5).map(|n| format!("`{n}`")).collect();
    match shown.len() + names.count() {
        0 => "there is none".into(),
        1 => format!("there is only {}", shown[0]),
        n if n > 5 => format!("there are {} and {} more", shown.join(", "), n - 5),
        _ => format!("there are {}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word() {
        let names = ["clicks", "counts", "parameters"];
        assert_eq!(nearest("click", names).as_deref(), Some("clicks"));
        assert_eq!(nearest("cuonts", names).as_deref(), Some("counts"));
        assert_eq!(nearest("params", names), None);
        assert_eq!(nearest("Clicks", names).as_deref(), Some("clicks"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let p = Problem {
            code: Code::UnknownTopic,
            origin: Origin::Blueprint,
            path: "spec.components[1].reads.input".into(),
            message: "no topic or dataset `click`".into(),
            suggestion: Some("clicks".into()),
        };
        assert_eq!(
            p.to_string(),
            "spec.components[1].reads.input: no topic or dataset `click` (did you mean `clicks`?)"
        );
    }
}
