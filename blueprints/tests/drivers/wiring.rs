//! What ports become in the objects of each kind.

use serde_json::{Map, Value, json};
use tributary_blueprints::drivers;
use tributary_blueprints::resolve::resolve;

use super::pipeline;

/// The object that a template becomes when port `in` reads a topic and port `my-out` writes a dataset.
fn wired(template: Value) -> Value {
    let p =
        pipeline(json!({"name": "c", "reads": {"in": "clicks"}, "writes": {"my-out": "out"}, "template": template}));
    let resolved = resolve(&p, p.spec.blueprint.as_ref().unwrap()).unwrap();
    resolved.settled_object(&resolved.components[0])
}

const VARIABLES: [(&str, &str); 4] = [
    ("TRIBUTARY_IN_TOPIC", "apps.p.clicks"),
    ("TRIBUTARY_IN_BOOTSTRAP_SERVERS", "kafka:9092"),
    ("TRIBUTARY_IN_SCHEMA", "{\"type\":\"object\"}"),
    ("TRIBUTARY_MY_OUT_URI", "s3://bucket/out"),
];

/// The variables of a list of a container, but for those in `VARIABLES`, which must all be there.
fn others(env: &Value) -> Vec<(String, Value)> {
    let env = env.as_array().expect("a list");
    for (name, value) in VARIABLES {
        let found: Vec<&Value> = env.iter().filter(|e| e["name"] == name).collect();
        assert_eq!(found, [&json!({"name": name, "value": value})], "{name}");
    }
    let other = env.iter().filter(|e| VARIABLES.iter().all(|(name, _)| e["name"] != *name));
    other.map(|e| (e["name"].as_str().unwrap().to_owned(), e["value"].clone())).collect()
}

#[test]
fn pods_of_every_kind_are_told_what_their_ports_are_bound_to() {
    let pod = json!({"initContainers": [{"name": "first", "image": "x"}],
        "containers": [{"name": "main", "image": "x", "env": [{"name": "MINE", "value": "1"}]}]});
    let template = json!({"metadata": {"labels": {"app": "x"}}, "spec": pod});
    let labels = json!({"matchLabels": {"app": "x"}});
    let kinds = [
        ("batch/v1", "Job", json!({"template": template}), "/spec/template/spec"),
        (
            "batch/v1",
            "CronJob",
            json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}),
            "/spec/jobTemplate/spec/template/spec",
        ),
        ("apps/v1", "Deployment", json!({"selector": labels, "template": template}), "/spec/template/spec"),
        (
            "apps/v1",
            "StatefulSet",
            json!({"selector": labels, "serviceName": "x", "template": template}),
            "/spec/template/spec",
        ),
        ("apps/v1", "DaemonSet", json!({"selector": labels, "template": template}), "/spec/template/spec"),
        (
            "jobset.x-k8s.io/v1alpha2",
            "JobSet",
            json!({"replicatedJobs": [{"name": "a"}, {"name": "b", "template": {"spec": {"template": template}}}]}),
            "/spec/replicatedJobs/1/template/spec/template/spec",
        ),
        (
            "tributary.dev/v1alpha1",
            "JobFlow",
            json!({"flows": [{"name": "a", "jobTemplate": {"template": template}}]}),
            "/spec/flows/0/jobTemplate/template/spec",
        ),
        ("tributary.dev/v1alpha1", "DaemonJob", json!({"template": template}), "/spec/template/spec"),
    ];
    for (api_version, kind, spec, pointer) in kinds {
        let object = wired(json!({"apiVersion": api_version, "kind": kind, "spec": spec}));
        let pod = object.pointer(pointer).unwrap_or_else(|| panic!("{kind}"));
        assert_eq!(others(&pod["containers"][0]["env"]), [("MINE".to_owned(), json!("1"))], "{kind}");
        assert_eq!(others(&pod["initContainers"][0]["env"]), [], "{kind}");
    }
}

#[test]
fn what_a_template_says_of_a_variable_wins() {
    let env = json!([{"name": "TRIBUTARY_IN_TOPIC", "value": "mine"}]);
    let pod = json!({"containers": [{"name": "main", "image": "x", "env": env}]});
    let object = wired(json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}));
    let env = object.pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap();
    let of = |name: &str| env.iter().filter(|e| e["name"] == name).map(|e| e["value"].clone()).collect::<Vec<_>>();
    assert_eq!(of("TRIBUTARY_IN_TOPIC"), ["mine"]);
    assert_eq!(of("TRIBUTARY_MY_OUT_URI"), ["s3://bucket/out"]);
}

#[test]
fn kubeflows_driver_and_executor_have_the_variables_in_their_own_lists() {
    let spec = json!({
        "driver": {"cores": 1, "env": [{"name": "MINE", "value": "1"}]},
        "executor": {"instances": 2},
    });
    let kind =
        |kind: &str, spec: Value| json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": kind, "spec": spec});
    let plain = wired(kind("SparkApplication", spec.clone()));
    let scheduled = wired(kind("ScheduledSparkApplication", json!({"schedule": "@daily", "template": spec})));
    for spec in [&plain["spec"], &scheduled["spec"]["template"]] {
        assert_eq!(others(&spec["driver"]["env"]), [("MINE".to_owned(), json!("1"))]);
        assert_eq!(others(&spec["executor"]["env"]), []);
        assert_eq!((&spec["driver"]["cores"], &spec["executor"]["instances"]), (&json!(1), &json!(2)));
    }
    // said in an older field, or as one of Spark's own settings
    let said = wired(kind(
        "SparkApplication",
        json!({
            "sparkConf": {"spark.executorEnv.TRIBUTARY_IN_TOPIC": "mine"},
            "driver": {"envVars": {"TRIBUTARY_IN_TOPIC": "mine"},
                "envSecretKeyRefs": {"TRIBUTARY_MY_OUT_URI": {"name": "s", "key": "k"}}},
            "executor": {},
        }),
    ));
    let names = |role: &str| {
        let env = said["spec"][role]["env"].as_array().unwrap();
        env.iter().map(|e| e["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names("driver"), ["TRIBUTARY_IN_BOOTSTRAP_SERVERS", "TRIBUTARY_IN_SCHEMA"]);
    assert_eq!(names("executor"), ["TRIBUTARY_IN_BOOTSTRAP_SERVERS", "TRIBUTARY_IN_SCHEMA", "TRIBUTARY_MY_OUT_URI"]);
}

#[test]
fn apaches_driver_and_executor_have_the_variables_as_settings_of_spark() {
    let said = json!([{"name": "main", "env": [{"name": "TRIBUTARY_MY_OUT_URI", "value": "mine"}]}]);
    let object = wired(json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkApplication", "spec": {
        "sparkConf": {"spark.kubernetes.driverEnv.TRIBUTARY_IN_TOPIC": "mine", "spark.ui.port": "4040"},
        "executorSpec": {"podTemplateSpec": {"spec": {"containers": said}}},
    }}));
    let conf = &object["spec"]["sparkConf"];
    let mut expected = Map::new();
    for (name, value) in VARIABLES {
        let driver = if name == "TRIBUTARY_IN_TOPIC" { "mine" } else { value };
        expected.insert(format!("spark.kubernetes.driverEnv.{name}"), driver.into());
        if name != "TRIBUTARY_MY_OUT_URI" {
            expected.insert(format!("spark.executorEnv.{name}"), value.into());
        }
    }
    expected.insert("spark.ui.port".into(), "4040".into());
    assert_eq!(*conf, Value::Object(expected));
}

#[test]
fn flinks_main_container_has_the_variables() {
    let flink =
        |spec: Value| wired(json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "spec": spec}));
    let made = flink(json!({"job": {}}));
    let containers = made.pointer("/spec/podTemplate/spec/containers").unwrap().as_array().unwrap();
    assert_eq!((containers.len(), &containers[0]["name"]), (1, &json!("flink-main-container")));
    assert_eq!(others(&containers[0]["env"]), []);
    let own =
        json!([{"name": "log", "image": "x"}, {"name": "flink-main-container", "env": [{"name": "A", "value": "b"}]}]);
    let kept = flink(json!({"job": {}, "podTemplate": {"spec": {"containers": own}}}));
    let containers = kept.pointer("/spec/podTemplate/spec/containers").unwrap().as_array().unwrap();
    assert_eq!(containers.len(), 2);
    assert_eq!(others(&containers[1]["env"]), [("A".to_owned(), json!("b"))]);
}

#[test]
fn a_template_that_is_no_object_where_it_should_be_one_is_left_alone() {
    for driver in drivers::ALL {
        for spec in
            [json!("${parameters.x}"), json!([]), json!({"driver": 1, "template": 2, "sparkConf": "x", "job": 3})]
        {
            let mut object = json!({"apiVersion": "x/v1", "kind": driver.kind(), "spec": spec});
            let uri = tributary_blueprints::resolve::Dataset { uri: "s3://b/p".into(), ..Default::default() };
            let port = drivers::Port {
                name: "in",
                direction: drivers::Direction::Reads,
                target: drivers::Target::Dataset(&uri),
                schema: None,
            };
            driver.wire(&mut object, &[port]);
            driver.suspend(&mut object, true);
        }
    }
}
