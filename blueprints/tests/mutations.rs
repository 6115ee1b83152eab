//! Random valid blueprints over random schemas, and edits of them that themselves say what must be found, and where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_blueprints::world::Served;
use tributary_blueprints::{Problem, resolve, verify};
use tributary_crds::{BlueprintSpec, Pipeline};

#[path = "sim/rng.rs"]
mod rng;
use rng::Rng;

/// Names that are far from each other, so that a slip has one nearest.
const WORDS: [&str; 8] =
    ["replicas", "endpoint", "capacity", "schedule", "checkpoint", "timeoutSeconds", "selectorLabels", "priority"];

const PARAMETERS: [(&str, &str); 5] =
    [("number", "integer"), ("label", "string"), ("enabled", "boolean"), ("ratio", "number"), ("regions", "array")];

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.below(all.len() as u32) as usize]
}

/// A random structural schema of an object, `depth` deep at most.
fn object_schema(rng: &mut Rng, depth: u32) -> Value {
    let mut words = WORDS.to_vec();
    let mut properties = Map::new();
    for _ in 0..1 + rng.below(4) {
        let name = words.remove(rng.below(words.len() as u32) as usize);
        properties.insert(name.to_owned(), schema(rng, depth));
    }
    let required: Vec<String> = properties.keys().filter(|_| rng.chance(50)).cloned().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn schema(rng: &mut Rng, depth: u32) -> Value {
    match rng.below(if depth == 0 { 6 } else { 9 }) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "integer", "minimum": 0}),
        2 => json!({"type": "boolean"}),
        3 => json!({"type": "number"}),
        4 => json!({"type": "string", "enum": ["Always", "Never", "OnFailure"]}),
        5 => json!({"x-kubernetes-int-or-string": true}),
        6 => json!({"type": "array", "items": schema(rng, depth - 1)}),
        7 => json!({"type": "object", "additionalProperties": schema(rng, 0)}),
        _ => object_schema(rng, depth - 1),
    }
}

/// A value that fits, with expressions here and there; `outputs` are components whose output `count` may be used.
fn value(rng: &mut Rng, schema: &Value, outputs: &[String]) -> Value {
    let expression = rng.chance(30);
    match schema["type"].as_str() {
        Some("object") => match schema["properties"].as_object() {
            Some(properties) => {
                let required = schema["required"].as_array().unwrap();
                let fields = properties.iter().filter(|(name, _)| required.contains(&json!(name)) || rng.chance(60));
                let fields: Vec<_> = fields.map(|(name, s)| (name.clone(), s)).collect();
                Value::Object(fields.into_iter().map(|(name, s)| (name, value(rng, s, outputs))).collect())
            }
            None => json!({"one": value(rng, &schema["additionalProperties"], outputs)}),
        },
        Some("array") => (0..rng.below(3)).map(|_| value(rng, &schema["items"], outputs)).collect::<Vec<_>>().into(),
        Some("string") if schema.get("enum").is_some() => (*pick(rng, &["Always", "Never", "OnFailure"])).into(),
        Some("string") if expression => (*pick(rng, &["${parameters.label}", "x-${parameters.number}"])).into(),
        Some("string") => "text".into(),
        Some("integer") if expression && !outputs.is_empty() => {
            format!("${{components.{}.outputs.count}}", pick(rng, outputs)).into()
        }
        Some("integer") if expression => "${parameters.number + 1}".into(),
        Some("integer") => rng.below(9).into(),
        Some("boolean") if expression => "${parameters.enabled || parameters.number > 1}".into(),
        Some("boolean") => true.into(),
        Some("number") if expression => "${parameters.ratio * 2.0}".into(),
        Some("number") => json!(1.5),
        _ => json!(7),
    }
}

struct Sample {
    spec: Value,
    schema: Value,
    served: Served,
}

fn sample(rng: &mut Rng) -> Sample {
    let schema = object_schema(rng, 3);
    let crd = json!({"spec": {"group": "random.example", "scope": "Namespaced",
    "names": {"kind": "Widget", "plural": "widgets"},
    "versions": [{"name": "v1", "served": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
        "spec": schema,
        "status": {"type": "object", "properties": {"count": {"type": "integer"}, "phase": {"type": "string"}}},
    }}}}]}});
    let mut served = Served::default();
    served.add_definition(&crd).unwrap();
    let n = 1 + rng.below(5) as usize;
    let mut components = Vec::new();
    for i in 0..n {
        let earlier: Vec<String> = (0..i).map(|j| format!("part{j}")).collect();
        let mut component = json!({
            "name": format!("part{i}"),
            "writes": {"out": format!("data{i}")},
            "status": {"succeeded": "self.status.phase == 'Done'", "outputs": {"count": "self.status.count"}},
            "template": {"apiVersion": "random.example/v1", "kind": "Widget", "spec": value(rng, &schema, &earlier)},
        });
        for j in 0..i {
            match rng.below(4) {
                0 => component["reads"][format!("in{j}")] = format!("data{j}").into(),
                1 if component.get("after").is_none() => component["after"] = json!([format!("part{j}")]),
                _ => {}
            }
        }
        components.push(component);
    }
    let parameters: Map<String, Value> = PARAMETERS
        .iter()
        .map(|(name, type_)| {
            (
                (*name).to_owned(),
                if *type_ == "array" {
                    json!({"type": "array", "items": {"type": "string"}})
                } else {
                    json!({"type": type_})
                },
            )
        })
        .collect();
    let datasets: Vec<Value> =
        (0..n).map(|i| json!({"name": format!("data{i}"), "location": format!("bucket/data{i}")})).collect();
    let spec = json!({"parameters": parameters, "datasets": datasets, "components": components});
    Sample { spec, schema, served }
}

fn problems(spec: &Value, served: &Served) -> Vec<Problem> {
    let spec: BlueprintSpec = serde_json::from_value(spec.clone()).unwrap();
    verify::blueprint(&spec, Some(served))
}

/// A part of a template that the schema describes: its path, a JSON pointer to it, and its schema.
struct Place {
    path: String,
    pointer: String,
    schema: Value,
}

fn places(value: &Value, schema: &Value, path: &str, pointer: &str, found: &mut Vec<Place>) {
    found.push(Place { path: path.to_owned(), pointer: pointer.to_owned(), schema: schema.clone() });
    match value {
        Value::Object(object) => {
            for (name, field) in object {
                let schema = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                places(field, schema, &format!("{path}.{name}"), &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                places(item, &schema["items"], &format!("{path}[{i}]"), &format!("{pointer}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// What an edit breaks: the code and the path, and what must be suggested where something must be.
struct Broken(&'static str, String, Option<String>);

fn broken(code: &'static str, path: impl Into<String>) -> Option<Broken> {
    Some(Broken(code, path.into(), None))
}

/// Breaks one rule of a valid blueprint; `None` where this sample has no place for it.
fn mutate(which: u32, sample: &mut Sample, rng: &mut Rng) -> Option<Broken> {
    let n = sample.spec["components"].as_array().unwrap().len();
    let i = rng.below(n as u32) as usize;
    let component = format!("spec.components[{i}]");
    if which < 7 {
        return in_template(which, sample, i, rng);
    }
    let spec = &mut sample.spec;
    let this = &mut spec["components"][i];
    match which {
        7 => {
            this["reads"]["slip"] = format!("dataa{i}").into();
            Some(Broken("UnknownTarget", format!("{component}.reads.slip"), Some(format!("data{i}"))))
        }
        8 => {
            this["after"] = json!(["prat0"]);
            // none is suggested to itself
            let near = (i != 0).then(|| "part0".to_owned());
            Some(Broken("UnknownComponent", format!("{component}.after[0]"), near))
        }
        9 => {
            let name = this["name"].clone();
            let again = json!({"name": name, "template": {"apiVersion": "else.example/v1", "kind": "Other"}});
            spec["components"].as_array_mut().unwrap().push(again);
            broken("DuplicateName", format!("spec.components[{n}].name"))
        }
        10 => {
            let name = this["name"].clone();
            this["after"] = json!([name]);
            broken("Cycle", component)
        }
        11 => {
            let again = json!({"name": "other", "writes": {"out": format!("data{i}")},
                "template": {"apiVersion": "else.example/v1", "kind": "Other"}});
            spec["components"].as_array_mut().unwrap().push(again);
            broken("DatasetWrittenTwice", format!("spec.components[{n}].writes.out"))
        }
        12 => {
            spec["parameters"]["number"]["default"] = "x".into();
            broken("BadDefault", "spec.parameters.number.default")
        }
        13 => {
            spec["datasets"][i]["location"] = "Not A Bucket/x".into();
            broken("BadLocation", format!("spec.datasets[{i}].location"))
        }
        14 => {
            this["retry"] = json!({"limit": 1, "backoff": "soon"});
            broken("BadDuration", format!("{component}.retry.backoff"))
        }
        15 => {
            this["template"]["metadata"] = json!({"name": "mine"});
            broken("ReservedField", format!("{component}.template.metadata.name"))
        }
        16 => {
            this["status"]["ready"] = "self.status.count".into();
            broken("WrongType", format!("{component}.status.ready"))
        }
        17 => {
            this["status"]["ready"] = "self.status.cuont == 1".into();
            Some(Broken("UnknownField", format!("{component}.status.ready"), Some("count".into())))
        }
        18 => {
            this["when"] = "parameters.label".into();
            broken("WrongType", format!("{component}.when"))
        }
        19 => {
            this["template"]["apiVersion"] = "random.example/v9".into();
            // what expressions make of its outputs is not touched
            Some(Broken("UnknownKind", format!("{component}.template.apiVersion"), Some("random.example/v1".into())))
        }
        20 => {
            this["forEach"] = "${parameters.label}".into();
            // others may use it as one component
            (n == i + 1).then(|| broken("WrongType", format!("{component}.forEach")))?
        }
        21 => {
            this["template"]["metadata"] = json!({"labels": {"size": "${parameters.number}"}});
            broken("WrongType", format!("{component}.template.metadata.labels.size"))
        }
        _ => {
            this["template"]["spce"] = json!({});
            Some(Broken("UnknownField", format!("{component}.template.spce"), Some("spec".into())))
        }
    }
}

const MUTATIONS: u32 = 23;

/// Breaks something within a template.
fn in_template(which: u32, sample: &mut Sample, i: usize, rng: &mut Rng) -> Option<Broken> {
    let template = &mut sample.spec["components"][i]["template"];
    let mut all = Vec::new();
    places(&template["spec"], &sample.schema, &format!("spec.components[{i}].template.spec"), "/spec", &mut all);
    let type_of = |p: &Place| p.schema["type"].as_str().unwrap_or_default().to_owned();
    let fits = |p: &Place| match which {
        0 | 1 => type_of(p) == "object" && p.schema.get("properties").is_some(),
        2 => !type_of(p).is_empty(),
        3 => matches!(type_of(p).as_str(), "integer" | "boolean" | "number" | "string"),
        4 => p.schema.get("enum").is_some(),
        5 => type_of(p) == "integer",
        _ => matches!(type_of(p).as_str(), "string" | "boolean"),
    };
    let candidates: Vec<&Place> = all.iter().filter(|p| fits(p)).collect();
    if candidates.is_empty() {
        return None;
    }
    let place = *pick(rng, &candidates);
    let at = template.pointer_mut(&place.pointer).unwrap();
    match which {
        0 => {
            let object = at.as_object_mut().unwrap();
            let name = object.keys().next()?.clone();
            let slip = format!("{}{}", &name[..name.len() - 1], "zz");
            let field = object.remove(&name).unwrap();
            object.insert(slip.clone(), field);
            Some(Broken("UnknownField", format!("{}.{slip}", place.path), Some(name)))
        }
        1 => {
            let required = place.schema["required"].as_array().unwrap().first()?.as_str().unwrap().to_owned();
            at.as_object_mut().unwrap().remove(&required);
            broken("MissingField", format!("{}.{required}", place.path))
        }
        2 => {
            *at = match type_of(place).as_str() {
                "object" | "array" => json!("text"),
                _ => json!([1]),
            };
            broken("WrongType", &place.path)
        }
        3 => {
            let wrong = match type_of(place).as_str() {
                "integer" => "${parameters.ratio}",
                "string" => "${parameters.number}",
                _ => "${parameters.regions}",
            };
            *at = wrong.into();
            broken("WrongType", &place.path)
        }
        4 => {
            *at = "Alway".into();
            Some(Broken("WrongValue", place.path.clone(), Some("Always".into())))
        }
        5 => {
            *at = (-1).into();
            broken("WrongValue", &place.path)
        }
        _ => {
            *at = "${parameters.lable}".into();
            Some(Broken("UnknownParameter", place.path.clone(), Some("label".into())))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_broken_rule_is_found_at_its_place_and_nothing_else(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let valid = sample(&mut rng);
        let found = problems(&valid.spec, &valid.served);
        prop_assert!(found.is_empty(), "{found:#?}\n{:#}\n{:#}", valid.schema, valid.spec);
        for which in 0..MUTATIONS {
            let mut rng = Rng::new(seed ^ u64::from(which));
            let mut mutant = Sample { spec: valid.spec.clone(), schema: valid.schema.clone(), served: valid.served.clone() };
            let Some(Broken(code, path, suggestion)) = mutate(which, &mut mutant, &mut rng) else { continue };
            let found = problems(&mutant.spec, &mutant.served);
            let told: Vec<(&str, &str)> = found.iter().map(|p| (p.code.as_str(), p.path.as_str())).collect();
            prop_assert_eq!(told, vec![(code, path.as_str())], "mutation {}: {:#?}\n{:#}\n{:#}", which, found, mutant.schema, mutant.spec);
            if suggestion.is_some() {
                prop_assert_eq!(&found[0].suggestion, &suggestion, "mutation {}: {:#?}", which, found);
            }
        }
    }

    #[test]
    fn a_valid_blueprint_is_ordered_by_its_edges(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let Sample { mut spec, .. } = sample(&mut rng);
        for (name, value) in [("number", json!(1)), ("label", json!("x")), ("enabled", json!(true)), ("ratio", json!(0.5)), ("regions", json!([]))] {
            spec["parameters"][name]["default"] = value;
        }
        let components = spec["components"].as_array_mut().unwrap();
        components.reverse();
        let pipeline: Pipeline = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"},
            "spec": {"blueprint": spec, "stores": {"default": {}}}})).unwrap();
        let resolved = resolve(&pipeline, pipeline.spec.blueprint.as_ref().unwrap()).unwrap();
        for edge in &resolved.graph.edges {
            prop_assert!(edge.from < edge.to);
            prop_assert!(resolved.components[edge.from].wave < resolved.components[edge.to].wave);
        }
        let diagram = tributary_blueprints::diagram::Diagram::of(&resolved, &Default::default());
        let drawn = [diagram.ascii(), diagram.mermaid(), diagram.dot(), diagram.svg()];
        for component in &resolved.components {
            prop_assert!(drawn.iter().all(|d| d.contains(&component.name)));
        }
    }

    /// Whatever stands where: a blueprint is refused or verified, and the verification comes back.
    #[test]
    fn nothing_makes_the_verification_panic(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let mut sample = sample(&mut rng);
        for _ in 0..1 + rng.below(6) {
            damage(&mut sample.spec, &mut rng);
        }
        let Ok(spec) = serde_json::from_value::<BlueprintSpec>(sample.spec.clone()) else { return Ok(()) };
        let pipeline: Pipeline = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"blueprintRef": {"name": "b"},
            "stores": {"default": {}}, "kafka": {"clusters": {"default": {"bootstrapServers": "k:9092"}}}}})).unwrap();
        let verified = catch_unwind(AssertUnwindSafe(|| {
            drop(verify::blueprint(&spec, Some(&sample.served)));
            verify::pipeline(&pipeline, &spec, None)
        }));
        prop_assert!(verified.is_ok(), "{:#}", sample.spec);
    }

    #[test]
    fn no_text_makes_the_verification_panic(text in "(?s).{0,400}") {
        if let Ok(spec) = serde_yaml::from_str::<BlueprintSpec>(&text) {
            drop(verify::blueprint(&spec, None));
        }
    }
}

/// Puts something else somewhere.
fn damage(value: &mut Value, rng: &mut Rng) {
    let strange = || {
        [
            json!(null),
            json!(true),
            json!(-1),
            json!(1e300),
            json!(""),
            json!("${"),
            json!("${a.b}"),
            json!("${each}"),
            json!("${components}"),
            json!("${components.part0.outputs.count + parameters.label}"),
            json!("$${x}"),
            json!("${[1,2].map(x, x.y)}"),
            json!("é\u{0}"),
            json!([]),
            json!({}),
            json!([[[]]]),
            json!({"": ""}),
            json!({"avro": {"type": "record", "name": "."}}),
            json!({"type": "array", "default": 1}),
            json!("a".repeat(300)),
        ]
    };
    let inner = match value {
        Value::Object(object) if !object.is_empty() && rng.chance(85) => {
            let key = object.keys().nth(rng.below(object.len() as u32) as usize).unwrap().clone();
            if rng.chance(10) {
                let moved = object.remove(&key).unwrap();
                object.insert(format!("{key}x"), moved);
                return;
            }
            if rng.chance(5) {
                object.insert("schemas".into(), json!({"s": pick(rng, &strange()).clone()}));
                return;
            }
            object.get_mut(&key)
        }
        Value::Array(items) if !items.is_empty() && rng.chance(85) => {
            let at = rng.below(items.len() as u32) as usize;
            if rng.chance(15) {
                let again = items[at].clone();
                items.push(again);
                return;
            }
            items.get_mut(at)
        }
        _ => None,
    };
    match inner {
        Some(inner) => damage(inner, rng),
        None => *value = pick(rng, &strange()).clone(),
    }
}
