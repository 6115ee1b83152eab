//! What a cluster has, asked for by kubectl: with its user's rights and configuration, and no client in this binary.

use std::io;
use std::process::Command;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tributary_blueprints::revision::Revision;
use tributary_crds::{Blueprint, BlueprintSpec, GROUP, Pipeline};

use crate::Failure;

/// A Pipeline and the Blueprint that it refers to, as the cluster has them and, where it runs a revision, as they are in
/// that; `None` where there is no such Pipeline.
pub fn pipeline(
    context: Option<&str>,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<(Pipeline, Option<BlueprintSpec>)>, Failure> {
    let Some(pipeline) = get::<Pipeline>(context, namespace, &own("pipelines"), name)? else { return Ok(None) };
    if let Some(number) = pipeline.status.as_ref().and_then(|s| s.revision) {
        let kept = format!("{name}-r{number}");
        let kept = get::<Value>(context, namespace, "controllerrevisions.apps", &kept)?;
        let revision = kept.and_then(|k| Revision::from_data(number, k.get("data")?).ok());
        if let Some(revision) = revision {
            return Ok(Some(revision.content.at(&pipeline)));
        }
    }
    let blueprint = match &pipeline.spec.blueprint_ref {
        Some(reference) => get::<Blueprint>(context, namespace, &own("blueprints"), &reference.name)?.map(|b| b.spec),
        None => None,
    };
    Ok(Some((pipeline, blueprint)))
}

fn own(plural: &str) -> String {
    format!("{plural}.{GROUP}")
}

fn get<T: DeserializeOwned>(
    context: Option<&str>,
    namespace: Option<&str>,
    resource: &str,
    name: &str,
) -> Result<Option<T>, Failure> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["get", resource, name, "--ignore-not-found", "--output", "json"]);
    kubectl.args(context.map(|c| format!("--context={c}"))).args(namespace.map(|n| format!("--namespace={n}")));
    let out = kubectl.output().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failure::Kubectl("kubectl is not installed: the cluster is asked by it".into()),
        _ => Failure::Kubectl(format!("kubectl: {e}")),
    })?;
    if !out.status.success() {
        return Err(Failure::Kubectl(format!("kubectl: {}", String::from_utf8_lossy(&out.stderr).trim())));
    }
    if out.stdout.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&out.stdout)?))
}
