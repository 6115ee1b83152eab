//! JobFlow and JobTemplate, as the users of job-deploy-operator know them and beyond.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::{Value, json};
use tributary_tests::{JOB_TEMPLATES, Namespace, kubectl, until};

fn pod(script: &str) -> Value {
    json!({"template": {"spec": {"containers": [
        {"name": "c", "image": "tributary/busybox:1", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]},
    ]}}})
}

fn flow(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "JobFlow", "metadata": {"name": name}, "spec": spec})
}

/// What `kubectl get` shows of an object, its columns.
async fn columns(ns: &Namespace, kind: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let row = ns.kubectl(&["get", kind, name, "--no-headers"]).await?;
    Ok(row.split_whitespace().map(str::to_owned).collect())
}

async fn ended(ns: &Namespace, name: &str, state: &str) -> anyhow::Result<Value> {
    let flow = ns
        .wait("jobflow", name, state, |f| {
            let seen = &f["status"]["state"];
            seen == state || (seen == "Failed" && !f["status"]["completionTime"].is_null())
        })
        .await?;
    anyhow::ensure!(flow["status"]["state"] == state, "{name} ended {:#}", flow["status"]);
    Ok(flow)
}

/// The uids of the Jobs that ever had each name, by the events of the Job controller.
async fn created(ns: &Namespace) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let events = tributary_tests::kubectl::json(&["-n", &ns.name, "get", "events"]).await?;
    let mut jobs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events["items"].as_array().into_iter().flatten() {
        let about = &event["involvedObject"];
        if about["kind"] == "Job" && event["reason"] == "SuccessfulCreate" {
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            jobs.entry(text(&about["name"])).or_default().insert(text(&about["uid"]));
        }
    }
    Ok(jobs)
}

#[tokio::test]
async fn the_readmes_five_steps_run_in_order() -> anyhow::Result<()> {
    let ns = Namespace::new("jobflow").await?;
    ns.apply_path("examples/jobflow").await?;
    let header = ns.kubectl(&["get", "jobflows"]).await?;
    assert_eq!(header.split_whitespace().take(4).collect::<Vec<_>>(), ["NAME", "STATUS", "DONE", "AGE"]);
    let seen = RefCell::new(BTreeSet::new());
    until("the flow to end", || async {
        let row = columns(&ns, "jf", "jobflow-example").await?;
        let state = row.get(1).cloned().unwrap_or_default();
        seen.borrow_mut().insert(state.clone());
        Ok(((state == "Succeed").then_some(()), state))
    })
    .await?;
    let seen = seen.into_inner();
    assert!(seen.contains("Running"), "{seen:?}");
    assert_eq!(columns(&ns, "jf", "jobflow-example").await?[1..3], ["Succeed", "5/5"]);

    let jobs = ns.list("jobs", "tributary.dev/jobflow=jobflow-example").await?;
    let names: Vec<&str> = jobs.iter().filter_map(|j| j["metadata"]["name"].as_str()).collect();
    let expected: Vec<String> = (1..=5).map(|i| format!("jobflow-example-job{i}")).collect();
    assert_eq!(names, expected);
    let ended = |i: usize| jobs[i - 1]["status"]["completionTime"].as_str().unwrap_or_default().to_owned();
    let begun = |i: usize| jobs[i - 1]["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    // times are whole seconds, and a step begins on its dependency's pod, up to a second before the Job's own end
    for (before, after) in [(1, 2), (1, 3), (2, 3), (4, 5), (2, 5)] {
        let pods = ns.list("pods", &format!("job-name=jobflow-example-job{before}")).await?;
        let state = &pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"];
        assert!(
            state.as_str().context("finishedAt")? <= begun(after).as_str(),
            "job{before} {} job{after}",
            ended(before)
        );
    }
    let pod = &ns.list("pods", "job-name=jobflow-example-job1").await?[0];
    let env = pod["spec"]["containers"][0]["env"].to_string();
    assert!(env.contains("FOO") && env.contains("pasa"), "{env}");
    assert_eq!(pod["metadata"]["labels"]["key1"], "value1");
    let events = ns.kubectl(&["get", "events", "--no-headers"]).await?;
    assert!(events.contains("jobflow/jobflow-example") && events.contains("Succeed"), "{events}");

    ns.kubectl(&["delete", "jobflow", "jobflow-example", "--wait=false"]).await?;
    until("the Jobs to be gone", || async {
        let jobs = ns.list("jobs", "tributary.dev/jobflow").await?;
        Ok((jobs.is_empty().then_some(()), format!("{} Jobs", jobs.len())))
    })
    .await?;
    ns.finish().await
}

#[tokio::test]
async fn a_shared_volume_passes_from_step_to_step_on_one_node() -> anyhow::Result<()> {
    let ns = Namespace::new("volume").await?;
    ns.apply_path("examples/jobflow-volume").await?;
    let flow = ended(&ns, "jobflow-volume", "Succeed").await?;
    let note = flow["status"]["outputs"]["read"]["note"].as_str().unwrap_or_default().to_owned();
    assert!(note.starts_with("written by jobflow-volume-write"), "{note}");

    let nodes = kubectl(&["get", "nodes", "-l", "!type", "-o", "jsonpath={.items[0].metadata.name}"]).await?;
    let step = |name: &str, before: &[&str]| json!({"name": name, "dependencies": before, "jobTemplate": pod("true")});
    let spec = json!({"globalParams": {"nodeName": nodes}, "flows": [step("a", &[]), step("b", &["a"])]});
    ns.apply(&self::flow("same-node", spec)).await?;
    ended(&ns, "same-node", "Succeed").await?;
    for pod in ns.list("pods", "tributary.dev/jobflow=same-node").await? {
        assert_eq!(pod["spec"]["nodeName"], nodes, "{}", pod["metadata"]["name"]);
        assert!(pod["spec"]["affinity"].to_string().contains("metadata.name"), "by the scheduler");
    }
    ns.finish().await
}

#[tokio::test]
async fn outputs_items_and_finally() -> anyhow::Result<()> {
    let ns = Namespace::new("etl").await?;
    ns.apply_path("examples/jobflow-etl").await?;
    let flow = ended(&ns, "etl", "Succeed").await?;
    assert_eq!(flow["status"]["steps"], "ssks", "{}", flow["status"]);
    let log = ns.kubectl(&["logs", "job/etl-load-1"]).await?;
    assert!(log.starts_with("loading shop.items, number 1, on etl-load-1"), "{log}");
    let log = ns.kubectl(&["logs", "job/etl-clean"]).await?;
    assert_eq!(log.trim(), "etl, run 1: cleaned");
    ns.finish().await
}

#[tokio::test]
async fn a_failing_step_shows_its_last_words_and_other_branches_go_on() -> anyhow::Result<()> {
    let ns = Namespace::new("failing").await?;
    let step = |name: &str, before: &[&str], script: &str| json!({"name": name, "dependencies": before, "jobTemplate": pod(script)});
    let spec = json!({
        "flows": [step("bad", &[], "echo no such table: orders >&2; exit 3"), step("after", &["bad"], "true"), step("other", &[], "true")],
        "errorHandler": {"jobTemplate": pod("echo handled")},
    });
    ns.apply(&flow("failing", spec)).await?;
    let flow = ended(&ns, "failing", "Failed").await?;
    let status = &flow["status"];
    assert_eq!(status["steps"], "fkss", "{status}");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("bad") && message.contains("exit code 3") && message.contains("no such table: orders"),
        "{message}"
    );
    assert_eq!(ns.kubectl(&["logs", "job/failing-error-handler"]).await?.trim(), "handled");

    // a pod that cannot start is told while it cannot
    let mut image = pod("true");
    image["template"]["spec"]["containers"][0]["image"] = json!("no/such:image");
    ns.apply(&self::flow("stuck", json!({"flows": [{"name": "a", "jobTemplate": image}]}))).await?;
    ns.wait("jobflow", "stuck", "the image to be named", |f| {
        f["status"]["message"].as_str().is_some_and(|m| m.contains("no/such:image"))
    })
    .await?;
    ns.finish().await
}

#[tokio::test]
async fn a_missing_template_is_waited_for_and_knows_its_users() -> anyhow::Result<()> {
    let _templates = JOB_TEMPLATES.lock().await;
    let ns = Namespace::new("templates").await?;
    let spec = json!({"flows": [{"name": "a", "jobTemplateRef": "later"}]});
    ns.apply(&flow("one", spec.clone())).await?;
    ns.apply(&flow("two", spec)).await?;
    ns.wait("jobflow", "one", "waiting for the template", |f| {
        f["status"]["state"] == "Pending" && f["status"]["message"].as_str().is_some_and(|m| m.contains("later"))
    })
    .await?;
    let template = json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "JobTemplate", "metadata": {"name": "later"}, "spec": {"jobTemplate": pod("true")}});
    ns.apply(&template).await?;
    ended(&ns, "one", "Succeed").await?;
    ended(&ns, "two", "Succeed").await?;
    let template = ns.wait("jobtemplate", "later", "its users", |t| t["status"]["references"] == 2).await?;
    assert_eq!(template["status"]["usedBy"], json!(["one", "two"]));
    ns.finish().await
}

#[tokio::test]
async fn a_wrong_graph_never_runs() -> anyhow::Result<()> {
    let ns = Namespace::new("graph").await?;
    let step = |name: &str, before: &[&str]| json!({"name": name, "dependencies": before, "jobTemplate": pod("true")});
    let out = ns.try_apply(&flow("twice", json!({"flows": [step("a", &[]), step("a", &[])]}))).await?;
    assert!(!out.ok && out.stderr.contains("Duplicate value"), "{}", out.stderr);
    let long = "x".repeat(40);
    let out = ns.try_apply(&flow(&"f".repeat(30), json!({"flows": [step(&long, &[])]}))).await?;
    assert!(!out.ok && out.stderr.contains("at most 63 characters"), "{}", out.stderr);
    // what the schema cannot say, the admission webhook does
    let cycle = flow("cycle", json!({"flows": [step("a", &["b"]), step("b", &["a"])]}));
    until("the webhook to refuse a cycle", || async {
        let out = ns.try_apply(&cycle).await?;
        if out.ok {
            ns.kubectl(&["delete", "jobflow", "cycle"]).await?;
        }
        let told = ["spec.flows[0].dependencies", "wait for each other"].iter().all(|w| out.stderr.contains(w));
        Ok(((!out.ok && told).then_some(()), out.stderr))
    })
    .await?;
    // and without it the controller
    let off = Namespace::unadmitted("graph-off").await?;
    off.apply(&cycle).await?;
    let flow = off.wait("jobflow", "cycle", "Failed", |f| f["status"]["state"] == "Failed").await?;
    let message = flow["status"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("spec.flows[0].dependencies") && message.contains("wait for each other"), "{message}");
    assert!(off.list("jobs", "tributary.dev/jobflow=cycle").await?.is_empty());
    off.finish().await?;
    ns.finish().await
}

#[tokio::test]
async fn suspended_resumed_stopped_and_run_again_from_the_failed_step() -> anyhow::Result<()> {
    let ns = Namespace::new("runs").await?;
    let step = |name: &str, before: &[&str], script: &str| json!({"name": name, "dependencies": before, "jobTemplate": pod(script)});
    let mut spec = json!({"rerun": "Failed", "flows": [step("a", &[], "true"), step("b", &["a"], "sleep 3600")]});
    ns.apply(&flow("f", spec.clone())).await?;
    ns.wait("jobflow", "f", "b to run", |f| f["status"]["steps"] == "sr").await?;
    spec["suspend"] = json!(true);
    ns.apply(&flow("f", spec.clone())).await?;
    ns.wait("job", "f-b", "suspended", |j| {
        j["spec"]["suspend"] == true && j["status"]["active"].as_i64().unwrap_or(0) == 0
    })
    .await?;
    ns.wait("jobflow", "f", "Suspended", |f| f["status"]["state"] == "Suspended").await?;
    spec["suspend"] = json!(false);
    ns.apply(&flow("f", spec.clone())).await?;
    ns.wait("job", "f-b", "resumed", |j| j["status"]["active"] == 1).await?;
    spec["stop"] = json!(true);
    ns.apply(&flow("f", spec.clone())).await?;
    let stopped = ns.wait("jobflow", "f", "Failed", |f| f["status"]["state"] == "Failed").await?;
    assert_eq!(stopped["status"]["steps"], "sf", "{}", stopped["status"]);
    ns.wait_gone("job", "f-b").await?;
    spec["stop"] = json!(false);
    spec["run"] = json!(2);
    spec["flows"][1] = step("b", &["a"], "true");
    ns.apply(&flow("f", spec)).await?;
    let again = ns
        .wait("jobflow", "f", "run 2 to succeed", |f| f["status"]["run"] == 2 && f["status"]["state"] == "Succeed")
        .await?;
    assert_eq!(again["status"]["history"][0]["state"], "Failed");
    let jobs = ns.list("jobs", "tributary.dev/jobflow=f").await?;
    let names: Vec<&str> = jobs.iter().filter_map(|j| j["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["f-a", "f-b-2"], "a is kept");
    ns.finish().await
}

#[tokio::test]
async fn the_operator_killed_again_and_again_creates_one_job_a_step_though_their_ttl_is_0() -> anyhow::Result<()> {
    let ns = Namespace::new("killed").await?;
    let steps: Vec<Value> = (0..12)
        .map(|i: usize| {
            let before: Vec<String> = i.checked_sub(2).map(|b| format!("s{b}")).into_iter().collect();
            let mut template = pod("true");
            template["ttlSecondsAfterFinished"] = json!(0);
            json!({"name": format!("s{i}"), "dependencies": before, "jobTemplate": template})
        })
        .collect();
    ns.apply(&flow("f", json!({"flows": steps}))).await?;
    let system = ["-n", "tributary-system"];
    until("the flow to succeed", || async {
        let flow = ns.get("jobflow", "f").await?.unwrap_or_default();
        if flow["status"]["state"] == "Succeed" {
            return Ok((Some(()), String::new()));
        }
        let kill = ["delete", "pods", "-l", "app.kubernetes.io/name=tributary-operator", "--force", "--grace-period=0"];
        kubectl(&[&system[..], &kill[..]].concat()).await?;
        // until one of them leads and has written something, or the flow would stand still
        let before = flow["metadata"]["resourceVersion"].clone();
        until("the next write", || async {
            let now = ns.get("jobflow", "f").await?.unwrap_or_default();
            let moved = now["metadata"]["resourceVersion"] != before || now["status"]["state"] == "Succeed";
            Ok((moved.then_some(()), now["status"].to_string()))
        })
        .await?;
        Ok((None, flow["status"].to_string()))
    })
    .await?;
    let created = created(&ns).await?;
    assert_eq!(created.len(), 12, "{created:?}");
    assert!(created.values().all(|uids| uids.len() == 1), "{created:?}");
    until("the Jobs to be gone, as their TTL says", || async {
        let jobs = ns.list("jobs", "tributary.dev/jobflow=f").await?;
        Ok((jobs.is_empty().then_some(()), format!("{} Jobs", jobs.len())))
    })
    .await?;
    ns.finish().await
}
