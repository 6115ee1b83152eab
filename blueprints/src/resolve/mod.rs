//! From a blueprint and a Pipeline to what is to run: parameters with their defaults, topics with their Kafka names,
//! datasets with their places, components in order. The same pass finds every problem.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};
use tributary_crds::{BlueprintSpec, Format, KafkaConnection, Pipeline, PipelineSpec, S3Connection, StatusRules};

use crate::claims::{Claim, claims};
use crate::drivers::{self, Lifetime};
use crate::expr::Expression;
use crate::graph::Graph;
use crate::object::{Gvk, ObjectKey};
use crate::problem::{Origin, Problem, Problems, nearest};
use crate::records::Schema;
use crate::world::Served;

mod components;
mod conform;
mod data;
mod edges;
pub(crate) mod hash;
mod index;
mod names;
mod parameters;
mod ports;
mod records;
mod references;
pub(crate) mod scope;
pub(crate) mod template;
mod types;

pub use ports::bound;
pub use scope::{ComponentScope, PipelineScope};

/// A topic, resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topic {
    /// Name within the blueprint.
    pub name: String,
    /// Name in Kafka.
    pub topic_name: String,
    /// The Pipeline's name for the Kafka cluster.
    pub cluster: String,
    /// How to reach that cluster.
    pub connection: KafkaConnection,
    /// Partitions; `None` leaves them to the broker.
    pub partitions: Option<i32>,
    /// Replicas; `None` leaves them to the broker.
    pub replicas: Option<i32>,
    /// Configuration.
    pub config: Map<String, Value>,
    /// It outlives the Pipeline.
    pub retain: bool,
    /// It is somebody else's.
    pub existing: bool,
    /// Name of its records' schema.
    pub schema: Option<String>,
}

/// A dataset, resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Name within the blueprint.
    pub name: String,
    /// `s3://bucket/prefix`.
    pub uri: String,
    /// The Pipeline's name for the store.
    pub store: String,
    /// How to reach that store.
    pub connection: S3Connection,
    /// Where records begin and end.
    pub format: Format,
    /// Name of its records' schema.
    pub schema: Option<String>,
    /// A component writes it; otherwise it must be there.
    pub written: bool,
    /// A component reads it.
    pub read: bool,
}

/// How often and how patiently a component is tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Tries after the first one.
    pub limit: u32,
    /// Pause before the first retry, doubled each time.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

impl Retry {
    /// The pause before retry number `n`, counted from 1.
    pub fn pause(&self, n: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.max_backoff)
    }
}

/// A component, resolved; of one with `forEach`, one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Name; with `forEach`, `<name>-<item>`.
    pub name: String,
    /// Name in the blueprint.
    pub base: String,
    /// Its path in the object that holds the blueprint, such as `spec.components[1]`.
    pub path: String,
    /// The item that `each` stands for.
    pub each: Option<Value>,
    /// It runs when the rest has ended.
    pub finally: bool,
    /// Kind.
    pub gvk: Gvk,
    /// Name of its child.
    pub child: String,
    /// Whether it ends by itself.
    pub lifetime: Lifetime,
    /// Port to topic or dataset.
    pub reads: BTreeMap<String, String>,
    /// Port to topic or dataset.
    pub writes: BTreeMap<String, String>,
    /// Port to the schema that the program itself reads or writes.
    pub ports: BTreeMap<String, String>,
    /// It is left out where this does not hold.
    pub when: Option<Expression>,
    /// Retries.
    pub retry: Retry,
    /// How long its child may wait.
    pub start_deadline: Option<Duration>,
    /// How to read the child's status.
    pub status: Option<StatusRules>,
    /// The template, its expressions not evaluated.
    pub template: Value,
    /// Topics that must be there first.
    pub topics: BTreeSet<String>,
    /// Components whose outputs or status its expressions use. A child's name is known beforehand and makes no edge.
    pub uses: BTreeSet<String>,
    /// How many components it waits for, one behind the other.
    pub wave: u32,
    /// Hash of the template and of what its ports are bound to, as far as that is settled before anything runs.
    pub hash: String,
}

impl Component {
    /// Its driver.
    pub fn driver(&self) -> &'static dyn drivers::Component {
        drivers::of(&self.gvk.group, &self.gvk.kind)
    }

    /// Whether its child is never changed: what ends by itself is not changed while it runs, nor after.
    pub fn is_immutable(&self) -> bool {
        self.lifetime == Lifetime::Batch || self.driver().immutable()
    }

    /// Where its child is.
    pub fn key(&self, namespace: &str) -> ObjectKey {
        ObjectKey::new(&self.gvk, namespace, &self.child)
    }
}

/// A blueprint with its parameters, ready to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The Pipeline's namespace.
    pub namespace: String,
    /// The Pipeline's name.
    pub pipeline: String,
    /// The run, counted from 1.
    pub run: i64,
    /// Parameters, defaults applied.
    pub parameters: Map<String, Value>,
    /// Record schemas as text, by name.
    pub schemas: BTreeMap<String, String>,
    /// Topics, in the order of the text.
    pub topics: Vec<Topic>,
    /// Datasets, in the order of the text.
    pub datasets: Vec<Dataset>,
    /// Components, each after those it waits for; those of `finally` last.
    pub components: Vec<Component>,
    /// Who waits for whom: indices into `components`.
    pub graph: Graph,
    /// Topics by name: indices into `topics`.
    topic_index: HashMap<String, usize>,
    /// Datasets by name: indices into `datasets`.
    dataset_index: HashMap<String, usize>,
    /// What expressions know.
    pub(crate) scope: PipelineScope,
}

impl Resolved {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(*self.topic_index.get(name)?)
    }

    /// The object that a component describes, as far as it is settled before anything runs: what other components give
    /// stays as it is written.
    pub fn settled_object(&self, component: &Component) -> Value {
        let scope = self.scope.within(component.each.as_ref(), None);
        let rendered = conform::settled(&component.template, &scope);
        template::wired(component, self, rendered, &bound(component, self)).object
    }

    /// The dataset of this name.
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets.get(*self.dataset_index.get(name)?)
    }
}

/// What a Pipeline runs, as far as its own spec and its status say.
///
/// # Errors
/// Every problem that there is.
pub fn resolve(pipeline: &Pipeline, blueprint: &BlueprintSpec) -> Result<Resolved, Vec<Problem>> {
    finished(Analysis::of_pipeline(pipeline, blueprint, None).run())
}

/// What a Pipeline runs, its components held against the kinds that are known.
///
/// # Errors
/// Every problem that there is.
pub fn resolve_against(
    pipeline: &Pipeline,
    blueprint: &BlueprintSpec,
    served: Option<&Served>,
) -> Result<Resolved, Vec<Problem>> {
    finished(Analysis::of_pipeline(pipeline, blueprint, served).run())
}

/// The same, where templates that the status knows to have been verified are not held against their kinds' schemas again.
pub(crate) fn resolve_again(
    pipeline: &Pipeline,
    blueprint: &BlueprintSpec,
    served: &Served,
) -> Result<Resolved, Vec<Problem>> {
    let mut analysis = Analysis::of_pipeline(pipeline, blueprint, Some(served));
    let lines = pipeline.status.iter().flat_map(|s| &s.components);
    analysis.verified = lines.map(|c| (c.name.as_str(), c.template_hash.as_str())).collect();
    finished(analysis.run())
}

fn finished((resolved, problems): (Resolved, Vec<Problem>)) -> Result<Resolved, Vec<Problem>> {
    if problems.is_empty() { Ok(resolved) } else { Err(problems) }
}

/// The blueprint that a Pipeline runs: its inline one, else the one that it refers to.
pub fn blueprint_of<'a>(pipeline: &'a Pipeline, referred: Option<&'a BlueprintSpec>) -> Option<&'a BlueprintSpec> {
    match (&pipeline.spec.blueprint, &pipeline.spec.blueprint_ref) {
        (Some(inline), _) => Some(inline),
        (None, Some(_)) => referred,
        (None, None) => None,
    }
}

/// The run that a Pipeline is in: the last one, or the one that its spec asks for, if that is later.
pub fn run_of(pipeline: &Pipeline) -> i64 {
    let last = pipeline.status.as_ref().and_then(|s| s.run).unwrap_or(1);
    last.max(pipeline.spec.run.unwrap_or(1)).max(1)
}

/// The pass over a blueprint: what it finds, and what it makes.
pub(crate) struct Analysis<'a> {
    blueprint: &'a BlueprintSpec,
    /// Absent where a blueprint is looked at for itself.
    spec: Option<&'a PipelineSpec>,
    served: Option<&'a Served>,
    /// The blueprint's path in the object that holds it.
    prefix: &'static str,
    problems: Problems,
    scope: PipelineScope,
    resolved: Resolved,
    /// Components by name, with the hash under which their template has been verified before.
    verified: HashSet<(&'a str, &'a str)>,
    index: index::Index<'a>,
    types: types::Types,
    /// Record schemas by name, those that are sound.
    records: HashMap<&'a str, Schema>,
    /// Paths of strings whose expressions are wrong.
    bad: HashSet<String>,
    /// Rules of kinds that are not ours, parsed once.
    rules: HashMap<String, Option<Expression>>,
}

impl<'a> Analysis<'a> {
    /// Of a blueprint with the values that a Pipeline gives it.
    pub(crate) fn of_pipeline(
        pipeline: &'a Pipeline,
        blueprint: &'a BlueprintSpec,
        served: Option<&'a Served>,
    ) -> Self {
        let inline = pipeline.spec.blueprint.is_some();
        let resolved = Resolved {
            namespace: pipeline.metadata.namespace.clone().unwrap_or_default(),
            pipeline: pipeline.metadata.name.clone().unwrap_or_default(),
            run: run_of(pipeline),
            ..Resolved::default()
        };
        let origin = if inline { Origin::Pipeline } else { Origin::Blueprint };
        let prefix = if inline { "spec.blueprint" } else { "spec" };
        Self::new(blueprint, Some(&pipeline.spec), served, prefix, origin, resolved)
    }

    /// Of a blueprint for itself.
    pub(crate) fn of_blueprint(blueprint: &'a BlueprintSpec, served: Option<&'a Served>) -> Self {
        let resolved = Resolved { run: 1, ..Resolved::default() };
        Self::new(blueprint, None, served, "spec", Origin::Blueprint, resolved)
    }

    fn new(
        blueprint: &'a BlueprintSpec,
        spec: Option<&'a PipelineSpec>,
        served: Option<&'a Served>,
        prefix: &'static str,
        origin: Origin,
        resolved: Resolved,
    ) -> Self {
        let problems = Problems::of(origin);
        Self {
            blueprint,
            spec,
            served,
            prefix,
            problems,
            scope: PipelineScope::default(),
            resolved,
            verified: HashSet::new(),
            index: index::Index::new(blueprint),
            types: types::Types::new(blueprint, served),
            records: HashMap::new(),
            bad: HashSet::new(),
            rules: HashMap::new(),
        }
    }

    /// Goes through all of it.
    pub(crate) fn run(mut self) -> (Resolved, Vec<Problem>) {
        self.structure();
        self.templates();
        self.resolved.scope = self.scope;
        (self.resolved, self.problems.in_order())
    }

    /// Everything but the templates against their kinds' schemas.
    fn structure(&mut self) {
        self.names();
        self.parameters();
        self.environment();
        self.record_schemas();
        self.topics();
        self.datasets();
        self.components();
        self.compatibility();
        self.order();
    }

    /// What may have been meant. Of problems beyond the hundredth that is left open: each look goes through all names, and
    /// nobody reads so far.
    fn near<'n>(&self, word: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.problems.len() < 100 { nearest(word, candidates) } else { None }
    }

    /// A path in the blueprint.
    fn at(&self, below: impl std::fmt::Display) -> String {
        format!("{}.{below}", self.prefix)
    }
}

/// What of a Pipeline concerns others: known before anything of it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// The names that its children have, topics included, as far as spec and status say.
    pub children: Vec<ObjectKey>,
    /// What it alone may own.
    pub claims: Vec<Claim>,
}

/// The names that a Pipeline's children have, topics included, as far as its spec and status say.
pub fn expected_children(pipeline: &Pipeline, blueprint: Option<&BlueprintSpec>, served: &Served) -> Vec<ObjectKey> {
    outline(pipeline, blueprint, served).children
}

/// What of a Pipeline concerns others; nothing where its blueprint is wrong.
pub fn outline(pipeline: &Pipeline, blueprint: Option<&BlueprintSpec>, served: &Served) -> Outline {
    let Some(blueprint) = blueprint_of(pipeline, blueprint) else { return Outline::default() };
    let mut analysis = Analysis::of_pipeline(pipeline, blueprint, None);
    analysis.structure();
    if !analysis.problems.is_empty() {
        return Outline::default();
    }
    let resolved = analysis.resolved;
    let provider = crate::evaluate::topics::Provider::expected(pipeline, served);
    let topics = resolved.topics.iter().filter(|t| !t.existing).map(|t| provider.key(&resolved, t));
    let components = resolved.components.iter().map(|c| c.key(&resolved.namespace));
    Outline { children: topics.chain(components).collect(), claims: claims(pipeline, &resolved) }
}

/// The kinds of a blueprint's components, those without a driver included.
pub fn kinds_of(blueprint: &BlueprintSpec) -> BTreeSet<Gvk> {
    let all = blueprint.components.iter().chain(&blueprint.finally);
    all.filter_map(|c| Some(Gvk::parse(c.template.string("apiVersion")?, c.template.string("kind")?))).collect()
}
