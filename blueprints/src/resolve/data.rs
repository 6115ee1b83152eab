//! Topics and datasets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tributary_crds::{
    BlueprintTopic, Dataset as DeclaredDataset, DeletionPolicy, IntOrExpression, KafkaConnection, S3Connection, names,
};

use super::scope::{Tree, names as tree_of, text};
use super::{Analysis, Dataset, Topic};
use crate::expr::{Type, child_path, functions};
use crate::problem::{Code, listing, nearest};

/// The longest name that Kafka takes.
const MAX_TOPIC_NAME: usize = 249;

impl Analysis<'_> {
    /// Every topic.
    pub(super) fn topics(&mut self) {
        let blueprint = self.blueprint;
        let kafka = self.spec.and_then(|s| s.kafka.as_ref());
        if self.spec.is_some() && kafka.is_none() && !blueprint.topics.is_empty() {
            let message = "the blueprint has topics, but the Pipeline names no Kafka cluster; \
                give one as spec.kafka.clusters.default.bootstrapServers";
            self.pipeline_problem(Code::UnknownCluster, "spec.kafka".into(), message, None);
        }
        for (i, declared) in blueprint.topics.iter().enumerate() {
            let path = self.at(format_args!("topics[{i}]"));
            let cluster = self.cluster(declared, &path);
            let topic_name = self.topic_name(declared, &path);
            let servers = match &cluster {
                Some((_, connection)) => text(&connection.bootstrap_servers),
                None => Tree::Unknown(format!("the Kafka cluster of topic `{}` is not known", declared.name)),
            };
            let name = match &topic_name {
                Some(name) => text(name),
                None => Tree::Unknown(format!("the name of topic `{}` is not known", declared.name)),
            };
            self.scope.set("topics", &declared.name, tree_of([("bootstrapServers", servers), ("topicName", name)]));
            let topic = self.topic(declared, &path, cluster, topic_name);
            self.resolved.topic_index.entry(topic.name.clone()).or_insert(i);
            self.resolved.topics.push(topic);
        }
        self.topic_collisions();
    }

    fn topic(
        &mut self,
        declared: &BlueprintTopic,
        path: &str,
        cluster: Option<(String, KafkaConnection)>,
        topic_name: Option<String>,
    ) -> Topic {
        if let Some(schema) = &declared.schema {
            self.schema_exists(schema, &format!("{path}.schema"));
        }
        let partitions = self.number(declared.partitions.as_ref(), 1, 100_000, &format!("{path}.partitions"));
        let replicas = self.number(declared.replicas.as_ref(), 1, 32_767, &format!("{path}.replicas"));
        let config = self.topic_config(declared, path);
        self.in_sync(&config, replicas, path);
        let (cluster, connection) = cluster.unwrap_or_default();
        Topic {
            name: declared.name.clone(),
            topic_name: topic_name.unwrap_or_default(),
            cluster,
            connection,
            partitions,
            replicas,
            config,
            retain: declared.retain.unwrap_or_else(|| self.retains()),
            existing: declared.existing,
            schema: declared.schema.clone(),
        }
    }

    /// Whether topics that do not say it outlive the Pipeline.
    fn retains(&self) -> bool {
        self.spec.is_none_or(|spec| spec.deletion_policy == DeletionPolicy::Retain)
    }

    fn cluster(&mut self, declared: &BlueprintTopic, path: &str) -> Option<(String, KafkaConnection)> {
        let clusters = &self.spec?.kafka.as_ref()?.clusters;
        let found = choose(declared.cluster.as_deref(), clusters, "Kafka cluster", "spec.kafka.clusters");
        self.chosen(found, Code::UnknownCluster, declared.cluster.is_some().then_some("cluster"), path)
    }

    /// Hands on what was chosen of the Pipeline's clusters or stores; a problem where nothing was.
    fn chosen<T: Clone>(
        &mut self,
        found: Result<(String, &T), Unchosen>,
        code: Code,
        field: Option<&str>,
        path: &str,
    ) -> Option<(String, T)> {
        match found {
            Ok((name, connection)) => Some((name, connection.clone())),
            Err(Unchosen { message, suggestion }) => {
                let path = field.map_or_else(|| path.to_owned(), |f| format!("{path}.{f}"));
                self.problems.suggest(code, path, message, suggestion);
                None
            }
        }
    }

    fn topic_name(&mut self, declared: &BlueprintTopic, path: &str) -> Option<String> {
        let path = format!("{path}.topicName");
        let name = match &declared.topic_name {
            Some(source) => match self.settled_text(source, &path, &Type::String)? {
                Value::String(name) => name,
                other => {
                    let message = format!("a topic's name is a string, not {}", functions::type_name(&other));
                    self.problems.add(Code::WrongType, path, message);
                    return None;
                }
            },
            None if self.spec.is_some() => {
                names::kafka_topic(&self.resolved.namespace, &self.resolved.pipeline, &declared.name)
            }
            None => return None,
        };
        if let Some(fault) = topic_name_fault(&name) {
            self.problems.add(Code::BadTopicName, path, format!("\"{name}\" is no name for a Kafka topic: it {fault}"));
            return None;
        }
        Some(name)
    }

    fn number(&mut self, source: Option<&IntOrExpression>, min: i64, max: i64, path: &str) -> Option<i32> {
        let value = match source? {
            IntOrExpression::Int(n) => Value::from(*n),
            IntOrExpression::Expression(source) => self.settled_text(source, path, &Type::Int)?,
        };
        match value.as_i64() {
            Some(n) if (min..=max).contains(&n) => i32::try_from(n).ok(),
            Some(n) => {
                self.problems.add(Code::WrongValue, path, format!("must be between {min} and {max}, but is {n}"));
                None
            }
            None => {
                let message = format!("must be an integer, not {}", functions::type_name(&value));
                self.problems.add(Code::WrongType, path, message);
                None
            }
        }
    }

    fn topic_config(&mut self, declared: &BlueprintTopic, path: &str) -> Map<String, Value> {
        let mut config = Map::new();
        for (key, value) in &declared.config {
            let path = child_path(&format!("{path}.config"), key);
            let settled = match &value.0 {
                Value::String(source) => self.settled_text(source, &path, &Type::Dyn),
                other => Some(other.clone()),
            };
            if let Some(message) = settled.as_ref().and_then(|v| crate::topicconfig::fault(key, v)) {
                let suggestion = crate::topicconfig::suggestion(key);
                self.problems.suggest(Code::BadTopicConfig, path, message, suggestion);
            }
            config.insert(key.clone(), settled.unwrap_or(Value::Null));
        }
        config
    }

    /// A topic that wants more replicas in sync than it has takes no records.
    fn in_sync(&mut self, config: &Map<String, Value>, replicas: Option<i32>, path: &str) {
        const KEY: &str = "min.insync.replicas";
        let wanted = config.get(KEY).and_then(|v| functions::text(v).parse::<i32>().ok());
        if let (Some(wanted), Some(replicas)) = (wanted, replicas)
            && wanted > replicas
        {
            let message =
                format!("{wanted} replicas must be in sync, but the topic has {replicas}: nothing could be written");
            self.problems.add(Code::BadTopicConfig, child_path(&format!("{path}.config"), KEY), message);
        }
    }

    fn topic_collisions(&mut self) {
        let mut first: BTreeMap<(String, String), (usize, String)> = BTreeMap::new();
        for i in 0..self.resolved.topics.len() {
            let topic = &self.resolved.topics[i];
            if topic.topic_name.is_empty() || (self.spec.is_some() && topic.cluster.is_empty()) {
                continue;
            }
            let key = (topic.cluster.clone(), topic.topic_name.clone());
            if let Some((_, other)) = first.get(&key).filter(|(_, other)| *other != topic.name) {
                let message = format!("topic `{other}` is \"{}\" in Kafka too", topic.topic_name);
                let path = self.at(format_args!("topics[{i}].topicName"));
                self.problems.add(Code::Collision, path, message);
            } else {
                first.insert(key, (i, topic.name.clone()));
            }
        }
    }

    /// Every dataset.
    pub(super) fn datasets(&mut self) {
        let blueprint = self.blueprint;
        let spec = self.spec;
        if spec.is_some_and(|s| s.stores.is_empty()) && !blueprint.datasets.is_empty() {
            let message =
                "the blueprint has datasets, but the Pipeline names no store; give one as spec.stores.default";
            self.pipeline_problem(Code::UnknownStore, "spec.stores".into(), message, None);
        }
        for (i, declared) in blueprint.datasets.iter().enumerate() {
            let path = self.at(format_args!("datasets[{i}]"));
            let store = match spec {
                Some(spec) if !spec.stores.is_empty() => {
                    let found = choose(declared.store.as_deref(), &spec.stores, "store", "spec.stores");
                    self.chosen(found, Code::UnknownStore, declared.store.is_some().then_some("store"), &path)
                }
                _ => None,
            };
            if let Some(schema) = &declared.schema {
                self.schema_exists(schema, &format!("{path}.schema"));
            }
            let uri = self.location(declared, &format!("{path}.location"));
            let tree = match &uri {
                Some(uri) => text(uri),
                None => Tree::Unknown(format!("the place of dataset `{}` is not known", declared.name)),
            };
            self.scope.set("datasets", &declared.name, tree_of([("uri", tree)]));
            self.resolved.dataset_index.entry(declared.name.clone()).or_insert(i);
            self.resolved.datasets.push(dataset(declared, uri, store));
        }
        self.dataset_collisions();
    }

    fn location(&mut self, declared: &DeclaredDataset, path: &str) -> Option<String> {
        let location = match self.settled_text(&declared.location, path, &Type::Dyn)? {
            Value::String(location) => location,
            other => functions::text(&other),
        };
        match location_fault(&location) {
            None => Some(format!("s3://{location}")),
            Some((message, suggestion)) => {
                self.problems.suggest(Code::BadLocation, path, message, suggestion);
                None
            }
        }
    }

    fn dataset_collisions(&mut self) {
        let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
        for i in 0..self.resolved.datasets.len() {
            let dataset = &self.resolved.datasets[i];
            if dataset.uri.is_empty() || (self.spec.is_some() && dataset.store.is_empty()) {
                continue;
            }
            let key = (dataset.store.clone(), dataset.uri.trim_end_matches('/').to_owned());
            if let Some(other) = first.get(&key).filter(|other| **other != dataset.name) {
                let message = format!("dataset `{other}` has this place too; bind both ports to it instead");
                let path = self.at(format_args!("datasets[{i}].location"));
                self.problems.add(Code::Collision, path, message);
            } else {
                first.insert(key, dataset.name.clone());
            }
        }
    }
}

fn dataset(declared: &DeclaredDataset, uri: Option<String>, store: Option<(String, S3Connection)>) -> Dataset {
    let (store, connection) = store.unwrap_or_default();
    Dataset {
        name: declared.name.clone(),
        uri: uri.unwrap_or_default(),
        store,
        connection,
        format: declared.format,
        schema: declared.schema.clone(),
        written: false,
        read: false,
    }
}

/// Why none of the Pipeline's clusters or stores is meant.
struct Unchosen {
    message: String,
    suggestion: Option<String>,
}

/// The one of this name; without a name the only one, or the one called `default`.
fn choose<'a, T>(
    name: Option<&str>,
    all: &'a BTreeMap<String, T>,
    what: &str,
    place: &str,
) -> Result<(String, &'a T), Unchosen> {
    let known = || all.keys().map(String::as_str);
    match name {
        Some(name) => all.get(name).map(|v| (name.to_owned(), v)).ok_or_else(|| Unchosen {
            message: format!("the Pipeline has no {what} `{name}` in {place}; {}", listing(known())),
            suggestion: nearest(name, known()),
        }),
        None => {
            let only = if all.len() == 1 { all.iter().next() } else { all.get_key_value("default") };
            only.map(|(name, v)| (name.clone(), v)).ok_or_else(|| Unchosen {
                message: format!("the Pipeline has several of {place} and none called `default`; {}", listing(known())),
                suggestion: None,
            })
        }
    }
}

fn topic_name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > MAX_TOPIC_NAME {
        Some("has more than 249 characters")
    } else if name == "." || name == ".." {
        Some("is not allowed")
    } else if name.chars().any(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some("has other characters than letters, digits, `.`, `_` and `-`")
    } else {
        None
    }
}

/// Why a place is none: `bucket/prefix`, the bucket as S3 names buckets.
fn location_fault(location: &str) -> Option<(String, Option<String>)> {
    if let Some(rest) = ["s3://", "s3a://"].iter().find_map(|scheme| location.strip_prefix(scheme)) {
        return Some(("a location is `bucket/prefix`, without a scheme".into(), Some(rest.to_owned())));
    }
    if let Some(rest) = location.strip_prefix('/') {
        return Some(("a location begins with its bucket".into(), (!rest.is_empty()).then(|| rest.to_owned())));
    }
    let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
    let sound = (3..=63).contains(&bucket.len())
        && bucket.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
        && bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
        && bucket.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !sound {
        let message = format!(
            "`{bucket}` is no name for a bucket: 3 to 63 lower-case letters, digits, `-` and `.`, \
             a letter or digit at both ends"
        );
        return Some((message, None));
    }
    if prefix.split('/').any(|part| part == ".." || part == ".") {
        return Some(("a location has no `.` or `..` in it".into(), None));
    }
    None
}
