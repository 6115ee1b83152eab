//! The schemas of records: each is one, and what is written can be read.

use std::collections::{BTreeMap, HashMap};

use super::Analysis;
use crate::expr::child_path;
use crate::problem::{Code, listing, nearest};
use crate::records::{Misfit, Schema, misfits};

/// The most misfits that one problem names.
const MOST: usize = 3;

/// A port with the schema that its program itself has.
struct OwnSchema<'a> {
    component: &'a str,
    schema: &'a str,
    path: String,
}

impl<'a> Analysis<'a> {
    /// Record schemas, as the text that programs get.
    pub(super) fn record_schemas(&mut self) {
        let blueprint = self.blueprint;
        for (name, declared) in &blueprint.schemas {
            let path = child_path(&self.at("schemas"), name);
            match Schema::parse(declared) {
                Ok(schema) => drop(self.records.insert(name, schema)),
                Err(faults) => {
                    for fault in faults {
                        let at = format!("{path}{}", fault.path);
                        self.problems.suggest(Code::BadSchema, at, fault.message, fault.suggestion);
                    }
                }
            }
            let json = declared.avro.as_ref().or(declared.json_schema.as_ref()).map(|s| s.0.to_string());
            let text = json.or_else(|| declared.protobuf.as_ref().map(|p| p.file.clone()));
            self.resolved.schemas.insert(name.clone(), text.unwrap_or_default());
        }
    }

    /// Whether a schema of this name exists; a problem where it does not.
    pub(super) fn schema_exists(&mut self, name: &str, path: &str) {
        if !self.blueprint.schemas.contains_key(name) {
            let known = || self.blueprint.schemas.keys().map(String::as_str);
            let message = format!("there is no schema `{name}`; {}", listing(known()));
            let suggestion = nearest(name, known());
            self.problems.suggest(Code::UnknownSchema, path, message, suggestion);
        }
    }

    /// What a program writes must be readable by the schema of the topic or dataset, and that by each program that reads
    /// it; where the data has no schema, the readers must take what the writers write.
    pub(super) fn compatibility(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let blueprint = self.blueprint;
        let mut written: BTreeMap<&str, Vec<OwnSchema<'a>>> = BTreeMap::new();
        let mut read: BTreeMap<&str, Vec<OwnSchema<'a>>> = BTreeMap::new();
        for (list, declared) in [("components", &blueprint.components), ("finally", &blueprint.finally)] {
            for (i, component) in declared.iter().enumerate() {
                for (port, schema) in &component.ports {
                    let path = child_path(&self.at(format_args!("{list}[{i}].ports")), port);
                    let own = |path: String| OwnSchema { component: &component.name, schema, path };
                    if let Some(target) = component.writes.get(port) {
                        written.entry(target).or_default().push(own(path.clone()));
                    }
                    if let Some(target) = component.reads.get(port) {
                        read.entry(target).or_default().push(own(path));
                    }
                }
            }
        }
        let topics = blueprint.topics.iter().map(|t| ("topic", &t.name, &t.schema));
        let datasets = blueprint.datasets.iter().map(|d| ("dataset", &d.name, &d.schema));
        let mut pairs = Pairs::default();
        for (kind, name, schema) in topics.chain(datasets) {
            let none = Vec::new();
            let (writers, readers) =
                (written.get(name.as_str()).unwrap_or(&none), read.get(name.as_str()).unwrap_or(&none));
            match schema {
                Some(schema) => {
                    for writer in writers {
                        let what = format!("what is written here is no `{schema}`, the schema of {kind} `{name}`");
                        self.readable(&mut pairs, writer.schema, schema, &writer.path, &what);
                    }
                    for reader in readers {
                        let what = format!("`{schema}`, the schema of {kind} `{name}`, cannot be read here");
                        self.readable(&mut pairs, schema, reader.schema, &reader.path, &what);
                    }
                }
                None => {
                    for reader in readers {
                        for writer in writers {
                            let what = format!(
                                "what component `{}` writes to {kind} `{name}` cannot be read here",
                                writer.component
                            );
                            self.readable(&mut pairs, writer.schema, reader.schema, &reader.path, &what);
                        }
                    }
                }
            }
        }
    }

    fn readable(&mut self, pairs: &mut Pairs<'a>, writer: &'a str, reader: &'a str, path: &str, what: &str) {
        if writer == reader {
            return;
        }
        let found = pairs.0.entry((writer, reader)).or_insert_with(|| {
            let schemas = self.records.get(writer).zip(self.records.get(reader));
            schemas.map(|(w, r)| misfits(w, r)).unwrap_or_default()
        });
        if found.is_empty() {
            return;
        }
        let mut named: Vec<String> = found.iter().take(MOST).map(Misfit::to_string).collect();
        if found.len() > MOST {
            named.push(format!("and {} more", found.len() - MOST));
        }
        self.problems.add(Code::IncompatibleSchema, path, format!("{what}: {}", named.join("; ")));
    }
}

/// The misfits of each pair of schemas, found once.
#[derive(Default)]
struct Pairs<'a>(HashMap<(&'a str, &'a str), Vec<Misfit>>);
