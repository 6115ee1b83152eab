//! `tributary verify`

use std::io::{Write, stderr, stdout};

use tributary_blueprints::verify;

use super::chosen::Chosen;
use super::located;
use crate::args::{Format, VerifyArgs};
use crate::manifest::{Complaint, Manifests, load};
use crate::{Exit, Failure};

/// Prints every problem of the manifests.
pub fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (manifests, mut complaints) = load(&args.paths);
    complaints.extend(problems(&manifests)?);
    complaints.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
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
fn problems(manifests: &Manifests) -> Result<Vec<Complaint>, Failure> {
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    for pipeline in &manifests.pipelines {
        let found = Chosen::of(manifests, pipeline).and_then(|chosen| {
            seen.extend(chosen.referred().map(|b| &b.object));
            chosen.resolved()
        });
        match found {
            Ok(_) => {}
            Err(Failure::Manifests(found)) => complaints.extend(found),
            Err(other) => return Err(other),
        }
    }
    for blueprint in manifests.blueprints.iter().filter(|b| !seen.contains(&&b.object)) {
        let found = verify::blueprint(&blueprint.object.spec, None);
        complaints.extend(found.iter().map(|p| located(p, None, Some(blueprint))));
    }
    // two Pipelines of one Blueprint find the same in it
    let mut unique = Vec::new();
    for complaint in complaints {
        if !unique.contains(&complaint) {
            unique.push(complaint);
        }
    }
    Ok(unique)
}

fn verified(manifests: &Manifests) -> String {
    let names = |kind: &str, names: Vec<&Option<String>>| {
        names.into_iter().map(|n| format!("{kind} {} verified", n.as_deref().unwrap_or_default())).collect::<Vec<_>>()
    };
    let mut lines = names("Blueprint", manifests.blueprints.iter().map(|b| &b.object.metadata.name).collect());
    lines.extend(names("Pipeline", manifests.pipelines.iter().map(|p| &p.object.metadata.name).collect()));
    lines.join("\n")
}
