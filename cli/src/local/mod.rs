//! A Pipeline on one machine: the operator's `evaluate` over a cluster in memory, the engine in this process.

pub mod cluster;
mod jobs;
mod status;
pub mod stores;
pub mod topics;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use kube::core::DynamicObject;
use tokio_util::sync::CancellationToken;
use tributary_blueprints::evaluate;
use tributary_blueprints::object::{ObjectKey, field};
use tributary_crds::{BlueprintSpec, EngineStatus, Health, Pipeline, PipelinePhase, PipelineStatus, Timestamp};
use tributary_mapreduce::input::TopicError;

use cluster::{Cluster, ClusterError};
use jobs::{Jobs, Shortfall};
use stores::Directories;
use topics::Logs;

/// The kinds that a local run carries out; all others need a cluster.
pub const KINDS: [&str; 3] = ["MapReduceJob", "Topic", "KafkaTopic"];

/// Decisions in a row that each change something, without a pause, after which something is wrong.
const MAX_DECISIONS: u32 = 10_000;
/// Timed decisions in a row that change nothing, after which nothing will.
const MAX_IDLE: u32 = 3;

/// A Pipeline and where it runs.
#[derive(Debug)]
pub struct Run {
    /// The Pipeline.
    pub pipeline: Pipeline,
    /// The Blueprint that its `blueprintRef` names.
    pub blueprint: Option<BlueprintSpec>,
    /// What stands for S3.
    pub directories: Directories,
    /// What stands for Kafka.
    pub logs: Logs,
    /// Tasks at once.
    pub threads: NonZeroUsize,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The Pipeline's last status.
    pub status: PipelineStatus,
    /// Every object that the plans created, as they said it.
    pub created: Vec<DynamicObject>,
    /// What the engine said last of each job, by the name of its child.
    pub engines: BTreeMap<String, EngineStatus>,
}

/// Sees a run go on.
pub trait Observer {
    /// The Pipeline's status, or what the engine says of a job, has changed.
    fn changed(&mut self, status: &PipelineStatus, engines: &BTreeMap<String, EngineStatus>);
}

/// Why a run came to no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// By the token.
    #[error("interrupted")]
    Interrupted,
    /// The Pipeline says so.
    #[error("the Pipeline is suspended: spec.suspend is true")]
    Suspended,
    /// Nothing runs, nothing is to be done, and yet it is not the end.
    #[error("nothing can go on:\n{0}")]
    Stuck(String),
    /// A job waits for records that nobody writes.
    #[error(
        "{job} waits for {wanted} records of topic {topic}, which has {found}: nothing in this run writes it. {hint}"
    )]
    Starved {
        /// The job.
        job: String,
        /// The topic.
        topic: String,
        /// Records that it wants.
        wanted: i64,
        /// Records that there are.
        found: i64,
        /// What to do.
        hint: String,
    },
    /// Decisions that undo each other.
    #[error("the plan does not settle; this is a bug")]
    Unsettled,
    /// A plan that makes no sense.
    #[error("{0}; this is a bug")]
    Plan(#[from] ClusterError),
    /// A log that cannot be had.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// Runs a Pipeline to its end, on a multi-threaded tokio runtime. That it failed is an outcome, not an error.
pub async fn run(run: Run, observer: &mut dyn Observer, cancel: CancellationToken) -> Result<Outcome, RunError> {
    let mut local = Local {
        cluster: Cluster::new(run.pipeline, run.blueprint, Timestamp::now()),
        jobs: Jobs::new(run.directories.clone(), run.threads, &cancel),
        logs: run.logs,
    };
    let ended = local.drive(observer, &cancel).await;
    local.jobs.stop().await;
    run.directories.tidy();
    ended?;
    Ok(Outcome {
        status: local.status(),
        created: local.cluster.created().to_vec(),
        engines: local.jobs.engines().clone(),
    })
}

struct Local {
    cluster: Cluster,
    jobs: Jobs,
    logs: Logs,
}

impl Local {
    async fn drive(&mut self, observer: &mut dyn Observer, cancel: &CancellationToken) -> Result<(), RunError> {
        let (mut decisions, mut idle) = (0, 0);
        loop {
            let before = self.cluster.version();
            let now = Timestamp::now();
            let plan = evaluate(&self.cluster.world(), now);
            self.cluster.act(&plan, now)?;
            self.control(now)?;
            observer.changed(&self.status(), self.jobs.engines());
            if self.cluster.version() != before {
                (decisions, idle) = (decisions + 1, 0);
                if decisions > MAX_DECISIONS {
                    return Err(RunError::Unsettled);
                }
                continue;
            }
            decisions = 0;
            if self.jobs.is_empty() {
                match self.status().phase {
                    PipelinePhase::Succeeded | PipelinePhase::Failed | PipelinePhase::Running => return Ok(()),
                    PipelinePhase::Suspended => return Err(RunError::Suspended),
                    _ if plan.requeue.is_none() || idle >= MAX_IDLE => return Err(RunError::Stuck(self.waiting())),
                    _ => idle += 1,
                }
            } else if let Some(shortfall) = self.jobs.all_starved(&mut self.logs).await {
                return Err(self.starved(shortfall));
            }
            self.wait(plan.requeue, cancel).await?;
        }
    }

    fn status(&self) -> PipelineStatus {
        self.cluster.pipeline().status.clone().unwrap_or_default()
    }

    /// Does what the controllers of the children would do.
    fn control(&mut self, now: Timestamp) -> Result<(), RunError> {
        let children: Vec<(ObjectKey, DynamicObject)> =
            self.cluster.children().0.iter().map(|(k, o)| (k.clone(), o.clone())).collect();
        self.jobs.keep(|key, uid| children.iter().any(|(k, o)| k == key && o.metadata.uid.as_deref() == Some(uid)));
        for (key, child) in children {
            match key.kind.as_str() {
                "MapReduceJob" if field(&child, &["status"]).is_none() => {
                    let status = self.jobs.start(&key, &child, &mut self.logs, now);
                    self.cluster.set_status(&key, status);
                }
                "Topic" | "KafkaTopic" if field(&child, &["status"]).is_none() => {
                    let status = self.logs.provide(&child, now)?;
                    self.cluster.set_status(&key, status);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until a job has something to say, or it is time to decide again.
    async fn wait(&mut self, requeue: Option<Duration>, cancel: &CancellationToken) -> Result<(), RunError> {
        let timer = async {
            match requeue {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cancel.cancelled() => Err(RunError::Interrupted),
            () = timer => Ok(()),
            key = self.jobs.next() => {
                if let Some(child) = self.cluster.children().get(&key)
                    && let Some(status) = self.jobs.status(&key, child, Timestamp::now())
                {
                    self.cluster.set_status(&key, status);
                }
                Ok(())
            }
        }
    }

    /// What each component that has not ended waits for.
    fn waiting(&self) -> String {
        let status = self.status();
        let open = |h: Health| !matches!(h, Health::Succeeded | Health::Skipped | Health::Ready);
        let line = |what: &str, name: &str, health: Health, message: &str| {
            let message = if message.is_empty() { "no reason given" } else { message };
            format!("  {what} {name}: {health:?}: {message}")
        };
        let topics = status.topics.iter().filter(|t| open(t.health));
        let components = status.components.iter().filter(|c| open(c.health));
        let lines: Vec<String> = topics
            .map(|t| line("topic", &t.name, t.health, &t.message))
            .chain(components.map(|c| line("component", &c.name, c.health, &c.message)))
            .collect();
        if lines.is_empty() { format!("  {}", status.message) } else { lines.join("\n") }
    }

    fn starved(&self, shortfall: Shortfall) -> RunError {
        let hint = match &shortfall.name {
            Some(name) => format!("Fill it with --topic {name}=FILE (`-` is the standard input)"),
            None => "It is not a topic of the blueprint, so that --topic cannot fill it".into(),
        };
        let component = self.status().components.into_iter().find(|c| c.child == shortfall.job).map(|c| c.name);
        RunError::Starved {
            job: format!("component {}", component.unwrap_or(shortfall.job)),
            topic: shortfall.name.unwrap_or(shortfall.topic),
            wanted: shortfall.wanted,
            found: shortfall.found,
            hint,
        }
    }
}
