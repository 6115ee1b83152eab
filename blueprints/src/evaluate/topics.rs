//! Topics of a Pipeline: who manages them, the resources that stand for them, and how they are.

use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tributary_crds::{
    API_VERSION, GROUP, Health, KafkaConnection, Pipeline, PipelineTopicStatus, Provider as Wished, Reason, VERSION,
    names,
};

use super::adopt::is_offered;
use super::child::{self, PIPELINE_NAMESPACE, RETAIN, annotation, is_own_topic, label};
use super::pass::Pass;
use crate::change::{self, Effect};
use crate::drivers::{self, Component as _, KafkaTopicDriver};
use crate::object::{Gvk, ObjectKey, field};
use crate::resolve::{Resolved, Topic, hash};
use crate::world::{Served, Verb};

/// Who manages a Pipeline's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Our own Topic.
    Tributary,
    /// Strimzi's KafkaTopic.
    Strimzi {
        /// The version that is served; the preferred one where none is.
        version: String,
        /// Where Strimzi looks for topics.
        namespace: String,
        /// Name of Strimzi's Kafka resource.
        cluster: String,
        /// Whether the kind is served.
        served: bool,
    },
}

impl Provider {
    /// As far as spec, status and discovery say.
    pub(crate) fn expected(pipeline: &Pipeline, served: &Served) -> Self {
        Self::decide(pipeline, served, None)
    }

    /// Decided once: by the spec, else by the status, else by what exists, else by discovery.
    fn decide(pipeline: &Pipeline, served: &Served, existing: Option<Wished>) -> Self {
        let spec = pipeline.spec.kafka.as_ref().map(|k| k.topics.clone()).unwrap_or_default();
        let kept = pipeline.status.as_ref().and_then(|s| s.topic_provider).filter(|p| *p != Wished::Auto);
        let kind = KafkaTopicDriver.children(served).into_iter().next();
        let by_discovery = if spec.cluster.is_some() && kind.is_some() { Wished::Strimzi } else { Wished::Tributary };
        let wished = match spec.provider {
            Wished::Auto => kept.or(existing).unwrap_or(by_discovery),
            named => named,
        };
        if wished != Wished::Strimzi {
            return Self::Tributary;
        }
        let own = pipeline.metadata.namespace.clone().unwrap_or_default();
        Self::Strimzi {
            version: kind.as_ref().map_or("v1", |k| k.version.as_str()).to_owned(),
            namespace: spec.namespace.unwrap_or(own),
            cluster: spec.cluster.unwrap_or_default(),
            served: kind.is_some(),
        }
    }

    /// As it is kept in the status.
    pub(super) fn to_status(&self) -> Wished {
        match self {
            Self::Tributary => Wished::Tributary,
            Self::Strimzi { .. } => Wished::Strimzi,
        }
    }

    fn gvk(&self) -> Gvk {
        match self {
            Self::Tributary => Gvk::new(GROUP, VERSION, "Topic"),
            Self::Strimzi { version, .. } => Gvk::new(KafkaTopicDriver::GROUP, version, "KafkaTopic"),
        }
    }

    /// Where the resource of a topic is. In a namespace of Strimzi's that is not the Pipeline's own the name tells
    /// Pipelines of different namespaces apart.
    pub(crate) fn key(&self, resolved: &Resolved, topic: &Topic) -> ObjectKey {
        let name = names::topic_child(&resolved.pipeline, &topic.name);
        match self {
            Self::Strimzi { namespace, .. } if *namespace != resolved.namespace => {
                ObjectKey::new(&self.gvk(), namespace, &format!("{}.{name}", resolved.namespace))
            }
            _ => ObjectKey::new(&self.gvk(), &resolved.namespace, &name),
        }
    }

    fn spec(&self, topic: &Topic) -> Value {
        let mut spec = Map::new();
        spec.insert("topicName".into(), topic.topic_name.clone().into());
        if let Some(n) = topic.partitions {
            spec.insert("partitions".into(), n.into());
        }
        if let Some(n) = topic.replicas {
            spec.insert("replicas".into(), n.into());
        }
        if !topic.config.is_empty() {
            spec.insert("config".into(), topic.config.clone().into());
        }
        if *self == Self::Tributary {
            spec.insert("kafka".into(), serde_json::to_value(&topic.connection).unwrap_or_default());
            let policy = if topic.retain { "Retain" } else { "Delete" };
            spec.insert("deletionPolicy".into(), policy.into());
        }
        spec.into()
    }

    /// The resource of a topic. It never carries an owner reference: garbage collection would delete it, and its
    /// operator the data. One that is not retained is deleted by the Pipeline's own clean-up.
    fn object(&self, resolved: &Resolved, topic: &Topic) -> Value {
        let key = self.key(resolved, topic);
        let api_version = match self {
            Self::Tributary => API_VERSION.to_owned(),
            Self::Strimzi { .. } => self.gvk().api_version(),
        };
        let spec = self.spec(topic);
        let mut object = json!({
            "apiVersion": api_version,
            "kind": key.kind,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": spec,
        });
        let mut labels = vec![
            (names::MANAGED_BY, names::MANAGER.to_owned()),
            (names::PIPELINE, resolved.pipeline.clone()),
            (PIPELINE_NAMESPACE, resolved.namespace.clone()),
            (names::TOPIC, topic.name.clone()),
            (RETAIN, topic.retain.to_string()),
        ];
        if let Self::Strimzi { cluster, .. } = self {
            labels.push((KafkaTopicDriver::CLUSTER, cluster.clone()));
        }
        let hash = hash::digest(&json!({"spec": object["spec"], "labels": labels}));
        child::mark(&mut object, &labels, &[(names::TEMPLATE_HASH, hash)]);
        object
    }
}

/// How a topic is, for those that wait for it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TopicState {
    pub(super) status: PipelineTopicStatus,
    pub(super) reason: Reason,
}

impl TopicState {
    fn new(topic: &Topic, health: Health, reason: Reason, message: impl Into<String>) -> Self {
        let status = PipelineTopicStatus {
            name: topic.name.clone(),
            topic_name: topic.topic_name.clone(),
            health,
            message: message.into(),
        };
        Self { status, reason }
    }
}

impl Pass<'_> {
    /// Sees to every topic, and decides who manages them where there are any.
    pub(super) fn topics(&mut self) {
        let resolved = self.resolved;
        if resolved.topics.iter().all(|t| t.existing) {
            self.topics =
                resolved.topics.iter().map(|t| TopicState::new(t, Health::Ready, Reason::AsExpected, "")).collect();
            return;
        }
        let provider = Provider::decide(&self.world.pipeline, &self.world.served, self.existing_provider());
        self.status.topic_provider = Some(provider.to_status());
        for topic in &resolved.topics {
            let state = if topic.existing {
                TopicState::new(topic, Health::Ready, Reason::AsExpected, "")
            } else {
                self.topic(topic, &provider)
            };
            self.topics.push(state);
        }
    }

    /// A status that was lost is made good by what was created on its word.
    fn existing_provider(&self) -> Option<Wished> {
        let own = self.world.children.0.values().filter(|c| is_own_topic(&self.world.pipeline, c));
        own.map(|c| if child::gvk_of(c).kind == "KafkaTopic" { Wished::Strimzi } else { Wished::Tributary }).next()
    }

    fn topic(&mut self, topic: &Topic, provider: &Provider) -> TopicState {
        let key = provider.key(self.resolved, topic);
        self.desired.insert(key.clone());
        if let Provider::Strimzi { served: false, .. } = provider {
            let message = "kind KafkaTopic of kafka.strimzi.io is not installed";
            return TopicState::new(topic, Health::Pending, Reason::KindNotInstalled, message);
        }
        let world = self.world;
        let object = provider.object(self.resolved, topic);
        let Some(existing) = world.children.get(&key) else {
            if let Some(refusal) = self.refusal(&key, Verb::Watch) {
                return TopicState::new(topic, Health::Pending, refusal.0, refusal.1);
            }
            let refusal = self.refusal(&key, Verb::Create);
            self.create(object, &provider.gvk(), &key);
            return match refusal {
                Some((reason, message)) => TopicState::new(topic, Health::Failed, reason, message),
                None => TopicState::new(topic, Health::Pending, Reason::TopicsPending, "is being created"),
            };
        };
        let own = is_own_topic(&world.pipeline, existing);
        if !own && !is_offered(&world.pipeline, existing) {
            let message = format!(
                "{key} exists and does not belong to this Pipeline; delete it, set `existing: true`, or have it taken \
                 over: annotate it with {}={}",
                names::ADOPT_BY,
                self.resolved.pipeline
            );
            return TopicState::new(topic, Health::Failed, Reason::NameTaken, message);
        }
        self.keep(existing, &key);
        if existing.metadata.deletion_timestamp.is_some() {
            let message = format!("{key} is being deleted; it is created again once it is gone");
            return TopicState::new(topic, Health::Pending, Reason::WaitingForChildren, message);
        }
        let wanted = object.pointer("/metadata/annotations").and_then(|a| a.get(names::TEMPLATE_HASH)?.as_str());
        if !own || annotation(existing, names::TEMPLATE_HASH) != wanted {
            let step = change::topic(Some(&of_resource(topic, existing)), topic);
            if step.effect == Effect::Refused {
                return TopicState::new(topic, Health::Failed, Reason::NotSupported, step.reason);
            }
            if step.effect == Effect::Destructive && !self.is_confirmed() {
                self.destructive.push(format!("topic `{}`: {}: {}", topic.name, step.reason, step.data));
                return observed(topic, existing);
            }
            if !own {
                self.tell_of_topic(topic, &format!("{key} is taken over"));
            }
            self.apply(object, existing);
            if let Some((reason, message)) = self.refusal(&key, Verb::Apply) {
                return TopicState::new(topic, Health::Failed, reason, message);
            }
            return TopicState::new(topic, Health::Progressing, Reason::TopicsPending, "is being changed");
        }
        observed(topic, existing)
    }
}

/// The topic that a resource stands for now.
fn of_resource(topic: &Topic, existing: &DynamicObject) -> Topic {
    let spec = |name: &str| field(existing, &["spec", name]);
    let count = |name: &str| spec(name).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
    let connection = spec("kafka").and_then(|k| KafkaConnection::deserialize(k).ok());
    let name = spec("topicName").and_then(Value::as_str).or(existing.metadata.name.as_deref());
    Topic {
        topic_name: name.unwrap_or_default().to_owned(),
        connection: connection.unwrap_or_else(|| topic.connection.clone()),
        partitions: count("partitions"),
        replicas: count("replicas"),
        config: spec("config").and_then(Value::as_object).cloned().unwrap_or_default(),
        retain: label(existing, RETAIN) != Some("false"),
        existing: false,
        ..topic.clone()
    }
}

fn observed(topic: &Topic, existing: &DynamicObject) -> TopicState {
    let gvk = child::gvk_of(existing);
    let report = drivers::of(&gvk.group, &gvk.kind).observe(existing, None);
    let message = match (report.message.is_empty(), report.health) {
        (true, Health::Ready) => String::new(),
        (true, _) => report.reason,
        (false, _) => report.message,
    };
    match report.health {
        Health::Ready => TopicState::new(topic, Health::Ready, Reason::AsExpected, message),
        Health::Failed => TopicState::new(topic, Health::Failed, Reason::TopicFailed, message),
        // somebody else sees to it, and says so on purpose
        Health::Unknown => TopicState::new(topic, Health::Ready, Reason::AsExpected, message),
        other => TopicState::new(topic, other, Reason::TopicsPending, message),
    }
}
