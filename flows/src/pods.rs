//! What the pods of a role say, in the kubelet's and the scheduler's own words.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

/// How the pods of a role are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodsReport {
    /// Pods whose container runs.
    pub running: usize,
    /// Pods that ended well.
    pub succeeded: usize,
    /// What keeps a pod from running; the same for as long as the cause is.
    pub blocked: Option<String>,
    /// How the last container that ended badly ended.
    pub last_failure: Option<String>,
}

/// Reads the pods.
pub fn report<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> PodsReport {
    let mut report = PodsReport::default();
    // by name, so that which of several causes is told does not change
    let mut pods: Vec<&Pod> = pods.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by_key(|pod| &pod.metadata.name);
    for pod in pods {
        let Some(status) = &pod.status else { continue };
        let containers = || {
            let all = status.init_container_statuses.iter().chain(&status.container_statuses);
            all.flatten()
        };
        match status.phase.as_deref() {
            Some("Succeeded") => report.succeeded += 1,
            Some("Failed") => {
                let why = containers().find_map(|c| ended(c.state.as_ref())).map(terminated);
                let of_pod = || {
                    [status.reason.clone(), status.message.clone()].into_iter().flatten().collect::<Vec<_>>().join(": ")
                };
                report.last_failure = why.or_else(|| Some(of_pod())).filter(|w| !w.is_empty());
            }
            _ => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let blocked = containers().find_map(waiting).or_else(|| unschedulable(pod));
                match blocked {
                    Some(why) if report.blocked.is_none() => report.blocked = Some(format!("pod {name}: {why}")),
                    Some(_) => {}
                    None if containers().all(is_running) && containers().next().is_some() => report.running += 1,
                    None => {}
                }
                if let Some(ended) = containers().find_map(|c| ended(c.last_state.as_ref())) {
                    report.last_failure = Some(terminated(ended));
                }
            }
        }
    }
    report
}

fn is_running(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|s| s.running.is_some() || s.terminated.as_ref().is_some_and(|t| t.exit_code == 0))
}

fn ended(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref().filter(|t| t.exit_code != 0)
}

/// Why a container waits, where that is more than its time to start.
fn waiting(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let reason = waiting.reason.as_deref().unwrap_or_default();
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => None,
        // the kubelet goes to and fro between the two: one wording for both
        "ErrImagePull" | "ImagePullBackOff" => {
            let cause = message.split_once("ErrImagePull: ").map_or(message, |(_, cause)| cause);
            let image = &container.image;
            let cause = if cause.starts_with("Back-off") { "" } else { cause };
            Some(format!("image {image} cannot be pulled: {cause}").trim_end_matches([':', ' ']).to_owned())
        }
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref().and_then(|s| s.terminated.as_ref());
            Some(format!("the container keeps crashing: {}", last.map_or_else(|| message.to_owned(), terminated)))
        }
        _ => Some(format!("{reason}: {message}").trim_end_matches([':', ' ']).to_owned()),
    }
}

fn terminated(ended: &ContainerStateTerminated) -> String {
    let reason = match ended.reason.as_deref() {
        Some("OOMKilled") => "OOMKilled: it needs more memory than its limit".to_owned(),
        Some(reason) if !reason.is_empty() && reason != "Error" => format!("{reason} (exit code {})", ended.exit_code),
        _ => format!("exit code {}", ended.exit_code),
    };
    match ended.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => format!("{reason}: {message}"),
        _ => reason,
    }
}

fn unschedulable(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    (scheduled.reason.as_deref() == Some("Unschedulable"))
        .then(|| format!("Unschedulable: {}", scheduled.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": status})).unwrap()
    }

    fn waiting_pod(reason: &str, message: &str) -> Pod {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        pod("a", json!({"phase": "Pending", "containerStatuses": [container(state, json!({}))]}))
    }

    fn container(state: Value, last: Value) -> Value {
        json!({"name": "worker", "image": "no/such:image", "imageID": "", "ready": false, "restartCount": 0, "state": state, "lastState": last})
    }

    fn blocked(pod: &Pod) -> String {
        report([pod]).blocked.unwrap_or_default()
    }

    #[test]
    fn a_pull_that_fails_and_its_back_off_are_told_alike() {
        let error = waiting_pod("ErrImagePull", "failed to resolve reference: not found");
        let back_off = waiting_pod(
            "ImagePullBackOff",
            "Back-off pulling image \"no/such:image\": ErrImagePull: failed to resolve reference: not found",
        );
        let expected = "pod a: image no/such:image cannot be pulled: failed to resolve reference: not found";
        assert_eq!((blocked(&error), blocked(&back_off)), (expected.into(), expected.into()));
    }

    #[test]
    fn a_missing_secret_is_told_in_the_kubelets_words() {
        assert_eq!(
            blocked(&waiting_pod("CreateContainerConfigError", "secret \"later\" not found")),
            "pod a: CreateContainerConfigError: secret \"later\" not found"
        );
        assert_eq!(report([&waiting_pod("ContainerCreating", "")]), PodsReport::default());
    }

    #[test]
    fn crashes_show_how_the_container_ended() {
        let crash = container(
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
            json!({"terminated": {"exitCode": 3, "reason": "Error", "message": "no such file\n"}}),
        );
        let looping = pod("a", json!({"phase": "Running", "containerStatuses": [crash]}));
        assert_eq!(blocked(&looping), "pod a: the container keeps crashing: exit code 3: no such file");
        let killed = container(json!({"running": {}}), json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        let report = report([&pod("a", json!({"phase": "Running", "containerStatuses": [killed]}))]);
        assert_eq!((report.running, report.blocked), (1, None));
        assert_eq!(report.last_failure.unwrap(), "OOMKilled: it needs more memory than its limit");
    }

    #[test]
    fn evictions_and_the_scheduler_are_heard() {
        let evicted = pod(
            "a",
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
        );
        assert_eq!(report([&evicted]).last_failure.unwrap(), "Evicted: The node was low on resource: memory.");
        let pending = pod(
            "b",
            json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}]}),
        );
        assert_eq!(blocked(&pending), "pod b: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.");
    }

    #[test]
    fn running_and_done_pods_are_counted_and_dying_ones_are_not() {
        let up = container(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), json!({}));
        let running = |name| pod(name, json!({"phase": "Running", "containerStatuses": [up]}));
        let mut dying = running("c");
        dying.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let done = pod("d", json!({"phase": "Succeeded"}));
        let report = report([&running("a"), &running("b"), &dying, &done]);
        assert_eq!((report.running, report.succeeded), (2, 1));
    }
}
