//! The loop of observe, evaluate and act against the apiserver in memory: caches that lag, writes that are lost,
//! operators that restart.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::Value;
use serde_json::json;
use tributary_blueprints::{
    object::ObjectKey,
    plan::{Action, Event, Plan},
    world::Refusal,
};
use tributary_crds::{DaemonJob, JobFlow, JobTemplate, Template, Timestamp, names};
use tributary_flows::{Node, Pace, Revision, daemonjob, jobflow, thaw};

use super::{
    apiserver::{Apiserver, State, key, object},
    rng::Rng,
};

const KINDS: [&str; 9] =
    ["JobFlow", "DaemonJob", "JobTemplate", "Job", "Pod", "ControllerRevision", "Lease", "ConfigMap", "Node"];

pub struct Cluster {
    pub server: Apiserver,
    /// What the apiserver refuses, as the operator remembers it.
    pub refusals: Vec<Refusal>,
    /// How soon mere progress may be written.
    pub pace: Pace,
    /// Every event that was sent.
    pub events: Vec<Event>,
    /// Writes of the operator.
    pub writes: usize,
    history: Vec<State>,
    position: BTreeMap<&'static str, usize>,
    floor: BTreeMap<&'static str, usize>,
    /// When the operator wrote an object last: it has read the answer, whatever the caches show of the others.
    own: BTreeMap<ObjectKey, usize>,
    /// Statuses of mere progress on their way, and the object as the decision saw it.
    late: BTreeMap<ObjectKey, (Plan, ObjectMeta)>,
}

/// What the caches show.
pub struct Seen<'a>(BTreeMap<&'static str, Cow<'a, State>>);

impl Seen<'_> {
    fn of(&self, kind: &str) -> impl Iterator<Item = &Arc<DynamicObject>> {
        let kind = kind.to_owned();
        self.0
            .get(kind.as_str())
            .into_iter()
            .flat_map(|s| s.iter())
            .filter(move |(k, _)| k.kind == kind)
            .map(|(_, o)| o)
    }

    fn get(&self, kind: &str, name: &str) -> Option<&Arc<DynamicObject>> {
        self.0.get(kind)?.get(&key(kind, name))
    }

    fn labelled(&self, kind: &str, label: &str, value: &str) -> Vec<Arc<DynamicObject>> {
        let is =
            |o: &&Arc<DynamicObject>| o.metadata.labels.as_ref().and_then(|l| l.get(label)).is_some_and(|v| v == value);
        self.of(kind).filter(is).cloned().collect()
    }
}

/// A world of either kind.
pub enum World {
    Flow(Box<jobflow::World>),
    Daemon(Box<daemonjob::World>),
}

impl World {
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Flow(w) => &w.metadata,
            Self::Daemon(w) => &w.metadata,
        }
    }

    pub fn evaluate(&self, now: Timestamp) -> Plan {
        match self {
            Self::Flow(w) => jobflow::evaluate(w, now),
            Self::Daemon(w) => daemonjob::evaluate(w, now),
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> T {
    serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap()
}

fn flow_world(seen: &Seen<'_>, name: &str, refusals: &[Refusal], pace: Pace) -> Option<World> {
    let flow: JobFlow = parse(seen.get("JobFlow", name)?);
    let templates: BTreeMap<String, Template> = jobflow::Frozen::references(&flow.spec)
        .filter_map(|t| Some((t.to_owned(), parse::<JobTemplate>(seen.get("JobTemplate", t)?).spec.job_template)))
        .collect();
    let revision = |o: Arc<DynamicObject>| {
        let frozen = thaw(&o).and_then(|(spec, templates)| jobflow::Frozen::new(name, spec, templates).ok());
        Some((jobflow::run_of(&o.metadata)?, Revision { metadata: o.metadata.clone(), frozen: frozen.map(Arc::new) }))
    };
    Some(World::Flow(Box::new(jobflow::World {
        revisions: seen.labelled("ControllerRevision", names::FLOW, name).into_iter().filter_map(revision).collect(),
        lease: flow
            .spec
            .mutex
            .as_ref()
            .and_then(|m| Some(seen.get("Lease", &tributary_flows::names::mutex(m))?.metadata.clone())),
        jobs: seen.of("Job").cloned().collect(),
        pods: seen.labelled("Pod", names::FLOW, name).into_iter().collect(),
        status: flow.status.unwrap_or_default(),
        spec: Arc::new(flow.spec),
        metadata: flow.metadata,
        templates,
        refusals: refusals.to_vec(),
        pace,
    })))
}

fn daemon_world(seen: &Seen<'_>, name: &str, refusals: &[Refusal], pace: Pace) -> Option<World> {
    let daemon: DaemonJob = parse(seen.get("DaemonJob", name)?);
    let revision = |o: Arc<DynamicObject>| {
        let frozen = thaw(&o).and_then(|(spec, _)| daemonjob::Frozen::new(spec).ok());
        Some((jobflow::run_of(&o.metadata)?, Revision { metadata: o.metadata.clone(), frozen: frozen.map(Arc::new) }))
    };
    Some(World::Daemon(Box::new(daemonjob::World {
        revisions: seen
            .labelled("ControllerRevision", names::DAEMON_JOB, name)
            .into_iter()
            .filter_map(revision)
            .collect(),
        nodes: seen.of("Node").filter_map(|o| Node::read(o)).collect(),
        jobs: seen.of("Job").cloned().collect(),
        pods: seen.labelled("Pod", names::DAEMON_JOB, name).into_iter().collect(),
        record: seen.get("ConfigMap", &tributary_flows::names::outcomes(name)).cloned(),
        status: daemon.status.unwrap_or_default(),
        spec: Arc::new(daemon.spec),
        metadata: daemon.metadata,
        refusals: refusals.to_vec(),
        pace,
    })))
}

impl Cluster {
    pub fn new() -> Self {
        let server = Apiserver::new();
        let history = vec![server.state.clone()];
        Self {
            server,
            refusals: Vec::new(),
            events: Vec::new(),
            pace: Pace::default(),
            writes: 0,
            history,
            position: BTreeMap::new(),
            floor: BTreeMap::new(),
            own: BTreeMap::new(),
            late: BTreeMap::new(),
        }
    }

    /// A user applies an object.
    pub fn apply(&mut self, kind: &str, name: &str, spec: Value) -> &mut Self {
        let body = json!({"spec": spec});
        if self.server.create(&object(kind, name, body.clone())).is_none() {
            self.server.touch(&key(kind, name), |o| o.data["spec"] = body["spec"].clone());
        }
        self.remember();
        self
    }

    /// A user changes fields of a spec.
    pub fn edit(&mut self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.server.touch(&key(kind, name), |o| change(&mut o.data["spec"]));
        self.remember();
    }

    pub fn node(&mut self, name: &str, labels: Value, taints: Value) {
        let mut node = object("Node", name, json!({"spec": {"taints": taints}}));
        node.metadata.labels = serde_json::from_value(labels).unwrap();
        self.server.create(&node);
        self.remember();
    }

    pub fn delete(&mut self, kind: &str, name: &str) {
        self.server.delete(&key(kind, name));
        self.server.collect_garbage();
        self.remember();
    }

    fn remember(&mut self) {
        self.history.push(self.server.state.clone());
    }

    pub fn status(&self, kind: &str, name: &str) -> Value {
        self.server.get(kind, name).map(|o| o.data["status"].clone()).unwrap_or_default()
    }

    /// Names of the Jobs that there are.
    pub fn jobs(&self) -> Vec<String> {
        self.server.of_kind("Job").iter().filter_map(|o| o.metadata.name.clone()).collect()
    }

    /// How often a Job of each name was ever created.
    pub fn creations(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for name in self.server.jobs.values() {
            *counts.entry(name.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Time passes: Jobs make a step with some probability.
    pub fn step(&mut self, rng: &mut Rng, chance: u32) {
        self.server.now += Duration::from_secs(u64::from(rng.below(5)));
        let jobs: Vec<ObjectKey> = self.server.state.keys().filter(|k| k.kind == "Job").cloned().collect();
        for job in jobs {
            if rng.chance(chance) {
                self.server.progress(&job);
            }
        }
        self.server.collect_garbage();
        self.remember();
    }

    /// The operator starts anew: its caches list afresh.
    pub fn restart(&mut self) {
        let newest = self.history.len() - 1;
        self.position = KINDS.into_iter().map(|k| (k, newest)).collect();
        self.refusals.clear();
        self.own.clear();
        self.late.clear();
    }

    /// What the operator's caches show. With `lag`, each kind's is somewhere between its last state and the newest.
    pub fn observe(&mut self, kind: &str, name: &str, rng: &mut Rng, lag: bool) -> Option<World> {
        let newest = self.history.len() - 1;
        for kind in KINDS {
            let at = |m: &BTreeMap<&str, usize>| m.get(kind).copied().unwrap_or(0);
            let from = at(&self.position).max(at(&self.floor));
            let to = if lag { from + rng.below((newest - from) as u32 + 1) as usize } else { newest };
            self.position.insert(kind, to);
        }
        let seen = Seen(self.position.iter().map(|(kind, at)| (*kind, self.shown(kind, *at))).collect());
        match kind {
            "JobFlow" => flow_world(&seen, name, &self.refusals, self.pace),
            _ => daemon_world(&seen, name, &self.refusals, self.pace),
        }
    }

    /// The cache of a kind: what the watch has shown, and what the operator has written since.
    fn shown(&self, kind: &str, at: usize) -> Cow<'_, State> {
        let mut state = Cow::Borrowed(&self.history[at]);
        for (key, written) in self.own.iter().filter(|(key, written)| key.kind == kind && **written > at) {
            if let Some(object) = self.history[*written].get(key) {
                state.to_mut().insert(key.clone(), object.clone());
            }
        }
        state
    }

    /// Carries out a plan up to its `cut`th write; of the one at the cut the answer is lost, so that nobody waits for it. Of those
    /// under way beside it some are made.
    pub fn carry_out(&mut self, primary: &ObjectKey, seen: &ObjectMeta, plan: &Plan, cut: usize) {
        for (i, action) in plan.actions.iter().enumerate() {
            if i > cut || self.server.act(action, seen).is_err() {
                return self.remember();
            }
            self.writes += 1;
            self.remember();
            if i == cut {
                let beside = plan.actions[i..].iter().skip(1).take_while(|other| action.may_go_beside(other));
                beside.step_by(2).for_each(|other| _ = self.server.act(other, seen));
                return self.remember();
            }
            let newest = self.history.len() - 1;
            match action {
                Action::Create(object) | Action::Apply { object } => {
                    self.own.insert(ObjectKey::of(object).unwrap(), newest);
                }
                Action::Delete { key, .. } => {
                    self.floor.insert(KINDS.into_iter().find(|k| *k == key.kind).unwrap(), newest);
                }
                Action::Finalizers(_) => {}
            }
        }
        let Some(status) = plan.status.as_ref().filter(|_| cut >= plan.actions.len()) else { return };
        if self.server.write_status(primary, status, seen).is_ok() {
            self.writes += 1;
            self.events.extend(plan.events.clone());
            self.remember();
            if cut > plan.actions.len() {
                self.own.insert(primary.clone(), self.history.len() - 1);
            }
        }
    }

    /// As [`Self::carry_out`], but a status of mere progress may be on its way for some passes, which go on without it.
    pub fn carry_out_beside(&mut self, primary: &ObjectKey, seen: &ObjectMeta, plan: &Plan, cut: usize, rng: &mut Rng) {
        let silent = Plan { status: None, ..plan.clone() };
        if self.late.contains_key(primary) {
            let about_itself = plan.status.is_some() && !plan.is_progress
                || plan.actions.iter().any(|action| matches!(action, Action::Finalizers(_)));
            if about_itself || rng.chance(30) {
                self.end_late(primary);
            }
            if !about_itself {
                self.carry_out(primary, seen, &silent, cut);
            }
            return;
        }
        if plan.is_progress && rng.chance(50) {
            self.carry_out(primary, seen, &silent, cut);
            self.late.insert(primary.clone(), (plan.clone(), seen.clone()));
            return;
        }
        self.carry_out(primary, seen, plan, cut);
    }

    fn end_late(&mut self, primary: &ObjectKey) {
        if let Some((plan, seen)) = self.late.remove(primary) {
            self.carry_out(primary, &seen, &Plan { actions: Vec::new(), ..plan }, usize::MAX);
        }
    }

    /// One pass of the operator; gives its plan.
    pub fn pass(&mut self, kind: &str, name: &str, rng: &mut Rng, lag: bool, cut: usize) -> Option<Plan> {
        let primary = key(kind, name);
        if !lag {
            self.end_late(&primary);
        }
        let world = self.observe(kind, name, rng, lag)?;
        let plan = world.evaluate(self.server.now);
        match lag {
            true => self.carry_out_beside(&primary, world.metadata(), &plan, cut, rng),
            false => self.carry_out(&primary, world.metadata(), &plan, cut),
        }
        Some(plan)
    }

    /// Passes without faults over all primaries until nothing changes any more; fails where that does not come.
    pub fn settle(&mut self, rng: &mut Rng) {
        let mut quiet = 0;
        for _ in 0..600 {
            let before = self.server.state.clone();
            self.step(rng, 100);
            self.server.now += Duration::from_secs(20);
            let mut idle = true;
            for kind in ["JobFlow", "DaemonJob"] {
                for primary in self.server.of_kind(kind) {
                    let plan = self.pass(kind, primary.metadata.name.as_deref().unwrap(), rng, false, usize::MAX);
                    // as the loop of a controller does, which comes again at once
                    idle &= plan.is_none_or(|p| p.is_empty());
                }
            }
            self.server.collect_garbage();
            self.history = vec![self.server.state.clone()];
            self.position.clear();
            self.floor.clear();
            self.own.clear();
            quiet = if idle && before == self.server.state { quiet + 1 } else { 0 };
            if quiet > 2 {
                return;
            }
        }
        panic!(
            "it never settles: {:#?}",
            self.server.of_kind("JobFlow").iter().map(|o| o.data["status"].clone()).collect::<Vec<_>>()
        );
    }

    /// The operator is killed after every single write, until nothing is left to do.
    pub fn settle_killed_after_every_write(&mut self, kind: &str, name: &str, rng: &mut Rng) {
        let mut quiet = 0;
        for round in 0..20_000 {
            if round % 3 == 0 {
                self.step(rng, 80);
                self.server.now += Duration::from_secs(5);
            }
            self.restart();
            let before = self.writes;
            self.pass(kind, name, rng, false, 0);
            // the status is a write too: it comes only when no action is left before it
            quiet = if self.writes == before { quiet + 1 } else { 0 };
            self.server.collect_garbage();
            self.history = vec![self.server.state.clone()];
            self.floor.clear();
            self.own.clear();
            self.position.clear();
            if quiet > 90 {
                return;
            }
        }
        panic!("it never settles: {}", self.status(kind, name));
    }
}

/// A JobSpec.
pub fn job_spec() -> Value {
    json!({"template": {"spec": {"containers": [{"name": "c", "image": "x", "command": ["work"]}]}}})
}
