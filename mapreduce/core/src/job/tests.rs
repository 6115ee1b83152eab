#![allow(clippy::unwrap_used)]

use super::*;
use crate::commit::{Counters, OutputPart, Segment};
use crate::split::{MapInput, Piece};

fn config() -> Config {
    Config {
        job: "uid".to_owned(),
        partitions: 2,
        max_attempts: 2,
        max_lost: 10,
        lease: Millis::seconds(10),
        speculation: true,
        skip_bad_records: 0,
        rows: 0,
        deadline: None,
    }
}

fn inputs(n: u32) -> Vec<MapInput> {
    (0..n).map(|i| MapInput { pieces: vec![Piece::Strings { start: i, end: i + 1 }] }).collect()
}

pub(super) fn segment(task: TaskId, attempt: AttemptId, partitions: u32) -> Segment {
    let offsets = (0..=u64::from(partitions)).map(|p| p * 10).collect();
    let records = vec![1; partitions as usize];
    Segment { name: crate::commit::names::segment(task, attempt), offsets, records }
}

/// A job whose journal always gets written at once, and workers that poll.
struct Desk {
    job: Job,
    now: Millis,
    seq: u64,
    effects: Vec<Effect>,
    journal: Vec<Batch>,
}

impl Desk {
    fn open(config: Config, journal: Vec<Batch>) -> Self {
        let mut job = Job::new(config);
        journal.iter().for_each(|batch| job.replay(batch));
        let mut desk = Self { job, now: Millis::seconds(1_000), seq: 0, effects: Vec::new(), journal };
        desk.on(Event::Open { holder: format!("c{}", desk.journal.len()) });
        desk
    }

    fn started(config: Config, maps: u32) -> Self {
        let mut desk = Self::open(config, Vec::new());
        assert!(desk.effects.contains(&Effect::Plan { start: None }));
        desk.on(Event::Planned { inputs: inputs(maps) });
        desk
    }

    fn on(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.job.on(event, self.now) {
                if let Effect::Journal { number, batch } = &effect {
                    assert_eq!(*number, self.journal.len() as u64 + 1);
                    self.journal.push(batch.clone());
                    events.push(Event::JournalWritten { number: *number });
                }
                self.effects.push(effect);
            }
        }
    }

    fn after(&mut self, seconds: u64) {
        self.now = self.now + Millis::seconds(seconds);
        self.on(Event::Tick);
    }

    fn poll(&mut self, worker: &str, free: u32, running: &[(TaskId, AttemptId)], reports: Vec<Report>) -> Reply {
        self.seq += 1;
        let running = running.iter().map(|&(task, attempt)| Running { task, attempt }).collect();
        let worker = WorkerId { name: worker.to_owned(), incarnation: "1".to_owned() };
        self.put(Poll { worker, seq: self.seq, free, running, reports, leaving: false })
    }

    fn put(&mut self, poll: Poll) -> Reply {
        self.on(Event::Poll(poll));
        let reply = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        });
        reply.unwrap()
    }

    fn take(&mut self, worker: &str, running: &[(TaskId, AttemptId)]) -> (TaskId, AttemptId) {
        let reply = self.poll(worker, 1, running, vec![]);
        (reply.assign[0].task, reply.assign[0].attempt)
    }

    /// Reports outcomes until they are acknowledged.
    fn report(&mut self, worker: &str, reports: Vec<Report>) -> Vec<Acknowledged> {
        self.poll(worker, 0, &[], reports.clone());
        self.poll(worker, 0, &[], reports).acknowledged
    }

    fn run(&mut self, worker: &str) -> (TaskId, AttemptId) {
        let (task, attempt) = self.take(worker, &[]);
        let acknowledged = self.report(worker, vec![done(task, attempt)]);
        assert_eq!(acknowledged, [Acknowledged { attempt, kept: true }]);
        (task, attempt)
    }
}

fn done(task: TaskId, attempt: AttemptId) -> Report {
    let counters = Counters { records_in: 3, records_out: 2, ..Counters::default() };
    let outcome = match task.kind {
        TaskKind::Map => Outcome::Mapped { segment: segment(task, attempt, 2), counters },
        TaskKind::Reduce => {
            let name = crate::commit::names::part(task.index);
            let upload = format!("upload-{attempt}");
            let output = Some(OutputPart { name, attempt, upload, parts: vec![], bytes: 4, records: 2 });
            Outcome::Reduced { output, rows: vec![], counters }
        }
    };
    Report { task, attempt, outcome }
}

fn failed(task: TaskId, attempt: AttemptId) -> Report {
    Report { task, attempt, outcome: Outcome::Failed { message: "no good".to_owned(), fatal: false } }
}

#[test]
fn a_job_runs_to_its_end() {
    let mut desk = Desk::started(config(), 3);
    assert_eq!(desk.job.state(), State::Mapping);
    for _ in 0..3 {
        assert_eq!(desk.run("a").0.kind, TaskKind::Map);
    }
    assert_eq!(desk.job.state(), State::Reducing);
    let (first, attempt) = desk.take("a", &[]);
    assert!(desk.poll("a", 0, &[(first, attempt)], vec![]).is_empty());
    desk.report("a", vec![done(first, attempt)]);
    let (second, _) = desk.run("b");
    assert_ne!(first, second);
    let manifest = desk.job.facts.manifest("uid");
    assert_eq!(desk.effects.last(), Some(&Effect::Reply { worker: worker("b"), seq: desk.seq, reply: ack(&desk) }));
    assert!(desk.effects.contains(&Effect::WriteManifest(manifest.clone())));
    desk.on(Event::ManifestWritten { manifest: manifest.clone() });
    assert_eq!(desk.effects.last(), Some(&Effect::Complete(manifest.clone())));
    assert_eq!(manifest.outputs.len(), 2);
    desk.on(Event::Committed);
    assert_eq!(desk.effects.last(), Some(&Effect::Finish));
    assert!(desk.poll("a", 1, &[], vec![]).done);
    let progress = desk.job.progress();
    assert_eq!((progress.state, progress.map.finished, progress.reduce.finished), (State::Succeeded, 3, 2));
    assert_eq!((progress.counters.records_in, progress.counters.records_out), (9, 4));
    assert_eq!(progress.manifest.as_deref(), Some("manifest-00000001.json"));
}

fn worker(name: &str) -> WorkerId {
    WorkerId { name: name.to_owned(), incarnation: "1".to_owned() }
}

/// The last reply, as an acknowledgement of the last attempt.
fn ack(desk: &Desk) -> Reply {
    let attempt = *desk.job.facts.reduces.iter().flatten().map(|r| &r.attempt).max().unwrap();
    Reply { acknowledged: vec![Acknowledged { attempt, kept: true }], ..Reply::default() }
}

#[test]
fn nothing_to_read_makes_empty_partitions() {
    let mut desk = Desk::started(config(), 0);
    assert_eq!(desk.job.state(), State::Reducing);
    let reply = desk.poll("a", 5, &[], vec![]);
    assert_eq!(reply.assign.len(), 2);
    assert!(reply.assign.iter().all(|a| a.work == Work::Reduce { inputs: vec![] }));
}

#[test]
fn a_task_that_fails_too_often_fails_the_job() {
    let mut desk = Desk::started(config(), 1);
    let (task, attempt) = desk.take("a", &[]);
    assert_eq!(desk.report("a", vec![failed(task, attempt)]), [Acknowledged { attempt, kept: false }]);
    assert!(desk.poll("a", 1, &[], vec![]).is_empty(), "it waits before its next attempt");
    desk.after(1);
    let (task, attempt) = desk.take("a", &[]);
    // said twice, it counts once
    assert!(desk.poll("a", 0, &[], vec![failed(task, attempt), failed(task, attempt)]).acknowledged.is_empty());
    let progress = desk.job.progress();
    assert_eq!((progress.state, progress.reason.as_str()), (State::Failed, "TaskFailed"));
    assert_eq!(progress.message, "map-0 failed twice, the last time on a: no good");
    assert_eq!((progress.failures.len(), progress.map.failed_attempts), (2, 2));
    assert_eq!(desk.effects.iter().filter(|e| **e == Effect::Finish).count(), 1);
    // and a later coordinator does not try again
    let again = Desk::open(config(), desk.journal.clone());
    assert_eq!(again.job.state(), State::Failed);
    assert_eq!(again.job.progress().message, progress.message);
}

#[test]
fn an_error_that_would_come_again_fails_the_job_at_once() {
    let mut desk = Desk::started(Config { max_attempts: 4, ..config() }, 1);
    let (task, attempt) = desk.take("a", &[]);
    let outcome = Outcome::Failed { message: "é".repeat(100_000), fatal: true };
    desk.poll("a", 0, &[], vec![Report { task, attempt, outcome }]);
    assert_eq!(desk.job.state(), State::Failed);
    assert!(desk.job.progress().message.len() < 5_000);
}

#[test]
fn a_failed_task_goes_to_another_worker_first() {
    let mut desk = Desk::started(config(), 1);
    desk.poll("b", 0, &[], vec![]);
    let (task, attempt) = desk.take("a", &[]);
    desk.report("a", vec![failed(task, attempt)]);
    desk.after(1);
    assert!(desk.poll("a", 1, &[], vec![]).is_empty());
    assert_eq!(desk.take("b", &[]).0, task);
}

#[test]
fn a_dead_workers_tasks_go_to_another_and_cost_no_attempt() {
    let mut desk = Desk::started(config(), 1);
    for round in 0..=config().max_lost {
        let (task, attempt) = desk.take(&format!("w{round}"), &[]);
        assert_eq!(task, TaskId::map(0));
        desk.after(5);
        assert!(desk.poll(&format!("w{round}"), 1, &[(task, attempt)], vec![]).is_empty(), "it has its lease");
        desk.after(11);
    }
    let progress = desk.job.progress();
    assert_eq!((progress.map.lost_attempts, progress.map.failed_attempts), (11, 0));
    assert_eq!(
        (progress.state, progress.reason.as_str()),
        (State::Failed, "TaskLost"),
        "a task that kills its workers"
    );
    assert!(progress.message.starts_with("map-0 was lost with its worker 11 times"), "{}", progress.message);
}

#[test]
fn a_worker_started_anew_loses_what_it_ran_at_once() {
    let mut desk = Desk::started(config(), 1);
    let (task, attempt) = desk.take("a", &[]);
    let id = WorkerId { name: "a".to_owned(), incarnation: "2".to_owned() };
    let poll = Poll { worker: id, seq: 0, free: 1, running: vec![], reports: vec![], leaving: false };
    let reply = desk.put(poll);
    assert_eq!(reply.assign[0].task, task);
    assert_ne!(reply.assign[0].attempt, attempt);
}

#[test]
fn a_worker_that_leaves_gives_its_tasks_back() {
    let mut desk = Desk::started(config(), 1);
    let (task, attempt) = desk.take("a", &[]);
    let running = vec![Running { task, attempt }];
    desk.put(Poll { worker: worker("a"), seq: 99, free: 0, running, reports: vec![], leaving: true });
    assert_eq!(desk.take("b", &[]).0, task);
    let progress = desk.job.progress();
    assert_eq!((progress.workers, progress.map.lost_attempts), (1, 0));
}

#[test]
fn an_answer_that_is_lost_is_given_again() {
    let mut desk = Desk::started(config(), 1);
    let (task, attempt) = desk.take("a", &[]);
    // the same poll again
    let poll = Poll { worker: worker("a"), seq: desk.seq, free: 1, running: vec![], reports: vec![], leaving: false };
    let reply = desk.put(poll.clone());
    assert_eq!((reply.assign[0].task, reply.assign[0].attempt, reply.assign.len()), (task, attempt, 1));
    // the next one, which shows that the answer did not come
    let reply = desk.put(Poll { seq: desk.seq + 1, ..poll.clone() });
    assert_eq!(reply.assign[0].task, task);
    assert_ne!(reply.assign[0].attempt, attempt);
    // an old one that was late
    assert!(desk.put(poll).is_empty());
}

#[test]
fn the_first_of_two_attempts_wins() {
    let mut desk = Desk::started(config(), 1);
    let (task, slow) = desk.take("a", &[]);
    desk.after(11);
    let (_, quick) = desk.take("b", &[]);
    // the slow one was only taken for dead
    assert!(desk.poll("a", 0, &[(task, slow)], vec![]).is_empty());
    desk.report("b", vec![done(task, quick)]);
    assert_eq!(desk.poll("a", 0, &[(task, slow)], vec![]).cancel, [slow]);
    let late = desk.poll("a", 0, &[], vec![done(task, slow)]);
    assert_eq!(late.acknowledged, [Acknowledged { attempt: slow, kept: false }]);
    assert_eq!(desk.job.facts.winner(task), Some(quick));
}

#[test]
fn an_attempt_goes_on_under_the_next_coordinator() {
    let mut desk = Desk::started(config(), 2);
    let (first, winner) = desk.run("a");
    let (second, attempt) = desk.take("a", &[]);
    let mut next = Desk::open(config(), desk.journal.clone());
    assert_eq!((next.job.progress().epoch, next.job.state()), (2, State::Mapping));
    assert_eq!(next.job.facts.winner(first), Some(winner));
    assert!(next.poll("a", 1, &[(second, attempt)], vec![]).is_empty(), "it runs already");
    assert_eq!(next.report("a", vec![done(second, attempt)]), [Acknowledged { attempt, kept: true }]);
    assert_eq!(next.job.state(), State::Reducing);
}

#[test]
fn a_deposed_coordinator_stops() {
    let mut old = Desk::started(config(), 2);
    let mut new = Desk::open(config(), old.journal.clone());
    let (task, attempt) = new.take("a", &[]);
    // by its journal
    let (other, number) = (old.take("b", &[]), old.journal.len() as u64 + 1);
    let mut by_journal = old.job.clone();
    let poll = Poll {
        worker: worker("b"),
        seq: old.seq + 1,
        free: 0,
        running: vec![],
        reports: vec![done(other.0, other.1)],
        leaving: false,
    };
    let effects = by_journal.on(Event::Poll(poll), old.now);
    assert!(effects.iter().any(|e| matches!(e, Effect::Journal { number: n, .. } if *n == number)));
    let found = new.journal[number as usize - 1].clone();
    let effects = by_journal.on(Event::JournalTaken { number, found }, old.now);
    assert!(matches!(&effects[..], [Effect::Fenced { .. }]), "{effects:?}");
    assert_eq!(by_journal.state(), State::Fenced);
    // by a worker that has a task from the new one
    assert!(old.poll("a", 1, &[(task, attempt)], vec![]).is_empty());
    assert_eq!(old.job.state(), State::Fenced);
}

#[test]
fn a_write_whose_reply_was_lost_counts() {
    let mut job = Job::new(config());
    let effects = job.on(Event::Open { holder: "me".to_owned() }, Millis(1));
    let [Effect::Journal { number: 1, batch }] = &effects[..] else { unreachable!() };
    let effects = job.on(Event::JournalTaken { number: 1, found: batch.clone() }, Millis(2));
    assert_eq!(effects, [Effect::Plan { start: None }]);
}

#[test]
fn of_two_that_open_at_once_the_second_takes_the_next_epoch() {
    let open = |holder: &str| {
        let mut job = Job::new(config());
        let effects = job.on(Event::Open { holder: holder.to_owned() }, Millis(1));
        let [Effect::Journal { number: 1, batch }] = &effects[..] else { unreachable!() };
        (job, batch.clone())
    };
    let ((mut a, _), (_, found)) = (open("a"), open("b"));
    let effects = a.on(Event::JournalTaken { number: 1, found }, Millis(2));
    assert!(matches!(&effects[..], [Effect::Journal { number: 2, batch }] if batch.epoch == 2), "{effects:?}");
}

#[test]
fn a_lost_segment_is_made_again() {
    let mut desk = Desk::started(config(), 2);
    let (map, winner) = desk.run("a");
    desk.run("a");
    let (reduce, attempt) = desk.take("a", &[]);
    let lost = || Report {
        task: reduce,
        attempt,
        outcome: Outcome::SegmentLost { map: map.index, attempt: winner, message: "gone".to_owned() },
    };
    desk.poll("a", 0, &[], vec![lost()]);
    assert_eq!(desk.job.state(), State::Mapping);
    let (again, second) = desk.run("a");
    assert_eq!(again, map);
    assert_ne!(second, winner);
    // said again, it does not touch the new one
    desk.poll("a", 0, &[], vec![lost()]);
    assert_eq!(desk.job.state(), State::Reducing);
    let reply = desk.poll("a", 2, &[], vec![]);
    let [first, _] = &reply.assign[..] else { unreachable!("{reply:?}") };
    let Work::Reduce { inputs } = &first.work else { unreachable!() };
    assert_eq!(inputs.iter().find(|i| i.map == map.index).unwrap().attempt, second);
    assert_eq!(desk.job.progress().counters.records_in, 6);
}

#[test]
fn a_lost_output_is_made_again_under_a_new_manifest() {
    let mut desk = Desk::started(config(), 0);
    desk.run("a");
    desk.run("a");
    let first = desk.job.facts.manifest("uid");
    desk.on(Event::ManifestWritten { manifest: first.clone() });
    desk.on(Event::OutputLost { partition: 1 });
    assert_eq!(desk.job.state(), State::Reducing);
    assert_eq!(desk.run("a").0, TaskId::reduce(1));
    let Some(Effect::WriteManifest(second)) =
        desk.effects.iter().rev().find(|e| matches!(e, Effect::WriteManifest(_))).cloned()
    else {
        unreachable!()
    };
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(first.outputs[0], second.outputs[0]);
    assert_ne!(first.outputs[1], second.outputs[1]);
}

#[test]
fn a_slow_task_gets_a_second_attempt_elsewhere() {
    let mut desk = Desk::started(config(), 4);
    let (slow, attempt) = desk.take("a", &[]);
    for _ in 0..3 {
        desk.run("b");
    }
    assert!(desk.poll("b", 1, &[], vec![]).is_empty());
    desk.after(6);
    assert!(desk.poll("a", 1, &[(slow, attempt)], vec![]).is_empty(), "not where it runs");
    let (task, second) = desk.take("b", &[]);
    assert_eq!(task, slow);
    assert!(desk.poll("c", 1, &[], vec![]).is_empty(), "two at most");
    desk.report("b", vec![done(slow, second)]);
    assert_eq!(desk.poll("a", 0, &[(slow, attempt)], vec![]).cancel, [attempt]);
}

#[test]
fn bad_records_are_skipped_up_to_the_limit() {
    for (limit, state) in [(3, State::Mapping), (2, State::Failed)] {
        let mut desk = Desk::started(Config { skip_bad_records: limit, ..config() }, 2);
        let (task, attempt) = desk.take("a", &[]);
        let counters = Counters { skipped: 3, ..Counters::default() };
        let outcome = Outcome::Mapped { segment: segment(task, attempt, 2), counters };
        desk.poll("a", 0, &[], vec![Report { task, attempt, outcome }]);
        assert_eq!(desk.job.state(), state);
    }
}

#[test]
fn a_deadline_ends_the_job() {
    let mut desk = Desk::started(Config { deadline: Some(Millis::seconds(60)), ..config() }, 1);
    desk.after(60);
    assert_eq!(desk.job.state(), State::Mapping);
    desk.after(1);
    assert_eq!(desk.job.progress().reason, "DeadlineExceeded");
}

#[test]
fn where_a_topic_begins_is_kept() {
    let mut desk = Desk::open(config(), Vec::new());
    let offsets = std::collections::BTreeMap::from([(0, 17)]);
    desk.on(Event::Started { offsets: offsets.clone() });
    desk.on(Event::Waiting { message: "waiting for records: 1 of 2".to_owned() });
    assert_eq!(desk.job.progress().message, "waiting for records: 1 of 2");
    let again = Desk::open(config(), desk.journal);
    assert!(again.effects.contains(&Effect::Plan { start: Some(offsets) }));
}

#[test]
fn an_outcome_of_another_shape_is_a_failed_attempt() {
    let mut desk = Desk::started(config(), 1);
    let (task, attempt) = desk.take("a", &[]);
    for wrong in [
        Outcome::Mapped { segment: segment(task, attempt, 7), counters: Counters::default() },
        Outcome::Reduced { output: None, rows: vec![], counters: Counters::default() },
    ] {
        desk.report("a", vec![Report { task, attempt, outcome: wrong }]);
    }
    assert_eq!(desk.job.progress().map.failed_attempts, 1);
    let other = TaskId::map(7);
    assert_eq!(desk.report("a", vec![done(other, attempt)]), [Acknowledged { attempt, kept: false }]);
}
