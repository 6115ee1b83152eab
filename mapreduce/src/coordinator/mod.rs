//! The coordinator: carries out what the job's state machine says, and tells it what came of it.

mod commit;
mod journal;
mod polls;
mod progress;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tributary_crds::{EngineStatus, IfExists};
use tributary_mapreduce_core::commit::{Manifest, names};
use tributary_mapreduce_core::job::{Effect, Event, Job, Millis, State};

use crate::input::{PlanError, plan};
use crate::store::StoreError;
use crate::task::Context;
use commit::Completed;
use journal::Written;
use polls::Polls;

pub use polls::{CoordinatorLink, Requests, link};

/// How often time passes for the job.
const TICK: Duration = Duration::from_millis(200);
/// How long a store that does not answer is waited for, beyond its own retries, before planning fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause after a write that failed and may do better.
const PAUSE: Duration = Duration::from_secs(1);
/// How long workers have to hear that the job has ended.
const FAREWELL: Duration = Duration::from_secs(3);

/// A coordinator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The job and its places.
    pub context: Context,
    /// Names this process: no other coordinator of the job has the same.
    pub holder: String,
}

/// Why a coordinator cannot work.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The store has no conditional writes.
    #[error(
        "{place}: the store overwrites an object that it was told not to (If-None-Match), so two coordinators could \
         both commit: use another store for the workspace"
    )]
    StoreUnsafe {
        /// What was written.
        place: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A journal that is none.
    #[error("{place} is not a batch of this job's journal: {message}")]
    Journal {
        /// The object.
        place: String,
        /// What is wrong with it.
        message: String,
    },
}

impl CoordinatorError {
    /// A word for a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::StoreUnsafe { .. } => "StoreUnsafe",
            Self::Store(_) => "StoreError",
            Self::Journal { .. } => "JournalDamaged",
        }
    }
}

/// How a coordinator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The job has ended; the last status says how.
    Finished,
    /// Another coordinator has taken over.
    Fenced,
    /// It was told to stop; the job goes on with the next coordinator.
    Stopped,
}

/// Coordinates a job until it has ended, another coordinator takes over, or `stop`. `status` has the status at any time.
/// What the job leaves in the stores is there until [`clean`]: not before its end is known elsewhere, for a coordinator
/// that finds no journal begins the job anew.
///
/// # Errors
/// The workspace cannot be written. A job that fails is no error.
pub async fn run(
    config: Config,
    requests: Requests,
    status: watch::Sender<EngineStatus>,
    stop: CancellationToken,
) -> Result<End, CoordinatorError> {
    journal::probe(&config.context.workspace).await?;
    let mut job = Job::new(config.context.spec.config.clone());
    for batch in journal::read(&config.context.workspace).await? {
        job.replay(&batch);
    }
    let (events, inbox) = mpsc::unbounded_channel();
    let clock = Clock::start();
    let lease = Duration::from_millis(config.context.spec.config.lease.0);
    let polls = Polls::new(requests, lease / 3);
    Driver { config, clock, job, events, inbox, polls, status, stop, end: None, over: CancellationToken::new() }
        .run()
        .await
}

/// Milliseconds since 1970 that never go back nor jump: leases run by them.
struct Clock {
    began: Instant,
    since_epoch: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { began: Instant::now(), since_epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    fn now(&self) -> Millis {
        let since = self.since_epoch.saturating_add(self.began.elapsed());
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What an effect that takes time came to.
enum Told {
    Event(Event),
    Broken(CoordinatorError),
}

struct Driver {
    config: Config,
    clock: Clock,
    job: Job,
    events: mpsc::UnboundedSender<Told>,
    inbox: mpsc::UnboundedReceiver<Told>,
    polls: Polls,
    status: watch::Sender<EngineStatus>,
    stop: CancellationToken,
    end: Option<End>,
    /// Cancelled at the end: what effects still do is of no use.
    over: CancellationToken,
}

impl Driver {
    async fn run(mut self) -> Result<End, CoordinatorError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let holder = self.config.holder.clone();
        self.put(Event::Open { holder });
        let ended = loop {
            if let Some(end) = self.end {
                break Ok(end);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break Ok(End::Stopped),
                Some(told) = self.inbox.recv() => match told {
                    Told::Event(event) => {
                        self.put(event);
                        self.put_held();
                    }
                    Told::Broken(error) => break Err(error),
                },
                Some(poll) = self.polls.next() => self.put(Event::Poll(poll)),
                _ = ticks.tick() => {
                    self.put(Event::Tick);
                    self.put_held();
                }
            }
            self.publish();
        };
        self.over.cancel();
        self.publish();
        if ended.as_ref().is_ok_and(|end| *end == End::Finished) {
            let _ = timeout(FAREWELL, self.dismiss()).await;
        }
        ended
    }

    /// Puts an event, and begins what follows from it.
    fn put(&mut self, event: Event) {
        for effect in self.job.on(event, self.clock.now()) {
            match effect {
                Effect::Reply { worker, seq, reply } => self.polls.answer(&worker, seq, reply),
                Effect::Finish => self.end = Some(End::Finished),
                Effect::Fenced { holder } => {
                    tracing::warn!(holder, "another coordinator has taken over");
                    self.end = Some(End::Fenced);
                }
                Effect::Journal { number, batch } => {
                    let place = self.config.context.workspace.clone();
                    self.begin(async move {
                        match journal::write(&place, number, &batch).await? {
                            Written::Ours => Ok(Event::JournalWritten { number }),
                            Written::Taken(found) => Ok(Event::JournalTaken { number, found }),
                        }
                    });
                }
                Effect::Plan { start } => {
                    let (context, events) = (self.config.context.clone(), self.events.clone());
                    self.begin(async move {
                        let say = move |event| drop(events.send(Told::Event(event)));
                        Ok(planned(&context, start, &say).await)
                    });
                }
                Effect::WriteManifest(manifest) => {
                    let place = self.config.context.workspace.clone();
                    self.begin(async move {
                        let manifest = patiently(|| journal::write_manifest(&place, &manifest)).await?;
                        Ok(Event::ManifestWritten { manifest })
                    });
                }
                Effect::Complete(manifest) => {
                    let context = self.config.context.clone();
                    self.begin(async move { Ok(completed(&context, &manifest).await) });
                }
            }
        }
    }

    /// Puts the polls again that wait for a better answer.
    fn put_held(&mut self) {
        for poll in self.polls.held() {
            self.put(Event::Poll(poll));
        }
    }

    fn begin(&self, work: impl Future<Output = Result<Event, CoordinatorError>> + Send + 'static) {
        let (events, over) = (self.events.clone(), self.over.clone());
        tokio::spawn(async move {
            let told = tokio::select! {
                told = work => told,
                () = over.cancelled() => return,
            };
            // nobody listens once the job has ended
            let _ = events.send(told.map_or_else(Told::Broken, Told::Event));
        });
    }

    fn publish(&self) {
        if self.job.state() == State::Fenced {
            return;
        }
        let new = progress::status(&self.job.progress(), &self.config.context);
        self.status.send_if_modified(|old| progress::replace(old, new));
    }

    /// Lets the workers know that the job has ended.
    async fn dismiss(&mut self) {
        self.put_held();
        while !self.polls.all_done() {
            match self.polls.next().await {
                Some(poll) => self.put(Event::Poll(poll)),
                None => return,
            }
        }
    }
}

/// What of a job stays in its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: the job is gone.
    Nothing,
    /// The bad records: somebody may want to look at them.
    DeadLetters,
}

/// Aborts the uploads that a job has left open and deletes its workspace. Failures are logged: they change nothing of the
/// outcome.
pub async fn clean(context: &Context, keep: Keep) {
    if let Err(error) = commit::abort_uploads(context).await {
        tracing::warn!(%error, "open uploads of the job may be left");
    }
    let kept = (keep == Keep::DeadLetters).then_some(names::DEAD_LETTER);
    if let Err(error) = journal::delete(&context.workspace, kept).await {
        tracing::warn!(%error, "the job's workspace may be left");
    }
}

async fn planned(
    context: &Context,
    start: Option<std::collections::BTreeMap<i32, i64>>,
    say: &(dyn Fn(Event) + Send + Sync),
) -> Event {
    let fail = |reason: &str, message: String| Event::Fail { reason: reason.to_owned(), message };
    let since = tokio::time::Instant::now();
    loop {
        let result = match output_is_free(context).await {
            Ok(Some(found)) => {
                let message = format!(
                    "the output's place is not empty ({found}): set output.s3.ifExists: Replace, or give another place"
                );
                return fail("OutputExists", message);
            }
            Ok(None) => plan(&context.spec, context.input.as_ref(), context.topics.clone(), start.clone(), say).await,
            Err(e) if e.is_transient() => Err(PlanError::Store(e)),
            Err(e) => {
                let missing = matches!(e, StoreError::NoSuchBucket { .. } | StoreError::NotFound { .. });
                return fail(if missing { "OutputNotFound" } else { "StoreError" }, e.to_string());
            }
        };
        match result {
            Ok(inputs) => return Event::Planned { inputs },
            Err(PlanError::Store(e)) if e.is_transient() && since.elapsed() < PATIENCE => {
                say(Event::Waiting { message: e.to_string() });
                sleep(PAUSE).await;
            }
            Err(e) => return fail(e.reason(), e.to_string()),
        }
    }
}

/// An object in the output's place, where there may be none.
async fn output_is_free(context: &Context) -> Result<Option<String>, StoreError> {
    let (Some(spec), Some(place)) = (&context.spec.output, &context.output) else { return Ok(None) };
    // also where it is replaced: a place that cannot be read is better known now than when all is done
    let found = commit::others(context, place).await?;
    let taken = spec.if_exists == IfExists::Fail;
    Ok(found.first().filter(|_| taken).map(|key| place.store.place(key)))
}

async fn completed(context: &Context, manifest: &Manifest) -> Event {
    loop {
        match commit::complete(context, manifest).await {
            Ok(Completed::All) => return Event::Committed,
            Ok(Completed::Lost(partition)) => return Event::OutputLost { partition },
            Err(e) if e.is_transient() => {
                tracing::warn!(error = %e, "the output is not complete yet");
                sleep(PAUSE).await;
            }
            Err(e) => return Event::Fail { reason: "StoreError".to_owned(), message: e.to_string() },
        }
    }
}

/// Tries again what a store cannot do now, until it can.
async fn patiently<T, F>(mut work: impl FnMut() -> F) -> Result<T, CoordinatorError>
where
    F: Future<Output = Result<T, CoordinatorError>>,
{
    loop {
        match work().await {
            Err(CoordinatorError::Store(e)) if e.is_transient() => {
                tracing::warn!(error = %e, "the workspace cannot be written; tried again");
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}
