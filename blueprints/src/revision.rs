//! Revisions: what a Pipeline has run, so that it runs on from them whatever becomes of its Blueprint, and can go back.
//!
//! A revision is the blueprint, inline or referred to, with the parameters. Kafka clusters and stores are the Pipeline's
//! surroundings and no part of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_crds::{Any, BlueprintSpec, Pipeline, UpdatePolicy};

use crate::resolve::{blueprint_of, hash};

/// Revisions that are kept where the Pipeline does not say how many.
pub const DEFAULT_LIMIT: usize = 10;

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

/// A revision that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Counted from 1.
    pub number: i64,
    /// What it holds.
    pub content: Content,
}

/// Data that is no revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no revision of a Pipeline: {0}")]
pub struct Unreadable(String);

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
        serde_json::to_value(&self.content).map_err(|e| Unreadable(e.to_string()))
    }

    /// From `revision` and `data` of a ControllerRevision.
    ///
    /// # Errors
    /// Where the data is none.
    pub fn from_data(number: i64, data: &Value) -> Result<Self, Unreadable> {
        let content = Content::deserialize(data).map_err(|e| Unreadable(e.to_string()))?;
        Ok(Self { number, content })
    }
}

/// What is to be done about revisions, and which one runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The revision that runs: one that is kept, or the one to be made. `None` where there is none to run.
    pub runs: Option<i64>,
    /// One to be made before it runs.
    pub create: Option<Revision>,
    /// Numbers of those to be deleted, the oldest first.
    pub delete: Vec<i64>,
    /// Why what the spec asks for does not run.
    pub refused: Option<String>,
}

/// Decides. `now` is what the Pipeline says at present, `None` where its Blueprint is gone; `kept` are its revisions in
/// any order; `running` is the number in its status. Pure and stable: deciding again after it is done changes nothing.
pub fn decide(pipeline: &Pipeline, now: Option<&Content>, kept: &[Revision], running: Option<i64>) -> Decision {
    let newest = kept.iter().max_by_key(|r| r.number);
    let create = now
        .filter(|now| newest.is_none_or(|n| n.content != **now))
        .map(|now| Revision { number: newest.map_or(1, |n| n.number.saturating_add(1)), content: now.clone() });
    let latest = create.as_ref().map(|r| r.number).or(newest.map(|n| n.number));
    let there = |n: i64| kept.iter().any(|r| r.number == n) || create.as_ref().is_some_and(|r| r.number == n);
    let still = running.filter(|n| there(*n));
    let (runs, refused) = match pipeline.spec.revision {
        Some(n) if there(n) => (Some(n), None),
        Some(n) => {
            let mut numbers: Vec<i64> = kept.iter().map(|r| r.number).chain(create.iter().map(|r| r.number)).collect();
            numbers.sort_unstable();
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let words = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
            (still.or(latest), Some(format!("there is no revision {n}; there are: {words}")))
        }
        None => match pipeline.spec.update_policy {
            UpdatePolicy::Automatic => (latest, None),
            UpdatePolicy::Manual => (still.or(latest), None),
        },
    };
    let limit = pipeline.spec.history_limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(DEFAULT_LIMIT);
    Decision { runs, delete: surplus(kept, limit, [runs, latest]), create, refused }
}

/// The oldest revisions beyond the limit; those that are needed do not count.
fn surplus(kept: &[Revision], limit: usize, needed: [Option<i64>; 2]) -> Vec<i64> {
    let mut numbers: Vec<i64> = kept.iter().map(|r| r.number).filter(|n| !needed.contains(&Some(*n))).collect();
    numbers.sort_unstable();
    numbers.truncate(numbers.len().saturating_sub(limit));
    numbers
}
