//! The job's progress, as its status shows it.

use jiff::Timestamp;
use tributary_crds::{AttemptFailure, EnginePhase, EngineStatus, KeyValue, TaskCounts};
use tributary_mapreduce_core::job::{Counts, Millis, Progress, State};

use crate::task::Context;

/// Failed attempts that are shown.
const FAILURES: usize = 10;

/// The status of a job.
pub(super) fn status(progress: &Progress, context: &Context) -> EngineStatus {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let counts = |c: Counts| TaskCounts::new(c.total, c.finished, c.running, c.failed_attempts, c.lost_attempts);
    let failures = progress.failures.iter().rev().take(FAILURES).rev();
    EngineStatus {
        phase: match progress.state {
            State::Opening | State::Planning | State::Fenced => EnginePhase::Planning,
            State::Mapping => EnginePhase::Mapping,
            State::Reducing => EnginePhase::Reducing,
            State::Committing => EnginePhase::Committing,
            State::Succeeded => EnginePhase::Succeeded,
            State::Failed => EnginePhase::Failed,
        },
        message: progress.message.clone(),
        reason: progress.reason.clone(),
        epoch: progress.epoch,
        map: counts(progress.map),
        reduce: counts(progress.reduce),
        records_read: number(progress.counters.records_in),
        bytes_read: number(progress.counters.bytes_in),
        records_written: number(progress.counters.records_out),
        bytes_written: number(progress.counters.bytes_out),
        records_skipped: number(progress.counters.skipped),
        workers: progress.workers,
        first_task_time: progress.first_task.and_then(time),
        completion_time: None,
        failures: failures
            .map(|f| AttemptFailure {
                task: f.task.to_string(),
                attempt: f.attempt.to_string(),
                worker: f.worker.clone(),
                message: f.message.clone(),
            })
            .collect(),
        manifest: progress.manifest.as_ref().map(|name| context.workspace.store.place(&context.workspace.key(name))),
        results: progress.rows.iter().map(|r| KeyValue { key: r.key.clone(), value: r.value.clone() }).collect(),
    }
}

/// Puts a new status in the place of the old one; whether they differ. The end's time is that of the first status that
/// has ended.
pub(super) fn replace(old: &mut EngineStatus, mut new: EngineStatus) -> bool {
    if matches!(new.phase, EnginePhase::Succeeded | EnginePhase::Failed) {
        let ended = old.completion_time.clone();
        new.completion_time = ended.or_else(|| Some(Timestamp::now().to_string()));
    }
    let differs = *old != new;
    *old = new;
    differs
}

fn time(at: Millis) -> Option<String> {
    let at = i64::try_from(at.0).ok()?;
    Some(Timestamp::from_millisecond(at).ok()?.to_string())
}
