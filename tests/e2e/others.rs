//! What belongs to others: objects that were there before, fields that somebody changes, another Pipeline's topic, an account
//! that not everybody may use, the pod of somebody's driver.

use anyhow::Context;
use serde_json::{Value, json};
use tributary_tests::{Namespace, kafka, kubectl, kubectl::run, standin};

fn pipeline(name: &str, blueprint: Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": name}, "spec": {"blueprint": blueprint}})
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "busybox:1.28", "command": ["sleep", "3600"]}]}}}})
}

/// The only component.
fn line(pipeline: &Value) -> &Value {
    &pipeline["status"]["components"][0]
}

#[tokio::test]
async fn a_strangers_object_is_left_alone_then_adopted_then_kept_as_it_should_be() -> anyhow::Result<()> {
    let ns = Namespace::new("others").await?;
    let mut before = deployment();
    before["metadata"] = json!({"name": "p-serve"});
    ns.apply(&before).await?;
    let uid = ns.get("deployment", "p-serve").await?.context("it was applied")?["metadata"]["uid"].clone();
    ns.apply(&pipeline("p", json!({"components": [{"name": "serve", "template": deployment()}]}))).await?;
    let told = ns.wait("pipeline", "p", "told that the name is taken", |p| line(p)["reason"] == "NameTaken").await?;
    let message = line(&told)["message"].as_str().unwrap_or_default();
    assert!(message.contains("tributary.dev/adopt-by=p"), "{message}");
    let left = ns.get("deployment", "p-serve").await?.context("it was left alone")?;
    assert!(left["metadata"]["ownerReferences"].is_null(), "{left}");

    ns.kubectl(&["annotate", "deployment", "p-serve", "tributary.dev/adopt-by=p"]).await?;
    ns.wait("pipeline", "p", "Running", |p| p["status"]["phase"] == "Running").await?;
    let adopted = ns.get("deployment", "p-serve").await?.context("it was adopted")?;
    assert_eq!((&adopted["metadata"]["uid"], &adopted["metadata"]["ownerReferences"][0]["name"]), (&uid, &json!("p")));

    // somebody turns a knob that the blueprint has set, and one that it has not
    let knobs = json!({"spec": {"replicas": 2, "minReadySeconds": 1}}).to_string();
    ns.kubectl(&["patch", "deployment", "p-serve", "--type=merge", "-p", &knobs]).await?;
    let right = ns
        .wait("deployment", "p-serve", "put right", |d| {
            d["spec"]["replicas"] == 1
                && d["metadata"]["generation"].as_i64() > adopted["metadata"]["generation"].as_i64()
        })
        .await?;
    assert_eq!(right["spec"]["minReadySeconds"], 1, "what the blueprint does not say is somebody else's");
    tributary_tests::until("an event of the drift", || async {
        let events = ns.kubectl(&["get", "events", "--field-selector", "reason=Drifted"]).await?;
        Ok((events.contains("spec.replicas").then_some(()), events))
    })
    .await?;
    ns.kubectl(&["delete", "pipeline", "p"]).await?;
    ns.wait_gone("deployment", "p-serve").await?;
    ns.finish().await
}

#[tokio::test]
async fn of_two_pipelines_of_one_topic_the_older_has_it_and_the_other_goes_on_once_it_is_gone() -> anyhow::Result<()> {
    let (first, second) = (Namespace::new("others").await?, Namespace::new("others").await?);
    let topic = format!("{}-shared", first.name);
    let blueprint = json!({
        "topics": [{"name": "t", "topicName": topic, "retain": false}],
        "components": [{"name": "note", "template": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}}],
    });
    let mut pipeline = pipeline("p", blueprint);
    pipeline["spec"]["kafka"] = json!({"clusters": {"default": {"bootstrapServers": "kafka.backing:9092"}}});
    first.apply(&pipeline).await?;
    let has_it = |p: &Value| p["status"]["topics"][0]["health"] == "Ready" && line(p)["health"] == "Ready";
    first.wait("pipeline", "p", "ready", has_it).await?;
    assert!(kafka::partitions(&topic)?.is_some());
    second.apply(&pipeline).await?;
    let told = second
        .wait("pipeline", "p", "told that another has the topic", |p| {
            p["status"]["message"].to_string().contains("owns")
        })
        .await?;
    assert!(
        told["status"]["message"].to_string().contains(&format!("Pipeline {}/p", first.name)),
        "{}",
        told["status"]
    );
    assert!(second.get("topics.tributary.dev", "p-t").await?.is_none());
    first.kubectl(&["delete", "pipeline", "p"]).await?;
    second.wait("pipeline", "p", "going on", has_it).await?;
    second.kubectl(&["delete", "pipeline", "p"]).await?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn an_account_takes_the_right_to_use_it_and_rights_of_its_own() -> anyhow::Result<()> {
    let ns = Namespace::new("others").await?;
    let rbac = |kind: &str, name: &str, rest: Value| {
        let mut object =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let binding = |role: &str| {
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role});
        json!({"roleRef": role, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dev"}]})
    };
    let rules =
        json!([{"apiGroups": ["tributary.dev"], "resources": ["pipelines"], "verbs": ["get", "create", "patch"]}]);
    ns.apply(&rbac("Role", "pipelines", json!({"rules": rules}))).await?;
    ns.apply(&rbac("RoleBinding", "pipelines", binding("pipelines"))).await?;
    ns.kubectl(&["create", "serviceaccount", "robot"]).await?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
    let mut wanted = pipeline("p", json!({"components": [{"name": "note", "template": map}]}));
    wanted["spec"]["serviceAccountName"] = json!("robot");
    let apply =
        async |object: &Value| run(&["--as=dev", "-n", &ns.name, "apply", "-f", "-"], &object.to_string()).await;
    let refused = apply(&wanted).await?;
    assert!(!refused.ok && refused.stderr.contains("dev may not use the ServiceAccount robot"), "{refused:?}");

    let rules =
        json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["robot"], "verbs": ["use"]}]);
    ns.apply(&rbac("Role", "use-robot", json!({"rules": rules}))).await?;
    ns.apply(&rbac("RoleBinding", "use-robot", binding("use-robot"))).await?;
    tributary_tests::until("dev to be allowed", || async {
        let out = apply(&wanted).await?;
        Ok((out.ok.then_some(()), out.stderr))
    })
    .await?;

    // the account itself may not write ConfigMaps: the Pipeline says what is missing, and the command that grants it
    let told = ns.wait("pipeline", "p", "told what is missing", |p| line(p)["reason"] == "Forbidden").await?;
    let message = line(&told)["message"].as_str().unwrap_or_default();
    let (_, command) = message.split_once("kubectl ").with_context(|| message.to_owned())?;
    let (command, _) = command.split_once(", or").with_context(|| message.to_owned())?;
    kubectl(&command.split(' ').collect::<Vec<_>>()).await?;
    ns.wait("pipeline", "p", "made in the account's name", |p| line(p)["health"] == "Ready").await?;
    ns.kubectl(&["delete", "pipeline", "p"]).await?;

    // who edits a Blueprint need not have that right, and so the edit waits for somebody who has
    let blueprint = |value: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value}});
        json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "Blueprint", "metadata": {"name": "b"},
            "spec": {"components": [{"name": "note", "template": map}]}})
    };
    ns.apply(&blueprint("first")).await?;
    let mut referring = pipeline("q", Value::Null);
    referring["spec"] = json!({"blueprintRef": {"name": "b"}, "serviceAccountName": "robot"});
    assert!(apply(&referring).await?.ok);
    ns.wait("pipeline", "q", "running", |p| line(p)["health"] == "Ready").await?;
    ns.apply(&blueprint("second")).await?;
    let waits = |p: &Value| {
        p["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|c| c["reason"] == "UpdateWaiting"))
    };
    ns.wait("pipeline", "q", "told that the edit waits", waits).await?;
    assert_eq!(ns.get("configmap", "q-note").await?.context("it was made")?["data"]["a"], "first");
    referring["spec"]["revision"] = json!(2);
    assert!(apply(&referring).await?.ok);
    ns.wait("configmap", "q-note", "edited", |map| map["data"]["a"] == "second").await?;
    ns.kubectl(&["delete", "pipeline", "q"]).await?;
    ns.finish().await
}

#[tokio::test]
async fn a_drivers_pod_that_cannot_start_is_told_by_the_pipeline() -> anyhow::Result<()> {
    let ns = Namespace::new("others").await?;
    standin::install().await?;
    let template = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {
        "type": "Python", "mode": "cluster", "image": "none", "mainApplicationFile": "local:///a.py", "sparkVersion": "4.0.1"}});
    ns.apply(&pipeline("p", json!({"components": [{"name": "report", "template": template}]}))).await?;
    let kind = "sparkapplications.sparkoperator.k8s.io";
    ns.wait(kind, "p-report", "made", |_| true).await?;
    ns.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p-report-driver", "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"name": "driver", "image": "tributary/nowhere:1", "imagePullPolicy": "Never"}]}}))
    .await?;
    // as the real operator leaves it, silent for ever
    let status =
        json!({"status": {"applicationState": {"state": "SUBMITTED"}, "driverInfo": {"podName": "p-report-driver"}}});
    ns.kubectl(&["patch", kind, "p-report", "--subresource=status", "--type=merge", "-p", &status.to_string()]).await?;
    ns.wait("pipeline", "p", "told of the pod", |p| {
        let message = line(p)["message"].as_str().unwrap_or_default();
        message.contains("driver pod p-report-driver: ErrImageNeverPull")
    })
    .await?;
    ns.kubectl(&["delete", "pipeline", "p"]).await?;
    ns.wait_gone(kind, "p-report").await?;
    ns.finish().await
}
