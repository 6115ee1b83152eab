//! The subcommands.

mod chosen;
pub mod graph;
mod kubectl;
pub mod plan;
pub mod run;
mod setting;
pub mod verify;

use std::path::PathBuf;

use tributary_blueprints::problem::{Origin, Problem, nearest};
use tributary_crds::{Blueprint, Pipeline};

use crate::Failure;
use crate::manifest::{Complaint, Loaded, Manifests};

/// A complaint about what a verification found, at its place in the Pipeline's or the Blueprint's file.
fn located(problem: &Problem, pipeline: Option<&Loaded<Pipeline>>, blueprint: Option<&Loaded<Blueprint>>) -> Complaint {
    let path = &problem.path;
    let (code, message) = (problem.code.as_str(), problem.message.clone());
    let mut complaint = match (problem.origin, pipeline, blueprint) {
        (Origin::Blueprint, _, Some(b)) => {
            b.complaint(&label("Blueprint", &b.object.metadata.name), path, code, message)
        }
        (_, Some(p), _) => p.complaint(&label("Pipeline", &p.object.metadata.name), path, code, message),
        (_, None, Some(b)) => b.complaint(&label("Blueprint", &b.object.metadata.name), path, code, message),
        (_, None, None) => Complaint {
            file: PathBuf::new(),
            line: 1,
            column: 1,
            object: String::new(),
            path: problem.path.clone(),
            code: code.into(),
            message,
            suggestion: None,
        },
    };
    complaint.suggestion = problem.suggestion.clone();
    complaint
}

fn label(kind: &str, name: &Option<String>) -> String {
    format!("{kind} {}", name.as_deref().unwrap_or_default())
}

/// Every name given must be one that there is.
fn known<'a>(
    flag: &str,
    what: &str,
    given: impl IntoIterator<Item = &'a str>,
    names: &[String],
) -> Result<(), Failure> {
    let Some(name) = given.into_iter().find(|name| !names.iter().any(|n| n == name)) else { return Ok(()) };
    let near = nearest(name, names.iter().map(String::as_str));
    let hint = near.map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
    let there = if names.is_empty() { "there is none".into() } else { format!("there is: {}", names.join(", ")) };
    Err(Failure::Usage(format!("{flag} {name}: there is no {what} `{name}`{hint}; {there}")))
}

impl Manifests {
    /// The Blueprint that a Pipeline refers to, of its own namespace; a complaint where it is not there.
    fn blueprint_of(&self, pipeline: &Loaded<Pipeline>) -> Result<Option<&Loaded<Blueprint>>, Box<Complaint>> {
        let Some(wanted) = &pipeline.object.spec.blueprint_ref else { return Ok(None) };
        let name = |b: &&Loaded<Blueprint>| b.object.metadata.name.clone().unwrap_or_default();
        let here: Vec<_> = self
            .blueprints
            .iter()
            .filter(|b| b.object.metadata.namespace == pipeline.object.metadata.namespace)
            .collect();
        if let Some(found) = here.iter().find(|b| name(b) == wanted.name) {
            return Ok(Some(found));
        }
        let names: Vec<String> = here.iter().map(name).collect();
        let message = format!("no Blueprint `{}` in the files given", wanted.name);
        let object = label("Pipeline", &pipeline.object.metadata.name);
        let mut complaint = pipeline.complaint(&object, "spec.blueprintRef.name", "BlueprintNotFound", message);
        complaint.suggestion = nearest(&wanted.name, names.iter().map(String::as_str));
        Err(Box::new(complaint))
    }
}
