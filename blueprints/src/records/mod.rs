//! Schemas of records: whether they are any, and whether what one of them writes another can read.
//!
//! Avro is parsed by the `apache-avro` crate and resolved by the rules of its specification; of JSON Schema, the
//! keywords that say what a record looks like are compared.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;
use tributary_crds::RecordSchema;

mod avro;
mod json;
mod keywords;
mod limits;
mod values;

/// A schema of records.
#[derive(Clone, Debug)]
pub enum Schema {
    /// Avro.
    Avro(Box<apache_avro::Schema>),
    /// JSON Schema.
    Json(Value),
    /// Protobuf, which is handed to programs as it is.
    Protobuf,
}

/// Why a schema is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path below the schema, such as `.jsonSchema.properties.id`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What may have been meant.
    pub suggestion: Option<String>,
}

/// Where a reader cannot take what a writer writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The field, such as `user.address.zip` or `items[]`; empty for the record itself.
    pub field: String,
    /// What the writer has there.
    pub writer: String,
    /// What the reader has there.
    pub reader: String,
    /// The rule that is broken.
    pub rule: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str("the record: ")?;
        } else {
            write!(f, "field `{}`: ", self.field)?;
        }
        write!(f, "written as {}, read as {}: {}", self.writer, self.reader, self.rule)
    }
}

/// The most misfits that are told of one pair of schemas.
const MOST: usize = 10;

/// How far a comparison has come.
#[derive(Default)]
struct Walk {
    /// Addresses of the pairs that have been looked at, or are being.
    seen: HashSet<(usize, usize)>,
    /// The field that is looked at, each step with its dot.
    path: String,
    found: Vec<Misfit>,
}

impl Walk {
    /// Whether this pair has not been looked at before.
    fn is_new<T>(&mut self, writer: &T, reader: &T) -> bool {
        self.seen.insert((std::ptr::from_ref(writer).addr(), std::ptr::from_ref(reader).addr()))
    }

    fn fails(&mut self, writer: String, reader: String, rule: String) {
        if self.found.len() < MOST {
            self.found.push(Misfit { field: self.path.trim_start_matches('.').to_owned(), writer, reader, rule });
        }
    }
}

/// A comparison of a writer's schema with a reader's, from the outside inwards.
trait Compare<'a>: Sized {
    type Node: 'a;

    fn walk(&mut self) -> &mut Walk;

    /// Finds what does not fit.
    fn pair(&mut self, writer: &'a Self::Node, reader: &'a Self::Node);

    /// Checks what is one step further in.
    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.walk().path.len();
        self.walk().path.push_str(step);
        check(self);
        self.walk().path.truncate(length);
    }

    /// Whether the reader takes the writer's type, without telling why not.
    fn takes(&mut self, writer: &'a Self::Node, reader: &'a Self::Node) -> bool {
        let (found, seen) = (std::mem::take(&mut self.walk().found), self.walk().seen.clone());
        self.pair(writer, reader);
        let fits = self.walk().found.is_empty();
        self.walk().found = found;
        if !fits {
            self.walk().seen = seen;
        }
        fits
    }
}

impl Schema {
    /// Parses.
    ///
    /// # Errors
    /// What is wrong, each fault once.
    pub fn parse(declared: &RecordSchema) -> Result<Self, Vec<Fault>> {
        match (&declared.avro, &declared.json_schema, &declared.protobuf) {
            (Some(avro), None, None) => avro::parse(&avro.0).map(|s| Self::Avro(Box::new(s))).map_err(|f| vec![f]),
            (None, Some(json), None) => {
                let faults = keywords::faults(&json.0, ".jsonSchema");
                if faults.is_empty() { Ok(Self::Json(json.0.clone())) } else { Err(faults) }
            }
            (None, None, Some(_)) => Ok(Self::Protobuf),
            _ => {
                let message = "exactly one of avro, jsonSchema and protobuf must be set".into();
                Err(vec![Fault { path: String::new(), message, suggestion: None }])
            }
        }
    }

    fn format(&self) -> &'static str {
        match self {
            Self::Avro(_) => "Avro",
            Self::Json(_) => "JSON",
            Self::Protobuf => "Protobuf",
        }
    }
}

/// Where a reader with schema `reader` cannot take what is written with schema `writer`; empty where it can, or where
/// nothing can be said: of Protobuf, and of keywords of JSON Schema whose meaning depends on each value.
pub fn misfits(writer: &Schema, reader: &Schema) -> Vec<Misfit> {
    match (writer, reader) {
        (Schema::Avro(writer), Schema::Avro(reader)) => avro::misfits(writer, reader),
        (Schema::Json(writer), Schema::Json(reader)) => json::misfits(writer, reader),
        (Schema::Protobuf, Schema::Protobuf) => Vec::new(),
        (writer, reader) => vec![Misfit {
            field: String::new(),
            writer: writer.format().into(),
            reader: reader.format().into(),
            rule: "these are different encodings".into(),
        }],
    }
}
