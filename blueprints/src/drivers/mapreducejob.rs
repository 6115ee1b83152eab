//! MapReduceJob: `reads.input` becomes `spec.input`, `writes.output` becomes `spec.output`.

use kube::core::DynamicObject;
use serde_json::{Map, Value, json};
use tributary_crds::{Format, GROUP, Health, S3Connection, VERSION};

use super::conditions::{Seen, condition, count, percent, text, up_to_date};
use super::{Component, Definition, Direction, Lifetime, Port, Ports, Report, Switch, Target, fill, object_at};
use crate::expr::Type;
use crate::object::field;

pub(super) struct MapReduceJobDriver;

impl Component for MapReduceJobDriver {
    fn definition(&self) -> Definition {
        Definition { group: GROUP, kind: "MapReduceJob", versions: &[VERSION] }
    }

    fn lifetime(&self, template: &Value) -> Lifetime {
        match template.pointer("/spec/continuous") {
            None | Some(Value::Null) => Lifetime::Batch,
            Some(_) => Lifetime::Stream,
        }
    }

    fn ports(&self) -> Ports {
        Ports::Named { reads: &["input"], writes: &["output"] }
    }

    fn outputs(&self) -> Vec<(&'static str, Type)> {
        let row = Type::object([("key", Type::String), ("value", Type::String)]);
        vec![
            ("bytesRead", Type::Int),
            ("bytesWritten", Type::Int),
            ("recordsRead", Type::Int),
            ("recordsSkipped", Type::Int),
            ("recordsWritten", Type::Int),
            ("results", Type::list(row)),
        ]
    }

    fn max_name(&self) -> usize {
        50
    }

    fn wire(&self, object: &mut Value, ports: &[Port<'_>]) {
        for port in ports {
            let field = match port.direction {
                Direction::Reads => "input",
                Direction::Writes => "output",
            };
            let given = match port.target {
                Target::Dataset(dataset) => {
                    json!({"s3": s3(&dataset.uri, &dataset.connection, dataset.format, port.direction)})
                }
                Target::Topic(topic) => {
                    let mut kafka = serde_json::to_value(&topic.connection).unwrap_or_default();
                    fill(&mut kafka, json!({"topic": topic.topic_name}));
                    json!({"kafka": kafka})
                }
            };
            if let Some(spec) = object_at(object, &["spec"]) {
                fill(spec.entry(field).or_insert(Value::Null), given);
            }
        }
    }

    fn read(&self, child: &DynamicObject) -> Report {
        let (reason, message) = words(child);
        let mut report = match text(child, &["status", "phase"]) {
            "Succeeded" => Report::finished(Health::Succeeded, reason, message),
            "Failed" => Report::finished(Health::Failed, reason, message),
            _ if !up_to_date(child) => Report::new(Health::Progressing, reason, message),
            "" | "Pending" => Report::new(Health::Pending, reason, message),
            "Running" if serves(child) => Report::new(Health::Ready, reason, message),
            "Running" => Report::new(Health::Progressing, reason, message),
            "Suspended" => Report::new(Health::Suspended, reason, message),
            other => Report::new(Health::Unknown, other, message),
        };
        report.percent = done(child, report.health);
        report.finished_at = text(child, &["status", "completionTime"]).parse().ok();
        if report.health == Health::Succeeded {
            report.outputs = outputs(child);
        }
        report
    }

    fn immutable(&self) -> bool {
        true
    }

    fn ttl_field(&self) -> Option<&'static str> {
        Some("ttlSecondsAfterFinished")
    }

    fn switch(&self) -> Switch {
        Switch::Suspend
    }
}

fn s3(uri: &str, connection: &S3Connection, format: Format, direction: Direction) -> Value {
    let mut place = serde_json::to_value(connection).unwrap_or_default();
    fill(&mut place, json!({"uri": uri}));
    let format = match (direction, format) {
        (_, Format::Lines) => None,
        (_, Format::JsonLines) => Some("JsonLines"),
        (Direction::Reads, Format::FixedLength) => Some("FixedLength"),
        (Direction::Reads, Format::WholeObject) => Some("WholeObject"),
        // an output is written as lines, whatever its readers make of them
        (Direction::Writes, Format::FixedLength | Format::WholeObject) => None,
    };
    if let Some(format) = format {
        fill(&mut place, json!({"format": format}));
    }
    place
}

/// A continuous job serves once its coordinator and its workers are up.
fn serves(child: &DynamicObject) -> bool {
    let continuous = field(child, &["spec", "continuous"]).is_some_and(|c| !c.is_null());
    let up = |type_| condition(child, type_).is_some_and(|c| c.is_true());
    continuous && up("CoordinatorReady") && up("WorkersReady")
}

/// The job's own words: of its failure, else of what holds it up, else of the engine.
fn words(child: &DynamicObject) -> (String, String) {
    let bad = |type_: &str, status: &str| condition(child, type_).filter(|c: &Seen<'_>| c.status == status);
    let holding =
        bad("Failed", "True").or_else(|| bad("CoordinatorReady", "False")).or_else(|| bad("WorkersReady", "False"));
    let first = |candidates: [&str; 4]| candidates.into_iter().find(|c| !c.is_empty()).unwrap_or_default().to_owned();
    let reason = first([
        holding.map_or("", |c| c.reason),
        text(child, &["status", "engine", "reason"]),
        text(child, &["status", "engine", "phase"]),
        text(child, &["status", "phase"]),
    ]);
    let message = first([
        text(child, &["status", "message"]),
        holding.map_or("", |c| c.message),
        text(child, &["status", "engine", "message"]),
        "",
    ]);
    (reason, message)
}

fn done(child: &DynamicObject, health: Health) -> Option<i32> {
    if health == Health::Succeeded {
        return Some(100);
    }
    let of = |phase: &str, n: &str| count(child, &["status", "engine", phase, n]);
    let all = of("map", "total") + of("reduce", "total");
    percent(of("map", "finished") + of("reduce", "finished"), all).map(|p| p.min(99))
}

fn outputs(child: &DynamicObject) -> std::collections::BTreeMap<String, Value> {
    let empty = Map::new();
    let engine = field(child, &["status", "engine"]).and_then(Value::as_object).unwrap_or(&empty);
    ["bytesRead", "bytesWritten", "recordsRead", "recordsSkipped", "recordsWritten", "results"]
        .into_iter()
        .filter_map(|name| {
            let absent = if name == "results" { None } else { Some(Value::from(0)) };
            Some((name.to_owned(), engine.get(name).cloned().or(absent)?))
        })
        .collect()
}
