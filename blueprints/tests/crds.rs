//! The excerpts of other operators' CustomResourceDefinitions in tests/crds, and templates of their kinds held against them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tributary_blueprints::drivers;
use tributary_blueprints::world::Served;
use tributary_blueprints::{Code, Problem, verify};
use tributary_crds::Pipeline;

fn definitions() -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/crds");
    let files = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().unwrap() == "yaml");
    files.map(|p| serde_yaml::from_str(&fs::read_to_string(p).unwrap()).unwrap()).collect()
}

fn served() -> Served {
    let mut served = Served::default();
    definitions().iter().for_each(|crd| served.add_definition(crd).unwrap());
    served
}

#[test]
fn every_foreign_kind_with_a_driver_has_its_definition() {
    let served = served();
    // KafkaTopic's comes from Strimzi's own archives
    let foreign = |group: &str| group.contains('.') && !matches!(group, "tributary.dev" | "kafka.strimzi.io");
    for driver in drivers::ALL.iter().filter(|d| foreign(d.group())) {
        let kind = served.get(driver.group(), driver.kind()).unwrap_or_else(|| panic!("{}", driver.kind()));
        assert!(kind.namespaced);
        let known: BTreeSet<&str> = driver.versions().iter().copied().collect();
        assert!(kind.versions.iter().all(|v| known.contains(v.as_str())), "{}: {:?}", driver.kind(), kind.versions);
        assert_eq!(driver.children(&served).len(), 1);
    }
    for crd in definitions() {
        let text = |pointer: &str| crd.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        assert_eq!(text("/metadata/name"), format!("{}.{}", text("/spec/names/plural"), text("/spec/group")));
        for version in crd["spec"]["versions"].as_array().unwrap() {
            assert_eq!(version["subresources"], json!({"status": {}}), "{}", text("/metadata/name"));
        }
        // the apiserver demands it of such groups
        let of_kubernetes = text("/spec/group").ends_with(".k8s.io");
        assert_eq!(of_kubernetes, crd.pointer("/metadata/annotations/api-approved.kubernetes.io").is_some());
    }
}

fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, v| !v.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

/// The states of the tables are such that an apiserver takes them.
#[test]
fn the_definitions_take_every_state_of_the_tables() {
    let mut seen = 0;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let kinds = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path().join("states.yaml")).filter(|p| p.exists());
    for path in kinds {
        let table: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let (group, version) = table["apiVersion"].as_str().unwrap().split_once('/').unwrap_or_default();
        let of = |crd: &Value| crd["spec"]["group"] == group && crd["spec"]["names"]["kind"] == table["kind"];
        let Some(crd) = definitions().into_iter().find(of) else { continue };
        let versions = crd["spec"]["versions"].as_array().unwrap();
        let found = versions.iter().find(|v| v["name"] == version).unwrap();
        let validator = jsonschema::validator_for(&found["schema"]["openAPIV3Schema"]["properties"]["status"]).unwrap();
        for row in table["rows"].as_array().unwrap() {
            let Some(mut status) = row.get("status").cloned() else { continue };
            without_nulls(&mut status);
            let faults: Vec<String> = validator.iter_errors(&status).map(|e| e.to_string()).collect();
            assert!(faults.is_empty(), "{}: {row}: {faults:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 70, "{seen}");
}

fn problems(components: Value) -> Vec<Problem> {
    let pipeline: Pipeline = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "apps"},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
            "stores": {"default": {"endpoint": "http://s3:9000"}},
            "blueprint": {
                "topics": [{"name": "clicks"}],
                "datasets": [{"name": "out", "location": "bucket/out"}],
                "components": components,
            },
        },
    }))
    .unwrap();
    verify::pipeline(&pipeline, pipeline.spec.blueprint.as_ref().unwrap(), Some(&served()))
}

fn component(name: &str, api_version: &str, kind: &str, spec: Value) -> Value {
    json!({"name": name, "reads": {"input": "clicks"}, "template": {"apiVersion": api_version, "kind": kind, "spec": spec}})
}

fn spark(spec: Value) -> Value {
    component("spark", "sparkoperator.k8s.io/v1beta2", "SparkApplication", spec)
}

#[test]
fn templates_of_other_operators_kinds_are_sound_once_they_are_wired() {
    let application = json!({"type": "Python", "sparkVersion": "3.5.3", "driver": {}, "executor": {"instances": 2}});
    let pod = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}}});
    let uses = "${components.spark.outputs.applicationId} ${components.spark.outputs.executionAttempts} \
                ${components.spark.status.applicationState.state} ${components.flink.outputs.jobId} \
                ${components.jobs.outputs.restarts} ${components.apache.outputs.attempts} \
                ${components.nightly.outputs.nextRun} ${components.service.outputs.address} \
                ${components.claim.outputs.volumeName}";
    let found = problems(json!([
        spark(application.clone()),
        component("nightly", "sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication",
            json!({"schedule": "@daily", "template": application})),
        component("apache", "spark.apache.org/v1beta1", "SparkApplication", json!({"sparkConf": {"spark.ui.port": "4040"}})),
        component("jobs", "jobset.x-k8s.io/v1alpha2", "JobSet", json!({"replicatedJobs": [{"name": "a", "template": pod}]})),
        component("flink", "flink.apache.org/v1beta1", "FlinkDeployment", json!({"job": {"jarURI": "local:///j.jar"}})),
        component("service", "v1", "Service", json!({"ports": [{"port": 80}]})),
        component("claim", "v1", "PersistentVolumeClaim", json!({"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}})),
        component("cron", "batch/v1", "CronJob", json!({"schedule": "@daily", "jobTemplate": pod})),
        {"name": "uses", "template": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"all": uses}}},
    ]));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn mistakes_in_them_are_told() {
    let sound = || json!({"type": "Python", "sparkVersion": "3.5.3", "driver": {}, "executor": {}});
    let told = |components: Value| -> Vec<(Code, String, Option<String>)> {
        problems(components).into_iter().map(|p| (p.code, p.path, p.suggestion)).collect()
    };
    let at = |path: &str| format!("spec.blueprint.components[0].template.spec.{path}");
    let mut spec = sound();
    spec["type"] = "Pyhton".into();
    assert_eq!(told(json!([spark(spec)])), [(Code::WrongValue, at("type"), Some("Python".into()))]);
    let mut spec = sound();
    spec["executor"]["instances"] = "two".into();
    assert_eq!(told(json!([spark(spec)])), [(Code::WrongType, at("executor.instances"), None)]);
    let output = |name: &str| {
        json!([spark(sound()), {"name": "uses", "template": {"apiVersion": "v1", "kind": "ConfigMap",
            "data": {"a": format!("${{components.spark.outputs.{name}}}")}}}])
    };
    let path = "spec.blueprint.components[1].template.data.a".to_owned();
    assert_eq!(told(output("aplicationId")), [(Code::UnknownOutput, path.clone(), Some("applicationId".into()))]);
    // a number where a ConfigMap wants text
    assert_eq!(told(output("executionAttempts")), [(Code::WrongType, path, None)]);
    let wrong = component("spark", "spark.apache.org/v2", "SparkApplication", json!({}));
    let path = "spec.blueprint.components[0].template.apiVersion".to_owned();
    assert_eq!(told(json!([wrong])), [(Code::UnknownKind, path, Some("spark.apache.org/v1".into()))]);
    let long = component(&"x".repeat(50), "flink.apache.org/v1beta1", "FlinkDeployment", json!({}));
    assert_eq!(told(json!([long])).iter().map(|p| p.0).collect::<Vec<_>>(), [Code::NameTooLong]);
}
