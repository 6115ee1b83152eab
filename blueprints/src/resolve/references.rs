//! The names inside expressions: each must stand for something.

use serde_json::Value;
use tributary_crds::Component as Declared;

use super::Analysis;
use super::scope::ROOTS;
use super::types::gvk_of;
use crate::drivers;
use crate::expr::{self, Error, Expression, FaultKind, Reference, Stop, Text, Type};
use crate::problem::{Code, listing, nearest};

/// Where an expression stands: what it may refer to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Names of the scope that it may use.
    roots: &'static [&'static str],
    /// The type of `each`; `None` where it is not bound.
    pub(super) each: Option<Type>,
}

impl Place {
    /// What is settled before anything runs: names of topics, places of datasets, lists of `forEach`.
    pub(super) const STATIC: Place = Place { roots: &["parameters", "pipeline", "run"], each: None };

    /// A component's template and its `when`.
    pub(super) fn component(each: Option<Type>) -> Self {
        Place { roots: ROOTS, each }
    }
}

impl Analysis<'_> {
    /// A string that may hold expressions, evaluated where all of it is known; `None` where it is not, or is wrong, or
    /// can be of no type that is `wanted`.
    pub(super) fn settled_text(&mut self, source: &str, path: &str, wanted: &Type) -> Option<Value> {
        if !Text::is_dynamic(source) {
            return Some(source.into());
        }
        let (text, type_) = self.parsed_text(source, path, &Place::STATIC)?;
        if !type_.fits(wanted) {
            let message = format!("must be {}, but `{source}` is {}", wanted.with_article(), type_.with_article());
            self.problems.add(Code::WrongType, path, message);
            return None;
        }
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

    /// A string with its expressions parsed, their names and types checked; with its own type.
    pub(super) fn parsed_text(&mut self, source: &str, path: &str, place: &Place) -> Option<(Text, Type)> {
        let text = match Text::parse(source) {
            Ok(text) => text,
            Err(error) => return self.bad_expression(&error, path),
        };
        let (mut sound, mut type_) = (true, Type::String);
        for expression in text.expressions() {
            match self.checked(expression, path, place) {
                Some(of) if text.single().is_some() => type_ = of,
                Some(_) => {}
                None => sound = false,
            }
        }
        sound.then_some((text, type_))
    }

    /// A rule such as `when`, parsed, its names and types checked; with its type.
    pub(super) fn parsed_rule(&mut self, source: &str, path: &str, place: &Place) -> Option<(Expression, Type)> {
        match Expression::parse_rule(source) {
            Ok(expression) => {
                let type_ = self.checked(&expression, path, place)?;
                Some((expression, type_))
            }
            Err(error) => self.bad_expression(&error, path),
        }
    }

    fn bad_expression<T>(&mut self, error: &Error, path: &str) -> Option<T> {
        self.problems.add(Code::BadExpression, path, error.to_string());
        None
    }

    /// The type of an expression whose names all stand for something and whose parts fit; a problem for each that does
    /// not.
    fn checked(&mut self, expression: &Expression, path: &str, place: &Place) -> Option<Type> {
        let mut sound = true;
        let source = expression.source();
        let torn = expression.references().iter().flat_map(|r| self.torn(r, source)).collect::<Vec<_>>();
        for reference in expression.references() {
            // `clicks` of `topics.raw-clicks` is no name of its own
            if !ROOTS.contains(&reference.root())
                && torn.iter().any(|full| full.split('-').any(|p| p == reference.root()))
            {
                continue;
            }
            if let Some((code, message, suggestion)) = self.fault(reference, source, place) {
                self.problems.suggest(code, path, message, suggestion);
                sound = false;
            }
        }
        sound &= self.functions_exist(expression, path);
        if !sound {
            return None;
        }
        let types = &self.types;
        let (type_, faults) = expression.check(&|name| types.of(name, place));
        self.typed(type_, faults, path)
    }

    /// The name with a dash that a reference is only the beginning of.
    fn torn(&self, reference: &Reference, source: &str) -> Option<String> {
        let (root, name) = (reference.root(), reference.name()?);
        if self.has(root, name) || !source.contains('-') {
            return None;
        }
        let (_, _, names) = self.names_below(root);
        Some(torn(root, name, source, &names)?.to_owned())
    }

    /// The type, where it has no faults; a problem for each.
    pub(super) fn typed(&mut self, type_: Type, faults: Vec<expr::Fault>, path: &str) -> Option<Type> {
        let sound = faults.is_empty();
        for fault in faults {
            let code = match fault.kind {
                FaultKind::Field => Code::UnknownField,
                FaultKind::Type => Code::WrongType,
                FaultKind::Call => Code::BadExpression,
            };
            self.problems.suggest(code, path, fault.message, fault.suggestion);
        }
        sound.then_some(type_)
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

    fn fault(&self, reference: &Reference, source: &str, place: &Place) -> Option<Fault> {
        let root = reference.root();
        if !ROOTS.contains(&root) {
            return Some(self.unknown_root(root, source));
        }
        if root == "each" {
            let message = "`each` is known only in a component with forEach";
            return place.each.is_none().then(|| (Code::UnknownName, message.into(), None));
        }
        if !place.roots.contains(&root) {
            let message = format!("`{root}` is not known yet where this is settled; use {}", place.roots.join(", "));
            return Some((Code::UnknownName, message, None));
        }
        let Some(name) = reference.name() else {
            let message = "name the component itself: what it waits for must be known beforehand";
            return (root == "components").then(|| (Code::BadExpression, message.into(), None));
        };
        if !self.has(root, name) {
            let (code, what, names) = self.names_below(root);
            let suggestion = dashed(root, name, source, &names).or_else(|| self.near(name, names.iter().copied()));
            let message = format!("there is no {what} `{name}`; {}", listing(names));
            return Some((code, message, suggestion));
        }
        self.field_fault(reference, root, name)
    }

    /// Whether there is such a name below a root.
    fn has(&self, root: &str, name: &str) -> bool {
        match root {
            "parameters" => self.blueprint.parameters.contains_key(name),
            "topics" => self.index.topics.contains_key(name),
            "datasets" => self.index.datasets.contains_key(name),
            "components" => self.index.components.contains_key(name),
            "pipeline" => matches!(name, "name" | "namespace"),
            _ => name == "number",
        }
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
        for (group, what) in
            [("parameters", "parameter"), ("topics", "topic"), ("datasets", "dataset"), ("components", "component")]
        {
            if self.has(group, root) {
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
        self.index.components.get(name).copied()
    }

    fn is_list(&self, name: &str) -> bool {
        self.declared(name).is_some_and(|c| c.for_each.is_some())
    }
}

type Fault = (Code, String, Option<String>);

/// The outputs that a component has: its driver's, or those of its own status rules; `None` where they are not known.
fn outputs_of(declared: &Declared) -> Option<Vec<String>> {
    let gvk = gvk_of(declared)?;
    let driver = drivers::of(&gvk.group, &gvk.kind);
    let mut all: Vec<String> = driver.outputs().into_iter().map(|(name, _)| name.to_owned()).collect();
    all.extend(declared.status.iter().flat_map(|s| s.outputs.keys().cloned()));
    Some(all)
}

/// `topics.raw-clicks` is a subtraction in CEL; what was meant is `topics["raw-clicks"]`.
fn dashed(root: &str, name: &str, source: &str, names: &[&str]) -> Option<String> {
    torn(root, name, source, names).map(|full| format!("{root}[\"{full}\"]"))
}

fn torn<'n>(root: &str, name: &str, source: &str, names: &[&'n str]) -> Option<&'n str> {
    let meant = |full: &&&str| full.starts_with(&format!("{name}-")) && source.contains(&format!("{root}.{full}"));
    names.iter().filter(meant).max_by_key(|n| n.len()).copied()
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
