//! The Spark operator (kubeflow) with a real Spark: it submits by `spark-submit` in a pod, and reads the states off the pods.

use anyhow::Context;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{StandIn, api, follow, name, set_status};

/// The label that ties pods to their application.
const APP: &str = "sparkoperator.k8s.io/app-name";

/// Runs it in a namespace, whose ServiceAccount `spark` may create pods, with this image.
pub async fn run(namespace: &str, image: &str) -> anyhow::Result<[StandIn; 2]> {
    let apps = api(namespace, &GroupVersionKind::gvk("sparkoperator.k8s.io", "v1beta2", "SparkApplication")).await?;
    let pods = api(namespace, &GroupVersionKind::gvk("", "v1", "Pod")).await?;
    let (for_submission, of_pods, of_apps) = (pods.clone(), pods.clone(), apps.clone());
    let (namespace, image) = (namespace.to_owned(), image.to_owned());
    let submit = follow(apps, move |apps, app| {
        let (pods, pod) = (for_submission.clone(), submission(&app, &namespace, &image));
        async move {
            if app.data["status"].is_null() && app.metadata.deletion_timestamp.is_none() {
                pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
                set_status(
                    &apps,
                    name(&app)?,
                    json!({"applicationState": {"state": "SUBMITTED"}, "submissionAttempts": 1}),
                )
                .await?;
            }
            Ok(())
        }
    });
    let read = follow(pods, move |_, pod| {
        let (apps, pods) = (of_apps.clone(), of_pods.clone());
        async move { see(&apps, &pods, &pod).await }
    });
    Ok([submit, read])
}

/// The pod that submits an application.
fn submission(app: &DynamicObject, namespace: &str, image: &str) -> Value {
    let spec = &app.data["spec"];
    let name = app.name_any();
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let conf = [
        ("spark.kubernetes.namespace", namespace.to_owned()),
        ("spark.kubernetes.container.image", image.to_owned()),
        ("spark.kubernetes.container.image.pullPolicy", "IfNotPresent".into()),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark".into()),
        ("spark.kubernetes.driver.pod.name", format!("{name}-driver")),
        ("spark.kubernetes.driver.request.cores", "100m".into()),
        ("spark.kubernetes.executor.request.cores", "100m".into()),
        // what failed can be read
        ("spark.kubernetes.executor.deleteOnTermination", "false".into()),
        ("spark.kubernetes.submission.waitAppCompletion", "false".into()),
        ("spark.executor.instances", spec["executor"]["instances"].to_string()),
        ("spark.executor.memory", "512m".into()),
        ("spark.driver.memory", "512m".into()),
        (&format!("spark.kubernetes.driver.label.{APP}"), name.clone()),
        (&format!("spark.kubernetes.executor.label.{APP}"), name.clone()),
    ];
    let mut args = ["submit", "--master", "k8s://https://kubernetes.default.svc", "--deploy-mode", "cluster", "--name"]
        .map(str::to_owned)
        .to_vec();
    args.extend([name.clone(), "--class".into(), text("mainClass").into()]);
    args.extend(conf.into_iter().flat_map(|(key, value)| ["--conf".into(), format!("{key}={value}")]));
    args.push(text("mainApplicationFile").into());
    args.extend(spec["arguments"].as_array().into_iter().flatten().filter_map(|a| Some(a.as_str()?.to_owned())));
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-submit")},
        "spec": {"serviceAccountName": "spark", "restartPolicy": "Never",
            "containers": [{"name": "submit", "image": image, "imagePullPolicy": "IfNotPresent", "args": args}]},
    })
}

/// Writes what a pod of an application says into the application's status.
async fn see(apps: &Api<DynamicObject>, pods: &Api<DynamicObject>, pod: &DynamicObject) -> anyhow::Result<()> {
    let Some(app) = pod.labels().get(APP) else { return Ok(()) };
    let all = pods.list(&kube::api::ListParams::default().labels(&format!("{APP}={app}"))).await?;
    let phase = |pod: &DynamicObject| pod.data["status"]["phase"].as_str().unwrap_or("Pending").to_owned();
    let of = |role: &str| {
        let role = role.to_owned();
        all.items.iter().filter(move |p| p.labels().get("spark-role") == Some(&role))
    };
    let driver = of("driver").next().context("an application without a driver")?;
    let (state, message) = match phase(driver).as_str() {
        "Succeeded" => ("COMPLETED", ""),
        "Failed" => ("FAILED", "driver container failed"),
        "Running" => ("RUNNING", ""),
        _ => ("SUBMITTED", ""),
    };
    let executors: serde_json::Map<String, Value> =
        of("executor").map(|p| (p.name_any(), phase(p).to_uppercase().into())).collect();
    let id = driver.labels().get("spark-app-selector").cloned().unwrap_or_default();
    let status = json!({
        "applicationState": {"state": state, "errorMessage": message}, "sparkApplicationId": id,
        "driverInfo": {"podName": driver.name_any()}, "executorState": executors, "executionAttempts": 1,
    });
    set_status(apps, app, status).await
}
