//! Component drivers: what is known of a kind. One file a kind, one line in [`ALL`].
//!
//! A driver works on data alone: it completes the object that a template describes, and reads the health of the one
//! that the apiserver holds. A kind without a driver is read by the usual conventions. What the blueprint's own rules say
//! of a component's status counts before either.

use std::time::Duration;

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_crds::{Health, StatusRules};

use crate::change::{Change, Effect};
use crate::expr::Type;
use crate::object::{Gvk, ObjectKey};
use crate::resolve::{Dataset, Topic};
use crate::world::Served;

mod conditions;
mod configmap;
mod cronjob;
mod daemonjob;
mod daemonset;
mod deployment;
mod flinkdeployment;
mod generic;
mod job;
mod jobflow;
mod jobset;
mod kafkatopic;
mod mapreducejob;
mod patch;
mod persistentvolumeclaim;
mod pods;
mod quantity;
mod report;
mod rules;
mod secret;
mod service;
mod spark_apache;
mod spark_kubeflow;
mod spark_scheduled;
mod statefulset;
mod switch;
mod topic;

pub use kafkatopic::KafkaTopicDriver;
pub use report::Report;
pub use switch::Switch;
pub use topic::TopicDriver;

pub(crate) use patch::fill;
pub(crate) use pods::variable;

use patch::{edited, object_at, says_otherwise};

/// Every driver.
pub const ALL: &[&dyn Component] = &[
    &mapreducejob::MapReduceJobDriver,
    &topic::TopicDriver,
    &kafkatopic::KafkaTopicDriver,
    &job::JobDriver,
    &jobflow::JobFlowDriver,
    &daemonjob::DaemonJobDriver,
    &deployment::DeploymentDriver,
    &statefulset::StatefulSetDriver,
    &daemonset::DaemonSetDriver,
    &cronjob::CronJobDriver,
    &jobset::JobSetDriver,
    &spark_kubeflow::SparkApplicationDriver,
    &spark_scheduled::ScheduledSparkApplicationDriver,
    &spark_apache::SparkApplicationDriver,
    &flinkdeployment::FlinkDeploymentDriver,
    &persistentvolumeclaim::PersistentVolumeClaimDriver,
    &configmap::ConfigMapDriver,
    &secret::SecretDriver,
    &service::ServiceDriver,
];

/// How long a child may wait for its controller to begin with it before that counts as a failure. Long enough for a
/// queue, since what begins after all is read as it then is.
const START: Duration = Duration::from_secs(30 * 60);
/// How long the state of a child may be unknown before that counts as a failure: a node that is lost comes back or is given
/// up by then.
const GRACE: Duration = Duration::from_secs(10 * 60);

/// The driver of a kind; the generic one where it has none.
pub fn of(group: &str, kind: &str) -> &'static dyn Component {
    ALL.iter().copied().find(|d| d.group() == group && d.kind() == kind).unwrap_or(&generic::Generic)
}

/// A kind, and the versions of it that a driver understands.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// API group; empty for Kubernetes' core.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Versions, the preferred first.
    pub versions: &'static [&'static str],
}

/// What is known of a kind.
pub trait Component: Sync {
    /// Which kind it is.
    fn definition(&self) -> Definition;

    /// API group.
    fn group(&self) -> &'static str {
        self.definition().group
    }

    /// Kind.
    fn kind(&self) -> &'static str {
        self.definition().kind
    }

    /// The versions that the driver understands, the preferred first.
    fn versions(&self) -> &'static [&'static str] {
        self.definition().versions
    }

    /// The kinds to watch for it, in the version that is served.
    fn children(&self, served: &Served) -> Vec<Gvk> {
        served_version(served, self.group(), self.kind(), self.versions()).into_iter().collect()
    }

    /// Whether it is watched only once a Pipeline has a child of it: clusters are full of objects of the kind that are
    /// nobody's component.
    fn on_demand(&self) -> bool {
        false
    }

    /// Whether the child ends by itself. `template` is the component's template.
    fn lifetime(&self, template: &Value) -> Lifetime;

    /// What reads and writes may name.
    fn ports(&self) -> Ports {
        Ports::Any
    }

    /// The values that expressions of other components may use, once the child has them.
    fn outputs(&self) -> Vec<(&'static str, Type)> {
        Vec::new()
    }

    /// Bytes that the child's name may have.
    fn max_name(&self) -> usize {
        tributary_crds::names::MAX_CHILD_NAME
    }

    /// Completes the object with what its ports are bound to; what the template says itself stays. A kind that runs
    /// nothing has no use for it: its ports only give an order.
    fn wire(&self, _object: &mut Value, _ports: &[Port<'_>]) {}

    /// How the child is, from its own data.
    fn read(&self, child: &DynamicObject) -> Report;

    /// How the child is: as the blueprint's rules say, and as the driver reads it where they say nothing.
    fn observe(&self, child: &DynamicObject, rules: Option<&StatusRules>) -> Report {
        match rules {
            Some(rules) => rules::observe(rules, child, || self.read(child)),
            None => self.read(child),
        }
    }

    /// An object that is not ours and tells more of the child: the pod in which its work is done.
    fn related(&self, _child: &DynamicObject) -> Option<ObjectKey> {
        None
    }

    /// Adds to a reading what the related object tells.
    fn explain(&self, _report: &mut Report, _related: &DynamicObject) {}

    /// Whether the object is never changed: an edit deletes it and creates it anew.
    fn immutable(&self) -> bool {
        false
    }

    /// What an edit of the object comes to. `old` and `new` are the object before and after it; fields that the template
    /// does not say may be missing in `new`.
    fn change(&self, _old: &Value, _new: &Value) -> Change {
        if self.immutable() {
            Change::new(Effect::Replace, "objects of this kind are made once")
        } else {
            Change::new(Effect::InPlace, "its own controller takes the edit up")
        }
    }

    /// How fast objects of the kind may be made, where its own operator could not follow.
    fn creation_rate(&self) -> Option<Rate> {
        None
    }

    /// The field of the spec by which the kind deletes itself, in seconds after its end. The operator then takes that over,
    /// since an outcome must be known before its object goes.
    fn ttl_field(&self) -> Option<&'static str> {
        None
    }

    /// Whether data goes for good when the object is deleted.
    fn holds_data(&self) -> bool {
        false
    }

    /// The field by which an object is stopped.
    fn switch(&self) -> Switch {
        Switch::None
    }

    /// Whether an object is stopped by its spec; `None` for one that cannot be.
    fn suspended(&self, object: &Value) -> Option<bool> {
        self.switch().is_off(object)
    }

    /// Stops an object by its spec, or lets it go. Only of those of which `suspended` is known.
    fn suspend(&self, object: &mut Value, on: bool) {
        self.switch().turn(object, on);
    }

    /// Whether a child that was stopped has come to rest, so that it may be replaced.
    fn drained(&self, child: &DynamicObject, rules: Option<&StatusRules>) -> bool {
        match self.switch() {
            Switch::Replicas => conditions::up_to_date(child) && conditions::count(child, &["status", "replicas"]) == 0,
            _ => self.observe(child, rules).health == Health::Suspended,
        }
    }
}

/// How fast objects may be made, all Pipelines together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// At once.
    pub burst: u32,
}

/// Whether a component ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It ends: what waits for it waits for Succeeded.
    Batch,
    /// It goes on: what waits for it waits for Ready.
    Stream,
    /// Not known beforehand: either will do.
    Either,
    /// It does nothing: it is there, and makes a Pipeline neither end nor go on. What waits for it waits until it exists;
    /// what needs something that it gives waits for that.
    Static,
}

/// Which way a port goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// `reads`.
    Reads,
    /// `writes`.
    Writes,
}

impl Direction {
    /// The field of a component.
    pub fn field(self) -> &'static str {
        match self {
            Direction::Reads => "reads",
            Direction::Writes => "writes",
        }
    }
}

/// The ports of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Any name.
    Any,
    /// These.
    Named {
        /// Ports that are read.
        reads: &'static [&'static str],
        /// Ports that are written.
        writes: &'static [&'static str],
    },
}

/// A port and what it is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// Name.
    pub name: &'a str,
    /// Read or written.
    pub direction: Direction,
    /// Topic or dataset.
    pub target: Target<'a>,
    /// Schema of the records, as text.
    pub schema: Option<&'a str>,
}

/// What a port is bound to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A Kafka topic.
    Topic(&'a Topic),
    /// A place in a store.
    Dataset(&'a Dataset),
}

/// The object that tells more of a child, where its driver knows of one.
pub fn related(child: &DynamicObject) -> Option<ObjectKey> {
    let types = child.types.as_ref()?;
    let gvk = Gvk::parse(&types.api_version, &types.kind);
    of(&gvk.group, &gvk.kind).related(child)
}

/// The best served version of a kind, of those that a driver understands.
fn served_version(served: &Served, group: &str, kind: &str, versions: &[&str]) -> Option<Gvk> {
    let found = served.get(group, kind)?;
    let version = versions.iter().find(|v| found.versions.iter().any(|s| s == *v))?;
    Some(Gvk::new(group, version, kind))
}

/// The kinds with a driver that are served and worth a watch before any Pipeline has a child of them.
pub fn watched(served: &Served) -> Vec<Gvk> {
    let mut kinds: Vec<Gvk> = ALL.iter().filter(|d| !d.on_demand()).flat_map(|d| d.children(served)).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}
