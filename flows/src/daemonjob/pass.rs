//! One look at every node: what came of its Job, which ones begin, which Jobs go.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use kube::core::{DynamicObject, ObjectMeta};
use tributary_blueprints::{object::ObjectKey, plan::Action};
use tributary_crds::{NodeStatus, Reason, Timestamp, condition::truncated, names as keys};

use super::{
    record::{At, Record, id},
    world::{Frozen, World},
};
use crate::{
    Node, job,
    jobflow::{Pauses, refused},
    names, nodes,
    template::{self, Making},
    unit::{self, Ask, Failure, Is, View},
};

/// Jobs that one plan creates at most, and deletes.
const MOST_WRITTEN: usize = 50;
/// Bytes of a message in the status.
const LONGEST_MESSAGE: usize = 512;
/// The reason of a node whose Job is not to be seen.
const MISSING: &str = "JobMissing";
/// The reason of a Job whose node is not to be seen.
const NODE_GONE: &str = "NodeGone";

/// One pass over the nodes of a run.
pub(super) struct Pass<'a> {
    world: &'a World,
    frozen: &'a Frozen,
    run: i64,
    now: Timestamp,
    view: View<'a>,
    known: HashMap<&'a str, &'a NodeStatus>,
    before: Record,
    /// What is to be recorded.
    pub(super) record: Record,
    pub(super) actions: Vec<Action>,
    /// What fails or runs, by node: whether it fails.
    pub(super) notes: BTreeMap<String, (bool, NodeStatus)>,
    pub(super) nodes: usize,
    pub(super) living: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) requeue: Option<Duration>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(world: &'a World, frozen: &'a Frozen, run: i64, now: Timestamp) -> Self {
        Self {
            view: View { jobs: &world.jobs, pods: &world.pods, owner: &world.metadata, kind: "DaemonJob", now },
            known: world.status.active.iter().map(|n| (n.node.as_str(), n)).collect(),
            before: Record::read(world.record.as_ref(), run),
            record: Record::new(run),
            actions: Vec::new(),
            notes: BTreeMap::new(),
            nodes: 0,
            living: 0,
            succeeded: 0,
            failed: 0,
            requeue: None,
            world,
            frozen,
            run,
            now,
        }
    }

    /// Looks at every node in the order of the names, and decides what begins.
    pub(super) fn go(&mut self) {
        let mut all: Vec<&'a Node> = self.world.nodes.iter().filter(|n| !n.going).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut wanted = Vec::new();
        let chosen: Vec<&'a Node> = all.iter().copied().filter(|n| self.is_chosen(n)).collect();
        for node in chosen {
            self.node(node, &mut wanted);
        }
        self.begin(wanted);
        self.release(&all);
    }

    /// Whether the spec chooses the node, whatever its taints.
    fn is_chosen(&self, node: &Node) -> bool {
        let only = self.frozen.spec.global_params.as_ref().and_then(|g| g.node_name.as_ref());
        !self.frozen.excluded.contains(&node.name)
            && only.is_none_or(|name| *name == node.name)
            && nodes::selects(self.frozen.pod(), node)
    }

    fn node(&mut self, node: &'a Node, wanted: &mut Vec<(&'a Node, u32)>) {
        let id = id(node);
        let known = self.before.get(&id);
        match known {
            Some(At::Succeeded) => return self.ended(id, true),
            Some(At::Failed) => {
                if let Some(note) = self.known.get(node.name.as_str()) {
                    self.notes.insert(node.name.clone(), (true, (*note).clone()));
                }
                return self.ended(id, false);
            }
            Some(At::Running(_)) | None => {}
        }
        let recorded = if let Some(At::Running(tries)) = known { tries } else { 0 };
        if let Some(at) = known {
            self.record.set(id.clone(), at);
        }
        let missing = self.known.get(node.name.as_str()).filter(|n| n.reason == MISSING);
        let ask = Ask {
            name: &|attempt| names::node_job(self.world.name(), &node.name, self.run, attempt),
            is: &|metadata, attempt| is_of(metadata, node, self.run, attempt),
            recorded,
            begun: known.is_some(),
            missing_since: missing.and_then(|n| n.since.parse().ok()),
            retry: Pauses::of(self.frozen.spec.retry.as_ref()),
            deadline_is_final: false,
        };
        match self.view.see(&ask) {
            Is::Absent => {
                // a tainted node is no node of ours until it is tolerated
                if nodes::tolerates(self.frozen.pod(), node) {
                    self.nodes += 1;
                    wanted.push((node, 0));
                }
                return;
            }
            Is::InTheWay(old) => self.actions.extend(job::delete(job::gvk(), &old.metadata)),
            Is::Waiting(message) => {
                self.note(node, false, Failure::new(Reason::WaitingForChildren.as_str(), message), 0, None);
            }
            Is::Again { attempt, due, failed } => {
                let message = format!("try {attempt} failed, the next one is at {due}: {}", failed.message);
                self.note(node, true, Failure { message, ..failed }, attempt - 1, None);
                self.record.set(id, At::Running(attempt - 1));
                match job::until(due, self.now) {
                    Some(left) => self.later(left),
                    None => wanted.push((node, attempt)),
                }
            }
            Is::Missing { attempt, since } => {
                let message = "its Job was created and is not to be seen";
                self.note(node, true, Failure::new(MISSING, message), attempt, Some(since));
                self.living += 1;
                self.record.set(id, At::Running(attempt));
                let end = since.checked_add(unit::PATIENCE).unwrap_or(since);
                self.later(job::until(end, self.now).unwrap_or_default());
            }
            Is::Living { attempt, job } => self.is_living(node, id, attempt, &job),
            Is::Succeeded { .. } => return self.ended(id, true),
            Is::Failed { attempt, failed } => {
                self.note(node, true, failed, attempt, None);
                return self.ended(id, false);
            }
        }
        self.nodes += 1;
    }

    fn ended(&mut self, id: String, well: bool) {
        self.nodes += 1;
        if well {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
        self.record.set(id, if well { At::Succeeded } else { At::Failed });
    }

    fn is_living(&mut self, node: &Node, id: String, attempt: u32, job: &DynamicObject) {
        self.living += 1;
        let hold = self.world.spec.suspend;
        if job::is_held(job) != hold && job.metadata.deletion_timestamp.is_none() {
            self.actions.push(job::hold(job, hold));
        }
        self.record.set(id, At::Running(attempt));
        let blocked = if hold { String::new() } else { job::words(&self.world.pods.of(job)).blocked };
        let reason = if blocked.is_empty() { "" } else { Reason::PodsBlocked.as_str() };
        self.note(node, false, Failure::new(reason, blocked), attempt, None);
        if let Some((_, note)) = self.notes.get_mut(&node.name) {
            note.uid = job.metadata.uid.clone().unwrap_or_default();
        }
    }

    /// Lets nodes begin, in order, as far as there is room.
    fn begin(&mut self, wanted: Vec<(&Node, u32)>) {
        if self.world.spec.suspend {
            return;
        }
        let most = self.world.spec.max_parallel.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        for (created, (node, attempt)) in wanted.into_iter().enumerate() {
            if self.living >= most {
                break;
            }
            if created == MOST_WRITTEN {
                self.later(Duration::ZERO);
                break;
            }
            self.living += 1;
            self.create(node, attempt);
        }
    }

    fn create(&mut self, node: &Node, attempt: u32) {
        let object = self.make(node, attempt);
        let refusal = ObjectKey::of(&object).and_then(|key| refused(&self.world.refusals, &key)).cloned();
        match refusal {
            Some(refusal) => {
                self.note(node, true, Failure::new(refusal.reason.as_str(), refusal.message), attempt, None);
                self.living -= 1;
                if refusal.reason == Reason::Rejected {
                    // it is counted among the nodes already
                    self.nodes -= 1;
                    return self.ended(id(node), false);
                }
            }
            None => {
                self.note(node, false, Failure::new("", ""), attempt, None);
                self.record.set(id(node), At::Running(attempt));
            }
        }
        self.actions.push(Action::Create(Box::new(object)));
    }

    fn make(&self, node: &Node, attempt: u32) -> DynamicObject {
        let of = |key: &str, value: String| (key.to_owned(), value);
        let making = Making {
            owner: template::owner_of("DaemonJob", &self.world.metadata),
            namespace: self.world.namespace(),
            name: names::node_job(self.world.name(), &node.name, self.run, attempt),
            labels: BTreeMap::from([
                of(keys::DAEMON_JOB, self.world.name().into()),
                of(keys::RUN, self.run.to_string()),
            ]),
            annotations: BTreeMap::from([
                of(keys::NODE, node.name.clone()),
                of(keys::NODE_UID, node.uid.clone()),
                of(keys::ATTEMPT, attempt.to_string()),
                of(keys::TEMPLATE_HASH, self.frozen.hash.clone()),
            ]),
            globals: self.frozen.spec.global_params.as_ref(),
            node: Some(&node.name),
            ..Making::default()
        };
        template::job(self.frozen.job.clone(), &making)
    }

    /// Jobs of nodes that are gone, of runs that are over, and of nodes whose outcome is recorded and whose time has
    /// come.
    fn release(&mut self, all: &[&Node]) {
        let there: HashSet<(&str, &str)> = all.iter().map(|n| (n.name.as_str(), n.uid.as_str())).collect();
        let keep = i64::from(self.world.spec.history_limit.unwrap_or(0));
        let mut deletions = Vec::new();
        for object in self.world.jobs.iter() {
            let metadata = &object.metadata;
            let ours = job::kinship(metadata, &self.world.metadata, "DaemonJob") == job::Kinship::Ours;
            if !ours || metadata.deletion_timestamp.is_some() {
                continue;
            }
            let Some(run) = job::run_of(metadata) else { continue };
            let of_node = |name| job::annotation(metadata, name).unwrap_or_default();
            let (name, uid) = (of_node(keys::NODE), of_node(keys::NODE_UID));
            let goes = if run < self.run {
                run < self.run - keep && self.world.status.run == Some(self.run)
            } else if !there.contains(&(name, uid)) {
                self.is_gone(name)
            } else {
                self.is_past(object, name, uid)
            };
            if goes {
                deletions.extend(job::delete(job::gvk(), metadata));
            }
        }
        if deletions.len() > MOST_WRITTEN {
            deletions.truncate(MOST_WRITTEN);
            self.later(Duration::ZERO);
        }
        self.actions.extend(deletions);
    }

    /// A node that is not to be seen is gone only if that lasts: its Job may be known sooner than the node.
    fn is_gone(&mut self, name: &str) -> bool {
        let known = self.known.get(name).filter(|n| n.reason == NODE_GONE);
        let since = known.and_then(|n| n.since.parse().ok()).unwrap_or(self.now);
        let end = since.checked_add(unit::PATIENCE).unwrap_or(since);
        let Some(left) = job::until(end, self.now) else { return true };
        self.later(left);
        let node = Node { name: name.to_owned(), ..Node::default() };
        self.note(&node, true, Failure::new(NODE_GONE, "its node is gone: its Job will go too"), 0, Some(since));
        false
    }

    /// Whether the time of a Job whose outcome is recorded has come.
    fn is_past(&mut self, object: &DynamicObject, name: &str, uid: &str) -> bool {
        let Some(ttl) = self.frozen.spec.ttl_seconds_after_finished else { return false };
        let id = id(&Node { name: name.to_owned(), uid: uid.to_owned(), ..Node::default() });
        let recorded = matches!(self.before.get(&id), Some(At::Succeeded | At::Failed));
        let (true, Some(end)) = (recorded, job::end(object)) else { return false };
        let ttl = Duration::from_secs(u64::try_from(ttl).unwrap_or(0));
        match end.at.and_then(|at| at.checked_add(ttl).ok()).and_then(|due| job::until(due, self.now)) {
            Some(left) => {
                self.later(left);
                false
            }
            None => true,
        }
    }

    fn note(&mut self, node: &Node, failing: bool, failure: Failure, attempt: u32, since: Option<Timestamp>) {
        let status = NodeStatus {
            node: node.name.clone(),
            retries: (attempt > 0).then_some(attempt),
            reason: failure.reason,
            message: truncated(&failure.message, LONGEST_MESSAGE),
            since: since.map(|s| s.to_string()).unwrap_or_default(),
            ..NodeStatus::default()
        };
        self.notes.insert(node.name.clone(), (failing, status));
    }

    fn later(&mut self, after: Duration) {
        self.requeue = Some(self.requeue.map_or(after, |r| r.min(after)));
    }
}

/// Whether an object of the DaemonJob is the Job of this try on this node.
fn is_of(metadata: &ObjectMeta, node: &Node, run: i64, attempt: u32) -> bool {
    let is = |key, value: &str| job::annotation(metadata, key) == Some(value);
    job::run_of(metadata) == Some(run)
        && is(keys::NODE, &node.name)
        && is(keys::NODE_UID, &node.uid)
        && is(keys::ATTEMPT, &attempt.to_string())
}
