//! Which kinds the apiserver serves: built-in ones by discovery, read once, the others by a watch of the
//! CustomResourceDefinitions.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Discovery,
    core::{ApiResource, ObjectMeta, Version},
    discovery::{Scope as ApiScope, verbs},
    runtime::watcher::{self, Config, Event},
};
use serde::{Deserialize, Serialize};
use tributary_blueprints::world::{Served, ServedKind};

use super::{
    Caches,
    schemas::{self, Key, Schemas},
    watch::Pause,
};

/// What is read of a CustomResourceDefinition: its schemas, which are most of it, are not.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Crd {
    metadata: ObjectMeta,
    spec: CrdSpec,
    #[serde(default)]
    status: CrdStatus,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct CrdSpec {
    group: String,
    scope: String,
    versions: Vec<CrdVersion>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct CrdVersion {
    name: String,
    served: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct CrdStatus {
    accepted_names: CrdNames,
    // null at first
    conditions: Option<Vec<CrdCondition>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct CrdNames {
    kind: String,
    plural: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct CrdCondition {
    r#type: String,
    status: String,
}

impl kube::Resource for Crd {
    type DynamicType = ();
    type Scope = k8s_openapi::ClusterResourceScope;

    fn kind(_: &()) -> std::borrow::Cow<'_, str> {
        CustomResourceDefinition::kind(&())
    }

    fn group(_: &()) -> std::borrow::Cow<'_, str> {
        CustomResourceDefinition::group(&())
    }

    fn version(_: &()) -> std::borrow::Cow<'_, str> {
        CustomResourceDefinition::version(&())
    }

    fn plural(_: &()) -> std::borrow::Cow<'_, str> {
        CustomResourceDefinition::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Crd {
    /// The kind, once the apiserver has established it.
    fn served(&self) -> Option<(Key, ServedKind)> {
        let mut conditions = self.status.conditions.iter().flatten();
        let established = conditions.any(|c| c.r#type == "Established" && c.status == "True");
        let mut versions: Vec<String> =
            self.spec.versions.iter().filter(|v| v.served).map(|v| v.name.clone()).collect();
        versions.sort_by_cached_key(|v| Reverse(Version::parse(v).priority()));
        let kind = ServedKind {
            version: versions.first()?.clone(),
            versions,
            plural: self.status.accepted_names.plural.clone(),
            namespaced: self.spec.scope == "Namespaced",
            ..ServedKind::default()
        };
        let key = (self.spec.group.clone(), self.status.accepted_names.kind.clone());
        (established && self.metadata.deletion_timestamp.is_none()).then_some((key, kind))
    }
}

/// The kinds as they stand.
#[derive(Default)]
struct Kinds {
    built_in: HashMap<Key, ServedKind>,
    /// By the CustomResourceDefinition's name.
    custom: HashMap<String, Option<(Key, ServedKind)>>,
    /// Of those that somebody asked for.
    schemas: HashMap<Key, Schemas>,
}

impl Kinds {
    fn set(&mut self, crd: &Crd) {
        self.custom.insert(name(crd), crd.served());
    }

    fn remove(&mut self, crd: &str) {
        if let Some(Some((key, _))) = self.custom.remove(crd) {
            self.schemas.remove(&key);
            // discovery may have listed it
            self.built_in.remove(&key);
        }
    }

    fn served(&self) -> Served {
        let custom = self.custom.values().flatten().cloned();
        let built_in = self.built_in.iter().map(|(key, kind)| (key.clone(), kind.clone()));
        let mut served: Served = Served(built_in.chain(custom).collect());
        for (key, schemas) in &self.schemas {
            if let Some(kind) = served.0.get_mut(key) {
                kind.schemas.clone_from(schemas);
            }
        }
        served
    }

    /// The name of the CustomResourceDefinition of a kind.
    fn definition(&self, key: &Key) -> Option<&str> {
        let found = self.custom.iter().find(|(_, kind)| kind.as_ref().is_some_and(|(k, _)| k == key));
        found.map(|(name, _)| name.as_str())
    }
}

fn name(crd: &Crd) -> String {
    crd.metadata.name.clone().unwrap_or_default()
}

/// Follows what is served, for ever.
pub(super) async fn follow(caches: Arc<Caches>) {
    let config = Config::default().page_size(25);
    let mut events = std::pin::pin!(watcher::watcher(Api::<Crd>::all(caches.client.clone()), config));
    let mut kinds = Kinds::default();
    let mut listed: Option<HashMap<String, Option<(Key, ServedKind)>>> = None;
    let mut pause = Pause::default();
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = caches.schemas_wanted.notified() => {
                read_schemas(&caches, &mut kinds, caches.asked()).await;
                continue;
            }
        };
        let Some(event) = event else { return };
        match event {
            Ok(Event::Init) => listed = Some(HashMap::new()),
            Ok(Event::InitApply(crd)) => {
                listed.get_or_insert_default().insert(name(&crd), crd.served());
            }
            Ok(Event::InitDone) => {
                pause.reset();
                let new = listed.take().unwrap_or_default();
                let gone: Vec<String> = kinds.custom.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
                gone.iter().for_each(|name| kinds.remove(name));
                kinds.custom = new;
                if kinds.built_in.is_empty() {
                    kinds.built_in = built_in(&caches.client, &kinds.custom).await;
                }
                caches.set_served(kinds.served());
                // what changed while nobody watched has made no event
                read_schemas(&caches, &mut kinds, caches.wanted_schemas()).await;
            }
            Ok(Event::Apply(crd)) => {
                pause.reset();
                kinds.set(&crd);
                caches.set_served(kinds.served());
                let changed = crd.served().map(|(key, _)| key).into_iter();
                let wanted = caches.wanted_schemas();
                read_schemas(&caches, &mut kinds, changed.filter(|key| wanted.contains(key)).collect()).await;
            }
            Ok(Event::Delete(crd)) => {
                kinds.remove(&name(&crd));
                caches.set_served(kinds.served());
            }
            Err(error) => {
                tracing::warn!(%error, "watch of CustomResourceDefinitions");
                tokio::time::sleep(pause.next()).await;
            }
        }
    }
}

/// Reads the schemas of these kinds. One that cannot be read now is asked for again.
async fn read_schemas(caches: &Arc<Caches>, kinds: &mut Kinds, keys: Vec<Key>) {
    if keys.is_empty() {
        return;
    }
    let mut settled = Vec::new();
    for key in keys {
        if let Some(definition) = kinds.definition(&key).map(str::to_owned) {
            match schemas::read(&caches.client, &definition).await {
                Ok(schemas) => _ = kinds.schemas.insert(key.clone(), schemas),
                Err(error) => {
                    tracing::warn!(definition, %error, "the schema of a kind");
                    caches.unsettle(&key);
                    continue;
                }
            }
        }
        settled.push(key);
    }
    caches.set_served(kinds.served());
    caches.settle(settled);
}

/// The kinds that the apiserver has by itself; tries until it answers.
async fn built_in(client: &Client, custom: &HashMap<String, Option<(Key, ServedKind)>>) -> HashMap<Key, ServedKind> {
    let mut pause = Pause::default();
    let discovery = loop {
        match Discovery::new(client.clone()).run_aggregated().await {
            Ok(discovery) => break discovery,
            Err(error) => {
                tracing::warn!(%error, "discovery");
                tokio::time::sleep(pause.next()).await;
            }
        }
    };
    let mut kinds: HashMap<Key, ServedKind> = HashMap::new();
    for group in discovery.groups() {
        for version in group.versions() {
            for (ApiResource { group, kind, plural, .. }, capabilities) in group.versioned_resources(version) {
                if custom.contains_key(&format!("{plural}.{group}")) || !capabilities.supports_operation(verbs::WATCH) {
                    continue;
                }
                // versions come with the preferred one first
                let entry = kinds.entry((group, kind)).or_insert_with(|| ServedKind {
                    version: version.to_owned(),
                    versions: Vec::new(),
                    plural,
                    namespaced: capabilities.scope == ApiScope::Namespaced,
                    ..ServedKind::default()
                });
                entry.versions.push(version.to_owned());
            }
        }
    }
    kinds
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crd(established: &str, versions: serde_json::Value) -> Crd {
        serde_json::from_value(json!({
            "metadata": {"name": "odds.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "versions": versions, "names": {"kind": "Odd"}},
            "status": {"acceptedNames": {"kind": "Odd", "plural": "odds"},
                "conditions": [{"type": "Established", "status": established, "reason": "InitialNamesAccepted"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_definition_counts_once_it_is_established_and_by_its_most_stable_served_version() {
        let versions = json!([{"name": "v1beta2", "served": true, "schema": {"openAPIV3Schema": {}}},
            {"name": "v1", "served": true}, {"name": "v2", "served": false}, {"name": "v1alpha1", "served": true}]);
        let (key, kind) = crd("True", versions.clone()).served().unwrap();
        assert_eq!(key, ("example.com".into(), "Odd".into()));
        assert_eq!((kind.version.as_str(), kind.plural.as_str(), kind.namespaced), ("v1", "odds", true));
        assert_eq!(kind.versions, ["v1", "v1beta2", "v1alpha1"]);
        assert!(crd("False", versions).served().is_none());
        let new = json!({"metadata": {"name": "x"}, "spec": {"group": "g", "scope": "Cluster", "versions": []},
            "status": {"conditions": null, "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": null}});
        assert!(serde_json::from_value::<Crd>(new).unwrap().served().is_none());
        assert!(crd("True", json!([{"name": "v1", "served": false}])).served().is_none());
    }

    #[test]
    fn a_definition_that_goes_takes_its_kind_along() {
        let mut kinds = Kinds::default();
        let odd = crd("True", json!([{"name": "v1", "served": true}]));
        let (key, kind) = odd.served().unwrap();
        kinds.built_in.insert(key, kind);
        kinds.set(&odd);
        assert!(kinds.served().get("example.com", "Odd").is_some());
        kinds.remove("odds.example.com");
        assert_eq!(kinds.served(), Served::default());
    }
}
