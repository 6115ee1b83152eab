//! One look at every step of a run: what came of it, what begins, what is to be deleted.

mod make;
mod notes;
mod outcome;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use serde_json::{Value, json};
use tributary_blueprints::{
    expr::Stop,
    object::ObjectKey,
    plan::Action,
    world::{Refusal, Verb},
};
use tributary_crds::{JobFlowStatus, Reason, StepStatus, Timestamp, names as keys};

use super::{
    frozen::{Frozen, Part, Step},
    ready::Ready,
    scope::{Live, Scope, Steps, byte},
    world::World,
};
use crate::{
    job,
    names::{self, Which},
    unit::{Ask, Failure, Is, View},
};

/// Jobs that one plan creates at most: other flows have their turn in between.
const MOST_CREATED: usize = 50;
/// Items that a `forEach` may have.
const MOST_ITEMS: usize = 1_000;
/// Bytes of a message in the status.
const LONGEST_MESSAGE: usize = 1_024;
/// How long the pod of a Job that is Complete may take to reach the cache.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the run is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Going on.
    Going,
    /// Held by `spec.suspend`.
    Held,
    /// The steps of `flows` are to end now.
    Ending(Failure),
}

/// One unit that could begin.
struct Wanted {
    step: usize,
    item: Option<(usize, Value)>,
    attempt: u32,
}

/// One pass over a run.
pub(super) struct Pass<'a> {
    pub(super) world: &'a World,
    pub(super) frozen: &'a Frozen,
    pub(super) lives: Vec<Live<'a>>,
    pub(super) mode: Mode,
    pub(super) actions: Vec<Action>,
    pub(super) items: BTreeMap<String, String>,
    pub(super) tries: BTreeMap<String, u32>,
    /// What failed or is under way, by step (and item).
    pub(super) notes: BTreeMap<String, (bool, StepStatus)>,
    pub(super) requeue: Option<Duration>,
    known: HashMap<&'a str, &'a StepStatus>,
    view: View<'a>,
    wanted: Vec<Wanted>,
    living: usize,
    /// Whether one of `flows` has failed.
    pub(super) has_failed: bool,
    output_bytes: usize,
    flow: Value,
    run: Value,
    number: i64,
    now: Timestamp,
}

impl<'a> Pass<'a> {
    /// A pass that starts from this status.
    pub(super) fn new(
        world: &'a World,
        frozen: &'a Frozen,
        before: &'a JobFlowStatus,
        mode: Mode,
        now: Timestamp,
    ) -> Self {
        let bytes = before.steps.as_bytes();
        let live = |(i, step): (usize, &'a Step)| Live {
            name: &step.name,
            byte: Cell::new(bytes.get(i).copied().unwrap_or(byte::PENDING)),
            outputs: RefCell::new(before.outputs.get(&step.name).cloned().unwrap_or_default()),
        };
        let number = before.run.unwrap_or(1);
        Self {
            lives: frozen.steps.iter().enumerate().map(live).collect(),
            mode,
            actions: Vec::new(),
            items: before.items.clone(),
            tries: before.tries.clone(),
            notes: BTreeMap::new(),
            requeue: None,
            known: before.active.iter().map(|s| (s.name.as_str(), s)).collect(),
            view: View { jobs: &world.jobs, pods: &world.pods, owner: &world.metadata, kind: "JobFlow", now },
            wanted: Vec::new(),
            living: 0,
            has_failed: frozen.parts(Part::Flow).any(|i| bytes.get(i) == Some(&byte::FAILED)),
            output_bytes: if before.outputs.is_empty() { 0 } else { json!(before.outputs).to_string().len() },
            flow: json!({"name": world.name(), "namespace": world.namespace()}),
            run: json!({"number": number}),
            number,
            world,
            frozen,
            now,
        }
    }

    /// Looks at every step, those first that others wait for, and decides what begins.
    pub(super) fn go(&mut self) {
        for part in [Part::Flow, Part::ErrorHandler, Part::Finally] {
            for i in &self.frozen.order {
                if self.frozen.steps[*i].part == part {
                    self.step(*i);
                }
            }
        }
        self.begin();
    }

    fn step(&mut self, i: usize) {
        let step = &self.frozen.steps[i];
        if self.lives[i].has_ended() {
            if self.lives[i].byte.get() == byte::FAILED {
                self.keep_note(&step.name);
            }
            return;
        }
        if self.lives[i].byte.get() == byte::PENDING && !self.may_begin(i) {
            return;
        }
        match &step.for_each {
            None => {
                let before = self.lives[i].byte.get();
                let after = self.unit(i, None, before);
                self.ended(i, after, None);
            }
            Some(list) => match list.evaluate(&self.scope(None)) {
                Ok(Value::Array(items)) if items.len() <= MOST_ITEMS => self.each(i, items),
                Ok(Value::Array(items)) => {
                    let message = format!("forEach has {} items, at most {MOST_ITEMS} are possible", items.len());
                    self.fail(i, Failure::new(Reason::InvalidSpec.as_str(), message));
                }
                Ok(_) => self.fail(i, Failure::new(Reason::InvalidSpec.as_str(), "forEach is no list")),
                Err(stop) => self.stopped(i, "forEach", stop),
            },
        }
    }

    /// Whether a step that has not begun has its turn, as far as it is up to the others; it may be over by this.
    fn may_begin(&mut self, i: usize) -> bool {
        let step = &self.frozen.steps[i];
        let is_ending = matches!(self.mode, Mode::Ending(_)) && step.part == Part::Flow;
        // a Job that was created and not recorded counts as begun, whatever has changed since
        if self.has_job(i) {
            return true;
        }
        if is_ending {
            self.put(i, byte::SKIPPED);
            return false;
        }
        match self.ready(i) {
            Ready::Wait => false,
            Ready::Run => true,
            Ready::Skip => {
                self.put(i, byte::SKIPPED);
                false
            }
            Ready::Stopped(rule, stop) => {
                self.stopped(i, rule, stop);
                false
            }
        }
    }

    fn has_job(&self, i: usize) -> bool {
        let step = &self.frozen.steps[i];
        if !self.world.jobs.has_step(self.number, &step.name) {
            return false;
        }
        let item = step.for_each.as_ref().map(|_| 0);
        let which = Which { run: self.number, item, attempt: 0 };
        let name = names::flow_job(self.world.name(), &step.name, which, step.stem);
        self.world.jobs.get(&name).is_some_and(|job| {
            job::kinship(&job.metadata, &self.world.metadata, "JobFlow") == job::Kinship::Ours
                && is_of(&job.metadata, &step.name, which)
        })
    }

    /// The step's rule did not yield a value.
    fn stopped(&mut self, i: usize, rule: &str, stop: Stop) {
        match stop {
            Stop::Unknown(_) => {}
            Stop::Skipped(_) => self.put(i, byte::SKIPPED),
            Stop::Error(reason) => {
                self.fail(i, Failure::new(Reason::InvalidSpec.as_str(), format!("{rule}: {reason}")));
            }
        }
    }

    fn each(&mut self, i: usize, items: Vec<Value>) {
        let step = &self.frozen.steps[i];
        let mut bytes = self.items.get(&step.name).cloned().unwrap_or_default().into_bytes();
        bytes.resize(items.len(), byte::PENDING);
        let (living, wanted) = (self.living, self.wanted.len());
        for (n, item) in items.iter().enumerate() {
            if byte::is_end(bytes[n]) {
                if bytes[n] == byte::FAILED {
                    self.keep_note(&key(&step.name, Some(n)));
                }
                continue;
            }
            if bytes[n] == byte::PENDING && (self.living - living) + (self.wanted.len() - wanted) >= step.max_parallel {
                continue;
            }
            bytes[n] = self.unit(i, Some((n, item)), bytes[n]);
        }
        self.items.insert(step.name.clone(), String::from_utf8_lossy(&bytes).into_owned());
        if bytes.iter().all(|b| byte::is_end(*b)) {
            let failed = bytes.contains(&byte::FAILED) || bytes.contains(&byte::SKIPPED);
            let after = if failed { byte::FAILED } else { byte::SUCCEEDED };
            self.ended(i, after, Some(items.len()));
        } else if bytes.iter().any(|b| *b != byte::PENDING) {
            self.put(i, byte::RUNNING);
        }
    }

    /// Looks at one unit; gives its byte.
    fn unit(&mut self, i: usize, item: Option<(usize, &Value)>, before: u8) -> u8 {
        let step = &self.frozen.steps[i];
        let number = item.map(|(n, _)| n);
        let key = key(&step.name, number);
        let which = |attempt| Which { run: self.number, item: number, attempt };
        let known = self.known.get(key.as_str());
        let missing_since = known.filter(|s| s.reason == MISSING).and_then(|s| s.since.parse().ok());
        let ask = Ask {
            name: &|attempt| names::flow_job(self.world.name(), &step.name, which(attempt), step.stem),
            is: &|metadata, attempt| is_of(metadata, &step.name, which(attempt)),
            recorded: self.tries.get(&key).copied().unwrap_or(0),
            begun: before == byte::RUNNING,
            missing_since,
            retry: step.retry,
            deadline_is_final: step.deadline.is_some(),
        };
        let is = self.view.see(&ask);
        if let (Mode::Ending(why), Part::Flow) = (self.mode.clone(), step.part) {
            return self.end_unit(&key, is, before, why);
        }
        match is {
            Is::Absent => self.want(i, item, 0, before),
            Is::Again { attempt, due, failed } => {
                self.again(&key, attempt, due, failed);
                match job::until(due, self.now) {
                    Some(left) => self.later(left),
                    None => {
                        self.want(i, item, attempt, before);
                    }
                }
                byte::RUNNING
            }
            Is::Waiting(message) => {
                let reason = Reason::WaitingForChildren.as_str().to_owned();
                self.note(&key, false, StepStatus { reason, message, ..StepStatus::default() });
                before
            }
            Is::InTheWay(old) => {
                self.actions.extend(job::delete(job::gvk(), &old.metadata));
                before
            }
            Is::Missing { attempt, since } => {
                self.living += 1;
                self.missing(&key, attempt, since);
                byte::RUNNING
            }
            Is::Living { attempt, job } => {
                self.living += 1;
                self.is_living(&key, attempt, &job);
                byte::RUNNING
            }
            Is::Succeeded { job } => self.succeeded(i, &key, &job, number.is_some()),
            Is::Failed { attempt, failed } => {
                let retries = (attempt > 0).then_some(attempt);
                self.failed_note(&key, failed, retries);
                byte::FAILED
            }
        }
    }

    /// A unit of a run that is to end now.
    fn end_unit(&mut self, key: &str, is: Is, before: u8, why: Failure) -> u8 {
        match is {
            Is::Succeeded { .. } => return byte::SUCCEEDED,
            Is::Failed { attempt, failed } => {
                self.failed_note(key, failed, (attempt > 0).then_some(attempt));
                return byte::FAILED;
            }
            Is::Absent | Is::Waiting(_) | Is::InTheWay(_) if before == byte::PENDING => return byte::SKIPPED,
            Is::Living { job, .. } => self.actions.extend(job::delete(job::gvk(), &job.metadata)),
            _ => {}
        }
        self.failed_note(key, why, None);
        byte::FAILED
    }

    /// The step is at this.
    pub(super) fn put(&mut self, i: usize, to: u8) {
        self.has_failed |= to == byte::FAILED && self.frozen.steps[i].part == Part::Flow;
        self.lives[i].byte.set(to);
    }

    /// The step came to this; `items` is how many it has.
    fn ended(&mut self, i: usize, mut after: u8, items: Option<usize>) {
        let step = &self.frozen.steps[i];
        if let (Some(n), byte::SUCCEEDED, false) = (items, after, step.outputs.is_empty()) {
            after = match self.item_outputs(i, n) {
                Ok(found) => self.keep_outputs(i, found),
                Err((job, missing)) => self.no_outputs(&step.name, &job, missing),
            };
        }
        self.put(i, after);
        if byte::is_end(after) {
            self.items.remove(&step.name);
            self.tries.remove(&step.name);
            for n in 0..items.unwrap_or(0) {
                self.tries.remove(&key(&step.name, Some(n)));
            }
        }
    }

    pub(super) fn scope<'s>(&'s self, each: Option<(usize, &'s Value)>) -> Scope<'s> {
        Scope { steps: Steps { frozen: self.frozen, lives: &self.lives }, flow: &self.flow, run: &self.run, each }
    }

    pub(super) fn later(&mut self, after: Duration) {
        self.requeue = Some(self.requeue.map_or(after, |r| r.min(after)));
    }

    /// The bytes of all steps.
    pub(super) fn bytes(&self) -> String {
        self.lives.iter().map(|l| char::from(l.byte.get())).collect()
    }
}

/// The reason of a step whose Job is not to be seen.
const MISSING: &str = "JobMissing";

/// The name of a unit in the status.
pub(super) fn key(step: &str, item: Option<usize>) -> String {
    item.map_or_else(|| step.to_owned(), |n| format!("{step}-{n}"))
}

/// Whether an object of the flow is the Job of this unit.
fn is_of(metadata: &kube::core::ObjectMeta, step: &str, which: Which) -> bool {
    let number = |name| job::annotation(metadata, name).and_then(|v| v.parse::<usize>().ok());
    job::run_of(metadata) == Some(which.run)
        && job::label(metadata, keys::STEP) == Some(step)
        && number(keys::ITEM) == which.item
        && number(keys::ATTEMPT) == usize::try_from(which.attempt).ok()
}

/// The refusal of the object's creation.
pub(crate) fn refused<'r>(refusals: &'r [Refusal], key: &ObjectKey) -> Option<&'r Refusal> {
    refusals.iter().find(|r| r.verb == Verb::Create && r.key == *key)
}
