//! Record schemas: what the report names, and that its verdict is that of the field's own libraries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_blueprints::records::{Schema, misfits};
use tributary_crds::{Any, RecordSchema};

fn avro(schema: Value) -> Schema {
    Schema::parse(&RecordSchema { avro: Some(Any(schema)), ..RecordSchema::default() }).unwrap()
}

fn json(schema: Value) -> Schema {
    Schema::parse(&RecordSchema { json_schema: Some(Any(schema)), ..RecordSchema::default() }).unwrap()
}

fn said(writer: &Schema, reader: &Schema) -> Vec<String> {
    misfits(writer, reader).iter().map(ToString::to_string).collect()
}

fn record(fields: Value) -> Value {
    json!({"type": "record", "name": "R", "fields": fields})
}

#[test]
fn avro_names_the_field_both_types_and_the_rule() {
    let address = |zip: Value| json!({"type": "record", "name": "Address", "fields": [{"name": "zip", "type": zip}]});
    let of = |zip: Value| avro(record(json!([{"name": "user", "type": ["null", address(zip)]}])));
    assert_eq!(
        said(&of(json!("string")), &of(json!("int"))),
        ["field `user.zip`: written as string, read as int: strings and bytes are read only as each other"]
    );
    assert!(said(&of(json!("int")), &of(json!("long"))).is_empty(), "an int is read as long");
    assert_eq!(said(&of(json!("long")), &of(json!("int"))).len(), 1, "a long is not read as int");
}

#[test]
fn avro_resolution_goes_by_its_specification() {
    let one = |type_: Value| avro(record(json!([{"name": "f", "type": type_}])));
    let e = |symbols: Value, default: Option<&str>| {
        let mut e = json!({"type": "enum", "name": "E", "symbols": symbols});
        if let Some(default) = default {
            e["default"] = default.into();
        }
        one(e)
    };
    let cases: Vec<(Schema, Schema, &[&str])> = vec![
        (avro(record(json!([]))), one(json!("int")), &["`f`", "nothing", "needs a default"]),
        (one(json!(["null", "int"])), one(json!("int")), &["null, the reader may not"]),
        (one(json!("int")), one(json!(["null", "string"])), &["no branch"]),
        (e(json!(["A", "B"]), None), e(json!(["A"]), None), &["no symbol B"]),
        (avro(json!({"type": "record", "name": "X", "fields": []})), avro(record(json!([]))), &["record X", "alias"]),
        (
            one(json!({"type": "fixed", "name": "F", "size": 4})),
            one(json!({"type": "fixed", "name": "F", "size": 8})),
            &["4 bytes", "8 bytes"],
        ),
        (one(json!({"type": "array", "items": "double"})), one(json!({"type": "array", "items": "float"})), &["`f[]`"]),
        (one(json!({"type": "map", "values": "boolean"})), one(json!({"type": "map", "values": "int"})), &["`f.*`"]),
    ];
    for (writer, reader, words) in &cases {
        let said = said(writer, reader).join("\n");
        assert!(!said.is_empty() && words.iter().all(|w| said.contains(w)), "{words:?}: {said}");
    }
    let fine: Vec<(Schema, Schema)> = vec![
        (one(json!("int")), avro(record(json!([])))),
        (avro(record(json!([]))), avro(record(json!([{"name": "f", "type": "int", "default": 0}])))),
        (one(json!("int")), one(json!(["null", "long"]))),
        (e(json!(["A", "B"]), None), e(json!(["A"]), Some("A"))),
        (one(json!("string")), one(json!("bytes"))),
        (
            avro(json!({"type": "record", "name": "Old", "fields": [{"name": "a", "type": "int"}]})),
            avro(
                json!({"type": "record", "name": "New", "aliases": ["Old"], "fields": [{"name": "b", "aliases": ["a"], "type": "int"}]}),
            ),
        ),
        // a type that is written out in one and referred to by name in the other
        (
            avro(record(
                json!([{"name": "a", "type": {"type": "fixed", "name": "F", "size": 2}}, {"name": "b", "type": "F"}]),
            )),
            avro(record(json!([{"name": "b", "type": {"type": "fixed", "name": "F", "size": 2}}]))),
        ),
        // one that refers to itself
        (
            avro(record(json!([{"name": "next", "type": ["null", "R"]}]))),
            avro(record(json!([{"name": "next", "type": ["null", "R"]}]))),
        ),
    ];
    for (writer, reader) in &fine {
        assert_eq!(said(writer, reader), Vec::<String>::new());
    }
}

#[test]
fn json_schema_names_the_field_both_types_and_the_rule() {
    let object = |properties: Value, required: Value| {
        json(json!({"type": "object", "properties": properties, "required": required}))
    };
    let cases: Vec<(Schema, Schema, &str)> = vec![
        (
            object(json!({"id": {"type": "string"}}), json!(["id"])),
            object(json!({"id": {"type": "integer"}}), json!(["id"])),
            "field `id`: written as string, read as integer: the reader takes no string",
        ),
        (
            object(json!({"id": {"type": "string"}}), json!([])),
            object(json!({"id": {"type": "string"}}), json!(["id"])),
            "field `id`: written as string, or left out, read as string: the reader requires a field that the writer may leave out",
        ),
        (
            json(json!({"type": "number"})),
            json(json!({"type": "integer"})),
            "the record: written as number, read as integer: a number may have a fraction",
        ),
        (
            object(json!({"tags": {"type": "array", "items": {"type": ["string", "null"]}}}), json!([])),
            object(json!({"tags": {"type": "array", "items": {"type": "string"}}}), json!([])),
            "field `tags[]`: written as null or string, read as string: the writer may write null",
        ),
        (
            object(json!({"a": {"type": "string"}}), json!([])),
            json(json!({"type": "object", "additionalProperties": false})),
            "field `a`: written as string, read as nothing: the reader takes no other fields",
        ),
        (
            object(json!({"mode": {"enum": ["fast", "slow", "off"]}}), json!([])),
            object(json!({"mode": {"enum": ["fast", "slow"]}}), json!([])),
            "field `mode`: written as one of \"fast\", \"slow\", \"off\", read as one of \"fast\", \"slow\": the reader does not take \"off\"",
        ),
        (
            json(json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer", "minimum": 0}}})),
            json(json!({"type": "integer", "minimum": 1})),
            "the record: written as minimum 0, read as minimum 1: the writer may write less",
        ),
        (
            json(json!({"type": "number", "exclusiveMinimum": 0, "maximum": 3})),
            json(json!({"type": "number", "minimum": 0, "exclusiveMaximum": 3})),
            "the record: written as maximum 3, read as exclusiveMaximum 3: the writer may write more",
        ),
        (
            json(json!({"type": "number", "maximum": 1})),
            json(json!({"type": "number", "maximum": 0})),
            "the record: written as maximum 1, read as maximum 0: the writer may write more",
        ),
        (
            object(json!({"n": {"enum": [1, 2, 5]}}), json!([])),
            object(json!({"n": {"type": "integer", "minimum": 2}}), json!([])),
            "field `n`: written as one of 1, 2, 5, read as integer: the reader does not take 1",
        ),
        (
            json(json!({"const": {"tags": ["a", "bc"]}})),
            json(
                json!({"properties": {"tags": {"items": {"$ref": "#/$defs/tag"}}, "more": {"$ref": "https://example.com/more"}},
                "$defs": {"tag": {"maxLength": 1}}}),
            ),
            "the record: written as one of {\"tags\":[\"a\",\"bc\"]}, read as object: the reader does not take {\"tags\":[\"a\",\"bc\"]}",
        ),
        (
            json(json!({"type": "integer", "minimum": 0})),
            json(json!({"type": "integer", "exclusiveMinimum": 0})),
            "the record: written as minimum 0, read as exclusiveMinimum 0: the writer may write less",
        ),
    ];
    for (writer, reader, expected) in &cases {
        assert_eq!(said(writer, reader), [*expected]);
    }
}

#[test]
fn a_json_schema_reads_what_is_narrower() {
    let cases = [
        (json!({"type": "integer", "exclusiveMinimum": 0}), json!({"type": "integer", "minimum": 1})),
        (json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true}), json!({"minimum": 1})),
        (json!({"type": "integer", "maximum": 2.5}), json!({"exclusiveMaximum": 3})),
        (json!({"type": "number", "exclusiveMinimum": 1}), json!({"type": "number", "minimum": 1})),
        (json!({"type": "string"}), json!({"type": "string", "minLength": 0})),
        // a listed value that the writer itself does not take
        (json!({"type": "string", "enum": ["a", 1]}), json!({"type": "string"})),
        (json!({"enum": [1, "a"]}), json!({"anyOf": [{"type": "string"}, {"minimum": 1}]})),
        (
            json!({"$ref": "#/$defs/color", "not": {"const": "red"}, "$defs": {"color": {"enum": ["red", "green"]}}}),
            json!({"enum": ["green"]}),
        ),
        (
            json!({"$ref": "#/$defs/n", "minimum": 2, "$defs": {"n": {"type": "integer"}}}),
            json!({"type": "integer", "minimum": 1}),
        ),
        (json!({"type": "integer", "multipleOf": 10, "minimum": 1}), json!({"exclusiveMinimum": 5})),
        (json!({"enum": [1, [2]]}), json!({"enum": [1.0, [2.0], 3]})),
        (json!({"const": 1}), json!({"minimum": 1, "exclusiveMinimum": true})),
        (json!({"const": {"a": 1}, "unevaluatedProperties": false}), json!({"required": ["b"]})),
        // what is not known is let through
        (json!({"$ref": "#"}), json!({"$ref": "#"})),
        (json!({"const": 1}), json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]})),
        (json!({"enum": ["a"]}), json!({"type": "string", "pattern": "("})),
        (json!({"enum": ["a"]}), json!({"$ref": "https://example.com/other"})),
    ];
    for (writer, reader) in cases {
        assert_eq!(said(&json(writer.clone()), &json(reader.clone())), Vec::<String>::new(), "{writer} -> {reader}");
    }
}

#[test]
fn another_encoding_is_never_readable() {
    assert_eq!(said(&avro(json!("string")), &json(json!({"type": "string"}))).len(), 1);
}

#[test]
fn what_is_no_schema_is_told_at_its_place() {
    let faults =
        |schema: RecordSchema| Schema::parse(&schema).unwrap_err().into_iter().map(|f| f.path).collect::<Vec<_>>();
    let of_avro = |schema: Value| faults(RecordSchema { avro: Some(Any(schema)), ..RecordSchema::default() });
    assert_eq!(of_avro(json!({"type": "record", "name": "1x", "fields": []})), [".avro.name"]);
    assert_eq!(of_avro(record(json!([{"name": "a b", "type": "int"}]))), [".avro.fields[0].name"]);
    assert_eq!(of_avro(record(json!([{"name": "a", "type": "intt"}]))), [".avro"]);
    let of_json = |schema: Value| faults(RecordSchema { json_schema: Some(Any(schema)), ..RecordSchema::default() });
    assert_eq!(of_json(json!({"properties": {"a": {"type": "strng"}}})), [".jsonSchema.properties.a.type"]);
    assert_eq!(
        of_json(json!({"items": {"$ref": "#/$defs/none"}})),
        [".jsonSchema.items.$ref".replace(".$ref", "[\"$ref\"]")]
    );
    assert_eq!(of_json(json!({"required": "a"})), [".jsonSchema.required"]);
}

fn avro_type() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec!["null", "boolean", "int", "long", "float", "double", "bytes", "string"]);
    leaf.prop_map(Value::from).prop_recursive(3, 12, 3, |inner| {
        let unions = prop::collection::vec(inner.clone(), 1..4).prop_map(|mut branches| {
            // a union has one branch a kind, and none that is a union
            let mut seen = std::collections::BTreeSet::new();
            let kind = |v: &Value| v.as_str().map_or_else(|| v["type"].to_string(), str::to_owned);
            branches.retain(|b| !b.is_array() && seen.insert(kind(b)));
            if branches.is_empty() { json!("null") } else { Value::Array(branches) }
        });
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|values| json!({"type": "map", "values": values})),
            unions,
            prop::collection::vec(("[abc]", inner, any::<bool>()), 0..3).prop_map(fields),
        ]
    })
}

fn fields(list: Vec<(String, Value, bool)>) -> Value {
    let mut seen = std::collections::BTreeSet::new();
    let list: Vec<Value> = list
        .into_iter()
        .filter(|(name, _, _)| seen.insert(name.clone()))
        .map(|(name, type_, default)| match (default, type_.as_str()) {
            (true, Some("int" | "long")) => json!({"name": name, "type": type_, "default": 1}),
            (true, Some("string")) => json!({"name": name, "type": type_, "default": ""}),
            _ => json!({"name": name, "type": type_}),
        })
        .collect();
    // records in records need names of their own, which the shape gives
    let shape: u64 =
        serde_json::to_string(&list).unwrap().bytes().fold(7, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    json!({"type": "record", "name": format!("R{}", if list.is_empty() { 0 } else { shape % 2 }), "fields": list})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The crate's own check is the reference where it is complete: schemas without references.
    #[test]
    fn avro_agrees_with_its_library(writer in avro_type(), reader in avro_type()) {
        let parse = |schema: &Value| apache_avro::Schema::parse(schema);
        let (Ok(w), Ok(r)) = (parse(&writer), parse(&reader)) else { return Ok(()) };
        let has_reference = |v: &apache_avro::Schema| format!("{v:?}").contains("Ref {");
        prop_assume!(!has_reference(&w) && !has_reference(&r));
        let theirs = apache_avro::schema_compatibility::SchemaCompatibility::can_read(&w, &r);
        let ours = said(&avro(writer.clone()), &avro(reader.clone()));
        let told = format!("{writer} -> {reader}\n{theirs:?}\n{ours:?}");
        // the library does not read a union as one type, which the specification allows
        prop_assert!(theirs.is_err() || ours.is_empty(), "{told}");
        prop_assert!(theirs.is_ok() || !ours.is_empty() || format!("{w:?}").contains("Union"), "{told}");
    }

    #[test]
    fn a_schema_reads_what_itself_writes(schema in avro_type()) {
        if apache_avro::Schema::parse(&schema).is_ok() {
            prop_assert_eq!(said(&avro(schema.clone()), &avro(schema)), Vec::<String>::new());
        }
    }

    #[test]
    fn no_avro_schema_makes_the_parser_panic(schema in any_json()) {
        let declared = RecordSchema { avro: Some(Any(schema)), ..RecordSchema::default() };
        prop_assert!(catch_unwind(AssertUnwindSafe(|| drop(Schema::parse(&declared)))).is_ok());
    }

    /// Whatever the writer's schema takes, the reader's takes, unless we say that it does not.
    #[test]
    fn a_json_record_that_can_be_written_can_be_read(
        writer in json_schema(), reader in json_schema(), records in prop::collection::vec(any_record(), 24)
    ) {
        // several alternatives may take a record together, which is not looked into
        if several(&reader) {
            return Ok(());
        }
        let (w, r) = (jsonschema::validator_for(&writer).unwrap(), jsonschema::validator_for(&reader).unwrap());
        if said(&json(writer.clone()), &json(reader.clone())).is_empty() {
            for record in records.iter().filter(|record| w.is_valid(record) && only_named(record, &writer)) {
                prop_assert!(r.is_valid(record), "{record} is written by {writer} and not read by {reader}");
            }
        }
    }

    /// Of one value, the verdict is the library's.
    #[test]
    fn a_listed_value_is_told_just_where_the_reader_does_not_take_it(value in any_record(), reader in json_schema()) {
        let told = said(&json(json!({"const": value})), &json(reader.clone()));
        let takes = jsonschema::is_valid(&reader, &value);
        prop_assert_eq!(told.is_empty(), takes, "{} by {}: {:?}", value, reader, told);
    }

    #[test]
    fn a_json_schema_reads_what_itself_writes(schema in json_schema()) {
        prop_assert_eq!(said(&json(schema.clone()), &json(schema)), Vec::<String>::new());
    }

    /// What the library takes for a schema, we do; what it does not, we may only be more lenient about.
    #[test]
    fn a_sound_json_schema_has_no_faults(schema in json_schema()) {
        prop_assert!(jsonschema::meta::is_valid(&schema));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "record", "enum", "fixed", "array", "map", "int", "R", "a.b", "", "1", ".", "é", "union", "null"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = prop::sample::select(vec![
            "type",
            "name",
            "namespace",
            "fields",
            "items",
            "values",
            "symbols",
            "size",
            "aliases",
            "default",
            "logicalType",
            "precision",
            "scale",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5)
                .prop_map(|m| m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

fn json_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        prop::sample::select(vec!["string", "integer", "number", "boolean", "null"]).prop_map(|t| json!({"type": t})),
        Just(json!({"type": ["string", "null"]})),
        (0_i64..3, 0_i64..4).prop_map(|(min, more)| json!({"type": "integer", "minimum": min, "maximum": min + more})),
        (prop::sample::select(vec!["integer", "number"]), -1_i64..3, 1_i64..4).prop_map(|(type_, min, more)| {
            json!({"type": type_, "exclusiveMinimum": min, "exclusiveMaximum": min + more})
        }),
        (0_u64..2, 0_u64..3)
            .prop_map(|(min, more)| json!({"type": "string", "minLength": min, "maxLength": min + more})),
        prop::sample::subsequence(vec![json!("a"), json!("b"), json!(1), json!(null)], 1..4)
            .prop_map(|v| json!({"enum": v})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field = ("[abc]", inner.clone(), any::<bool>());
        prop_oneof![
            (prop::collection::vec(field, 0..4), prop::option::of(any::<bool>())).prop_map(|(fields, others)| {
                let properties: serde_json::Map<String, Value> =
                    fields.iter().map(|(n, s, _)| (n.clone(), s.clone())).collect();
                let mut required: Vec<&str> = fields.iter().filter(|f| f.2).map(|f| f.0.as_str()).collect();
                required.sort_unstable();
                required.dedup();
                let mut schema = json!({"type": "object", "properties": properties, "required": required});
                if let Some(others) = others {
                    schema["additionalProperties"] = others.into();
                }
                schema
            }),
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|branches| json!({"anyOf": branches})),
        ]
    })
}

fn any_record() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(true)),
        (-1_i64..6).prop_map(Value::from),
        Just(json!(1.5)),
        "[ab]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

/// Whether a schema has alternatives.
fn several(schema: &Value) -> bool {
    match schema {
        Value::Object(o) => {
            o.get("anyOf").and_then(Value::as_array).is_some_and(|b| b.len() > 1) || o.values().any(several)
        }
        Value::Array(items) => items.iter().any(several),
        _ => false,
    }
}

/// A writer writes the fields that its schema names.
fn only_named(record: &Value, schema: &Value) -> bool {
    if let Some(branches) = schema["anyOf"].as_array() {
        let is_one_of = |branch: &Value| jsonschema::is_valid(branch, record) && only_named(record, branch);
        return branches.iter().any(is_one_of);
    }
    match record {
        Value::Object(fields) => fields.iter().all(|(name, value)| match schema["properties"].get(name) {
            Some(schema) => only_named(value, schema),
            None => schema["additionalProperties"] == json!(true) || schema == &json!(true),
        }),
        Value::Array(items) => items.iter().all(|item| only_named(item, &schema["items"]) || schema["items"].is_null()),
        _ => true,
    }
}
