//! What a cluster has, asked for by kubectl: with its user's rights and configuration, and no client in this binary.

use std::io;
use std::process::Command;

use serde::de::DeserializeOwned;
use tributary_crds::{Blueprint, BlueprintSpec, GROUP, Pipeline};

use crate::Failure;

/// A Pipeline and the Blueprint that it refers to, as the cluster has them; `None` where there is no such Pipeline.
pub fn pipeline(
    context: Option<&str>,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<(Pipeline, Option<BlueprintSpec>)>, Failure> {
    let Some(pipeline) = get::<Pipeline>(context, namespace, "pipelines", name)? else { return Ok(None) };
    let blueprint = match &pipeline.spec.blueprint_ref {
        Some(reference) => get::<Blueprint>(context, namespace, "blueprints", &reference.name)?.map(|b| b.spec),
        None => None,
    };
    Ok(Some((pipeline, blueprint)))
}

fn get<T: DeserializeOwned>(
    context: Option<&str>,
    namespace: Option<&str>,
    plural: &str,
    name: &str,
) -> Result<Option<T>, Failure> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["get", &format!("{plural}.{GROUP}"), name, "--ignore-not-found", "--output", "json"]);
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
