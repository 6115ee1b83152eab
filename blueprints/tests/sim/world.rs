//! The rest of the cluster: children that make their way, and an operator with caches that lag.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_blueprints::evaluate::child::ENDED_BEFORE;
use tributary_blueprints::object::{ObjectKey, field};
use tributary_blueprints::plan::{Action, Plan};
use tributary_blueprints::revision::{self, Kept, Revision};
use tributary_blueprints::world::{Objects, World};
use tributary_blueprints::{evaluate, expected_children, running};
use tributary_crds::{Pipeline, names};

use super::apiserver::{Apiserver, State};
use super::bugs::{self, Bug};
use super::rng::Rng;

/// How a child ends: decided by its name and its attempt, so that a run without faults ends the same.
pub type Fate = BTreeMap<String, u32>;

pub struct Cluster {
    pub server: Apiserver,
    /// Child to the number of attempts that fail.
    pub fate: Fate,
    /// What each kind's watch has delivered so far: a state of the past.
    history: Vec<State>,
    position: BTreeMap<String, usize>,
    /// Children that have served or ended well at some time.
    pub good: BTreeSet<String>,
    /// A defect of the loop, planted on purpose.
    pub bug: Option<Bug>,
    /// The earliest state that a kind's cache may be in: the operator's own writes are waited for.
    floor: BTreeMap<String, usize>,
    /// When the operator wrote an object last: it has read the answer, whatever the caches show of the others.
    own: BTreeMap<ObjectKey, usize>,
    /// Creations whose answer was lost: it looks for them before it decides again.
    unanswered: BTreeSet<ObjectKey>,
    /// The last pass left a status that may wait to the next.
    has_waited: bool,
}

impl Cluster {
    pub fn new(server: Apiserver, fate: Fate) -> Self {
        let history = vec![server.state.clone()];
        let (good, position, floor) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        let (own, unanswered) = (BTreeMap::new(), BTreeSet::new());
        Self { server, fate, history, good, position, bug: None, floor, own, unanswered, has_waited: false }
    }

    /// Time passes: children of all kinds make a step with some probability.
    pub fn step(&mut self, rng: &mut Rng, chance: u32) {
        self.server.now += std::time::Duration::from_secs(u64::from(rng.below(20)));
        let keys: Vec<ObjectKey> = self.server.state.objects.keys().cloned().collect();
        for key in keys {
            if rng.below(100) < chance {
                self.progress(&key, rng, chance == 100);
            }
        }
        self.server.collect_garbage();
        self.history.push(self.server.state.clone());
    }

    fn progress(&mut self, key: &ObjectKey, rng: &mut Rng, eager: bool) {
        let Some(child) = self.server.state.objects.get(key) else { return };
        if child.metadata.deletion_timestamp.is_some() {
            self.server.touch(key, |c| c.metadata.finalizers = None);
            return;
        }
        let failing = self.fate.get(&key.name).copied().unwrap_or(0);
        let attempt: u32 =
            child.metadata.annotations.as_ref().and_then(|a| a.get("tributary.dev/attempt")?.parse().ok()).unwrap_or(0);
        let next = next_status(child, attempt >= failing, &self.server.now.to_string(), eager || rng.chance(35));
        if let Some(status) = next.filter(|s| child.data.get("status") != Some(s)) {
            if is_good(&key.kind, &status) {
                self.good.insert(key.name.clone());
            }
            self.server.touch(key, |c| c.data["status"] = status);
        }
    }

    /// A child that has ended well goes by itself, as a Job with `ttlSecondsAfterFinished` does, once its end is kept: by the
    /// status, or by another child that carries it.
    pub fn vanish(&mut self, rng: &mut Rng) {
        let lines = self.server.state.pipeline.iter().flat_map(|p| &p.status).flat_map(|s| &s.components);
        let told: BTreeSet<String> = lines.filter(|line| line.latched).map(|line| line.uid.clone()).collect();
        let objects = &self.server.state.objects;
        let carried = |uid: &str| objects.values().any(|o| ended_before(o).is_some_and(|ends| ends.contains(uid)));
        let may_go = |(key, child): &(&ObjectKey, &Rc<DynamicObject>)| {
            let ends = matches!(key.kind.as_str(), "MapReduceJob" | "Job" | "Widget");
            let uid = child.metadata.uid.as_deref().unwrap_or_default();
            ends && is_good(&key.kind, &child.data["status"]) && (told.contains(uid) || carried(uid))
        };
        let ended: Vec<ObjectKey> = objects.iter().filter(may_go).map(|(key, _)| key.clone()).collect();
        if !ended.is_empty() {
            self.server.delete(&ended[rng.below(ended.len() as u32) as usize]);
            self.history.push(self.server.state.clone());
        }
    }

    /// The operator starts anew: its caches list afresh.
    pub fn restart(&mut self) {
        let newest = self.history.len() - 1;
        self.position = self.kinds().map(|k| (k, newest)).collect();
        self.own.clear();
        self.unanswered.clear();
    }

    fn kinds(&self) -> impl Iterator<Item = String> + use<> {
        let kinds: Vec<String> = self.server.served.0.keys().map(|(_, kind)| kind.clone()).collect();
        kinds.into_iter().chain(["Pipeline".into(), "Blueprint".into()])
    }

    /// What the operator's caches show. With `lag`, each kind's is somewhere between its last state and the newest.
    pub fn observe(&mut self, rng: &mut Rng, lag: bool) -> Option<World> {
        let newest = self.history.len() - 1;
        for kind in self.kinds() {
            let from = self.position.get(&kind).copied().unwrap_or(0).max(self.floor.get(&kind).copied().unwrap_or(0));
            let at = if lag { from + rng.below((newest - from) as u32 + 1) as usize } else { newest };
            self.position.insert(kind, at);
        }
        let unanswered = std::mem::take(&mut self.unanswered);
        let found = unanswered.into_iter().filter(|key| self.history[newest].objects.contains_key(key));
        self.own.extend(found.map(|key| (key, newest)));
        let pipeline = self.history[self.position["Pipeline"]].pipeline.as_deref()?.clone();
        let referred = pipeline.spec.blueprint_ref.is_some();
        let blueprint = self.history[self.position["Blueprint"]].blueprint.as_deref().filter(|_| referred).cloned();
        let revisions = self.revisions(&pipeline);
        let served = self.server.served.clone().into();
        let world = World { pipeline, blueprint, revisions: Some(revisions), served, ..World::default() };
        Some(bugs::in_world(self.bug, self.with_children(world)))
    }

    fn revisions(&self, pipeline: &Pipeline) -> Vec<Kept> {
        let all = || self.shown("ControllerRevision").map(|(_, o)| o);
        let needed = revision::needed(pipeline, all().filter_map(|o| o.data["revision"].as_i64()));
        let content = |o: &DynamicObject, n: i64| {
            needed.contains(&n).then(|| Revision::from_data(n, &o.data["data"]).unwrap().content)
        };
        all().filter_map(|o| Kept::of(pipeline, o, |n| content(o, n))).collect()
    }

    /// The cache of a kind: what the watch has shown, and what the operator has written since.
    fn shown<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a ObjectKey, &'a Rc<DynamicObject>)> {
        let at = self.position[kind];
        let own = move |key: &ObjectKey| self.own.get(key).filter(|written| **written > at);
        let past = self.history[at].objects.iter().filter(move |(key, _)| own(key).is_none());
        let written = self.own.iter().filter(move |(_, written)| **written > at);
        let written = written.filter_map(|(key, written)| self.history[*written].objects.get_key_value(key));
        past.chain(written).filter(move |(key, _)| key.kind == kind)
    }

    fn with_children(&self, world: World) -> World {
        let World { pipeline, served, .. } = &world;
        let expected = running(&world).map_or(Vec::new(), |content| {
            let (pipeline, blueprint) = content.at(pipeline);
            expected_children(&pipeline, blueprint.as_ref(), served)
        });
        let inventory: Vec<ObjectKey> =
            pipeline.status.iter().flat_map(|s| &s.inventory).map(ObjectKey::of_ref).collect();
        let kinds = self.server.served.0.keys().filter(|(_, kind)| kind != "ControllerRevision");
        let children = kinds.flat_map(|(_, kind)| self.shown(kind).map(|(k, o)| (k.clone(), o.as_ref().clone())));
        let mine = |key: &ObjectKey, object: &DynamicObject| {
            let labels = object.metadata.labels.as_ref();
            labels.and_then(|l| l.get(names::PIPELINE)) == pipeline.metadata.name.as_ref()
                || expected.contains(key)
                || inventory.contains(key)
        };
        let children = Objects(children.filter(|(key, object)| mine(key, object)).collect());
        World { children, ..world }
    }

    /// Carries out a plan up to its `cut`th write; of the one at the cut the answer is lost. Of those under way beside it some are made.
    pub fn carry_out(&mut self, world: &World, plan: &Plan, cut: usize) {
        let mut seen = world.pipeline.metadata.clone();
        let actions = bugs::in_actions(self.bug, &plan.actions, &self.server.state);
        for (i, action) in actions.iter().enumerate() {
            if i > cut || self.server.act(action, &seen).is_err() {
                return self.history.push(self.server.state.clone());
            }
            self.history.push(self.server.state.clone());
            if i == cut {
                let beside = actions[i..].iter().skip(1).take_while(|other| action.may_go_beside(other));
                let beside: Vec<_> = beside.step_by(2).collect();
                beside.iter().for_each(|other| _ = self.server.act(other, &seen));
                if self.bug != Some(Bug::NeverLook) {
                    let made = beside.into_iter().chain([action]).filter_map(|action| match action {
                        Action::Create(object) => ObjectKey::of(object),
                        _ => None,
                    });
                    self.unanswered.extend(made);
                }
                return self.history.push(self.server.state.clone());
            }
            if matches!(action, Action::Finalizers(_)) {
                if let Some(pipeline) = &self.server.state.pipeline {
                    seen.resource_version.clone_from(&pipeline.metadata.resource_version);
                }
                self.floor.insert("Pipeline".into(), self.history.len() - 1);
            } else if let Action::Create(object) | Action::Apply { object } = action {
                self.own.insert(ObjectKey::of(object).unwrap(), self.history.len() - 1);
            } else {
                self.floor.insert(kind_of(action), self.history.len() - 1);
            }
        }
        // every other one that may wait does, as where the apiserver is busy
        self.has_waited = plan.may_wait && !self.has_waited && self.history.len().is_multiple_of(2);
        if let Some(status) = plan.status.as_ref().filter(|_| !self.has_waited)
            && self.server.write_status(status, &seen).is_ok()
        {
            self.history.push(self.server.state.clone());
            if cut > actions.len() {
                self.floor.insert("Pipeline".into(), self.history.len() - 1);
            }
        }
    }

    /// What a former leader has on its way still: nobody waits for it. Creations are left out: only their names guard them.
    pub fn carry_out_late(&mut self, world: &World, plan: &Plan) {
        for action in bugs::in_actions(self.bug, &plan.actions, &self.server.state) {
            if !matches!(action, Action::Create(_)) {
                let _ = self.server.act(&action, &world.pipeline.metadata);
            }
        }
        if let Some(status) = &plan.status {
            let _ = self.server.write_status(status, &world.pipeline.metadata);
        }
        self.history.push(self.server.state.clone());
    }

    /// One pass of the operator without faults; gives its plan.
    pub fn reconcile(&mut self, rng: &mut Rng) -> Option<Plan> {
        let world = self.observe(rng, false)?;
        let plan = self.decide(&world, 0);
        self.carry_out(&world, &plan, usize::MAX);
        Some(plan)
    }

    /// What is to be done, this many seconds from now. Whatever holds for every decision is held up to it.
    pub fn decide(&self, world: &World, later: u64) -> Plan {
        let now = self.server.now + std::time::Duration::from_secs(later);
        let plan = bugs::in_plan(self.bug, world, evaluate(world, now));
        super::life::every_decision(world, &plan);
        plan
    }

    /// Passes without faults until nothing changes any more; `false` where that does not come.
    pub fn settle(&mut self, rng: &mut Rng) -> bool {
        let mut quiet = 0;
        for _ in 0..400 {
            let before = self.server.state.clone();
            self.step(rng, 100);
            // retries wait at most ten minutes
            self.server.now += std::time::Duration::from_secs(120);
            let plan = self.reconcile(rng);
            self.server.collect_garbage();
            self.history.push(self.server.state.clone());
            self.history.drain(..self.history.len() - 1);
            self.position = self.position.keys().map(|k| (k.clone(), 0)).collect();
            self.floor.clear();
            self.own.clear();
            let idle = plan.is_none_or(|p| p.is_empty());
            let same = before == self.server.state;
            quiet = if idle && same { quiet + 1 } else { 0 };
            if quiet > 2 {
                return true;
            }
        }
        false
    }
}

fn kind_of(action: &Action) -> String {
    match action {
        Action::Create(object) | Action::Apply { object } => object.types.as_ref().unwrap().kind.clone(),
        Action::Delete { key, .. } => key.kind.clone(),
        _ => String::new(),
    }
}

pub fn ended_before(child: &DynamicObject) -> Option<&String> {
    child.metadata.annotations.as_ref()?.get(ENDED_BEFORE)
}

fn is_good(kind: &str, status: &Value) -> bool {
    match kind {
        "MapReduceJob" => status["phase"] == "Succeeded",
        "Job" => status["conditions"][0]["type"] == "Complete",
        "Widget" => status["state"] == "Done",
        _ => true,
    }
}

/// The next status of a child, as its own controller would write it.
fn next_status(child: &DynamicObject, well: bool, now: &str, ends: bool) -> Option<Value> {
    let kind = child.types.as_ref().map_or("", |t| t.kind.as_str());
    let generation = child.metadata.generation;
    let stopped = field(child, &["spec", "suspend"]) == Some(&json!(true));
    let at = |path: &[&str]| field(child, path).cloned().unwrap_or_default();
    let condition = |type_: &str, status: &str, reason: &str| json!([{"type": type_, "status": status, "reason": reason, "message": format!("{reason} it is"), "lastTransitionTime": now}]);
    match kind {
        "MapReduceJob" => {
            let phase = at(&["status", "phase"]);
            let next = match phase.as_str().unwrap_or_default() {
                "Succeeded" | "Failed" => return None,
                _ if stopped => "Suspended",
                "" | "Suspended" => "Pending",
                "Pending" => "Running",
                _ if !ends => return None,
                _ if well => "Succeeded",
                _ => "Failed",
            };
            let mut status = json!({"phase": next, "observedGeneration": generation, "engine": {"recordsWritten": 7}});
            if matches!(next, "Succeeded" | "Failed") {
                status["completionTime"] = now.into();
            }
            if next == "Failed" {
                status["message"] = "map-0 failed four times".into();
            }
            Some(status)
        }
        "Job" => {
            let done = at(&["status", "conditions"]);
            let ended = |t: &str| done.as_array().is_some_and(|c| c.iter().any(|c| c["type"] == t));
            if ended("Complete") || ended("Failed") {
                return None;
            }
            if stopped {
                return (!ended("Suspended"))
                    .then(|| json!({"conditions": condition("Suspended", "True", "JobSuspended")}));
            }
            if at(&["status", "active"]) != json!(1) {
                return Some(json!({"active": 1}));
            }
            if !ends {
                return None;
            }
            Some(if well {
                json!({"succeeded": 1, "completionTime": now, "conditions": condition("Complete", "True", "Completed")})
            } else {
                json!({"failed": 1, "conditions": condition("Failed", "True", "BackoffLimitExceeded")})
            })
        }
        "Deployment" => {
            let n = field(child, &["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(1);
            Some(
                json!({"observedGeneration": generation, "replicas": n, "updatedReplicas": n, "availableReplicas": n, "readyReplicas": n}),
            )
        }
        "Topic" if at(&["status", "observedGeneration"]) == json!(generation) => None,
        "Topic" => {
            Some(json!({"observedGeneration": generation, "conditions": condition("Ready", "True", "AsExpected")}))
        }
        "Widget" => {
            let state = at(&["status", "state"]);
            match state.as_str().unwrap_or_default() {
                "Done" | "Broken" => None,
                "" => Some(json!({"state": "Busy"})),
                _ if well => Some(json!({"state": "Done", "answer": 42})),
                _ => Some(json!({"state": "Broken"})),
            }
        }
        _ => None,
    }
}
