//! Names: what they may be made of, and that each stands for one thing.

use std::collections::BTreeMap;

use super::Analysis;
use crate::problem::Code;

/// Why `name` is not a DNS-1123 label; `None` where it is one.
pub(crate) fn label_fault(name: &str) -> Option<String> {
    let fault = if name.is_empty() {
        "is empty"
    } else if name.len() > 63 {
        "has more than 63 characters"
    } else if name.chars().any(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')) {
        "has other characters than lower-case letters, digits and `-`"
    } else if name.starts_with('-') || name.ends_with('-') {
        "begins or ends with `-`"
    } else {
        return None;
    };
    Some(format!("the name `{name}` {fault}"))
}

/// Why a label cannot have this value; `None` where it can.
pub(crate) fn label_value_fault(value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let sound = value.is_empty()
        || (value.len() <= 63
            && value.starts_with(plain)
            && value.ends_with(plain)
            && value.chars().all(|c| plain(c) || matches!(c, '-' | '_' | '.')));
    (!sound).then(|| {
        format!(
            "\"{value}\" is no value of a label: at most 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends"
        )
    })
}

/// The nearest label to a name that is none.
fn mended(name: &str) -> Option<String> {
    let dashed: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let trimmed = dashed.trim_matches('-').to_owned();
    label_fault(&trimmed).is_none().then_some(trimmed)
}

/// Why `name` cannot stand in an expression or a YAML key; `None` where it can.
fn identifier_fault(name: &str) -> Option<String> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    (!starts || !rest || name.len() > 63).then(|| {
        format!("the name `{name}` must begin with a letter and have only letters, digits, `_` and `-`, at most 63")
    })
}

impl Analysis<'_> {
    /// Names of everything that has one.
    pub(super) fn names(&mut self) {
        let blueprint = self.blueprint;
        if blueprint.components.is_empty() {
            let path = self.at("components");
            self.problems.add(Code::NoComponents, path, "a blueprint needs at least one component");
        }
        for name in blueprint.parameters.keys() {
            self.identifier(&format!("parameters.{name}"), name);
        }
        for name in blueprint.schemas.keys() {
            self.identifier(&format!("schemas.{name}"), name);
        }
        let topics: Vec<&str> = blueprint.topics.iter().map(|t| t.name.as_str()).collect();
        let datasets: Vec<&str> = blueprint.datasets.iter().map(|d| d.name.as_str()).collect();
        self.unique("topics", "topic", &topics);
        self.unique("datasets", "dataset", &datasets);
        let ambiguous = |(_, name): &(usize, &&str)| self.index.topics.contains_key(**name);
        for (i, name) in datasets.iter().enumerate().filter(ambiguous).collect::<Vec<_>>() {
            let path = self.at(format_args!("datasets[{i}].name"));
            let message = format!("`{name}` is a topic too, so that a port cannot tell which is meant");
            self.problems.add(Code::AmbiguousName, path, message);
        }
        self.component_names();
    }

    fn component_names(&mut self) {
        let blueprint = self.blueprint;
        let main = blueprint.components.iter().enumerate().map(|(i, c)| (format!("components[{i}].name"), &c.name));
        let finally = blueprint.finally.iter().enumerate().map(|(i, c)| (format!("finally[{i}].name"), &c.name));
        let all: Vec<(String, &str)> = main.chain(finally).map(|(path, name)| (path, name.as_str())).collect();
        self.unique_at(&all, "component");
    }

    fn identifier(&mut self, below: &str, name: &str) {
        if let Some(fault) = identifier_fault(name) {
            let path = self.at(below);
            self.problems.add(Code::BadName, path, fault);
        }
    }

    fn unique(&mut self, list: &str, what: &str, names: &[&str]) {
        let all: Vec<(String, &str)> =
            names.iter().enumerate().map(|(i, n)| (format!("{list}[{i}].name"), *n)).collect();
        self.unique_at(&all, what);
    }

    fn unique_at(&mut self, names: &[(String, &str)], what: &str) {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        for (below, name) in names {
            let path = self.at(below);
            if let Some(fault) = label_fault(name) {
                self.problems.suggest(Code::BadName, &path, fault, mended(name));
            }
            if let Some(earlier) = first.get(name) {
                let message = format!("{what} `{name}` is there already, at {}", self.at(earlier));
                self.problems.add(Code::DuplicateName, path, message);
            } else {
                first.insert(name, below);
            }
        }
    }
}
