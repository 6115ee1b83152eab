//! The types of the names that expressions know, and the kinds of the components.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tributary_crds::{BlueprintSpec, Component as Declared};

use super::references::Place;
use crate::drivers;
use crate::expr::{Expression, Kinds, Type};
use crate::kinds::{self, KindTypes};
use crate::object::Gvk;
use crate::world::Served;

/// A kind as templates and status rules need it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kind {
    /// Its OpenAPI v3 schema, where it is known.
    pub(super) schema: Option<Arc<Value>>,
    types: Arc<KindTypes>,
}

/// What is known of types before any value is.
#[derive(Default)]
pub(super) struct Types {
    roots: HashMap<&'static str, Type>,
    kinds: HashMap<Gvk, Kind>,
}

impl Types {
    pub(super) fn new(blueprint: &BlueprintSpec, served: Option<&Served>) -> Self {
        let mut types = Self::default();
        // a parameter that is a number is a double however it is written
        let of_parameter = |type_: Type| if type_ == Type::of_kinds(Kinds::NUMBER) { Type::Double } else { type_ };
        let of_schema = |schema: &Value| of_parameter(Type::of_schema(schema));
        let parameters = blueprint.parameters.iter().map(|(name, s)| (name.clone(), of_schema(&s.to_value())));
        types.roots.insert("parameters", Type::object(parameters));
        let topic = Type::object([("bootstrapServers", Type::String), ("topicName", Type::String)]);
        let topics = blueprint.topics.iter().map(|t| (t.name.clone(), topic.clone()));
        types.roots.insert("topics", Type::object(topics));
        let dataset = Type::object([("uri", Type::String)]);
        let datasets = blueprint.datasets.iter().map(|d| (d.name.clone(), dataset.clone()));
        types.roots.insert("datasets", Type::object(datasets));
        types.roots.insert("pipeline", Type::object([("name", Type::String), ("namespace", Type::String)]));
        types.roots.insert("run", Type::object([("number", Type::Int)]));
        let all = blueprint.components.iter().chain(&blueprint.finally);
        // of a name that stands there twice, the first counts, as everywhere
        let components: Vec<_> = all.rev().map(|c| (c.name.clone(), types.component(c, served))).collect();
        types.roots.insert("components", Type::object(components));
        types
    }

    /// The type of a name where an expression stands; `None` where it stands for nothing there.
    pub(super) fn of(&self, name: &str, place: &Place) -> Option<Type> {
        if name == "each" { place.each.clone() } else { self.roots.get(name).cloned() }
    }

    /// What is known of a kind that a component of the blueprint has.
    pub(super) fn kind(&self, gvk: &Gvk) -> Kind {
        self.kinds.get(gvk).cloned().unwrap_or_default()
    }

    fn component(&mut self, declared: &Declared, served: Option<&Served>) -> Type {
        let Some(gvk) = gvk_of(declared) else { return Type::Dyn };
        let kind = self.kinds.entry(gvk.clone()).or_insert_with(|| Kind::new(&gvk, served));
        let driver = drivers::of(&gvk.group, &gvk.kind);
        let mut outputs: Vec<(String, Type)> =
            driver.outputs().into_iter().map(|(name, type_)| (name.to_owned(), type_)).collect();
        for (name, rule) in declared.status.iter().flat_map(|s| &s.outputs) {
            let self_type = |name: &str| (name == "self").then(|| kind.object());
            let type_ = Expression::parse_rule(rule).map(|e| e.check(&self_type).0);
            outputs.push((name.clone(), type_.unwrap_or_default()));
        }
        let whole = Type::object([
            ("name", Type::String),
            ("outputs", Type::object(outputs)),
            ("status", kind.types.status.clone()),
        ]);
        if declared.for_each.is_some() { Type::list(whole) } else { whole }
    }
}

impl Kind {
    fn new(gvk: &Gvk, served: Option<&Served>) -> Self {
        let Some(schema) = kinds::schema(gvk, served) else { return Self::default() };
        Self { types: kinds::types(&schema), schema: Some(schema) }
    }

    /// The type of a whole object.
    pub(super) fn object(&self) -> Type {
        self.types.object.clone()
    }
}

/// The kind that a component says it has; `None` where it does not say.
pub(super) fn gvk_of(declared: &Declared) -> Option<Gvk> {
    Some(Gvk::parse(declared.template.string("apiVersion")?, declared.template.string("kind")?))
}
