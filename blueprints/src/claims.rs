//! What Pipelines own together by mistake: two that would own one Kafka topic, or write one dataset.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use tributary_crds::Pipeline;

use crate::problem::{Code, Origin, Problem};
use crate::resolve::Resolved;

/// Something outside of the cluster's namespaces that one Pipeline alone can own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// A Kafka topic.
    Topic {
        /// The cluster's bootstrap servers.
        cluster: String,
        /// Name in Kafka.
        name: String,
    },
    /// A place that is written.
    Dataset {
        /// The store's URL, or its region where it has none.
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
        let cluster = topic.connection.bootstrap_servers.clone();
        let resource = Resource::Topic { cluster, name: topic.topic_name.clone() };
        claim(resource, format!("{prefix}.topics[{i}].topicName"), &topic.name)
    });
    let datasets = resolved.datasets.iter().enumerate().filter(|(_, d)| d.written).map(|(i, dataset)| {
        let connection = &dataset.connection;
        let store = connection.endpoint.clone().or_else(|| connection.region.clone()).unwrap_or_default();
        let uri = format!("{}/", dataset.uri.trim_end_matches('/'));
        claim(Resource::Dataset { store, uri }, format!("{prefix}.datasets[{i}].location"), &dataset.name)
    });
    topics.chain(datasets).collect()
}

/// Where a Pipeline claims what another does: the same topic, or a dataset that is, lies in or holds one of another. One
/// problem for each of its own claims, naming the first other Pipeline.
pub fn conflicts<'a>(own: &[Claim], others: impl IntoIterator<Item = &'a Claim>) -> Vec<Problem> {
    let mut index: BTreeMap<&Resource, &Claim> = BTreeMap::new();
    let mine = own.first().map_or("", |c| c.pipeline.as_str());
    for claim in others.into_iter().filter(|c| c.pipeline != mine) {
        index.entry(&claim.resource).or_insert(claim);
    }
    own.iter().filter_map(|claim| Some(problem(claim, overlapping(claim, &index)?))).collect()
}

fn overlapping<'a>(claim: &Claim, index: &BTreeMap<&'a Resource, &'a Claim>) -> Option<&'a Claim> {
    if let Some(same) = index.get(&claim.resource) {
        return Some(same);
    }
    let Resource::Dataset { store, uri } = &claim.resource else { return None };
    // places that hold this one
    let ends = uri.match_indices('/').map(|(at, _)| at + 1).filter(|end| *end > "s3://".len() && *end < uri.len());
    for end in ends {
        let place = Resource::Dataset { store: store.clone(), uri: uri[..end].to_owned() };
        if let Some(outer) = index.get(&place) {
            return Some(outer);
        }
    }
    // the first place within it, if there is one
    let (_, inner) = index.range::<Resource, _>((Bound::Excluded(&claim.resource), Bound::Unbounded)).next()?;
    match &inner.resource {
        Resource::Dataset { store: s, uri: u } if s == store && u.starts_with(uri) => Some(inner),
        _ => None,
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
