//! The controller of MapReduceJobs of a local run: each runs on the engine in this process.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::object::{ObjectKey, field};
use tributary_crds::{EnginePhase, EngineStatus, KafkaInput, MapReduceJobSpec, Timestamp};
use tributary_mapreduce::input::MemoryTopics;
use tributary_mapreduce::local::{self, Error, LocalJob};

use super::status::of_engine;
use super::stores::Directories;
use super::topics::Logs;

/// The jobs of a run.
pub struct Jobs {
    directories: Arc<Directories>,
    threads: NonZeroUsize,
    cancel: CancellationToken,
    running: BTreeMap<ObjectKey, Running>,
    engines: BTreeMap<String, EngineStatus>,
    tasks: JoinSet<()>,
    sender: mpsc::UnboundedSender<Said>,
    receiver: mpsc::UnboundedReceiver<Said>,
}

struct Running {
    uid: String,
    cancel: CancellationToken,
    waits_for: Option<KafkaInput>,
    engine: EngineStatus,
}

struct Said {
    key: ObjectKey,
    uid: String,
    engine: EngineStatus,
}

/// A job that waits for records that are not there.
pub struct Shortfall {
    /// The job's name.
    pub job: String,
    /// The topic's name in Kafka.
    pub topic: String,
    /// Its name within the blueprint.
    pub name: Option<String>,
    /// Records that the job wants.
    pub wanted: i64,
    /// Records that there are.
    pub found: i64,
}

impl Jobs {
    /// No jobs yet.
    pub fn new(directories: Directories, threads: NonZeroUsize, cancel: &CancellationToken) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            directories: Arc::new(directories),
            threads,
            cancel: cancel.child_token(),
            running: BTreeMap::new(),
            engines: BTreeMap::new(),
            tasks: JoinSet::new(),
            sender,
            receiver,
        }
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// What the engine said last of each job, by the job's name.
    pub fn engines(&self) -> &BTreeMap<String, EngineStatus> {
        &self.engines
    }

    /// Starts a job, and gives its first status.
    pub fn start(&mut self, key: &ObjectKey, child: &DynamicObject, logs: &mut Logs, now: Timestamp) -> Value {
        let spec: MapReduceJobSpec = match serde_json::from_value(child.data.get("spec").cloned().unwrap_or_default()) {
            Ok(spec) => spec,
            Err(e) => return to_value(child, &failed("InvalidSpec", format!("spec: {e}")), now),
        };
        let uid = child.metadata.uid.clone().unwrap_or_default();
        let kafka = spec.input.kafka.clone();
        let job = LocalJob {
            name: key.name.clone(),
            uid: uid.clone(),
            spec,
            stores: self.directories.clone(),
            topics: match &kafka {
                Some(kafka) => logs.cluster(&kafka.connection),
                None => Arc::new(MemoryTopics::new()),
            },
            threads: self.threads,
            cancel: self.cancel.child_token(),
        };
        let engine = EngineStatus::default();
        self.engines.insert(key.name.clone(), engine.clone());
        let running =
            Running { uid: uid.clone(), cancel: job.cancel.clone(), waits_for: kafka, engine: engine.clone() };
        self.running.insert(key.clone(), running);
        self.tasks.spawn(to_the_end(job, key.clone(), self.sender.clone()));
        to_value(child, &engine, now)
    }

    /// Stops the jobs whose object is not there any more.
    pub fn keep(&mut self, there: impl Fn(&ObjectKey, &str) -> bool) {
        self.running.retain(|key, job| {
            let keep = there(key, &job.uid);
            if !keep {
                job.cancel.cancel();
            }
            keep
        });
    }

    /// Waits for the next word of a job.
    pub async fn next(&mut self) -> ObjectKey {
        loop {
            // the sender is ours, so that the channel never closes
            let Some(said) = self.receiver.recv().await else { std::future::pending().await };
            let Some(job) = self.running.get_mut(&said.key).filter(|job| job.uid == said.uid) else { continue };
            job.engine = said.engine;
            self.engines.insert(said.key.name.clone(), job.engine.clone());
            return said.key;
        }
    }

    /// The status that says what the engine has said; a job that has ended is forgotten.
    pub fn status(&mut self, key: &ObjectKey, child: &DynamicObject, now: Timestamp) -> Option<Value> {
        let job = self.running.get(key)?;
        let status = to_value(child, &job.engine, now);
        if ended(&job.engine) {
            self.running.remove(key);
        }
        Some(status)
    }

    /// The first job, where every one waits for records that are not there.
    pub async fn all_starved(&self, logs: &mut Logs) -> Option<Shortfall> {
        let mut first = None;
        for (key, job) in &self.running {
            let input = job.waits_for.as_ref().filter(|_| job.engine.phase == EnginePhase::Planning)?;
            let (wanted, found) = logs.shortfall(input).await?;
            let (topic, name) = (input.topic.clone(), logs.name(input).map(str::to_owned));
            first.get_or_insert(Shortfall { job: key.name.clone(), topic, name, wanted, found });
        }
        first
    }

    /// Stops what runs and waits until it has stopped.
    pub async fn stop(&mut self) {
        self.cancel.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Runs a job, and says its last word whatever happens.
async fn to_the_end(job: LocalJob, key: ObjectKey, sender: mpsc::UnboundedSender<Said>) {
    let (uid, name) = (job.uid.clone(), key.name.clone());
    let say = move |engine: &EngineStatus| {
        // nobody listens any more once the run has ended
        drop(sender.send(Said { key: key.clone(), uid: uid.clone(), engine: engine.clone() }));
    };
    let observer = {
        let say = say.clone();
        // the end is said once the engine has cleared up after itself
        move |engine: &EngineStatus| {
            if !ended(engine) {
                say(engine)
            }
        }
    };
    // in a task of its own, so that a panic is an outcome too
    match tokio::spawn(local::run(job, observer)).await {
        Ok(Ok(engine)) => say(&engine),
        Ok(Err(Error::Cancelled)) => say(&failed("Cancelled", "the job was cancelled".into())),
        Ok(Err(e)) => say(&failed("EngineFailed", e.to_string())),
        Err(e) => say(&failed("EngineFailed", format!("{name}: the engine ended: {e}"))),
    }
}

fn ended(engine: &EngineStatus) -> bool {
    matches!(engine.phase, EnginePhase::Succeeded | EnginePhase::Failed)
}

fn failed(reason: &str, message: String) -> EngineStatus {
    EngineStatus { phase: EnginePhase::Failed, reason: reason.into(), message, ..Default::default() }
}

fn to_value(child: &DynamicObject, engine: &EngineStatus, now: Timestamp) -> Value {
    let status = of_engine(field(child, &["status"]), child.metadata.generation, engine, now);
    // a status is made of maps, lists and strings: nothing in it fails to become JSON
    serde_json::to_value(status).unwrap_or_default()
}
