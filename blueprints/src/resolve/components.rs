//! Components: one each, or one an item of `forEach`; their templates, conditions and retries.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tributary_crds::{Component as Declared, Retry as DeclaredRetry, names};

use super::names::label_fault;
use super::references::Place;
use super::{Analysis, Component, Retry};
use crate::drivers::{self, Lifetime};
use crate::duration;
use crate::expr::{child_path, functions, texts_of};
use crate::object::Gvk;
use crate::problem::{Code, listing, nearest};

/// Components that a `forEach` may make.
const MAX_ITEMS: usize = 1_000;
/// Components that a blueprint may have, those of `forEach` counted one by one.
const MAX_COMPONENTS: usize = 20_000;

impl Analysis<'_> {
    /// Every component, in the order of the text; those of `finally` last.
    pub(super) fn components(&mut self) {
        let blueprint = self.blueprint;
        for (i, declared) in blueprint.components.iter().enumerate() {
            let path = self.at(format_args!("components[{i}]"));
            self.component(declared, &path, false);
        }
        for (i, declared) in blueprint.finally.iter().enumerate() {
            let path = self.at(format_args!("finally[{i}]"));
            self.component(declared, &path, true);
        }
        self.child_names();
    }

    fn component(&mut self, declared: &Declared, path: &str, finally: bool) {
        let gvk = self.kind_of(declared, path);
        let place = Place::component(declared.for_each.is_some());
        let mut topics = BTreeSet::new();
        texts_of(&declared.template.to_value(), &format!("{path}.template"), &mut |at, source| {
            if let Some(text) = self.parsed_text(source, at, place) {
                topics.extend(text.expressions().flat_map(|e| {
                    let named = e.references().iter().filter(|r| r.root() == "topics");
                    named.filter_map(|r| r.name().map(str::to_owned)).collect::<Vec<_>>()
                }));
            }
        });
        self.reserved_fields(declared, path);
        self.rules(declared, path);
        let when = declared.when.as_ref().and_then(|w| self.parsed_rule(w, &format!("{path}.when"), place));
        let retry = declared.retry.as_ref().map_or(Retry::default(), |r| self.retry(r, &format!("{path}.retry")));
        topics.extend(self.bindings(declared, gvk.as_ref(), path));
        let lifetime = gvk.as_ref().map_or(Lifetime::Either, |g| lifetime_of(declared, g));
        let component = Component {
            name: declared.name.clone(),
            base: declared.name.clone(),
            path: path.to_owned(),
            each: None,
            finally,
            gvk: gvk.unwrap_or_default(),
            child: String::new(),
            lifetime,
            reads: declared.reads.clone(),
            writes: declared.writes.clone(),
            ports: declared.ports.clone(),
            when,
            retry,
            status: declared.status.clone(),
            template: declared.template.to_value(),
            topics,
            wave: 0,
            hash: String::new(),
        };
        match &declared.for_each {
            Some(source) => self.items(source, component),
            None => self.resolved.components.push(component),
        }
    }

    fn kind_of(&mut self, declared: &Declared, path: &str) -> Option<Gvk> {
        let mut field = |name: &str| match declared.template.0.get(name) {
            Some(Value::String(s)) if !s.is_empty() && !s.contains("${") => Some(s.clone()),
            Some(Value::String(s)) if s.contains("${") => {
                let message = "must be written out: what is watched must be known beforehand";
                self.problems.add(Code::WrongValue, format!("{path}.template.{name}"), message);
                None
            }
            Some(other) => {
                let message = format!("must be a string, not {}", functions::type_name(other));
                self.problems.add(Code::WrongType, format!("{path}.template.{name}"), message);
                None
            }
            None => {
                self.problems.add(Code::MissingField, format!("{path}.template.{name}"), "is required");
                None
            }
        };
        let (api_version, kind) = (field("apiVersion"), field("kind"));
        let gvk = Gvk::parse(&api_version?, &kind?);
        self.known_kind(&gvk, path).then_some(gvk)
    }

    /// Whether a kind can be run. One that is not served yet may still be installed; one of a group that takes no
    /// newcomers may not.
    fn known_kind(&mut self, gvk: &Gvk, path: &str) -> bool {
        let ours = gvk.group == tributary_crds::GROUP;
        let known: Vec<String> = if ours {
            crate::schemas::kinds().into_iter().map(str::to_owned).collect()
        } else {
            match self.served {
                Some(served) => {
                    served.0.keys().filter(|(group, _)| *group == gvk.group).map(|(_, k)| k.clone()).collect()
                }
                None => drivers::ALL.iter().filter(|d| d.group() == gvk.group).map(|d| d.kind().to_owned()).collect(),
            }
        };
        let closed = ours || (self.served.is_some() && (!gvk.group.contains('.') || gvk.group.ends_with(".k8s.io")));
        let names = || known.iter().map(String::as_str);
        if closed && !known.is_empty() && !known.contains(&gvk.kind) {
            let message = format!("{} has no kind `{}`; {}", gvk.api_version(), gvk.kind, listing(names()));
            self.problems.suggest(
                Code::UnknownKind,
                format!("{path}.template.kind"),
                message,
                nearest(&gvk.kind, names()),
            );
            return false;
        }
        if ours && gvk.version != tributary_crds::VERSION {
            let message = format!("there is no version `{}` of {}", gvk.version, gvk.group);
            let suggestion = Some(tributary_crds::API_VERSION.to_owned());
            self.problems.suggest(Code::UnknownKind, format!("{path}.template.apiVersion"), message, suggestion);
            return false;
        }
        let runnable = !ours || !matches!(gvk.kind.as_str(), "Pipeline" | "Blueprint");
        if !runnable {
            let message = format!("a component cannot be a {}", gvk.kind);
            self.problems.add(Code::UnknownKind, format!("{path}.template.kind"), message);
        }
        if self.served.and_then(|s| s.get(&gvk.group, &gvk.kind)).is_some_and(|k| !k.namespaced) {
            let message = format!("{} does not live in a namespace; a component's child does", gvk.kind);
            self.problems.add(Code::ClusterScoped, format!("{path}.template.kind"), message);
        }
        runnable
    }

    fn reserved_fields(&mut self, declared: &Declared, path: &str) {
        let path = format!("{path}.template");
        if declared.template.0.contains_key("status") {
            self.problems.add(
                Code::ReservedField,
                format!("{path}.status"),
                "status is what is observed, not what is meant",
            );
        }
        match declared.template.0.get("metadata") {
            None => {}
            Some(Value::Object(metadata)) => {
                for (name, value) in metadata {
                    let at = child_path(&format!("{path}.metadata"), name);
                    let map = value.is_object() && matches!(name.as_str(), "labels" | "annotations");
                    if !map && matches!(name.as_str(), "labels" | "annotations") {
                        let message = format!("must be an object, not {}", functions::type_name(value));
                        self.problems.add(Code::WrongType, at, message);
                    } else if !map {
                        let known = ["labels", "annotations"];
                        let message =
                            format!("`{name}` is set by Tributary; a template's metadata has labels and annotations");
                        self.problems.suggest(Code::ReservedField, at, message, nearest(name, known));
                    }
                }
            }
            Some(other) => {
                let message = format!("must be an object, not {}", functions::type_name(other));
                self.problems.add(Code::WrongType, format!("{path}.metadata"), message);
            }
        }
    }

    /// The status rules, whose one name is `self`.
    fn rules(&mut self, declared: &Declared, path: &str) {
        let Some(rules) = &declared.status else { return };
        let path = format!("{path}.status");
        let named = [
            ("ready", &rules.ready),
            ("succeeded", &rules.succeeded),
            ("failed", &rules.failed),
            ("progress", &rules.progress),
            ("message", &rules.message),
        ];
        let all = named.into_iter().filter_map(|(name, rule)| Some((format!("{path}.{name}"), rule.as_ref()?)));
        let outputs = rules.outputs.iter().map(|(name, rule)| (child_path(&format!("{path}.outputs"), name), rule));
        for (path, rule) in all.chain(outputs).collect::<Vec<_>>() {
            self.self_rule(rule, &path);
        }
    }

    fn retry(&mut self, declared: &DeclaredRetry, path: &str) -> Retry {
        let mut read = |text: &Option<String>, field: &str, default: Duration| match text {
            None => default,
            Some(text) => duration::parse(text).unwrap_or_else(|reason| {
                self.problems.add(Code::BadDuration, format!("{path}.{field}"), reason);
                default
            }),
        };
        let backoff = read(&declared.backoff, "backoff", Duration::from_secs(10));
        let max_backoff = read(&declared.max_backoff, "maxBackoff", Duration::from_secs(600)).max(backoff);
        Retry { limit: declared.limit, backoff, max_backoff }
    }

    /// One component an item of `forEach`.
    fn items(&mut self, source: &str, component: Component) {
        let path = format!("{}.forEach", component.path);
        let Some(rule) = self.parsed_rule(source, &path, Place::STATIC) else { return };
        let outcome = rule.evaluate(&self.scope.within(None, None));
        let items = match self.outcome(outcome, source, &path) {
            Some(Value::Array(items)) => items,
            Some(other) => {
                let message = format!("must be a list, not {}", functions::type_name(&other));
                return self.problems.add(Code::WrongType, path, message);
            }
            // not known without a Pipeline: the component stands for its items
            None => return self.resolved.components.push(component),
        };
        let room = MAX_COMPONENTS.saturating_sub(self.resolved.components.len());
        if items.len() > MAX_ITEMS.min(room) {
            let message =
                format!("the list has {} items; at most {} make components", items.len(), MAX_ITEMS.min(room));
            return self.problems.add(Code::WrongValue, path, message);
        }
        let mut seen = BTreeSet::new();
        for (i, item) in items.into_iter().enumerate() {
            let key = item_key(&item, i);
            let name = format!("{}-{key}", component.base);
            if !seen.insert(name.clone()) {
                let message =
                    format!("two items of the list are called `{key}`, so that their components have one name");
                self.problems.add(Code::DuplicateName, &path, message);
                continue;
            }
            if let Some(fault) = label_fault(&name) {
                self.problems.add(Code::BadName, &path, format!("item {i} makes a component of a bad name: {fault}"));
                continue;
            }
            self.resolved.components.push(Component { name, each: Some(item), ..component.clone() });
        }
    }

    /// The names of the children, which only the Pipeline's own name settles.
    fn child_names(&mut self) {
        let (pipeline, run) = (self.resolved.pipeline.clone(), self.resolved.run);
        let mut first: std::collections::BTreeMap<(Gvk, String), String> = std::collections::BTreeMap::new();
        let mut found = Vec::new();
        for component in &mut self.resolved.components {
            // what goes on keeps its name from run to run
            let run = if component.lifetime == Lifetime::Batch { run } else { 1 };
            component.child = names::component_child(&pipeline, &component.name, run);
            let max = component.driver().max_name();
            if self.spec.is_some() && component.child.len() > max {
                let (name, n) = (&component.child, component.child.len());
                let message = format!(
                    "the child would be called `{name}`, which has {n} characters; a {} has at most {max}",
                    component.gvk.kind
                );
                found.push((Code::NameTooLong, format!("{}.name", component.path), message));
            }
            let key = (component.gvk.clone(), component.child.clone());
            match first.get(&key) {
                Some(other) if *other != component.name && component.name != component.base => {
                    let message = format!("the child of this item has the name of component `{other}`'s");
                    found.push((Code::DuplicateName, format!("{}.forEach", component.path), message));
                }
                _ => {
                    first.insert(key, component.name.clone());
                }
            }
        }
        for (code, path, message) in found {
            self.problems.add(code, path, message);
        }
    }
}

/// A kind without a driver ends by itself if its rules say how, and goes on if they say only when it serves.
fn lifetime_of(declared: &Declared, gvk: &Gvk) -> Lifetime {
    let lifetime = drivers::of(&gvk.group, &gvk.kind).lifetime(&declared.template.to_value());
    match (&declared.status, lifetime) {
        (Some(rules), Lifetime::Either) => match (&rules.succeeded, &rules.ready) {
            (Some(_), _) => Lifetime::Batch,
            (None, Some(_)) => Lifetime::Stream,
            (None, None) => Lifetime::Either,
        },
        (_, lifetime) => lifetime,
    }
}

/// A stable name of an item: itself, its `name`, or its place in the list.
fn item_key(item: &Value, index: usize) -> String {
    let word = match item {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) if n.is_u64() => Some(n.to_string()),
        Value::Object(object) => object.get("name").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    word.unwrap_or_else(|| index.to_string())
}
