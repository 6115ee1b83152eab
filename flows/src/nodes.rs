//! Nodes: which ones a pod template may run on, and how a pod is kept to one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What a decision knows of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Uid: another node of the same name is another node.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// It is being deleted.
    pub going: bool,
}

impl Node {
    /// From the object; `None` where it has no name.
    pub fn read(object: &kube::core::DynamicObject) -> Option<Self> {
        let metadata = &object.metadata;
        let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let taints = object.data.pointer("/spec/taints").and_then(Value::as_array);
        let mut taints: Vec<_> =
            taints.into_iter().flatten().map(|t| (text(t, "key"), text(t, "value"), text(t, "effect"))).collect();
        if object.data.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
            taints.push(("node.kubernetes.io/unschedulable".into(), String::new(), "NoSchedule".into()));
        }
        Some(Self {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone().unwrap_or_default(),
            labels: metadata.labels.clone().unwrap_or_default(),
            taints,
            going: metadata.deletion_timestamp.is_some(),
        })
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Keeps the pod to a node by affinity, beside what it demands itself: resources and taints still count.
pub(crate) fn pin(pod: &mut Map<String, Value>, node: &str) {
    let requirement = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let mut current = pod;
    for name in ["affinity", "nodeAffinity", REQUIRED] {
        let next = current.entry(name).or_insert_with(|| json!({}));
        if !next.is_object() {
            *next = json!({});
        }
        let Some(object) = next.as_object_mut() else { return };
        current = object;
    }
    let terms = current.entry("nodeSelectorTerms").or_insert_with(|| json!([]));
    let Some(terms) = terms.as_array_mut() else { return };
    if terms.is_empty() {
        terms.push(json!({"matchFields": [requirement]}));
        return;
    }
    // terms are alternatives: each of them is narrowed; an empty one matches nothing and stays so
    for term in terms.iter_mut().filter_map(Value::as_object_mut).filter(|term| !term.is_empty()) {
        let fields = term.entry("matchFields").or_insert_with(|| json!([]));
        if let Some(fields) = fields.as_array_mut() {
            fields.push(requirement.clone());
        }
    }
}

/// Whether node selector and required affinity let the pod template run on the node.
pub(crate) fn selects(pod: &Value, node: &Node) -> bool {
    let selector = pod.get("nodeSelector").and_then(Value::as_object);
    let selected = selector
        .is_none_or(|s| s.iter().all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str()));
    let terms = pod.pointer(&format!("/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms")).and_then(Value::as_array);
    selected && terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, node)))
}

/// A term without a requirement matches nothing, as in the scheduler.
fn term_matches(term: &Value, node: &Node) -> bool {
    let list = |name: &str| term.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (expressions, fields) = (list("matchExpressions"), list("matchFields"));
    let label = |key: &str| node.labels.get(key).map(String::as_str);
    let of_field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|r| requirement_holds(r, label))
        && fields.iter().all(|r| requirement_holds(r, of_field))
}

fn requirement_holds<'a>(requirement: &Value, actual: impl Fn(&str) -> Option<&'a str>) -> bool {
    let text = |name: &str| requirement.get(name).and_then(Value::as_str).unwrap_or_default();
    let actual = actual(text("key"));
    let values = || requirement.get("values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let numbers = || Some((actual?.parse::<i64>().ok()?, values().next()?.parse::<i64>().ok()?));
    match text("operator") {
        "In" => actual.is_some_and(|a| values().any(|v| v == a)),
        "NotIn" => actual.is_none_or(|a| values().all(|v| v != a)),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => numbers().is_some_and(|(a, v)| a > v),
        "Lt" => numbers().is_some_and(|(a, v)| a < v),
        _ => false,
    }
}

/// Whether the pod template tolerates every taint that would keep it off the node.
pub(crate) fn tolerates(pod: &Value, node: &Node) -> bool {
    let tolerations = pod.get("tolerations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let hard = node.taints.iter().filter(|(_, _, effect)| effect == "NoSchedule" || effect == "NoExecute");
    hard.into_iter().all(|taint| tolerations.iter().any(|t| is_tolerated(taint, t)))
}

fn is_tolerated((key, value, effect): &(String, String, String), toleration: &Value) -> bool {
    let text = |name: &str| toleration.get(name).and_then(Value::as_str).unwrap_or_default();
    let effect_fits = text("effect").is_empty() || text("effect") == effect;
    let exists = text("operator") == "Exists";
    let key_fits = if text("key").is_empty() { exists } else { text("key") == key };
    effect_fits && key_fits && (exists || text("value") == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(labels: &[(&str, &str)]) -> Node {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Node { name: "n1".into(), labels, ..Node::default() }
    }

    fn affinity(terms: Value) -> Value {
        json!({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}})
    }

    #[test]
    fn selectors_and_affinity_choose_as_the_scheduler_does() {
        let ssd = node(&[("disk", "ssd"), ("cores", "8")]);
        let expression = |key: &str, operator: &str, values: Value| {
            affinity(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
        };
        let yes = [
            json!({}),
            json!({"nodeSelector": {"disk": "ssd"}}),
            expression("disk", "In", json!(["hdd", "ssd"])),
            expression("gpu", "NotIn", json!(["a"])),
            expression("gpu", "DoesNotExist", json!([])),
            expression("cores", "Gt", json!(["4"])),
            affinity(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}, {}])),
        ];
        let no = [
            json!({"nodeSelector": {"disk": "hdd"}}),
            expression("disk", "NotIn", json!(["ssd"])),
            expression("gpu", "Exists", json!([])),
            expression("cores", "Lt", json!(["4"])),
            expression("disk", "Gt", json!(["4"])),
            expression("disk", "Odd", json!([])),
            affinity(json!([])),
            affinity(json!([{}])),
        ];
        assert!(yes.iter().all(|pod| selects(pod, &ssd)));
        assert!(no.iter().all(|pod| !selects(pod, &ssd)));
    }

    #[test]
    fn taints_keep_off_what_does_not_tolerate_them() {
        let mut tainted = node(&[]);
        tainted.taints = vec![
            ("gpu".into(), "yes".into(), "NoSchedule".into()),
            ("soft".into(), String::new(), "PreferNoSchedule".into()),
        ];
        let pod = |toleration: Value| json!({"tolerations": [toleration]});
        assert!(!tolerates(&json!({}), &tainted));
        assert!(tolerates(&pod(json!({"operator": "Exists"})), &tainted));
        assert!(tolerates(&pod(json!({"key": "gpu", "value": "yes", "effect": "NoSchedule"})), &tainted));
        assert!(!tolerates(&pod(json!({"key": "gpu", "value": "no"})), &tainted));
        assert!(!tolerates(&pod(json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"})), &tainted));
    }

    #[test]
    fn a_pinned_pod_keeps_what_it_demands() {
        let mut pod =
            affinity(json!([{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}, {}]));
        pin(pod.as_object_mut().into_iter().next().unwrap_or(&mut Map::new()), "n1");
        assert!(selects(&pod, &node(&[("disk", "ssd")])));
        let other = Node { name: "n2".into(), ..node(&[("disk", "ssd")]) };
        assert!(!selects(&pod, &other));
        let mut bare = Map::new();
        pin(&mut bare, "n1");
        assert!(selects(&Value::Object(bare.clone()), &node(&[])) && !selects(&Value::Object(bare), &other));
    }
}
