//! What Pipelines own together by mistake: two that would own one Kafka topic, or write one dataset.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;

use tributary_crds::{Pipeline, Timestamp};

use crate::problem::{Code, Origin, Problem};
use crate::resolve::Resolved;

/// Something outside of the cluster's namespaces that one Pipeline alone can own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A Kafka topic.
    Topic {
        /// The cluster's bootstrap servers, as they are called from everywhere in the Kubernetes cluster.
        cluster: String,
        /// Name in Kafka.
        name: String,
    },
    /// A place that is written.
    Dataset {
        /// The store's address, as it is called from everywhere in the Kubernetes cluster; its region where it has none.
        store: String,
        /// `s3://bucket/prefix/`.
        uri: String,
    },
}

/// What one Pipeline owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What it is.
    pub resource: Resource,
    /// `namespace/name` of the Pipeline.
    pub pipeline: String,
    /// The object that `path` is in.
    pub origin: Origin,
    /// Where it is claimed.
    pub path: String,
    /// Name within the blueprint.
    pub name: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { cluster, name } => write!(f, "topic \"{name}\" of the Kafka cluster {cluster}"),
            Self::Dataset { uri, .. } => f.write_str(uri.trim_end_matches('/')),
        }
    }
}

/// What a Pipeline owns: its topics that are not somebody else's, and the datasets that its components write.
pub fn claims(pipeline: &Pipeline, resolved: &Resolved) -> Vec<Claim> {
    let inline = pipeline.spec.blueprint.is_some();
    let (origin, prefix) = if inline { (Origin::Pipeline, "spec.blueprint") } else { (Origin::Blueprint, "spec") };
    let owner = format!("{}/{}", resolved.namespace, resolved.pipeline);
    let claim =
        |resource, path, name: &str| Claim { resource, pipeline: owner.clone(), origin, path, name: name.to_owned() };
    let topics = resolved.topics.iter().enumerate().filter(|(_, t)| !t.existing).map(|(i, topic)| {
        let cluster = servers(&topic.connection.bootstrap_servers, &resolved.namespace);
        let resource = Resource::Topic { cluster, name: topic.topic_name.clone() };
        claim(resource, format!("{prefix}.topics[{i}].topicName"), &topic.name)
    });
    let datasets = resolved.datasets.iter().enumerate().filter(|(_, d)| d.written).map(|(i, dataset)| {
        let connection = &dataset.connection;
        let endpoint = connection.endpoint.as_ref().map(|e| server(e, &resolved.namespace));
        let store = endpoint.or_else(|| connection.region.clone()).unwrap_or_default();
        let uri = format!("{}/", dataset.uri.trim_end_matches('/'));
        claim(Resource::Dataset { store, uri }, format!("{prefix}.datasets[{i}].location"), &dataset.name)
    });
    topics.chain(datasets).collect()
}

/// The list of a cluster's servers in one order, each as [`server`] calls it.
fn servers(list: &str, namespace: &str) -> String {
    let all: BTreeSet<String> = list.split(',').map(|s| server(s.trim(), namespace)).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

/// One name for a server: `kafka:9092` is another one in each namespace, and `kafka.a`, `kafka.a.svc` and
/// `kafka.a.svc.cluster.local` are one.
fn server(address: &str, namespace: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/').to_lowercase();
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !host.is_empty() => (host, format!(":{port}")),
        _ => (address.as_str(), String::new()),
    };
    let host = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc")).unwrap_or(host);
    let relative = !host.contains(['.', ':']);
    if relative { format!("{host}.{namespace}{port}") } else { format!("{host}{port}") }
}

/// Where a Pipeline claims what another does: the same topic, or a dataset that is, lies in or holds one of another. One
/// problem for each of its own claims, naming the first other Pipeline.
pub fn conflicts<'a>(own: &[Claim], others: impl IntoIterator<Item = &'a Claim>) -> Vec<Problem> {
    let mut index: BTreeMap<&Resource, &Claim> = BTreeMap::new();
    let mine = own.first().map_or("", |c| c.pipeline.as_str());
    for claim in others.into_iter().filter(|c| c.pipeline != mine) {
        index.entry(&claim.resource).or_insert(claim);
    }
    let same = |resource: &Resource| index.get(resource).copied();
    let first = |claim: &Claim| {
        let around = around(&claim.resource).find_map(|r| same(&r));
        let within = || within(&index, &claim.resource).next().map(|(_, c)| *c);
        same(&claim.resource).or(around).or_else(within)
    };
    own.iter().filter_map(|claim| Some(problem(claim, first(claim)?))).collect()
}

/// The places that hold a place, the widest first.
fn around(resource: &Resource) -> impl Iterator<Item = Resource> {
    let place = match resource {
        Resource::Dataset { store, uri } => Some((store.clone(), uri.clone())),
        Resource::Topic { .. } => None,
    };
    place.into_iter().flat_map(|(store, uri)| {
        let ends = uri.match_indices('/').map(|(at, _)| at + 1);
        let ends: Vec<usize> = ends.filter(|end| *end > "s3://".len() && *end < uri.len()).collect();
        ends.into_iter().map(move |end| Resource::Dataset { store: store.clone(), uri: uri[..end].to_owned() })
    })
}

/// The places of an index that lie in a place.
fn within<'i, K: std::borrow::Borrow<Resource> + Ord, V>(
    index: &'i BTreeMap<K, V>,
    resource: &'i Resource,
) -> impl Iterator<Item = (&'i K, &'i V)> {
    let after = index.range::<Resource, _>((Bound::Excluded(resource), Bound::Unbounded));
    after.take_while(move |(inner, _)| match (resource, (*inner).borrow()) {
        (Resource::Dataset { store, uri }, Resource::Dataset { store: s, uri: u }) => s == store && u.starts_with(uri),
        _ => false,
    })
}

/// What stands first in a dispute: the older Pipeline, then the one whose name comes first.
type Rank = (Timestamp, String);

/// The claims of all Pipelines. A look goes through those of one resource only, however many Pipelines there are.
#[derive(Debug, Default)]
pub struct Index {
    by_resource: BTreeMap<Resource, BTreeMap<Rank, Claim>>,
    by_pipeline: HashMap<String, (Timestamp, Vec<Claim>)>,
}

impl Index {
    /// What this Pipeline, created at `since`, claims now. Gives the younger Pipelines that this concerns: they may have
    /// to give way to it, or need not any more.
    pub fn set(&mut self, pipeline: &str, since: Timestamp, claims: Vec<Claim>) -> BTreeSet<String> {
        let before = self.by_pipeline.get(pipeline);
        if before.is_some_and(|(s, c)| *s == since && *c == claims) {
            return BTreeSet::new();
        }
        let mut concerned = self.remove(pipeline);
        let rank = (since, pipeline.to_owned());
        for claim in &claims {
            self.by_resource.entry(claim.resource.clone()).or_default().insert(rank.clone(), claim.clone());
        }
        concerned.extend(claims.iter().flat_map(|c| self.younger(&c.resource, &rank)));
        if !claims.is_empty() {
            self.by_pipeline.insert(pipeline.to_owned(), (since, claims));
        }
        concerned
    }

    /// A Pipeline is gone. Gives the younger Pipelines that this concerns.
    pub fn remove(&mut self, pipeline: &str) -> BTreeSet<String> {
        let Some((since, claims)) = self.by_pipeline.remove(pipeline) else { return BTreeSet::new() };
        let rank = (since, pipeline.to_owned());
        for claim in &claims {
            if let Some(claims) = self.by_resource.get_mut(&claim.resource) {
                claims.remove(&rank);
                if claims.is_empty() {
                    self.by_resource.remove(&claim.resource);
                }
            }
        }
        claims.iter().flat_map(|c| self.younger(&c.resource, &rank)).collect()
    }

    /// The claims of older Pipelines on what this one claims.
    pub fn rivals(&self, pipeline: &str) -> Vec<Claim> {
        let Some((since, own)) = self.by_pipeline.get(pipeline) else { return Vec::new() };
        let rank = (*since, pipeline.to_owned());
        let older = own.iter().flat_map(|c| self.overlapping(&c.resource)).filter(|(r, _)| **r < rank);
        older.map(|(_, claim)| claim.clone()).collect()
    }

    fn younger(&self, resource: &Resource, rank: &Rank) -> Vec<String> {
        self.overlapping(resource).filter(|(r, _)| *r > rank).map(|((_, name), _)| name.clone()).collect()
    }

    fn overlapping<'i>(&'i self, resource: &'i Resource) -> impl Iterator<Item = (&'i Rank, &'i Claim)> {
        let around = around(resource).filter_map(|r| self.by_resource.get(&r));
        let same = self.by_resource.get(resource).into_iter();
        same.chain(around).chain(within(&self.by_resource, resource).map(|(_, claims)| claims)).flatten()
    }
}

fn problem(claim: &Claim, other: &Claim) -> Problem {
    let same = claim.resource == other.resource;
    let message = match (&claim.resource, same) {
        (Resource::Topic { .. }, _) => format!(
            "Pipeline {} owns {} too, as its topic `{}`; give one of them another topicName, or `existing: true`",
            other.pipeline, claim.resource, other.name
        ),
        (Resource::Dataset { .. }, true) => format!(
            "Pipeline {} writes {} too, as its dataset `{}`; give one of them another location",
            other.pipeline, claim.resource, other.name
        ),
        (Resource::Dataset { .. }, false) => format!(
            "Pipeline {} writes {}, its dataset `{}`, and one of the two places lies in the other",
            other.pipeline, other.resource, other.name
        ),
    };
    Problem { code: Code::Collision, origin: claim.origin, path: claim.path.clone(), message, suggestion: None }
}
