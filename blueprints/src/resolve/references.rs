//! The names inside expressions: each must stand for something.

use serde_json::Value;
use tributary_crds::Component as Declared;

use super::Analysis;
use super::scope::ROOTS;
use crate::drivers;
use crate::expr::{Error, Expression, Reference, Stop, Text};
use crate::problem::{Code, listing, nearest};

/// Where an expression stands: what it may refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Names of the scope that it may use.
    pub(super) roots: &'static [&'static str],
    /// Whether `each` is bound.
    pub(super) each: bool,
}

impl Place {
    /// What is settled before anything runs: names of topics, places of datasets, lists of `forEach`.
    pub(super) const STATIC: Place = Place { roots: &["parameters", "pipeline", "run"], each: false };

    /// A component's template and its `when`.
    pub(super) fn component(each: bool) -> Self {
        Place { roots: ROOTS, each }
    }
}

impl Analysis<'_> {
    /// A string that may hold expressions, evaluated where all of it is known; `None` where it is not, or is wrong.
    pub(super) fn settled_text(&mut self, source: &str, path: &str) -> Option<Value> {
        if !Text::is_dynamic(source) {
            return Some(source.into());
        }
        let text = self.parsed_text(source, path, Place::STATIC)?;
        let outcome = text.evaluate(&self.scope.within(None, None));
        self.outcome(outcome, source, path)
    }

    /// The value of an evaluation; a wrong one is a problem, one that is not known yet is none.
    pub(super) fn outcome(&mut self, outcome: Result<Value, Stop>, source: &str, path: &str) -> Option<Value> {
        match outcome {
            Ok(value) => Some(value),
            Err(Stop::Unknown(_) | Stop::Skipped(_)) => None,
            Err(Stop::Error(reason)) => {
                self.problems.add(Code::BadExpression, path, format!("`{source}` has no value: {reason}"));
                None
            }
        }
    }

    /// A string with its expressions parsed and their names checked.
    pub(super) fn parsed_text(&mut self, source: &str, path: &str, place: Place) -> Option<Text> {
        let text = match Text::parse(source) {
            Ok(text) => text,
            Err(error) => return self.bad_expression(&error, path),
        };
        let mut sound = true;
        for expression in text.expressions() {
            sound &= self.references_exist(expression, path, place);
        }
        sound.then_some(text)
    }

    /// A rule such as `when`, parsed and its names checked.
    pub(super) fn parsed_rule(&mut self, source: &str, path: &str, place: Place) -> Option<Expression> {
        match Expression::parse_rule(source) {
            Ok(expression) => self.references_exist(&expression, path, place).then_some(expression),
            Err(error) => self.bad_expression(&error, path),
        }
    }

    fn bad_expression<T>(&mut self, error: &Error, path: &str) -> Option<T> {
        self.problems.add(Code::BadExpression, path, error.to_string());
        None
    }

    /// Whether every name in an expression stands for something; a problem for each that does not.
    fn references_exist(&mut self, expression: &Expression, path: &str, place: Place) -> bool {
        let mut sound = true;
        for reference in expression.references() {
            if let Some((code, message, suggestion)) = self.fault(reference, expression.source(), place) {
                self.problems.suggest(code, path, message, suggestion);
                sound = false;
            }
        }
        self.functions_exist(expression, path) && sound
    }

    /// Whether every function in an expression is one; a problem for each that is not.
    pub(super) fn functions_exist(&mut self, expression: &Expression, path: &str) -> bool {
        let mut sound = true;
        for (name, method) in expression.functions() {
            if let Some((message, suggestion)) = function_fault(name, method) {
                self.problems.suggest(Code::UnknownFunction, path, message, suggestion);
                sound = false;
            }
        }
        sound
    }

    fn fault(&self, reference: &Reference, source: &str, place: Place) -> Option<Fault> {
        let root = reference.root();
        if !ROOTS.contains(&root) {
            return Some(self.unknown_root(root, source));
        }
        if root == "each" {
            let message = "`each` is known only in a component with forEach";
            return (!place.each).then(|| (Code::UnknownName, message.into(), None));
        }
        if !place.roots.contains(&root) {
            let message = format!("`{root}` is not known yet where this is settled; use {}", place.roots.join(", "));
            return Some((Code::UnknownName, message, None));
        }
        let Some(name) = reference.name() else {
            let message = "name the component itself: what it waits for must be known beforehand";
            return (root == "components").then(|| (Code::BadExpression, message.into(), None));
        };
        let (code, what, names) = self.names_below(root);
        if !names.contains(&name) {
            let suggestion = dashed(root, name, source, &names).or_else(|| nearest(name, names.iter().copied()));
            let message = format!("there is no {what} `{name}`; {}", listing(names));
            return Some((code, message, suggestion));
        }
        self.field_fault(reference, root, name)
    }

    fn names_below(&self, root: &str) -> (Code, &'static str, Vec<&str>) {
        let blueprint = self.blueprint;
        match root {
            "parameters" => {
                (Code::UnknownParameter, "parameter", blueprint.parameters.keys().map(String::as_str).collect())
            }
            "topics" => (Code::UnknownTopic, "topic", blueprint.topics.iter().map(|t| t.name.as_str()).collect()),
            "datasets" => {
                (Code::UnknownDataset, "dataset", blueprint.datasets.iter().map(|d| d.name.as_str()).collect())
            }
            "components" => {
                let all = blueprint.components.iter().chain(&blueprint.finally);
                (Code::UnknownComponent, "component", all.map(|c| c.name.as_str()).collect())
            }
            "pipeline" => (Code::UnknownName, "field", vec!["name", "namespace"]),
            _ => (Code::UnknownName, "field", vec!["number"]),
        }
    }

    /// A name of the scope that is none: often one that lacks its group, or a shell's variable.
    fn unknown_root(&self, root: &str, source: &str) -> Fault {
        for group in ["parameters", "topics", "datasets", "components"] {
            let (_, what, names) = self.names_below(group);
            if names.contains(&root) {
                let suggestion = match group {
                    "topics" => format!("topics.{root}.topicName"),
                    "datasets" => format!("datasets.{root}.uri"),
                    _ => format!("{group}.{root}"),
                };
                return (Code::UnknownName, format!("`{root}` is a {what}"), Some(suggestion));
            }
        }
        if let Some(near) = nearest(root, ROOTS.iter().copied()) {
            return (Code::UnknownName, format!("`{root}` stands for nothing"), Some(near));
        }
        let message = if source.trim() == root {
            format!("`{root}` stands for nothing; if a shell is to see it, write `$${{{root}}}`")
        } else {
            format!("`{root}` stands for nothing; there are {}", ROOTS.join(", "))
        };
        (Code::UnknownName, message, None)
    }

    fn field_fault(&self, reference: &Reference, root: &str, name: &str) -> Option<Fault> {
        let field = reference.path.get(2)?.as_str();
        let known: &[&str] = match root {
            "topics" => &["bootstrapServers", "topicName"],
            "datasets" => &["uri"],
            "components" if !self.is_list(name) => &["name", "outputs", "status"],
            _ => return None,
        };
        if !known.contains(&field) {
            let message = format!("{root}.{name} has no field `{field}`; {}", listing(known.iter().copied()));
            return Some((Code::UnknownField, message, nearest(field, known.iter().copied())));
        }
        let output = reference.path.get(3).filter(|_| root == "components" && field == "outputs")?;
        let declared = self.declared(name)?;
        let outputs = outputs_of(declared)?;
        if outputs.iter().any(|o| o == output) {
            return None;
        }
        let names = || outputs.iter().map(String::as_str);
        let message = format!("component `{name}` has no output `{output}`; {}", listing(names()));
        Some((Code::UnknownOutput, message, nearest(output, names())))
    }

    fn declared(&self, name: &str) -> Option<&Declared> {
        self.blueprint.components.iter().chain(&self.blueprint.finally).find(|c| c.name == name)
    }

    fn is_list(&self, name: &str) -> bool {
        self.declared(name).is_some_and(|c| c.for_each.is_some())
    }
}

type Fault = (Code, String, Option<String>);

/// The outputs that a component has: its driver's, or those of its own status rules; `None` where they are not known.
fn outputs_of(declared: &Declared) -> Option<Vec<String>> {
    let gvk = crate::object::Gvk::parse(declared.template.string("apiVersion")?, declared.template.string("kind")?);
    let driver = drivers::of(&gvk.group, &gvk.kind);
    let mut all: Vec<String> = driver.outputs().into_iter().map(|(name, _)| name.to_owned()).collect();
    all.extend(declared.status.iter().flat_map(|s| s.outputs.keys().cloned()));
    Some(all)
}

/// `topics.raw-clicks` is a subtraction in CEL; what was meant is `topics["raw-clicks"]`.
fn dashed(root: &str, name: &str, source: &str, names: &[&str]) -> Option<String> {
    let meant = |full: &&&str| full.starts_with(&format!("{name}-")) && source.contains(&format!("{root}.{full}"));
    names.iter().filter(meant).max_by_key(|n| n.len()).map(|full| format!("{root}[\"{full}\"]"))
}

fn function_fault(name: &str, method: bool) -> Option<(String, Option<String>)> {
    use crate::expr::functions::{FUNCTIONS, MACROS};
    if FUNCTIONS.iter().any(|f| f.name == name && f.method == method) {
        return None;
    }
    let known = FUNCTIONS.iter().filter(|f| f.method == method).map(|f| f.name).chain(MACROS.iter().copied());
    let other = FUNCTIONS.iter().any(|f| f.name == name);
    let message = match (other, method) {
        (true, true) => format!("`{name}` is not called on a value; write `{name}(...)`"),
        (true, false) => format!("`{name}` is called on a value: `x.{name}(...)`"),
        (false, _) => format!("there is no function `{name}`"),
    };
    Some((message, if other { None } else { nearest(name, known) }))
}
