//! A Pipeline's whole life: edits, rollbacks, runs by hand and by schedule, wishes to try again, a Blueprint that goes and
//! comes back, children that users delete or change, with lagging caches, lost writes and restarts all the while.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tributary_blueprints::plan::Plan;
use tributary_blueprints::revision::Content;
use tributary_blueprints::world::World;
use tributary_crds::{
    BlueprintRef, BlueprintSpec, ComponentStatus, Health, Pipeline, PipelineStatus, UpdatePolicy, names,
};

use super::bugs::Bug;
use super::rng::Rng;
use super::scenario::{End, Scenario};
use super::world::Cluster;
use super::{flawed, seeds, trouble};

/// What holds for every decision.
pub fn every_decision(world: &World, plan: &Plan) {
    let Some(new) = plan.status.clone().map(|s| serde_json::from_value::<PipelineStatus>(s).unwrap()) else { return };
    let spec = &world.pipeline.spec;
    let old = world.pipeline.status.clone().unwrap_or_default();
    let by_schedule = new.run > old.run && new.run > spec.run && spec.schedule.is_some() && old.run.is_some();
    if by_schedule {
        assert!(!spec.suspend, "a suspended Pipeline begins run {:?}", new.run);
        let open: Vec<&ComponentStatus> = old.components.iter().filter(|c| c.run.is_some() && !has_ended(c)).collect();
        assert!(open.is_empty(), "run {:?} begins while the last one goes on: {open:#?}", new.run);
    }
    let limit = spec.history_limit.map_or(3, |n| n as usize);
    assert!(new.history.len() <= limit.max(old.history.len()), "{:?}", new.history);
    if let (Some(runs), Some(kept)) = (new.revision, &world.revisions) {
        let made = plan.actions.iter().any(|a| format!("{a:?}").contains(&format!("-r{runs}\"")));
        assert!(made || kept.iter().any(|k| k.ours && k.number == runs), "revision {runs} runs and is not kept");
    }
}

fn has_ended(line: &ComponentStatus) -> bool {
    matches!(line.health, Health::Succeeded | Health::Failed | Health::Skipped)
        || (line.health == Health::Pending && line.reason == "DependencyFailed")
}

/// One Pipeline under its users' hands.
struct Life {
    cluster: Cluster,
    scenario: Scenario,
    rng: Rng,
    /// What the blueprint says, be it there or not.
    blueprint: BlueprintSpec,
    edits: u32,
}

impl Life {
    fn begin(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = Rng::new(seed + 8_000_000);
        let scenario = Scenario::random(&mut rng);
        let mut cluster = flawed(&scenario, bug);
        let blueprint = scenario.pipeline().spec.blueprint.unwrap();
        if rng.chance(50) {
            let spec = blueprint.clone();
            cluster.server.state.blueprint = Some(spec.into());
            cluster.server.edit(|p| {
                p.spec.blueprint = None;
                p.spec.blueprint_ref = Some(BlueprintRef { name: "b".into() });
            });
        }
        Self { cluster, scenario, rng, blueprint, edits: 0 }
    }

    fn pipeline(&self) -> &Pipeline {
        self.cluster.server.state.pipeline.as_ref().unwrap()
    }

    fn status(&self) -> PipelineStatus {
        self.pipeline().status.clone().unwrap_or_default()
    }

    /// What the blueprint says is what the cluster has.
    fn publish(&mut self) {
        let spec = self.blueprint.clone();
        self.cluster.server.epoch += 1;
        if self.pipeline().spec.blueprint_ref.is_some() {
            self.cluster.server.state.blueprint = Some(spec.into());
        } else {
            self.cluster.server.edit(|p| p.spec.blueprint = Some(spec));
        }
    }

    fn edit(&mut self) {
        self.edits += 1;
        let at = self.rng.below(self.blueprint.components.len() as u32) as usize;
        let template = &mut self.blueprint.components[at].template.0;
        let metadata = template.entry("metadata").or_insert_with(|| json!({}));
        metadata["annotations"]["edited"] = self.edits.to_string().into();
        self.publish();
    }

    /// A user does something.
    fn act(&mut self) {
        let newest = self.cluster.server.state.objects.keys().filter(|k| k.kind == "ControllerRevision").count();
        match self.rng.below(13) {
            0..=2 => self.edit(),
            3 => {
                let n = 1 + i64::from(self.rng.below(newest as u32 + 2));
                self.cluster.server.epoch += 1;
                self.cluster.server.edit(|p| p.spec.revision = Some(n));
            }
            4 => {
                self.cluster.server.epoch += 1;
                self.cluster.server.edit(|p| p.spec.revision = None);
            }
            5 => {
                let manual = self.rng.chance(50);
                self.cluster.server.epoch += 1;
                self.cluster.server.edit(|p| {
                    p.spec.update_policy = Some(if manual { UpdatePolicy::Manual } else { UpdatePolicy::Automatic });
                });
            }
            6 => {
                let run = self.status().run.unwrap_or(1) + 1;
                self.cluster.server.edit(|p| p.spec.run = Some(run));
            }
            7 | 8 => {
                let schedule = self.rng.chance(70).then(|| "*/2 * * * *".to_owned());
                self.cluster.server.edit(|p| p.spec.schedule = schedule);
            }
            9 => self.retry(),
            10 => self.cluster.server.state.blueprint = None,
            11 => self.delete_a_child(),
            _ => {
                let suspend = self.rng.chance(50);
                self.cluster.server.edit(|p| p.spec.suspend = suspend);
            }
        }
        if self.rng.chance(10) {
            self.slip();
        }
    }

    fn retry(&mut self) {
        self.edits += 1;
        let wish = self.edits.to_string();
        self.cluster
            .server
            .edit(|p| drop(p.metadata.annotations.get_or_insert_default().insert(names::RETRY.into(), wish)));
    }

    /// An edit that cannot run, which is taken back.
    fn slip(&mut self) {
        let sound = self.blueprint.clone();
        self.blueprint.components[0].after.push("nobody".into());
        self.publish();
        let passes = self.rng.below(6);
        trouble(&mut self.cluster, &self.scenario, &mut self.rng, passes);
        self.blueprint = sound;
        self.publish();
    }

    fn delete_a_child(&mut self) {
        let owned = self.cluster.server.state.objects.iter().filter(|(k, _)| k.kind != "ControllerRevision");
        let keys: Vec<_> = owned.map(|(k, _)| k.clone()).collect();
        if let Some(key) = keys.get(self.rng.below(keys.len() as u32) as usize) {
            self.cluster.server.epoch += 1;
            self.cluster.server.delete(key);
        }
    }

    /// All is to be as it should be at last; what failed is tried until it comes off.
    fn come_to_rest(&mut self, seed: u64) {
        self.cluster.server.edit(|p| {
            p.spec.suspend = false;
            p.spec.schedule = None;
            p.spec.revision = None;
            p.spec.update_policy = None;
            p.spec.run = p.spec.run.max(p.status.as_ref().and_then(|s| s.run)).or(Some(1));
        });
        self.publish();
        let passes = self.rng.below(20);
        trouble(&mut self.cluster, &self.scenario, &mut self.rng, passes);
        for _ in 0..4 {
            assert!(self.cluster.settle(&mut self.rng), "seed {seed} never settles: {:#?}", self.status());
            if self.status().components.iter().all(|c| c.health != Health::Failed) {
                break;
            }
            let before: Vec<ComponentStatus> = self.status().components;
            self.retry();
            assert!(self.cluster.settle(&mut self.rng), "seed {seed} never settles: {:#?}", self.status());
            for (was, is) in before.iter().zip(&self.status().components).filter(|(b, _)| b.health == Health::Succeeded)
            {
                assert_eq!((&was.uid, was.retries), (&is.uid, is.retries), "seed {seed}: what succeeded runs again");
            }
        }
        self.is_right(seed);
    }

    fn is_right(&mut self, seed: u64) {
        let status = self.status();
        let mut wanted = self.scenario.clone();
        wanted.components.iter_mut().for_each(|c| c.failures = 0);
        for (i, end) in wanted.ends().iter().enumerate() {
            let line = status.components.iter().find(|c| c.name == format!("c{i}")).unwrap();
            assert_ne!(*end, End::Blocked);
            assert_eq!(line.health, wanted.health(i), "seed {seed}: {line:#?} {status:#?}");
        }
        let world = self.cluster.observe(&mut self.rng, false).unwrap();
        for later in [0, 3_600] {
            let plan = self.cluster.decide(&world, later);
            assert!(plan.is_empty(), "seed {seed}: a settled Pipeline is not left alone: {plan:#?}");
        }
        let content = Content { blueprint: self.blueprint.clone(), parameters: world.pipeline.spec.parameters.clone() };
        let kept = world.revisions.clone().unwrap_or_default();
        let runs = kept.iter().find(|k| Some(k.number) == status.revision);
        assert_eq!(runs.and_then(|k| k.content.as_deref()), Some(&content), "seed {seed}: another revision runs");
        for component in &self.blueprint.components {
            let Some(child) =
                world.children.0.iter().find(|(_, o)| label(o.metadata.labels.as_ref()) == component.name)
            else {
                continue;
            };
            let edited = component.template.0.get("metadata").and_then(|m| m["annotations"].get("edited"));
            let found = child.1.metadata.annotations.as_ref().and_then(|a| a.get("edited"));
            assert_eq!(found.map(String::as_str), edited.and_then(Value::as_str), "seed {seed}: {}", child.0);
        }
        let works = &self.cluster.server.works;
        let unique: BTreeSet<_> = works.iter().collect();
        assert_eq!(unique.len(), works.len(), "seed {seed}: work is done twice: {works:#?}");
    }

    /// Somebody else's hands on the children: what is ours is put right, what is theirs stays.
    fn meddle(&mut self, seed: u64) {
        let deployments: Vec<_> =
            self.cluster.server.state.objects.keys().filter(|k| k.kind == "Deployment").cloned().collect();
        for key in &deployments {
            self.cluster.server.touch(key, |d| {
                d.data["spec"]["template"]["spec"]["containers"][0]["image"] = "drifted".into();
                d.data["spec"]["minReadySeconds"] = 7.into();
                d.metadata.generation = d.metadata.generation.map(|g| g + 1);
            });
        }
        let passes = self.rng.below(10);
        trouble(&mut self.cluster, &self.scenario, &mut self.rng, passes);
        assert!(self.cluster.settle(&mut self.rng), "seed {seed} never settles: {:#?}", self.status());
        for key in &deployments {
            let spec = &self.cluster.server.state.objects[key].data["spec"];
            assert_eq!(spec["template"]["spec"]["containers"][0]["image"], "x", "seed {seed}: {key} stays changed");
            assert_eq!(spec["minReadySeconds"], 7, "seed {seed}: {key}: a foreign field is gone");
        }
        self.is_right(seed);
    }

    /// The Blueprint goes for good: streams come back, and batch work is done again.
    fn without_blueprint(&mut self, seed: u64) {
        self.cluster.server.state.blueprint = None;
        let streams = |k: &str| matches!(k, "Deployment" | "ConfigMap");
        let lost: Vec<_> = self.cluster.server.state.objects.keys().filter(|k| streams(&k.kind)).cloned().collect();
        lost.iter().for_each(|key| self.cluster.server.delete(key));
        let run = self.status().run.unwrap_or(1) + 1;
        self.cluster.server.edit(|p| p.spec.run = Some(run));
        // of the new run's children, all come off at once
        self.cluster.fate.clear();
        let passes = self.rng.below(20);
        trouble(&mut self.cluster, &self.scenario, &mut self.rng, passes);
        assert!(self.cluster.settle(&mut self.rng), "seed {seed} never settles: {:#?}", self.status());
        assert_eq!(self.status().run, Some(run), "seed {seed}");
        self.is_right(seed);
    }
}

fn label(labels: Option<&std::collections::BTreeMap<String, String>>) -> &str {
    labels.and_then(|l| l.get(names::COMPONENT)).map_or("", String::as_str)
}

/// One life.
pub fn lives(seed: u64, bug: Option<Bug>) {
    let mut life = Life::begin(seed, bug);
    for _ in 0..3 + life.rng.below(6) {
        let passes = life.rng.below(10);
        trouble(&mut life.cluster, &life.scenario, &mut life.rng, passes);
        life.act();
    }
    life.come_to_rest(seed);
    life.meddle(seed);
    life.without_blueprint(seed);
    life.cluster.server.delete_pipeline();
    let passes = life.rng.below(10);
    trouble(&mut life.cluster, &life.scenario, &mut life.rng, passes);
    life.cluster.settle(&mut life.rng);
    assert!(life.cluster.server.state.pipeline.is_none(), "seed {seed}: {:#?}", life.cluster.server.state.pipeline);
    let left = life.cluster.server.state.objects.keys().filter(|k| k.kind != "Topic" || !life.scenario.retain).count();
    assert_eq!(left, 0, "seed {seed}: {:?}", life.cluster.server.state.objects.keys().collect::<Vec<_>>());
}

#[test]
fn a_pipeline_lives_through_whatever_its_users_do() {
    for seed in 0..seeds() / 4 {
        lives(seed, None);
    }
}
