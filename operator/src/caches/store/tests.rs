//! What the store shows, in whatever order the watch and the answers come.
#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::json;

fn object(name: &str, pipeline: Option<&str>) -> DynamicObject {
    let mut value = json!({"metadata": {"name": name, "namespace": "ns"}});
    if let Some(pipeline) = pipeline {
        value["metadata"]["labels"] = json!({names::PIPELINE: pipeline});
    }
    serde_json::from_value(value).unwrap()
}

fn all(objects: impl Iterator<Item = Arc<DynamicObject>>) -> Vec<String> {
    objects.map(|o| o.metadata.name.clone().unwrap()).collect()
}

#[test]
fn the_index_follows_changes_of_labels() {
    let mut store = Store::new(Gvk::new("batch", "v1", "Job"));
    store.watched(object("a", Some("p")));
    store.watched(object("b", Some("p")));
    assert_eq!(all(store.labelled("ns", names::PIPELINE, "p")), ["a", "b"]);
    store.watched(object("a", Some("q")));
    assert_eq!(all(store.labelled("ns", names::PIPELINE, "p")), ["b"]);
    assert_eq!(all(store.labelled("ns", names::PIPELINE, "q")), ["a"]);
    store.deleted(&object("a", None));
    assert!(all(store.labelled("ns", names::PIPELINE, "q")).is_empty());
    assert_eq!(store.by_label.len(), 1);
}

#[test]
fn a_list_removes_what_it_does_not_name() {
    let mut store = Store::new(Gvk::new("batch", "v1", "Job"));
    store.begin_list();
    store.watched(object("a", None));
    store.watched(object("b", None));
    assert!(store.end_list(Instant::now()).is_empty());
    assert_eq!(store.sync, Sync::Synced);
    store.begin_list();
    store.watched(object("b", None));
    let gone = store.end_list(Instant::now());
    assert_eq!(all(gone.into_iter()), ["a"]);
    assert_eq!(all(store.all()), ["b"]);
}

#[test]
fn objects_carry_their_kind_and_no_ballast() {
    let mut store = Store::new(Gvk::new("", "v1", "Pod"));
    let mut pod = object("a", None);
    pod.metadata.managed_fields = Some(Vec::new());
    pod.metadata.annotations = Some([("kubectl.kubernetes.io/last-applied-configuration".into(), "{}".into())].into());
    pod.data = json!({"spec": {"containers": []}, "status": {"phase": "Running"}});
    let (_, pod) = store.watched(pod).unwrap();
    assert_eq!(pod.types.as_ref().unwrap().kind, "Pod");
    assert!(pod.metadata.managed_fields.is_none());
    assert!(pod.metadata.annotations.as_ref().unwrap().is_empty());
    assert_eq!(pod.data, json!({"status": {"phase": "Running"}}));
}

fn version(name: &str, uid: &str, version: u32) -> DynamicObject {
    let mut object = object(name, None);
    object.types = Some(TypeMeta { api_version: "batch/v1".into(), kind: "Job".into() });
    object.metadata.uid = Some(uid.into());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn seen(store: &Store) -> Vec<(String, String)> {
    let text = |value: &Option<String>| value.clone().unwrap();
    store.all().map(|o| (text(&o.metadata.uid), text(&o.metadata.resource_version))).collect()
}

fn complete() -> Store {
    let mut store = Store::new(Gvk::new("batch", "v1", "Job"));
    store.begin_list();
    store.watched(version("a", "u1", 10));
    store.end_list(Instant::now() - std::time::Duration::from_secs(1));
    store
}

#[test]
fn a_write_is_shown_at_once_and_what_the_watch_shows_of_before_is_past() {
    let mut store = complete();
    assert!(store.written(version("a", "u1", 20), Instant::now()).is_some());
    assert!(store.watched(version("a", "u1", 15)).is_none());
    assert!(store.watched(version("a", "u1", 20)).is_none(), "nobody is woken twice");
    assert_eq!(seen(&store), [("u1".into(), "20".into())]);
    assert!(store.watched(version("a", "u1", 21)).is_some());
}

#[test]
fn a_successor_stays_when_the_watch_shows_that_its_namesake_is_gone() {
    let mut store = complete();
    store.written(version("a", "u2", 20), Instant::now());
    assert!(store.deleted(&version("a", "u1", 18)).is_none());
    assert_eq!(seen(&store), [("u2".into(), "20".into())]);
    assert!(store.deleted(&version("a", "u2", 22)).is_some());
    assert!(seen(&store).is_empty());
}

#[test]
fn an_answer_that_the_watch_has_gone_past_brings_nothing_back() {
    let mut store = complete();
    store.watched(version("b", "u2", 20));
    store.deleted(&version("b", "u2", 30));
    assert!(store.written(version("b", "u2", 20), Instant::now()).is_none());
    // an older list may lack it, and a newer one may rightly do so
    let asked = Instant::now() - std::time::Duration::from_secs(2);
    assert!(store.written(version("c", "u3", 40), asked).is_none());
    store.begin_list();
    assert!(store.written(version("c", "u3", 40), Instant::now()).is_none());
    assert_eq!(seen(&store), [("u1".into(), "10".into())]);
}

#[test]
fn a_cluster_that_was_restored_is_seen_as_it_is() {
    let mut store = complete();
    store.begin_list();
    assert!(store.watched(version("a", "u1", 4)).is_some());
    store.end_list(Instant::now() - std::time::Duration::from_secs(1));
    assert!(store.written(version("b", "u2", 5), Instant::now()).is_some());
    assert_eq!(seen(&store), [("u1".into(), "4".into()), ("u2".into(), "5".into())]);
}
