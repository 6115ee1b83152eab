//! DaemonJob, as the users of job-deploy-operator know it and beyond.

use serde_json::{Value, json};
use tributary_tests::{Namespace, kubectl};

fn daemon(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "DaemonJob", "metadata": {"name": name}, "spec": spec})
}

fn template(script: &str) -> Value {
    json!({"spec": {"containers": [
        {"name": "c", "image": "tributary/busybox:1", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]},
    ]}})
}

/// The nodes that take pods which tolerate nothing.
async fn nodes() -> anyhow::Result<Vec<String>> {
    let all = tributary_tests::kubectl::json(&["get", "nodes"]).await?;
    let hard = |n: &Value| {
        let taints = n["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().any(|t| t["effect"] == "NoSchedule" || t["effect"] == "NoExecute")
    };
    let free = all["items"].as_array().into_iter().flatten().filter(|n| !hard(n));
    Ok(free.filter_map(|n| n["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn the_readmes_daemon_job_runs_on_every_node_but_the_excluded() -> anyhow::Result<()> {
    let ns = Namespace::new("daemonjob").await?;
    let nodes = nodes().await?;
    ns.apply_path("examples/daemonjob").await?;
    ns.wait("daemonjob", "daemonjob-example", "Succeed", |d| d["status"]["state"] == "Succeed").await?;
    let row = ns.kubectl(&["get", "dj", "daemonjob-example", "--no-headers"]).await?;
    let all = format!("{0}/{0}", nodes.len());
    assert_eq!(row.split_whitespace().skip(1).take(2).collect::<Vec<_>>(), ["Succeed", all.as_str()], "{row}");
    for node in &nodes {
        // the DaemonJob goes by the pod's own success, which the Job controller counts later
        ns.wait("job", &format!("daemonjob-example-{node}"), "succeeded", |j| j["status"]["succeeded"] == 1).await?;
        let pod = &ns.list("pods", &format!("job-name=daemonjob-example-{node}")).await?[0];
        assert_eq!(pod["spec"]["nodeName"], json!(node));
        assert_eq!(pod["spec"]["restartPolicy"], "Never");
    }
    let events = ns.kubectl(&["get", "events", "--no-headers"]).await?;
    assert!(events.contains("RestartPolicyForced"), "{events}");

    let list = nodes.join(" , ");
    ns.apply(&daemon("none", json!({"excludeNodeList": list, "template": template("true")}))).await?;
    ns.wait("daemonjob", "none", "no node", |d| d["status"]["message"] == "no node matches").await?;
    assert!(ns.list("jobs", "tributary.dev/daemonjob=none").await?.is_empty());
    ns.finish().await
}

#[tokio::test]
async fn a_node_that_fails_is_tried_again_and_told_and_a_new_run_begins_anew() -> anyhow::Result<()> {
    let ns = Namespace::new("daemonfail").await?;
    let node = nodes().await?.into_iter().next().ok_or(anyhow::anyhow!("no node"))?;
    let only = json!({"kubernetes.io/hostname": node});
    let mut template = template("echo disk is full >&2; exit 4");
    template["spec"]["nodeSelector"] = only;
    let spec = json!({"retry": {"limit": 1, "backoff": "1s"}, "template": template});
    ns.apply(&daemon("d", spec.clone())).await?;
    let failed = ns.wait("daemonjob", "d", "Failed", |d| d["status"]["state"] == "Failed").await?;
    let told = &failed["status"]["active"][0];
    assert_eq!((&told["node"], &told["retries"]), (&json!(node), &json!(1)), "{}", failed["status"]);
    assert!(told["message"].as_str().is_some_and(|m| m.contains("disk is full")), "{told}");
    assert_eq!(ns.list("jobs", "tributary.dev/daemonjob=d").await?.len(), 2);

    let mut spec = spec;
    spec["run"] = json!(2);
    spec["template"]["spec"]["containers"][0]["command"] = json!(["true"]);
    ns.apply(&daemon("d", spec)).await?;
    ns.wait("daemonjob", "d", "run 2 to succeed", |d| d["status"]["run"] == 2 && d["status"]["state"] == "Succeed")
        .await?;
    let jobs = ns.list("jobs", "tributary.dev/daemonjob=d").await?;
    assert_eq!(jobs.len(), 1, "the old run's Jobs are gone");
    kubectl(&["-n", &ns.name, "delete", "daemonjob", "d", "--wait=false"]).await?;
    ns.wait_gone("configmap", "d-outcomes").await?;
    ns.finish().await
}
