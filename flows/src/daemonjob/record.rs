//! What came to each node, kept in a ConfigMap: the status stays small, and a Job that is gone is not run again.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};
use tributary_blueprints::plan::Action;
use tributary_crds::names as keys;

use super::world::World;
use crate::{
    Node, job, names,
    template::{self, Making},
};

/// Names that are longer stand as a hash.
const LONGEST_NAME: usize = 40;

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Its Job was created; the tries before it.
    Running(u32),
    Succeeded,
    Failed,
}

/// What is recorded of the nodes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    run: i64,
    nodes: BTreeMap<String, At>,
}

/// A node in the record: name and the beginning of its uid, since another node may come under the same name.
pub(super) fn id(node: &Node) -> String {
    let name = match node.name.len() {
        0..=LONGEST_NAME => node.name.clone(),
        _ => format!("~{}", names::short_hash(&node.name, 16)),
    };
    let uid: String = node.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("{name}@{uid}")
}

impl Record {
    pub(super) fn new(run: i64) -> Self {
        Self { run, nodes: BTreeMap::new() }
    }

    /// The record of this run; an empty one where there is none.
    pub(super) fn read(object: Option<&Arc<DynamicObject>>, run: i64) -> Self {
        let mut record = Self::new(run);
        let Some(data) = object.and_then(|o| o.data.get("data")) else { return record };
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("run").parse() != Ok(run) {
            return record;
        }
        for (name, at) in [("succeeded", At::Succeeded), ("failed", At::Failed)] {
            record.nodes.extend(text(name).split_ascii_whitespace().map(|id| (id.to_owned(), at)));
        }
        for entry in text("running").split_ascii_whitespace() {
            let (id, tries) = entry.rsplit_once(':').unwrap_or((entry, "0"));
            record.nodes.insert(id.to_owned(), At::Running(tries.parse().unwrap_or(0)));
        }
        record
    }

    pub(super) fn get(&self, id: &str) -> Option<At> {
        self.nodes.get(id).copied()
    }

    pub(super) fn set(&mut self, id: String, at: At) {
        self.nodes.insert(id, at);
    }

    fn data(&self) -> Value {
        let of = |wanted: fn(&At) -> bool| {
            let ids: Vec<String> = self
                .nodes
                .iter()
                .filter(|(_, at)| wanted(at))
                .map(|(id, at)| match at {
                    At::Running(tries) if *tries > 0 => format!("{id}:{tries}"),
                    _ => id.clone(),
                })
                .collect();
            ids.join("\n")
        };
        json!({
            "run": self.run.to_string(),
            "succeeded": of(|at| *at == At::Succeeded),
            "failed": of(|at| *at == At::Failed),
            "running": of(|at| matches!(at, At::Running(_))),
        })
    }

    /// The write that brings the ConfigMap to this, if it differs.
    pub(super) fn write(&self, world: &World) -> Option<Action> {
        let there = world
            .record
            .as_ref()
            .filter(|o| job::kinship(&o.metadata, &world.metadata, "DaemonJob") == job::Kinship::Ours);
        let data = self.data();
        match there {
            Some(there) if there.data.get("data") == Some(&data) => None,
            Some(there) => {
                let metadata = ObjectMeta {
                    name: there.metadata.name.clone(),
                    namespace: there.metadata.namespace.clone(),
                    uid: there.metadata.uid.clone(),
                    ..ObjectMeta::default()
                };
                let types = Some(kube::core::TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() });
                let object = DynamicObject { types, metadata, data: json!({"data": data}) };
                Some(Action::Apply { object: Box::new(object) })
            }
            None if world.record.is_some() || self.nodes.is_empty() => None,
            None => {
                let making = Making {
                    owner: template::owner_of("DaemonJob", &world.metadata),
                    namespace: world.namespace(),
                    name: names::outcomes(world.name()),
                    labels: BTreeMap::from([(keys::DAEMON_JOB.to_owned(), world.name().to_owned())]),
                    ..Making::default()
                };
                Some(Action::Create(Box::new(template::object("v1", "ConfigMap", &making, json!({"data": data})))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_reads_back(entries in proptest::collection::btree_map("[a-z0-9.-]{1,60}", (0_u32..3, 0_u32..4), 0..20)) {
            let mut record = Record::new(3);
            for (i, (name, (at, tries))) in entries.into_iter().enumerate() {
                let node = Node { name, uid: format!("{i}-uid"), ..Node::default() };
                record.set(id(&node), [At::Running(tries), At::Succeeded, At::Failed][at as usize]);
            }
            let object = DynamicObject { types: None, metadata: ObjectMeta::default(), data: json!({"data": record.data()}) };
            let object = Some(Arc::new(object));
            prop_assert_eq!(&Record::read(object.as_ref(), 3), &record);
            prop_assert_eq!(Record::read(object.as_ref(), 4), Record::new(4));
        }
    }
}
