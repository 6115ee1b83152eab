//! Blueprints as large as they may be. Times are printed and not asserted: `cargo xtask bench verify` measures.

#![allow(clippy::unwrap_used)]

use std::time::Instant;

use serde_json::{Value, json};
use tributary_blueprints::{Code, verify};
use tributary_crds::BlueprintSpec;

const N: usize = 10_000;

fn job(i: usize, after: Vec<usize>) -> Value {
    json!({"name": format!("c{i}"), "after": after.iter().map(|j| format!("c{j}")).collect::<Vec<_>>(), "template": {
        "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "x", "args": ["${parameters.word}", "${string(run.number)}"]}]}}}}})
}

fn blueprint(components: Vec<Value>) -> BlueprintSpec {
    serde_json::from_value(json!({"parameters": {"word": {"type": "string"}}, "components": components})).unwrap()
}

fn verified(what: &str, spec: &BlueprintSpec) -> Vec<tributary_blueprints::Problem> {
    let start = Instant::now();
    let found = verify::blueprint(spec, None);
    println!("{what}: {} components in {:?}", spec.components.len(), start.elapsed());
    found
}

#[test]
fn ten_thousand_components_verify() {
    let chain = blueprint((0..N).map(|i| job(i, if i == 0 { vec![] } else { vec![i - 1] })).collect());
    assert!(verified("a chain", &chain).is_empty());
    // layers of two, each waiting for both of the layer before: 2^5000 ways from top to bottom
    let diamonds =
        blueprint((0..N).map(|i| job(i, if i < 2 { vec![] } else { vec![i / 2 * 2 - 2, i / 2 * 2 - 1] })).collect());
    assert!(verified("layered diamonds", &diamonds).is_empty());
    let ring = blueprint((0..N).map(|i| job(i, vec![(i + 1) % N])).collect());
    let found = verified("a ring", &ring);
    assert_eq!(found.iter().map(|p| p.code).collect::<Vec<_>>(), [Code::Cycle]);
    assert!(found[0].message.len() < 1_000);
}

#[test]
fn ten_thousand_slips_are_all_found() {
    let mut spec = blueprint((0..N).map(|i| job(i, vec![])).collect());
    for (i, component) in spec.components.iter_mut().enumerate() {
        component.after = vec![format!("d{i}")];
    }
    assert_eq!(verified("slips", &spec).len(), N);
}

#[test]
fn a_product_of_edges_is_refused() {
    let n = 1_500;
    let components = (0..n).map(|i| {
        let mut c = job(i, vec![]);
        let side = if i % 2 == 0 { "writes" } else { "reads" };
        c[side] = json!({"io": "all"});
        c
    });
    let mut spec = blueprint(components.collect());
    spec.topics = serde_json::from_value(json!([{"name": "all"}])).unwrap();
    let found = verified("a product", &spec);
    assert_eq!(found.iter().map(|p| p.code).collect::<Vec<_>>(), [Code::TooLarge]);
}

#[test]
fn a_list_that_is_too_long_is_refused() {
    let list: Vec<String> = (0..1_001).map(|i| format!("i{i}")).collect();
    let spec: BlueprintSpec = serde_json::from_value(json!({
        "parameters": {"all": {"type": "array", "items": {"type": "string"}, "default": list}},
        "components": [{"name": "a", "forEach": "${parameters.all}", "template": {"apiVersion": "else.example/v1", "kind": "Other"}}],
    })).unwrap();
    assert_eq!(verified("a list", &spec).iter().map(|p| p.code).collect::<Vec<_>>(), [Code::TooLarge]);
}
