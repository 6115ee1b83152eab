//! `tributary verify`

use std::io::{Write, stderr, stdout};

use tributary_blueprints::verify;

use super::located;
use crate::args::{Format, VerifyArgs};
use crate::manifest::{Complaint, Manifests, load};
use crate::{Exit, Failure};

/// Prints every problem of the manifests.
pub fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (manifests, mut complaints) = load(&args.paths);
    complaints.extend(problems(&manifests));
    if manifests.pipelines.is_empty() && manifests.blueprints.is_empty() && complaints.is_empty() {
        return Err(Failure::Nothing);
    }
    match args.output {
        Some(Format::Json) => writeln!(stdout(), "{}", serde_json::to_string_pretty(&complaints)?)?,
        None => {
            for complaint in &complaints {
                writeln!(stderr(), "{complaint}")?;
            }
            if complaints.is_empty() {
                writeln!(stdout(), "{}", verified(&manifests))?;
            }
        }
    }
    Ok(if complaints.is_empty() { Exit::Success } else { Exit::Failure })
}

/// What verification says of every Pipeline with its Blueprint, and of every Blueprint that no Pipeline refers to.
fn problems(manifests: &Manifests) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for pipeline in &manifests.pipelines {
        match manifests.blueprint_of(pipeline) {
            Ok(referred) => {
                let spec = pipeline.object.spec.blueprint.as_ref().or(referred.map(|b| &b.object.spec));
                let Some(spec) = spec else { continue };
                seen.extend(referred.map(|b| &b.object));
                let found = verify::pipeline(&pipeline.object, spec, None);
                complaints.extend(found.iter().map(|p| located(p, Some(pipeline), referred)));
            }
            Err(complaint) => complaints.push(complaint),
        }
    }
    for blueprint in manifests.blueprints.iter().filter(|b| !seen.contains(&&b.object)) {
        let found = verify::blueprint(&blueprint.object.spec, None);
        complaints.extend(found.iter().map(|p| located(p, None, Some(blueprint))));
    }
    // two Pipelines of one Blueprint find the same in it
    let mut unique: Vec<Complaint> = Vec::new();
    complaints.into_iter().for_each(|c| {
        if !unique.contains(&c) {
            unique.push(c)
        }
    });
    unique
}

fn verified(manifests: &Manifests) -> String {
    let names = |kind: &str, names: Vec<&Option<String>>| {
        names.into_iter().map(|n| format!("{kind} {} verified", n.as_deref().unwrap_or_default())).collect::<Vec<_>>()
    };
    let mut lines = names("Blueprint", manifests.blueprints.iter().map(|b| &b.object.metadata.name).collect());
    lines.extend(names("Pipeline", manifests.pipelines.iter().map(|p| &p.object.metadata.name).collect()));
    lines.join("\n")
}
