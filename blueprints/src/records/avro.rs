//! Avro: schema resolution as its specification has it, with every place where it fails.
//!
//! <https://avro.apache.org/docs/1.12.0/specification/#schema-resolution>

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordField, RecordSchema, UnionSchema};
use serde_json::Value;

use super::{Compare, Fault, Misfit, Walk};

/// How deep a schema may be nested.
const MAX_DEPTH: usize = 64;

/// Parses a schema; a fault where it is none.
pub(super) fn parse(schema: &Value) -> Result<Schema, Fault> {
    let fault = |path: String, message: String| Fault { path, message, suggestion: None };
    sound(schema, ".avro", 0).map_err(|(path, message)| fault(path, message))?;
    Schema::parse(schema).map_err(|error| fault(".avro".into(), format!("is no Avro schema: {error}")))
}

/// Depth and names, which the parser takes for granted.
fn sound(schema: &Value, path: &str, depth: usize) -> Result<(), (String, String)> {
    if depth > MAX_DEPTH {
        return Err((path.into(), format!("is nested deeper than {MAX_DEPTH}")));
    }
    match schema {
        Value::Array(branches) => {
            branches.iter().enumerate().try_for_each(|(i, b)| sound(b, &format!("{path}[{i}]"), depth + 1))
        }
        Value::Object(object) => {
            for key in ["name", "namespace"] {
                let is_name = |s: &str| s.split('.').all(is_identifier) || (key == "namespace" && s.is_empty());
                match object.get(key) {
                    Some(Value::String(s)) if is_name(s) => {}
                    None => {}
                    Some(other) => return Err((format!("{path}.{key}"), format!("{other} is no name in Avro"))),
                }
            }
            let below = ["type", "items", "values"].into_iter().filter_map(|key| Some((key, object.get(key)?)));
            for (key, value) in below.filter(|(_, v)| !v.is_string()) {
                sound(value, &format!("{path}.{key}"), depth + 1)?;
            }
            let fields = object.get("fields").and_then(Value::as_array).into_iter().flatten();
            fields.enumerate().try_for_each(|(i, field)| sound(field, &format!("{path}.fields[{i}]"), depth + 1))
        }
        _ => Ok(()),
    }
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where `reader` cannot take what `writer` writes.
pub(super) fn misfits(writer: &Schema, reader: &Schema) -> Vec<Misfit> {
    let (mut written, mut read) = (Names::new(), Names::new());
    collect(writer, None, &mut written);
    collect(reader, None, &mut read);
    let mut resolution = Resolution { written, read, walk: Walk::default() };
    resolution.pair(writer, reader);
    resolution.walk.found
}

/// Named types by their full name.
type Names<'a> = HashMap<String, &'a Schema>;

fn collect<'a>(schema: &'a Schema, namespace: Option<&str>, names: &mut Names<'a>) {
    let mut named = |name: &Name| names.insert(name.fullname(namespace.map(str::to_owned)), schema);
    match schema {
        Schema::Record(record) => {
            named(&record.name);
            let inner = record.name.namespace.as_deref().or(namespace);
            record.fields.iter().for_each(|field| collect(&field.schema, inner, names));
        }
        Schema::Enum(e) => drop(named(&e.name)),
        Schema::Fixed(f) => drop(named(&f.name)),
        Schema::Array(a) => collect(&a.items, namespace, names),
        Schema::Map(m) => collect(&m.types, namespace, names),
        Schema::Union(u) => u.variants().iter().for_each(|v| collect(v, namespace, names)),
        _ => {}
    }
}

fn resolved<'a>(schema: &'a Schema, names: &Names<'a>) -> &'a Schema {
    match schema {
        Schema::Ref { name } => {
            let full = name.fullname(None);
            // a name without a namespace may stand for one of the only type called so
            let short =
                || names.iter().find(|(n, _)| n.rsplit('.').next() == Some(name.name.as_str())).map(|(_, s)| *s);
            names.get(&full).copied().or_else(short).unwrap_or(schema)
        }
        other => other,
    }
}

struct Resolution<'a> {
    written: Names<'a>,
    read: Names<'a>,
    walk: Walk,
}

impl<'a> Compare<'a> for Resolution<'a> {
    type Node = Schema;

    fn walk(&mut self) -> &mut Walk {
        &mut self.walk
    }

    fn pair(&mut self, writer: &'a Schema, reader: &'a Schema) {
        let (writer, reader) = (resolved(writer, &self.written), resolved(reader, &self.read));
        if !self.walk.is_new(writer, reader) {
            return;
        }
        match (writer, reader) {
            (Schema::Union(union), _) => self.branches(union, reader),
            (_, Schema::Union(union)) => {
                if !union.variants().iter().any(|branch| self.takes(writer, branch)) {
                    self.best_branch(writer, union, reader);
                }
            }
            (Schema::Record(w), Schema::Record(r)) => self.records(w, r, writer, reader),
            (Schema::Array(w), Schema::Array(r)) => self.within("[]", |this| this.pair(&w.items, &r.items)),
            (Schema::Map(w), Schema::Map(r)) => self.within(".*", |this| this.pair(&w.types, &r.types)),
            (Schema::Enum(w), Schema::Enum(r)) => {
                let unknown: Vec<&str> =
                    w.symbols.iter().filter(|s| !r.symbols.contains(s)).map(String::as_str).collect();
                if !same_name(&w.name, &r.name, r.aliases.as_deref()) {
                    self.fails(writer, reader, "enums match by their names");
                } else if r.default.is_none() && !unknown.is_empty() {
                    let rule = format!("the reader has no symbol {} and no default", unknown.join(", "));
                    self.fails(writer, reader, rule);
                }
            }
            (Schema::Fixed(w), Schema::Fixed(r)) => {
                if w.size != r.size || !same_name(&w.name, &r.name, r.aliases.as_deref()) {
                    self.fails(writer, reader, "fixed types match by name and size");
                }
            }
            (Schema::Decimal(w), Schema::Decimal(r)) => {
                if (w.precision, w.scale) != (r.precision, r.scale) {
                    self.fails(writer, reader, "decimals match by precision and scale");
                }
            }
            _ => match promotion(&base(writer), &base(reader)) {
                Ok(()) => {}
                Err(rule) => self.fails(writer, reader, rule),
            },
        }
    }
}

impl<'a> Resolution<'a> {
    fn fails(&mut self, writer: &Schema, reader: &Schema, rule: impl Into<String>) {
        self.walk.fails(name_of(writer), name_of(reader), rule.into());
    }

    /// Every branch that the writer may choose must be readable.
    fn branches(&mut self, union: &'a UnionSchema, reader: &'a Schema) {
        for branch in union.variants() {
            if self.takes(branch, reader) {
                continue;
            }
            let reader_branches = matches!(reader, Schema::Union(_));
            if matches!(branch, Schema::Null) && !reader_branches {
                self.fails(branch, reader, "the writer may leave it null, the reader may not");
            } else {
                let before = self.walk.found.len();
                self.pair(branch, reader);
                if self.walk.found.len() == before {
                    self.fails(branch, reader, "a branch of the writer's union that the reader does not take");
                }
            }
        }
    }

    /// Why none of a reader's branches takes a type: in the branch of the same kind, if there is one.
    fn best_branch(&mut self, writer: &'a Schema, union: &'a UnionSchema, reader: &'a Schema) {
        let kind = |s: &Schema| std::mem::discriminant(s);
        let near = union.variants().iter().map(|b| resolved(b, &self.read)).find(|b| kind(b) == kind(writer));
        let before = self.walk.found.len();
        if let Some(near) = near {
            self.pair(writer, near);
        }
        if self.walk.found.len() == before {
            self.fails(writer, reader, "no branch of the reader's union takes it");
        }
    }

    fn records(&mut self, w: &'a RecordSchema, r: &'a RecordSchema, writer: &Schema, reader: &Schema) {
        if !same_name(&w.name, &r.name, r.aliases.as_deref()) {
            return self.fails(writer, reader, "records match by their names; give the reader's an alias");
        }
        for field in &r.fields {
            let written = w.fields.iter().find(|f| f.name == field.name).or_else(|| {
                let aliases = field.aliases.iter().flatten();
                aliases.into_iter().find_map(|alias| w.fields.iter().find(|f| f.name == *alias))
            });
            self.within(&format!(".{}", field.name), |this| match written {
                Some(written) => this.pair(&written.schema, &field.schema),
                None => this.missing(field),
            });
        }
    }

    fn missing(&mut self, field: &RecordField) {
        if field.default.is_none() {
            let rule = "a field that the writer does not have needs a default";
            self.walk.fails("nothing".into(), name_of(&field.schema), rule.into());
        }
    }
}

/// Named types match by their names without namespaces; the reader's may have been called otherwise before.
fn same_name(writer: &Name, reader: &Name, aliases: Option<&[apache_avro::schema::Alias]>) -> bool {
    writer.name == reader.name || aliases.into_iter().flatten().any(|alias| alias.name() == writer.name)
}

/// The type that a logical type is encoded as.
fn base(schema: &Schema) -> Schema {
    match schema {
        Schema::Date | Schema::TimeMillis => Schema::Int,
        Schema::TimeMicros
        | Schema::TimestampMillis
        | Schema::TimestampMicros
        | Schema::TimestampNanos
        | Schema::LocalTimestampMillis
        | Schema::LocalTimestampMicros
        | Schema::LocalTimestampNanos => Schema::Long,
        Schema::Uuid => Schema::String,
        Schema::BigDecimal => Schema::Bytes,
        Schema::Decimal(decimal) => base(&decimal.inner),
        other => other.clone(),
    }
}

/// Whether a type is read as another.
fn promotion(writer: &Schema, reader: &Schema) -> Result<(), &'static str> {
    use Schema::{Boolean, Bytes, Double, Duration, Float, Int, Long, Null, String};
    match (writer, reader) {
        (Null, Null) | (Boolean, Boolean) | (Duration, Duration) => Ok(()),
        (Int, Int | Long | Float | Double) | (Long, Long | Float | Double) | (Float, Float | Double) => Ok(()),
        (Double, Double) | (String | Bytes, String | Bytes) => Ok(()),
        (Int, _) => Err("an int is read only as int, long, float or double"),
        (Long, _) => Err("a long is read only as long, float or double"),
        (Float, _) => Err("a float is read only as float or double"),
        (Double, _) => Err("a double is read only as double"),
        (String | Bytes, _) => Err("strings and bytes are read only as each other"),
        (Null, _) => Err("null is read only as null"),
        _ => Err("the types do not match"),
    }
}

/// A type in a few words.
fn name_of(schema: &Schema) -> String {
    let named = |kind: &str, name: &Name| format!("{kind} {}", name.fullname(None));
    match schema {
        Schema::Record(r) => named("record", &r.name),
        Schema::Enum(e) => named("enum", &e.name),
        Schema::Fixed(f) => format!("{} of {} bytes", named("fixed", &f.name), f.size),
        Schema::Ref { name } => name.fullname(None),
        Schema::Array(a) => format!("array of {}", name_of(&a.items)),
        Schema::Map(m) => format!("map of {}", name_of(&m.types)),
        Schema::Union(u) => format!("[{}]", u.variants().iter().map(name_of).collect::<Vec<_>>().join(", ")),
        Schema::Decimal(d) => format!("decimal({}, {})", d.precision, d.scale),
        Schema::BigDecimal => "big-decimal".into(),
        Schema::TimeMillis => "time-millis".into(),
        Schema::TimeMicros => "time-micros".into(),
        Schema::TimestampMillis => "timestamp-millis".into(),
        Schema::TimestampMicros => "timestamp-micros".into(),
        Schema::TimestampNanos => "timestamp-nanos".into(),
        other => format!("{other:?}").split(['(', '{', ' ']).next().unwrap_or_default().to_lowercase(),
    }
}
