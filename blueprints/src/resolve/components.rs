//! Components: one each, or one an item of `forEach`; their templates, conditions and retries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tributary_crds::{Component as Declared, Retry as DeclaredRetry, names};

use super::names::{label_fault, label_value_fault};
use super::references::Place;
use super::{Analysis, Component, Retry};
use crate::drivers::{self, Lifetime};
use crate::duration;
use crate::expr::{Expression, Kinds, Reference, Text, Type, child_path, functions};
use crate::kinds;
use crate::object::Gvk;
use crate::openapi;
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
        let list = declared.for_each.as_ref().map(|source| self.list(source, &format!("{path}.forEach")));
        let place = Place::component(list.as_ref().map(|(_, each)| each.clone()));
        let template = declared.template.to_value();
        let used = self.expressions(&template, gvk.as_ref(), &format!("{path}.template"), &place);
        self.reserved_fields(declared, path);
        self.rules(declared, gvk.as_ref(), path);
        let when = declared.when.as_ref().and_then(|when| self.condition(when, &format!("{path}.when"), &place));
        let retry = declared.retry.as_ref().map_or(Retry::default(), |r| self.retry(r, &format!("{path}.retry")));
        let start_deadline = declared.start_deadline.as_ref().and_then(|text| {
            let at = format!("{path}.startDeadline");
            duration::parse(text).map_err(|reason| self.problems.add(Code::BadDuration, at, reason)).ok()
        });
        let (mut uses, mut topics) = (BTreeSet::new(), self.bindings(declared, gvk.as_ref(), path));
        for reference in used.iter().chain(when.iter().flat_map(|w| w.references())) {
            match (reference.root(), reference.name()) {
                ("topics", Some(name)) => drop(topics.insert(name.to_owned())),
                ("components", Some(name)) if reference.path.get(2).map(String::as_str) != Some("name") => {
                    uses.insert(name.to_owned());
                }
                _ => {}
            }
        }
        let lifetime = gvk.as_ref().map_or(Lifetime::Either, |g| lifetime_of(declared, &template, g));
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
            start_deadline,
            status: declared.status.clone(),
            template,
            topics,
            uses,
            wave: 0,
            hash: String::new(),
        };
        match (&declared.for_each, list) {
            (Some(source), Some((rule, _))) => self.items(source, rule, component),
            _ => self.resolved.components.push(component),
        }
    }

    /// The expressions of a template: their names, their types against the schema of the kind. Gives what they refer to.
    fn expressions(&mut self, template: &Value, gvk: Option<&Gvk>, path: &str, place: &Place) -> Vec<Reference> {
        let kind = gvk.map(|g| self.types.kind(g)).unwrap_or_default();
        let mut used = Vec::new();
        for (field, value) in template.as_object().into_iter().flatten() {
            let schema = match field.as_str() {
                "apiVersion" | "kind" => continue,
                "metadata" => Some(kinds::metadata()),
                _ => kind.schema.as_deref().and_then(|s| s.pointer("/properties")?.get(field)),
            };
            openapi::strings(value, schema, &child_path(path, field), &mut |at, source, schema| {
                let Some((text, type_)) = self.parsed_text(source, at, place) else {
                    self.bad.insert(at.to_owned());
                    return;
                };
                if let Some(reason) = schema.and_then(|s| openapi::misfit(&type_, s)) {
                    self.problems.add(Code::WrongType, at, reason);
                    self.bad.insert(at.to_owned());
                }
                used.extend(text.expressions().flat_map(|e| e.references()).cloned());
            });
        }
        used
    }

    /// A rule that must be a boolean.
    fn condition(&mut self, source: &str, path: &str, place: &Place) -> Option<Expression> {
        let (rule, type_) = self.parsed_rule(source, path, place)?;
        if type_.fits(&Type::Bool) {
            return Some(rule);
        }
        let message = format!("must be a boolean, but `{}` is {}", rule.source(), type_.with_article());
        self.problems.add(Code::WrongType, path, message);
        None
    }

    /// The rule of a `forEach`, and the type of its items.
    fn list(&mut self, source: &str, path: &str) -> (Option<Expression>, Type) {
        match self.parsed_rule(source, path, &Place::STATIC) {
            Some((rule, Type::List(of))) => (Some(rule), Type::clone(&of)),
            Some((rule, other)) if other.may_be(Kinds::LIST) => (Some(rule), Type::Dyn),
            Some((rule, other)) => {
                let message = format!("must be a list, but `{}` is {}", rule.source(), other.with_article());
                self.problems.add(Code::WrongType, path, message);
                (None, Type::Dyn)
            }
            None => (None, Type::Dyn),
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
        let mut known: BTreeMap<String, bool> = if ours {
            kinds::kinds().into_iter().map(|kind| (kind.to_owned(), true)).collect()
        } else {
            kinds::of_every_cluster(&gvk.group).map(|(kind, namespaced)| (kind.to_owned(), namespaced)).collect()
        };
        let served = self.served.iter().flat_map(|s| &s.0).filter(|((group, _), _)| !ours && *group == gvk.group);
        known.extend(served.map(|((_, kind), of)| (kind.clone(), of.namespaced)));
        let closed = ours || !gvk.group.contains('.') || gvk.group.ends_with(".k8s.io");
        let names = || known.keys().map(String::as_str);
        if closed && !known.is_empty() && !known.contains_key(&gvk.kind) {
            let message = format!("{} has no kind `{}`; {}", gvk.api_version(), gvk.kind, listing(names()));
            let suggestion = nearest(&gvk.kind, names());
            self.problems.suggest(Code::UnknownKind, format!("{path}.template.kind"), message, suggestion);
            return false;
        }
        if !self.known_version(gvk, path) {
            return false;
        }
        let runnable = !ours || !matches!(gvk.kind.as_str(), "Pipeline" | "Blueprint");
        if !runnable {
            let message = format!("a component cannot be a {}", gvk.kind);
            self.problems.add(Code::UnknownKind, format!("{path}.template.kind"), message);
        }
        if known.get(&gvk.kind) == Some(&false) {
            let message = format!("{} does not live in a namespace; a component's child does", gvk.kind);
            self.problems.add(Code::ClusterScoped, format!("{path}.template.kind"), message);
        }
        runnable
    }

    fn known_version(&mut self, gvk: &Gvk, path: &str) -> bool {
        let path = format!("{path}.template.apiVersion");
        let served = self.served.and_then(|s| s.get(&gvk.group, &gvk.kind));
        if gvk.group == tributary_crds::GROUP {
            let known = gvk.version == tributary_crds::VERSION;
            if !known {
                let message = format!("there is no version `{}` of {}", gvk.version, gvk.group);
                let suggestion = Some(tributary_crds::API_VERSION.to_owned());
                self.problems.suggest(Code::UnknownKind, path, message, suggestion);
            }
            return known;
        }
        let Some(kind) = served.filter(|k| !k.versions.is_empty() && !k.versions.contains(&gvk.version)) else {
            return true;
        };
        let versions = listing(kind.versions.iter().map(String::as_str));
        let message = format!("{} is not served in version `{}`; {versions}", gvk.kind, gvk.version);
        let suggestion = Gvk::new(&gvk.group, &kind.version, &gvk.kind).api_version();
        self.problems.suggest(Code::UnknownKind, path, message, Some(suggestion));
        false
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
                    if let "labels" | "annotations" = name.as_str() {
                        self.marks(name, value, &at);
                    } else {
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

    /// Labels or annotations.
    fn marks(&mut self, name: &str, value: &Value, path: &str) {
        let mut found = Vec::new();
        let schema = &kinds::metadata()["properties"][name];
        openapi::check(value, schema, path, openapi::Strings::Expressions, &mut found);
        for f in found {
            self.problems.suggest(f.code, f.path, f.message, f.suggestion);
        }
        for (key, value) in value.as_object().into_iter().flatten().filter(|_| name == "labels") {
            let known = value.as_str().filter(|v| !Text::is_dynamic(v));
            if let Some(fault) = known.and_then(label_value_fault) {
                self.problems.add(Code::WrongValue, child_path(path, key), fault);
            }
        }
    }

    /// The status rules, whose one name is `self`.
    fn rules(&mut self, declared: &Declared, gvk: Option<&Gvk>, path: &str) {
        let Some(rules) = &declared.status else { return };
        let of_self = gvk.map_or(Type::Dyn, |g| self.types.kind(g).object());
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
            let Some(type_) = self.self_rule(rule, &path, &of_self) else { continue };
            let wanted = match path.rsplit('.').next() {
                Some("ready" | "succeeded" | "failed") if !path.contains(".outputs") => Type::Bool,
                Some("progress") if !path.contains(".outputs") => Type::Double,
                _ => continue,
            };
            if !type_.fits(&wanted) {
                let message = format!("must be {}, but `{rule}` is {}", wanted.with_article(), type_.with_article());
                self.problems.add(Code::WrongType, path, message);
            }
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
    fn items(&mut self, source: &str, rule: Option<Expression>, component: Component) {
        let path = format!("{}.forEach", component.path);
        let value = rule.and_then(|rule| {
            let outcome = rule.evaluate(&self.scope.within(None, None));
            self.outcome(outcome, source, &path)
        });
        let items = match value {
            Some(Value::Array(items)) => items,
            Some(other) => {
                let message = format!("must be a list, not {}", functions::type_name(&other));
                return self.problems.add(Code::WrongType, path, message);
            }
            // not known without a Pipeline, or wrong: the component stands for its items
            None => return self.resolved.components.push(component),
        };
        let room = MAX_COMPONENTS.saturating_sub(self.resolved.components.len());
        if items.len() > MAX_ITEMS.min(room) {
            let message =
                format!("the list has {} items; at most {} make components", items.len(), MAX_ITEMS.min(room));
            return self.problems.add(Code::TooLarge, path, message);
        }
        let mut seen = BTreeSet::new();
        for (i, item) in items.into_iter().enumerate() {
            let Some(key) = item_key(&item) else {
                let kind = functions::type_name(&item);
                let message = format!(
                    "item {i} is {kind}, from which no name can be made that stays when the list changes; make it a \
                     string, a whole number, or an object with `name`"
                );
                self.problems.add(Code::BadName, &path, message);
                continue;
            };
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
        let mut first: BTreeMap<(Gvk, String), String> = BTreeMap::new();
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

/// What the rules of a component say ends by itself if they say how, and goes on if they say only when it serves; else
/// its kind tells.
fn lifetime_of(declared: &Declared, template: &Value, gvk: &Gvk) -> Lifetime {
    match &declared.status {
        Some(rules) if rules.succeeded.is_some() => Lifetime::Batch,
        Some(rules) if rules.ready.is_some() => Lifetime::Stream,
        _ => drivers::of(&gvk.group, &gvk.kind).lifetime(template),
    }
}

/// A name of an item that it keeps wherever in the list it stands: itself, or its `name`.
fn item_key(item: &Value) -> Option<String> {
    match item {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) if n.is_u64() => Some(n.to_string()),
        Value::Object(object) => item_key(object.get("name")?),
        _ => None,
    }
}
