//! The Spark operator (kubeflow): one application at a time walks its states, and its "driver" makes a report of counts in S3.

use anyhow::Context;
use kube::Api;
use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{StandIn, api, follow, name, set_status};
use crate::s3;

/// Rows of a report.
pub const ROWS: usize = 10;

/// Runs it in a namespace. An application of the name `...-fails` fails after a submission that failed.
pub async fn run(namespace: &str) -> anyhow::Result<StandIn> {
    let gvk = GroupVersionKind::gvk("sparkoperator.k8s.io", "v1beta2", "SparkApplication");
    Ok(follow(api(namespace, &gvk).await?, see))
}

async fn see(api: Api<DynamicObject>, app: DynamicObject) -> anyhow::Result<()> {
    let name = name(&app)?;
    if app.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let state = app.data["status"]["applicationState"]["state"].as_str().unwrap_or_default();
    let fails = name.ends_with("-fails");
    let next = match state {
        "" if fails => "SUBMISSION_FAILED",
        "" | "SUBMISSION_FAILED" => "SUBMITTED",
        "SUBMITTED" => "RUNNING",
        "RUNNING" if fails => "FAILING",
        "RUNNING" => "SUCCEEDING",
        "FAILING" => "FAILED",
        "SUCCEEDING" => "COMPLETED",
        _ => return Ok(()),
    };
    if next == "SUCCEEDING" {
        report(&app).await?;
    }
    let message = if next.contains("FAIL") { "driver container failed with ExitCode: 1" } else { "" };
    let status = json!({
        "applicationState": {"state": next, "errorMessage": message}, "executionAttempts": 1, "submissionAttempts": 1,
        "sparkApplicationId": format!("spark-{name}"), "driverInfo": {"podName": format!("{name}-driver")},
        // as the real one leaves it, even of an application that completed
        "executorState": {format!("{name}-exec-1"): if next == "RUNNING" { "RUNNING" } else { "FAILED" }},
    });
    set_status(&api, name, status).await
}

/// What the application does: the most frequent words of its first argument go to its second.
async fn report(app: &DynamicObject) -> anyhow::Result<()> {
    let place = |index: usize| -> anyhow::Result<(String, String)> {
        let uri = app.data["spec"]["arguments"][index].as_str().context("an argument")?;
        let (_, rest) = uri.split_once("://").context("a URI")?;
        let (bucket, prefix) = rest.split_once('/').context("a prefix")?;
        Ok((bucket.to_owned(), prefix.trim_end_matches('/').to_owned()))
    };
    let (from, to) = (place(0)?, place(1)?);
    let store = s3::client()?;
    let mut rows = Vec::new();
    for line in s3::output(&store, &from.0, &format!("{}/", from.1)).await?.lines {
        let (word, count) = line.split_once('\t').context("a count")?;
        rows.push((std::cmp::Reverse(count.parse::<u64>()?), word.to_owned()));
    }
    rows.sort();
    let text: String = rows.iter().take(ROWS).map(|(count, word)| format!("{word}\t{}\n", count.0)).collect();
    s3::put(&store, &to.0, &format!("{}/part-00000", to.1), text.into_bytes()).await?;
    s3::put(&store, &to.0, &format!("{}/_SUCCESS", to.1), Vec::new()).await
}
