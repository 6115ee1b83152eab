//! Drivers: how ports are wired into each kind, what edits come to, and what holds of any status whatever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kube::core::DynamicObject;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_blueprints::change::Effect;
use tributary_blueprints::drivers::{self, Component, Lifetime};
use tributary_blueprints::evaluate;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::Action;
use tributary_blueprints::resolve::resolve;
use tributary_blueprints::world::{Served, World};
use tributary_crds::{ComponentStatus, Health, Pipeline, Timestamp};

fn driver(api_version: &str, kind: &str) -> &'static dyn Component {
    let gvk = Gvk::parse(api_version, kind);
    drivers::of(&gvk.group, &gvk.kind)
}

fn pipeline(component: Value) -> Pipeline {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "apps", "uid": "pipeline", "generation": 1},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
            "stores": {"default": {"endpoint": "http://s3:9000"}},
            "blueprint": {
                "schemas": {"click": {"jsonSchema": {"type": "object"}}},
                "topics": [{"name": "clicks", "schema": "click"}],
                "datasets": [{"name": "out", "location": "bucket/out"}],
                "components": [component],
            },
        },
    }))
    .unwrap()
}

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

#[test]
fn lifetimes() {
    let rows = [
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", json!({}), Lifetime::Batch),
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({"restartPolicy": {"type": "OnFailure"}}),
            Lifetime::Batch,
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({"restartPolicy": {"type": "Always"}}),
            Lifetime::Stream,
        ),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", json!({}), Lifetime::Stream),
        ("spark.apache.org/v1", "SparkApplication", json!({}), Lifetime::Batch),
        (
            "spark.apache.org/v1",
            "SparkApplication",
            json!({"applicationTolerations": {"restartConfig": {"restartPolicy": "Always"}}}),
            Lifetime::Stream,
        ),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({"job": {}}), Lifetime::Stream),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({}), Lifetime::Stream),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"job": {}, "flinkConfiguration": {"execution.runtime-mode": "BATCH"}}),
            Lifetime::Batch,
        ),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), Lifetime::Batch),
        ("batch/v1", "CronJob", json!({}), Lifetime::Stream),
        ("apps/v1", "StatefulSet", json!({}), Lifetime::Stream),
        ("apps/v1", "DaemonSet", json!({}), Lifetime::Stream),
        ("v1", "ConfigMap", json!({}), Lifetime::Static),
        ("v1", "Secret", json!({}), Lifetime::Static),
        ("v1", "Service", json!({}), Lifetime::Static),
        ("v1", "PersistentVolumeClaim", json!({}), Lifetime::Static),
        ("example.com/v1", "Widget", json!({}), Lifetime::Either),
    ];
    for (api_version, kind, spec, lifetime) in rows {
        assert_eq!(driver(api_version, kind).lifetime(&json!({"spec": spec})), lifetime, "{kind} {spec}");
    }
}

#[test]
fn how_each_kind_is_stopped_and_let_go() {
    let rows = [
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "ScheduledSparkApplication",
            json!({}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        ("spark.apache.org/v1", "SparkApplication", json!({}), None),
        (
            "spark.apache.org/v1",
            "SparkApplication",
            json!({"suspend": false}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({}), None),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"job": {"jarURI": "x"}}),
            Some((
                json!({"job": {"jarURI": "x", "state": "suspended"}}),
                json!({"job": {"jarURI": "x", "state": "running"}}),
            )),
        ),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("batch/v1", "Job", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("batch/v1", "CronJob", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("apps/v1", "Deployment", json!({"replicas": 2}), Some((json!({"replicas": 0}), json!({"replicas": 0})))),
        ("apps/v1", "StatefulSet", json!({"replicas": 2}), Some((json!({"replicas": 0}), json!({"replicas": 0})))),
        ("apps/v1", "DaemonSet", json!({}), None),
        ("v1", "Service", json!({}), None),
        ("example.com/v1", "Widget", json!({}), None),
        (
            "example.com/v1",
            "Widget",
            json!({"suspend": false}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
    ];
    for (api_version, kind, spec, turned) in rows {
        let driver = driver(api_version, kind);
        let mut object = json!({"spec": spec});
        assert_eq!(driver.suspended(&object), turned.as_ref().map(|_| false), "{kind} {spec}");
        let Some((off, on)) = turned else { continue };
        driver.suspend(&mut object, true);
        assert_eq!((&object["spec"], driver.suspended(&object)), (&off, Some(true)), "{kind}");
        driver.suspend(&mut object, false);
        assert_eq!(object["spec"], on, "{kind}");
    }
}

#[test]
fn what_an_edit_comes_to() {
    let claim = |class: &str| json!({"spec": {"storageClassName": class}});
    let rows = [
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", json!({}), json!({}), Effect::Replace),
        ("spark.apache.org/v1", "SparkApplication", json!({}), json!({}), Effect::Replace),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", json!({}), json!({}), Effect::InPlace),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), json!({}), Effect::Replace),
        ("batch/v1", "CronJob", json!({}), json!({}), Effect::InPlace),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"spec": {"job": {}}}),
            json!({"spec": {"job": {}}}),
            Effect::Restart,
        ),
        ("v1", "PersistentVolumeClaim", claim("slow"), claim("slow"), Effect::InPlace),
        ("v1", "PersistentVolumeClaim", claim("slow"), json!({"spec": {}}), Effect::InPlace),
        ("v1", "PersistentVolumeClaim", claim("slow"), claim("fast"), Effect::Refused),
        ("apps/v1", "DaemonSet", json!({"spec": {"template": 1}}), json!({"spec": {"template": 2}}), Effect::Restart),
        ("apps/v1", "StatefulSet", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), Effect::InPlace),
        (
            "v1",
            "Secret",
            json!({"immutable": true, "data": {"a": "Yg=="}}),
            json!({"data": {"a": "Yg=="}}),
            Effect::InPlace,
        ),
        (
            "v1",
            "Secret",
            json!({"immutable": true, "data": {"a": "Yg=="}}),
            json!({"data": {"a": "eA=="}}),
            Effect::Replace,
        ),
        ("v1", "ConfigMap", json!({"immutable": true}), json!({"immutable": false}), Effect::Replace),
    ];
    for (api_version, kind, old, new, effect) in rows {
        let change = driver(api_version, kind).change(&old, &new);
        assert_eq!(change.effect, effect, "{kind} {old} -> {new}: {}", change.reason);
        assert!(!change.reason.is_empty());
    }
}

#[test]
fn the_served_version_of_a_kind_is_found() {
    let mut served = Served::default();
    let spark = driver("spark.apache.org/v1", "SparkApplication");
    assert!(spark.children(&served).is_empty());
    for (version, found) in
        [("v1alpha1", Some("v1alpha1")), ("v1beta1", Some("v1beta1")), ("v1", Some("v1")), ("v7", None)]
    {
        let gvk = Gvk::new("spark.apache.org", version, "SparkApplication");
        served.add(&gvk, "sparkapplications", true);
        assert_eq!(spark.children(&served).first().map(|g| g.version.as_str()), found);
    }
    // clusters are full of Secrets that are nobody's component
    for (api_version, kind) in
        [("v1", "Secret"), ("v1", "ConfigMap"), ("apps/v1", "StatefulSet"), ("apps/v1", "Deployment")]
    {
        served.add(&Gvk::parse(api_version, kind), "x", true);
    }
    let watched = tributary_blueprints::watched(&served);
    assert_eq!(watched.iter().map(|g| g.kind.as_str()).collect::<Vec<_>>(), ["Deployment"]);
}

/// A Pipeline of one component, after `evaluate` has been carried out as long as there is something to write.
struct One {
    world: World,
    now: Timestamp,
}

impl One {
    fn new(template: &Value) -> Self {
        let pipeline = pipeline(json!({"name": "c", "template": template}));
        let mut world = World { pipeline, ..World::default() };
        let gvk = Gvk::parse(template["apiVersion"].as_str().unwrap(), template["kind"].as_str().unwrap());
        std::sync::Arc::make_mut(&mut world.served).add(&gvk, "x", true);
        let mut one = Self { world, now: "2026-01-01T00:00:00Z".parse().unwrap() };
        // the topic of the blueprint is nobody's concern here
        one.world.pipeline.spec.blueprint.as_mut().unwrap().topics.clear();
        one.settle();
        let problems = &one.world.pipeline.status.as_ref().unwrap().problems;
        assert!(problems.is_empty(), "{problems:#?}");
        one
    }

    /// The whole status as text, of all passes.
    fn settle(&mut self) -> String {
        let mut told = String::new();
        for n in 0..8 {
            let plan = evaluate(&self.world, self.now);
            told += &format!("{:?}{:?}", plan.status, plan.events);
            if plan.is_empty() {
                return told;
            }
            for action in plan.actions {
                match action {
                    Action::Finalizers(all) => self.world.pipeline.metadata.finalizers = Some(all),
                    Action::Create(mut object) => {
                        object.metadata.uid = Some(format!("{n}-{}", self.now));
                        object.metadata.generation = Some(1);
                        self.world.children.0.insert(ObjectKey::of(&object).unwrap(), *object);
                    }
                    Action::Delete { key, .. } => drop(self.world.children.0.remove(&key)),
                    Action::Apply { .. } => {}
                }
            }
            if let Some(status) = plan.status {
                self.world.pipeline.status = Some(serde_json::from_value(status).unwrap());
            }
        }
        panic!("it never settles: {:#?}", self.world.pipeline.status);
    }

    fn line(&self) -> ComponentStatus {
        self.world.pipeline.status.as_ref().unwrap().components[0].clone()
    }

    fn status(&mut self, status: Option<&Value>) -> String {
        match (status, self.world.children.0.values_mut().next()) {
            (Some(status), Some(child)) => child.data["status"] = status.clone(),
            (None, Some(_)) => self.world.children = tributary_blueprints::world::Objects::default(),
            _ => {}
        }
        self.now += std::time::Duration::from_secs(120);
        self.settle()
    }
}

#[test]
fn nothing_of_a_secret_is_told() {
    let template = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "immutable": true,
        "stringData": {"password": "hunter2"}, "data": {"token": "aHVudGVyMg=="}});
    let mut one = One::new(&template);
    let mut told = one.settle();
    told += &format!("{:?}", one.line());
    // an apiserver that has put it under data, somebody who has edited it, one who edits the blueprint
    one.world.children.0.values_mut().next().unwrap().data["data"] = json!({"password": "aHVudGVyMg=="});
    told += &one.settle();
    let blueprint = one.world.pipeline.spec.blueprint.as_mut().unwrap();
    blueprint.components[0].template.0.insert("stringData".into(), json!({"password": "hunter3"}));
    told += &one.settle();
    for secret in ["hunter", "aHVudGVy"] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(told.contains("Ready"));
    let object: DynamicObject = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "x"}, "data": {"password": "aHVudGVyMg=="}}))
    .unwrap();
    let report = driver("v1", "Secret").observe(&object, None);
    assert!(!format!("{report:?}").contains("aHVudGVy"));
    // a plan names the fields that differ and not what they hold
    let old = resolve(&pipeline_of(&template), &blueprint_of(&template)).unwrap();
    let mut edited = template.clone();
    edited["stringData"]["password"] = "hunter3".into();
    let new = resolve(&pipeline_of(&edited), &blueprint_of(&edited)).unwrap();
    let steps = serde_json::to_string(&tributary_blueprints::change::changes(Some(&old), &new)).unwrap();
    assert!(steps.contains("stringData.password") && !steps.contains("hunter"), "{steps}");
}

fn pipeline_of(template: &Value) -> Pipeline {
    pipeline(json!({"name": "c", "template": template}))
}

fn blueprint_of(template: &Value) -> tributary_crds::BlueprintSpec {
    pipeline_of(template).spec.blueprint.unwrap()
}

#[test]
fn a_claim_that_goes_takes_its_data_along_and_a_plan_says_so() {
    let template = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let old = resolve(&pipeline_of(&template), &blueprint_of(&template)).unwrap();
    let job = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let mut without = pipeline_of(&job);
    without.spec.blueprint.as_mut().unwrap().components[0].name = "other".into();
    let new = resolve(&without, without.spec.blueprint.as_ref().unwrap()).unwrap();
    let steps = tributary_blueprints::change::changes(Some(&old), &new);
    let step = steps.iter().find(|s| s.name == "c").unwrap();
    assert_eq!(step.effect, Effect::Destructive);
    assert!(step.data.contains("goes with it"), "{}", step.data);
}

/// JSON with the names and words that drivers look for, in all the wrong places.
fn status() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "state",
        "phase",
        "conditions",
        "type",
        "status",
        "reason",
        "message",
        "applicationState",
        "errorMessage",
        "executorState",
        "driverInfo",
        "podName",
        "currentState",
        "currentStateSummary",
        "stateTransitionHistory",
        "1",
        "lastObservedDriverStatus",
        "containerStatuses",
        "jobStatus",
        "lifecycleState",
        "jobManagerDeploymentStatus",
        "replicatedJobsStatus",
        "active",
        "succeeded",
        "failed",
        "terminalState",
        "replicas",
        "readyReplicas",
        "observedGeneration",
        "desiredNumberScheduled",
        "numberAvailable",
        "loadBalancer",
        "ingress",
        "engine",
        "map",
        "total",
        "finished",
        "done",
        "outputs",
        "run",
        "completionTime",
        "terminationTime",
        "capacity",
        "storage",
        "scheduleState",
        "nextRun",
        "waiting",
        "lastTransitionTime",
        "currentAttemptSummary",
        "attemptInfo",
        "id",
        "restartCounter",
        "spec",
        "error",
        "topicName",
    ]);
    let words = prop::sample::select(vec![
        "",
        "True",
        "False",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "SUBMITTED",
        "UNKNOWN",
        "SUBMISSION_FAILED",
        "SUSPENDED",
        "Succeeded",
        "Failed",
        "Running",
        "Complete",
        "Completed",
        "Ready",
        "Suspended",
        "ResourceReleased",
        "Submitted",
        "RunningHealthy",
        "STABLE",
        "FINISHED",
        "Bound",
        "Lost",
        "Scheduled",
        "2026-01-01T00:00:00Z",
        "not a time",
        "9/0",
        "1/3",
        "\u{0}",
        "é\u{202e}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// A status that some kind's controller might show, right or wrong.
fn plausible() -> impl Strategy<Value = Value> {
    let spark = prop::sample::select(vec![
        "",
        "SUBMITTED",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "SUBMISSION_FAILED",
        "PENDING_RERUN",
        "FAILING",
        "SUCCEEDING",
        "SUSPENDED",
        "UNKNOWN",
        "ODD",
    ]);
    let condition = prop::sample::select(vec!["Complete", "Completed", "Failed", "Suspended", "Ready"]);
    let apache = prop::sample::select(vec!["Submitted", "RunningHealthy", "Failed", "Succeeded", "ResourceReleased"]);
    prop_oneof![
        spark.prop_map(|s| json!({"applicationState": {"state": s}, "state": s})),
        (condition, any::<bool>())
            .prop_map(|(c, on)| json!({"conditions": [{"type": c, "status": if on { "True" } else { "False" }}]})),
        (apache.clone(), apache).prop_map(|(now, was)| json!({"currentState": {"currentStateSummary": now},
                "stateTransitionHistory": {"1": {"currentStateSummary": was}}})),
        prop::sample::select(vec!["Succeeded", "Failed", "Running", "Pending"]).prop_map(|p| json!({"phase": p})),
        status(),
    ]
}

fn batch() -> Vec<Value> {
    let pod = json!({"spec": {"containers": [{"name": "main", "image": "x"}]}});
    vec![
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod}}),
        json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"driver": {}, "executor": {}}}),
        json!({"apiVersion": "spark.apache.org/v1", "kind": "SparkApplication", "spec": {}}),
        json!({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "spec": {"replicatedJobs": []}}),
        json!({"apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment",
            "spec": {"job": {}, "flinkConfiguration": {"execution.runtime-mode": "BATCH"}}}),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {}}),
        json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob", "spec": {"input": {"strings": ["a"]},
            "map": {"operator": "Words"}, "reduce": {"operator": "Sum"}, "output": {"results": {}}}}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Whatever an object holds, reading it gives a report with outputs of the types that are declared, or none.
    #[test]
    fn no_status_is_too_odd_to_be_read(status in status(), spec in status(), generation in any::<i64>()) {
        let pod: DynamicObject = serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        for driver in drivers::ALL.iter().copied().chain([drivers::of("example.com", "Widget")]) {
            let child: DynamicObject = serde_json::from_value(json!({"apiVersion": "example.com/v1", "kind": driver.kind(),
                "metadata": {"name": "x", "namespace": "y", "generation": generation}, "spec": spec, "status": status})).unwrap();
            let mut report = driver.observe(&child, None);
            prop_assert!(report.percent.is_none_or(|p| (0..=100).contains(&p)), "{}: {:?}", driver.kind(), report.percent);
            prop_assert!(!report.finished || matches!(report.health, Health::Succeeded | Health::Failed), "{}", driver.kind());
            prop_assert!(report.patience.is_none() || !report.finished);
            let declared = driver.outputs();
            for name in report.outputs.keys() {
                prop_assert!(declared.iter().any(|(n, _)| n == name), "{} {name}", driver.kind());
            }
            driver.related(&child);
            driver.explain(&mut report, &pod);
            driver.change(&child.data, &json!({"spec": status}));
            driver.suspended(&child.data);
            driver.lifetime(&child.data);
        }
    }

    /// An outcome that is latched stays what it is, whatever the child shows afterwards and whether it is there.
    #[test]
    fn a_latched_outcome_never_changes(
        kind in 0_usize..7,
        statuses in prop::collection::vec(prop::option::weighted(0.9, plausible()), 1..12),
    ) {
        let mut one = One::new(&batch()[kind]);
        let mut latched: Option<ComponentStatus> = None;
        for status in &statuses {
            one.status(status.as_ref());
            let line = one.line();
            if let Some(latched) = &latched {
                prop_assert_eq!(latched, &line);
            }
            if line.latched {
                prop_assert!(matches!(line.health, Health::Succeeded | Health::Failed));
                latched = Some(line);
            }
        }
    }
}
