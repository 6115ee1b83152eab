//! What is wrong with a JobFlow: every problem in one pass, each with its place.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tributary_blueprints::{
    duration,
    expr::{Expression, Reference},
    graph::{Edge, Graph, Wait},
    problem::nearest,
    schedule::Schedule,
};
use tributary_crds::{FlowStep, JobFlowSpec, Retry, Template, names::MAX_CHILD_NAME};

use super::frozen::{Part, all_steps};
use crate::{Problem, expand};

/// What may be asked of a step.
pub(super) const FACTS: [&str; 4] = ["succeeded", "failed", "skipped", "completed"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) problems: Vec<Problem>,
    pub(super) order: Vec<usize>,
    pub(super) dependencies: Vec<Vec<usize>>,
    pub(super) named: Vec<Vec<usize>>,
}

/// Everything that is wrong with the JobFlow of this name, as the admission webhook and the controller say it. What a
/// JobTemplate holds is left out where `templates` is `None`.
pub fn problems(flow: &str, spec: &JobFlowSpec, templates: Option<&BTreeMap<String, Template>>) -> Vec<Problem> {
    check(flow, spec, templates).problems
}

/// What is wrong with a JobTemplate at this path.
pub(crate) fn template_problems(path: &str, template: &Template) -> Vec<Problem> {
    match expand::expressions(&template.to_value(), true) {
        Ok(_) => Vec::new(),
        Err((inner, reason)) => vec![Problem::new(format!("{path}{inner}"), reason)],
    }
}

pub(super) fn check(flow: &str, spec: &JobFlowSpec, templates: Option<&BTreeMap<String, Template>>) -> Found {
    let all = all_steps(spec);
    let mut check = Check { spec, problems: Vec::new(), index: HashMap::new(), parts: Vec::new(), edges: Vec::new() };
    let paths: Vec<String> = (0..all.len()).map(|i| path_of(spec, i)).collect();
    for (i, (part, step)) in all.iter().enumerate() {
        check.name(flow, step, i, *part, &paths);
    }
    let (mut dependencies, mut named) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    for (i, (_, step)) in all.iter().enumerate() {
        dependencies.push(check.dependencies(step, i, &paths[i]));
        named.push(check.expressions(step, i, &paths[i]));
        let template = match &step.job_template_ref {
            Some(name) => templates.and_then(|t| t.get(name)),
            None => step.job_template.as_ref(),
        };
        named[i].extend(template.map(|t| check.template(step, t, i, &paths[i])).unwrap_or_default());
        named[i].sort_unstable();
        named[i].dedup();
        check.step(step, template, &paths[i]);
    }
    check.of_flow();
    let edges = check.edges.iter().map(|&(from, to)| Edge { from, to, wait: Wait::Ended, via: String::new() });
    let graph = Graph::new(all.len(), edges);
    for cycle in graph.cycles() {
        let mut way: Vec<&str> = cycle.iter().map(|i| all[*i].1.name.as_str()).collect();
        way.extend(way.first().copied());
        let message = format!("these steps wait for each other: {}", way.join(" <- "));
        check.problems.push(Problem::new(format!("{}.dependencies", paths[cycle[0]]), message));
    }
    Found { problems: check.problems, order: graph.order(), dependencies, named }
}

fn path_of(spec: &JobFlowSpec, i: usize) -> String {
    match i.checked_sub(spec.flows.len()) {
        None => format!("spec.flows[{i}]"),
        Some(i) if i < spec.finally.len() => format!("spec.finally[{i}]"),
        Some(_) => "spec.errorHandler".into(),
    }
}

struct Check<'a> {
    spec: &'a JobFlowSpec,
    problems: Vec<Problem>,
    index: HashMap<String, usize>,
    parts: Vec<Part>,
    /// From the step that is waited for to the one that waits.
    edges: Vec<(usize, usize)>,
}

impl Check<'_> {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    fn name(&mut self, flow: &str, step: &FlowStep, i: usize, part: Part, paths: &[String]) {
        let name = &step.name;
        self.parts.push(part);
        let path = format!("{}.name", paths[i]);
        if let Some(first) = self.index.insert(name.clone(), i) {
            self.index.insert(name.clone(), first);
            self.add(&path, format!("there is another step `{name}`, at {}: names must differ", paths[first]));
        }
        let is_label = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-');
        if name.is_empty() || !is_label {
            self.add(&path, format!("`{name}` is no name: use lower-case letters, digits and hyphens within"));
        }
        let length = flow.len() + 1 + name.len();
        if length > MAX_CHILD_NAME {
            let message = format!(
                "the Job's name {flow}-{name} has {length} characters, at most {MAX_CHILD_NAME} are possible: shorten either"
            );
            self.add(&path, message);
        }
        if step.job_template.is_none() && step.job_template_ref.is_none() {
            self.add(&paths[i], "jobTemplate or jobTemplateRef must be set");
        }
    }

    fn dependencies(&mut self, step: &FlowStep, i: usize, path: &str) -> Vec<usize> {
        let mut found = Vec::with_capacity(step.dependencies.len());
        for (d, name) in step.dependencies.iter().enumerate() {
            if let Some(other) = self.other(name, i, &format!("{path}.dependencies[{d}]")) {
                found.push(other);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The step of this name, as one that step `i` waits for.
    fn other(&mut self, name: &str, i: usize, path: &str) -> Option<usize> {
        let Some(&other) = self.index.get(name) else {
            let hint = nearest(name, self.index.keys().map(String::as_str));
            let hint = hint.map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default();
            self.add(path, format!("there is no step `{name}`{hint}"));
            return None;
        };
        if self.parts[other] > self.parts[i] {
            let message = format!("`{name}` runs when all of these steps have ended, so none of them can wait for it");
            self.add(path, message);
            return None;
        }
        self.edges.push((other, i));
        Some(other)
    }

    fn expressions(&mut self, step: &FlowStep, i: usize, path: &str) -> Vec<usize> {
        let mut named = Vec::new();
        let rules = [("runWhen", &step.run_when), ("when", &step.when), ("forEach", &step.for_each)];
        for (field, text) in rules.into_iter().filter_map(|(f, t)| Some((f, t.as_ref()?))) {
            let path = format!("{path}.{field}");
            match Expression::parse_rule(text) {
                Ok(rule) => self.references(&rule, i, &path, false, &mut named),
                Err(error) => self.add(path, error.to_string()),
            }
        }
        named
    }

    fn template(&mut self, step: &FlowStep, template: &Template, i: usize, path: &str) -> Vec<usize> {
        let path = match step.job_template_ref {
            Some(_) => format!("{path}.jobTemplateRef"),
            None => format!("{path}.jobTemplate"),
        };
        let each = step.for_each.is_some();
        let mut named = Vec::new();
        match expand::expressions(&template.to_value(), each) {
            Err((inner, reason)) => self.add(format!("{path}{inner}"), reason),
            Ok(found) => {
                for (inner, expression) in found {
                    self.references(&expression, i, &format!("{path}{inner}"), each, &mut named);
                }
            }
        }
        named
    }

    /// The steps that an expression of step `i` names.
    fn references(&mut self, of: &Expression, i: usize, path: &str, each: bool, named: &mut Vec<usize>) {
        let source = of.source().to_owned();
        for reference in of.references() {
            let (step, fact) = match reference.root() {
                "parameters" => {
                    self.parameter(reference, path);
                    continue;
                }
                "flow" | "run" => continue,
                "each" | "index" if each => continue,
                "steps" => (reference.name(), reference.path.get(2)),
                root => (Some(root), reference.path.get(1)),
            };
            let Some(step) = step else {
                self.add(path, format!("`{source}`: name the step, as in steps.a.succeeded"));
                continue;
            };
            let known = self.index.contains_key(step);
            if !known && self.index.keys().any(|name| name.contains('-') && name.starts_with(&format!("{step}-"))) {
                let message = format!(
                    "`{source}`: there is no step `{step}`; a name with a hyphen is written steps[\"{step}-...\"].succeeded"
                );
                self.add(path, message);
                continue;
            }
            let Some(other) = self.other(step, i, path) else { continue };
            named.push(other);
            self.fact(other, fact.map(String::as_str), reference, path);
        }
    }

    fn parameter(&mut self, reference: &Reference, path: &str) {
        let Some(name) = reference.name() else { return };
        if !self.spec.parameters.contains_key(name) && !reference.test {
            let hint = nearest(name, self.spec.parameters.keys().map(String::as_str));
            let hint = hint.map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default();
            self.add(path, format!("there is no parameter `{name}`{hint}: add it to spec.parameters"));
        }
    }

    fn fact(&mut self, step: usize, fact: Option<&str>, reference: &Reference, path: &str) {
        match fact {
            Some(fact) if FACTS.contains(&fact) => {}
            Some("outputs") => {
                let at = if reference.root() == "steps" { 3 } else { 2 };
                let mut all = self.spec.flows.iter().chain(&self.spec.finally);
                let (Some(output), Some(step)) = (reference.path.get(at), all.nth(step)) else { return };
                if !step.outputs.contains_key(output) {
                    let hint = nearest(output, step.outputs.keys().map(String::as_str));
                    let hint = hint.map(|h| format!(" (did you mean `{h}`?)")).unwrap_or_default();
                    self.add(path, format!("step `{}` has no output `{output}`{hint}", step.name));
                }
            }
            Some(other) => {
                let message = format!("a step has no `{other}`; it has {} and outputs", FACTS.join(", "));
                self.add(path, message);
            }
            None => self.add(path, format!("a step is no value; ask for one of {} or outputs", FACTS.join(", "))),
        }
    }

    fn step(&mut self, step: &FlowStep, template: Option<&Template>, path: &str) {
        self.retry(step.retry.as_ref(), path);
        let Some(template) = template.map(Template::to_value) else { return };
        let names = |pointer: &str| -> Vec<String> {
            let list = template.pointer(pointer).and_then(Value::as_array);
            let name = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
            list.into_iter().flatten().filter_map(name).collect()
        };
        let own_volumes = names("/template/spec/volumes");
        let shared: Vec<&str> = self.spec.share_volumes.iter().filter_map(|v| v.string("name")).collect();
        let mut unknown = Vec::new();
        for (m, mount) in step.share_volume_mounts.iter().enumerate() {
            let name = mount.string("name").unwrap_or_default();
            if !shared.contains(&name) && !own_volumes.iter().any(|v| v == name) {
                unknown.push((
                    format!("{path}.shareVolumeMounts[{m}].name"),
                    format!("there is no volume `{name}` in spec.shareVolumes"),
                ));
            }
        }
        let containers = [names("/template/spec/containers"), names("/template/spec/initContainers")].concat();
        for (output, source) in &step.outputs {
            if let Some(container) = source.container.as_ref().filter(|c| !containers.contains(c)) {
                unknown.push((
                    format!("{path}.outputs.{output}.container"),
                    format!("the template has no container `{container}`"),
                ));
            }
        }
        for (path, message) in unknown {
            self.add(path, message);
        }
    }

    fn retry(&mut self, retry: Option<&Retry>, path: &str) {
        let Some(retry) = retry else { return };
        for (field, text) in [("backoff", &retry.backoff), ("maxBackoff", &retry.max_backoff)] {
            if let Some(Err(reason)) = text.as_ref().map(|t| duration::parse(t)) {
                self.add(format!("{path}.retry.{field}"), reason);
            }
        }
    }

    fn of_flow(&mut self) {
        if let Some(expression) = &self.spec.schedule
            && let Err(reason) = Schedule::parse(expression, self.spec.time_zone.as_deref())
        {
            self.add("spec.schedule", reason);
        }
    }
}
