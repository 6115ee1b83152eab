//! Revisions: what a Pipeline has run, so that it runs on from them whatever becomes of its Blueprint, and can go back.
//!
//! A revision is the blueprint, inline or referred to, with the parameters. Kafka clusters and stores are the Pipeline's
//! surroundings and no part of it. It is kept as a ControllerRevision that the Pipeline owns.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_crds::{Any, BlueprintSpec, Pipeline, UpdatePolicy, names};

use crate::evaluate::child;
use crate::object::{Gvk, ObjectKey};
use crate::resolve::{blueprint_of, hash, template::dynamic};

/// Revisions that are kept where the Pipeline does not say how many.
pub const DEFAULT_LIMIT: usize = 10;
/// Bytes of JSON that a revision may hold: etcd takes 1.5 MiB, with the metadata.
pub const MAX_BYTES: usize = 1 << 20;

/// ControllerRevision of Kubernetes' apps group.
pub fn gvk() -> Gvk {
    Gvk::new("apps", "v1", "ControllerRevision")
}

/// What a revision holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// The blueprint.
    pub blueprint: BlueprintSpec,
    /// The parameters that the Pipeline gives, defaults not filled in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Any>,
}

impl Content {
    /// What a Pipeline says now; `None` where its Blueprint is not there.
    pub fn of(pipeline: &Pipeline, referred: Option<&BlueprintSpec>) -> Option<Self> {
        let blueprint = blueprint_of(pipeline, referred)?.clone();
        Some(Self { blueprint, parameters: pipeline.spec.parameters.clone() })
    }

    /// 16 hexadecimal digits that differ where the content does.
    pub fn hash(&self) -> String {
        hash::digest(&serde_json::to_value(self).unwrap_or_default())
    }

    /// The Pipeline and the Blueprint as they are at this revision. An inline blueprint stays inline, so that problems
    /// keep their paths.
    pub fn at(&self, pipeline: &Pipeline) -> (Pipeline, Option<BlueprintSpec>) {
        let mut pipeline = pipeline.clone();
        pipeline.spec.parameters.clone_from(&self.parameters);
        if pipeline.spec.blueprint.is_some() {
            pipeline.spec.blueprint = Some(self.blueprint.clone());
            (pipeline, None)
        } else {
            (pipeline, Some(self.blueprint.clone()))
        }
    }
}

/// A revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Counted from 1.
    pub number: i64,
    /// What it holds.
    pub content: Arc<Content>,
}

/// Data that is no revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no revision of a Pipeline: {0}")]
pub struct Unreadable(String);

/// Content that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the blueprint with its parameters has {0} bytes of JSON, and a revision takes {MAX_BYTES}; move data out of it, \
     such as into ConfigMaps, or divide it among Pipelines"
)]
pub struct TooLarge(pub usize);

impl Revision {
    /// The name of the ControllerRevision that holds it.
    pub fn name(&self, pipeline: &str) -> String {
        format!("{pipeline}-r{}", self.number)
    }

    /// `data` of a ControllerRevision.
    ///
    /// # Errors
    /// Where the content cannot be JSON.
    pub fn to_data(&self) -> Result<Value, Unreadable> {
        serde_json::to_value(&*self.content).map_err(|e| Unreadable(e.to_string()))
    }

    /// From `revision` and `data` of a ControllerRevision; the data may be JSON as text.
    ///
    /// # Errors
    /// Where the data is none.
    pub fn from_data(number: i64, data: &Value) -> Result<Self, Unreadable> {
        let content = match data {
            Value::String(text) => serde_json::from_str(text),
            data => Content::deserialize(data),
        };
        let content: Content = content.map_err(|e| Unreadable(e.to_string()))?;
        Ok(Self { number, content: Arc::new(content) })
    }

    /// The ControllerRevision that holds it.
    ///
    /// # Errors
    /// Where it is larger than etcd takes.
    pub fn object(&self, pipeline: &Pipeline) -> Result<DynamicObject, TooLarge> {
        let data = serde_json::to_value(&*self.content).unwrap_or_default();
        let bytes = data.to_string().len();
        if bytes > MAX_BYTES {
            return Err(TooLarge(bytes));
        }
        let name = pipeline.metadata.name.as_deref().unwrap_or_default();
        let object = json!({
            "apiVersion": gvk().api_version(),
            "kind": gvk().kind,
            "metadata": {
                "name": self.name(name),
                "namespace": pipeline.metadata.namespace,
                "labels": {
                    names::MANAGED_BY: names::MANAGER,
                    names::PIPELINE: name,
                    "controller.kubernetes.io/hash": hash::digest(&data),
                },
                "ownerReferences": child::owner(pipeline),
            },
            "revision": self.number,
            "data": data,
        });
        dynamic(object).ok_or(TooLarge(bytes))
    }
}

/// A ControllerRevision as it is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Counted from 1.
    pub number: i64,
    /// What it holds; `None` where that cannot be read, or where nobody needs it.
    pub content: Option<Arc<Content>>,
    /// Name of the object.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// It is this Pipeline's; otherwise that of a former one of the same name.
    pub ours: bool,
}

impl Kept {
    /// What a ControllerRevision that carries the Pipeline's label is; `content` reads it where that is needed.
    pub fn of(
        pipeline: &Pipeline,
        object: &DynamicObject,
        content: impl FnOnce(i64) -> Option<Arc<Content>>,
    ) -> Option<Self> {
        let number = object.data.get("revision")?.as_i64()?;
        let ours = child::ownership(pipeline, object) == child::Ownership::Ours
            && object.metadata.deletion_timestamp.is_none();
        let metadata = &object.metadata;
        Some(Self {
            number,
            content: if ours { content(number) } else { None },
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            ours,
        })
    }

    /// Where the object is.
    pub fn key(&self, pipeline: &Pipeline) -> ObjectKey {
        ObjectKey::new(&gvk(), pipeline.metadata.namespace.as_deref().unwrap_or_default(), &self.name)
    }
}

/// The numbers of the revisions whose content a decision needs: the newest, the one that runs, and the one that the
/// spec names.
pub fn needed(pipeline: &Pipeline, numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let running = pipeline.status.as_ref().and_then(|s| s.revision);
    let mut all: Vec<i64> =
        numbers.into_iter().max().into_iter().chain(running).chain(pipeline.spec.revision).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What is to be done about revisions, and which one runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The revision that runs: one that is kept, or the one to be made. `None` where there is none to run.
    pub runs: Option<i64>,
    /// The newest, kept or to be made.
    pub newest: Option<i64>,
    /// One to be made before it runs.
    pub create: Option<Revision>,
    /// Numbers of those to be deleted, the oldest first.
    pub delete: Vec<i64>,
    /// Why what the spec asks for does not run.
    pub refused: Option<String>,
}

impl Decision {
    /// What runs.
    pub fn content(&self, kept: &[Kept]) -> Option<Arc<Content>> {
        let runs = self.runs?;
        match &self.create {
            Some(new) if new.number == runs => Some(new.content.clone()),
            _ => kept.iter().find(|k| k.ours && k.number == runs)?.content.clone(),
        }
    }
}

/// Decides. `now` is what the Pipeline says at present, `None` where its Blueprint is gone or it cannot run; `kept` are
/// its revisions in any order; `running` is the number in its status. Pure and stable: deciding again after it is done
/// changes nothing.
pub fn decide(pipeline: &Pipeline, now: Option<&Content>, kept: &[Kept], running: Option<i64>) -> Decision {
    let ours: Vec<&Kept> = kept.iter().filter(|k| k.ours).collect();
    let newest = ours.iter().max_by_key(|r| r.number);
    let create = now
        .filter(|now| newest.is_none_or(|n| n.content.as_deref() != Some(*now)))
        .map(|now| Revision { number: newest.map_or(1, |n| n.number.saturating_add(1)), content: now.clone().into() });
    let created = create.as_ref().map(|r| r.number);
    let readable = || ours.iter().filter(|r| r.content.is_some()).map(|r| r.number);
    let latest = created.or(newest.map(|n| n.number));
    let runnable = created.or(readable().max());
    let there = |n: i64| readable().any(|r| r == n) || created == Some(n);
    let still = running.filter(|n| there(*n));
    let (runs, refused) = match pipeline.spec.revision {
        Some(n) if there(n) => (Some(n), None),
        Some(n) => {
            let mut numbers: Vec<i64> = ours.iter().map(|r| r.number).chain(created).collect();
            numbers.sort_unstable();
            let what = if numbers.contains(&n) { "cannot be read" } else { "is not there" };
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let words = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
            (still.or(runnable), Some(format!("revision {n} {what}; there are: {words}")))
        }
        None => match pipeline.spec.effective_update_policy() {
            UpdatePolicy::Automatic => (runnable, None),
            UpdatePolicy::Manual => (still.or(runnable), None),
        },
    };
    let limit = pipeline.spec.history_limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(DEFAULT_LIMIT);
    let numbers = ours.iter().map(|r| r.number).collect();
    Decision { runs, newest: latest, delete: surplus(numbers, limit, [runs, latest]), create, refused }
}

/// The oldest revisions beyond the limit; those that are needed do not count.
fn surplus(mut numbers: Vec<i64>, limit: usize, needed: [Option<i64>; 2]) -> Vec<i64> {
    numbers.retain(|n| !needed.contains(&Some(*n)));
    numbers.sort_unstable();
    numbers.truncate(numbers.len().saturating_sub(limit));
    numbers
}
