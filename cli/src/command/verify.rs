//! `tributary verify`

use std::io::{Write, stderr, stdout};

use tributary_blueprints::claims::{Claim, claims, conflicts};
use tributary_blueprints::verify;
use tributary_blueprints::world::Served;

use super::chosen::Chosen;
use super::located;
use crate::args::{VerifyArgs, VerifyFormat};
use crate::manifest::{Complaint, Manifests, load};
use crate::{Exit, Failure};

/// Prints every problem of the manifests.
pub fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (manifests, mut complaints) = load(&args.paths);
    let (definitions, unreadable) = load(&args.definitions);
    complaints.extend(unreadable);
    let mut served = definitions.definitions;
    served.0.extend(manifests.definitions.0.clone());
    complaints.extend(problems(&manifests, &served)?);
    complaints.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    if manifests.pipelines.is_empty() && manifests.blueprints.is_empty() && complaints.is_empty() {
        return Err(Failure::Nothing);
    }
    match args.output {
        Some(VerifyFormat::Json) => writeln!(stdout(), "{}", serde_json::to_string_pretty(&complaints)?)?,
        Some(VerifyFormat::Github) => {
            for complaint in &complaints {
                writeln!(stdout(), "{}", annotation(complaint))?;
            }
        }
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

/// What verification says of every Pipeline with its Blueprint, of every Blueprint that no Pipeline refers to, and of
/// Pipelines that claim the same.
fn problems(manifests: &Manifests, served: &Served) -> Result<Vec<Complaint>, Failure> {
    let mut complaints = Vec::new();
    let mut seen = Vec::new();
    let mut sound: Vec<(Chosen<'_>, Vec<Claim>)> = Vec::new();
    for pipeline in &manifests.pipelines {
        let found = Chosen::of(manifests, pipeline).and_then(|chosen| {
            seen.extend(chosen.referred().map(|b| &b.object));
            let resolved = chosen.resolved_against(Some(served))?;
            let claimed = claims(&chosen.pipeline, &resolved);
            Ok((chosen, claimed))
        });
        match found {
            Ok(chosen) => sound.push(chosen),
            Err(Failure::Manifests(found)) => complaints.extend(found),
            Err(other) => return Err(other),
        }
    }
    for (chosen, own) in &sound {
        let problems = conflicts(own, sound.iter().flat_map(|(_, claimed)| claimed));
        complaints.extend(problems.iter().map(|p| chosen.complaint(p)));
    }
    for blueprint in manifests.blueprints.iter().filter(|b| !seen.contains(&&b.object)) {
        let found = verify::blueprint(&blueprint.object.spec, Some(served));
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

/// A workflow command: GitHub shows it beside the line of the file.
fn annotation(complaint: &Complaint) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let title = match complaint.object.as_str() {
        "" => complaint.code.clone(),
        object => format!("{}: {object}", complaint.code),
    };
    let path = if complaint.path.is_empty() { String::new() } else { format!("{}: ", complaint.path) };
    let near = complaint.suggestion.as_ref().map_or(String::new(), |s| format!(" (did you mean `{s}`?)"));
    format!(
        "::error file={},line={},col={},title={}::{}",
        property(&complaint.file.display().to_string()),
        complaint.line,
        complaint.column,
        property(&title),
        data(&format!("{path}{}{near}", complaint.message))
    )
}

fn verified(manifests: &Manifests) -> String {
    let names = |kind: &str, names: Vec<&Option<String>>| {
        names.into_iter().map(|n| format!("{kind} {} verified", n.as_deref().unwrap_or_default())).collect::<Vec<_>>()
    };
    let mut lines = names("Blueprint", manifests.blueprints.iter().map(|b| &b.object.metadata.name).collect());
    lines.extend(names("Pipeline", manifests.pipelines.iter().map(|p| &p.object.metadata.name).collect()));
    lines.join("\n")
}
