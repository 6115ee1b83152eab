//! A Pipeline of one component: what it tells, and what becomes of it.

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::change::Effect;
use tributary_blueprints::evaluate;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_blueprints::plan::Action;
use tributary_blueprints::resolve::resolve;
use tributary_blueprints::world::World;
use tributary_crds::{ComponentStatus, Pipeline, Timestamp};

use super::{driver, pipeline};

/// A Pipeline of one component, after `evaluate` has been carried out as long as there is something to write.
pub struct One {
    world: World,
    now: Timestamp,
}

impl One {
    pub fn new(template: &Value) -> Self {
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

    pub fn line(&self) -> ComponentStatus {
        self.world.pipeline.status.as_ref().unwrap().components[0].clone()
    }

    pub fn status(&mut self, status: Option<&Value>) -> String {
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
