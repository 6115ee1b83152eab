//! Whole jobs with workers and coordinators that die, stall and come back, and messages that are lost, late or twice,
//! over a store whose replies may be lost. A seed gives one history.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use super::tests::segment;
use super::*;
use crate::commit::{Counters, OutputPart, names};
use crate::split::{MapInput, Piece};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// What is in the store.
#[derive(Default)]
struct Store {
    journal: Vec<Batch>,
    manifests: BTreeMap<u32, Manifest>,
    segments: BTreeSet<String>,
    /// Open uploads, and the map tasks whose output is in each.
    uploads: BTreeMap<String, Vec<u32>>,
    /// Objects of the output, by name: the upload that made each.
    objects: BTreeMap<String, (String, Vec<u32>)>,
    success: Option<Manifest>,
    lost_segments: u32,
    lost_uploads: u32,
}

struct Coordinator {
    job: Job,
    /// What it is doing with the store.
    io: Vec<Effect>,
    alive: bool,
}

struct Attempt {
    assignment: Assignment,
    steps: usize,
}

struct Worker {
    id: WorkerId,
    seq: u64,
    slots: usize,
    running: Vec<Attempt>,
    reports: Vec<Report>,
    done: bool,
    /// A poll of it is not answered yet.
    asks: bool,
}

enum Message {
    Poll(Poll),
    Reply { worker: WorkerId, seq: u64, reply: Reply },
}

struct World {
    random: Random,
    config: Config,
    maps: u32,
    now: Millis,
    store: Store,
    /// The last one is the one that workers find; others do not know yet.
    coordinators: Vec<Coordinator>,
    workers: Vec<Worker>,
    network: Vec<Message>,
    faults: bool,
    names: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let config = Config {
            job: "uid".to_owned(),
            partitions: 1 + random.below(4) as u32,
            max_attempts: 1_000,
            max_lost: 1_000,
            lease: Millis::seconds(10),
            speculation: random.chance(70),
            skip_bad_records: 0,
            rows: 0,
            deadline: None,
        };
        let maps = random.below(9) as u32;
        let workers = 1 + random.below(4);
        let mut world = Self {
            random,
            config,
            maps,
            now: Millis::seconds(1_000),
            store: Store::default(),
            coordinators: Vec::new(),
            workers: Vec::new(),
            network: Vec::new(),
            faults: true,
            names: 0,
        };
        world.start_coordinator();
        (0..workers).for_each(|i| world.start_worker(format!("w{i}")));
        world
    }

    fn name(&mut self) -> String {
        self.names += 1;
        self.names.to_string()
    }

    fn start_coordinator(&mut self) {
        let mut job = Job::new(self.config.clone());
        self.store.journal.iter().for_each(|batch| job.replay(batch));
        self.coordinators.push(Coordinator { job, io: Vec::new(), alive: true });
        let holder = self.name();
        self.tell(self.coordinators.len() - 1, Event::Open { holder });
    }

    fn start_worker(&mut self, name: String) {
        let id = WorkerId { name, incarnation: self.name() };
        let slots = 1 + self.random.below(3);
        self.workers.push(Worker { id, seq: 0, slots, running: vec![], reports: vec![], done: false, asks: false });
    }

    fn tell(&mut self, at: usize, event: Event) {
        let coordinator = &mut self.coordinators[at];
        if !coordinator.alive {
            return;
        }
        for effect in coordinator.job.on(event, self.now) {
            match effect {
                Effect::Reply { worker, seq, reply } => self.network.push(Message::Reply { worker, seq, reply }),
                Effect::Fenced { .. } => coordinator.alive = false,
                effect => coordinator.io.push(effect),
            }
        }
    }

    fn latest(&self) -> usize {
        self.coordinators.len() - 1
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0..=2 => self.send_poll(),
            3..=5 => self.deliver(),
            6..=7 => self.do_io(),
            8..=9 => self.work(),
            10 => self.pass_time(),
            _ if self.faults => self.fault(),
            _ => {}
        }
    }

    fn send_poll(&mut self) {
        let at = self.random.below(self.workers.len());
        let impatient = self.random.chance(10);
        let worker = &mut self.workers[at];
        if worker.done || (worker.asks && !impatient) {
            return;
        }
        worker.asks = true;
        worker.seq += 1;
        let known = |a: &Attempt| Running { task: a.assignment.task, attempt: a.assignment.attempt };
        self.network.push(Message::Poll(Poll {
            worker: worker.id.clone(),
            seq: worker.seq,
            free: worker.slots.saturating_sub(worker.running.len()) as u32,
            running: worker.running.iter().map(known).collect(),
            reports: worker.reports.clone(),
            leaving: false,
        }));
    }

    fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        // out of order, as over many connections
        let at = self.random.below(self.network.len());
        let message = self.network.swap_remove(at);
        if self.faults && self.random.chance(10) {
            return;
        }
        match message {
            Message::Poll(poll) => {
                let to = self.latest();
                if self.faults && self.random.chance(10) {
                    self.tell(to, Event::Poll(poll.clone()));
                }
                if self.faults && self.coordinators.len() > 1 && self.random.chance(10) {
                    self.tell(to - 1, Event::Poll(poll.clone()));
                }
                self.tell(to, Event::Poll(poll));
            }
            Message::Reply { worker, seq, reply } => self.hear(&worker, seq, reply),
        }
    }

    fn hear(&mut self, id: &WorkerId, seq: u64, reply: Reply) {
        let Some(worker) = self.workers.iter_mut().find(|w| w.id == *id && w.seq == seq && w.asks) else {
            return;
        };
        worker.asks = false;
        for acknowledged in reply.acknowledged {
            if acknowledged.kept {
                let journal = self.store.journal.iter().flat_map(|batch| &batch.entries);
                assert!(
                    journal.filter_map(winner).any(|(_, a)| a == acknowledged.attempt),
                    "told before it is journaled"
                );
            }
            worker.reports.retain(|report| report.attempt != acknowledged.attempt);
        }
        worker.running.retain(|attempt| !reply.cancel.contains(&attempt.assignment.attempt));
        for assignment in reply.assign {
            let steps = 1 + self.random.below(4) * self.random.below(4);
            assert!(worker.running.iter().all(|a| a.assignment.attempt != assignment.attempt), "given twice");
            worker.running.push(Attempt { assignment, steps });
        }
        worker.done |= reply.done;
    }

    fn work(&mut self) {
        let at = self.random.below(self.workers.len());
        let fails = self.faults && self.random.chance(5);
        let worker = &mut self.workers[at];
        for attempt in &mut worker.running {
            attempt.steps = attempt.steps.saturating_sub(1);
        }
        let Some(ready) = worker.running.iter().position(|a| a.steps == 0) else { return };
        let Assignment { task, attempt, work } = worker.running.swap_remove(ready).assignment;
        let outcome = if fails {
            Outcome::Failed { message: "planted".to_owned(), fatal: false }
        } else {
            self.store.outcome(task, attempt, &work, self.config.partitions)
        };
        worker.reports.push(Report { task, attempt, outcome });
    }

    fn pass_time(&mut self) {
        let most = if self.faults && self.random.chance(5) { 20_000 } else { 800 };
        self.now = self.now + Millis(self.random.next() % most);
        for at in 0..self.coordinators.len() {
            self.tell(at, Event::Tick);
        }
    }

    fn fault(&mut self) {
        match self.random.below(24) {
            0..=2 => {
                let at = self.random.below(self.workers.len());
                let name = self.workers.swap_remove(at).id.name;
                self.start_worker(name);
            }
            3 => {
                let at = self.latest();
                self.coordinators[at].alive = false;
                self.start_coordinator();
            }
            4 => self.start_coordinator(),
            5 if self.store.lost_segments < 3 => {
                self.store.lost_segments += u32::from(self.store.segments.pop_first().is_some());
            }
            6 if self.store.lost_uploads < 2 => {
                self.store.lost_uploads += u32::from(self.store.uploads.pop_first().is_some());
            }
            _ => {}
        }
    }

    /// One thing that a coordinator, dead or alive, has asked of the store.
    fn do_io(&mut self) {
        let at = self.random.below(self.coordinators.len());
        if self.coordinators[at].io.is_empty() {
            return;
        }
        let effect = self.coordinators[at].io.remove(0);
        if !self.coordinators[at].alive && self.random.chance(50) {
            return;
        }
        let lost = self.faults && self.random.chance(10);
        let event = match &effect {
            Effect::Journal { number, batch } => Some(self.store.append(*number, batch)),
            Effect::Plan { .. } => {
                let input = |i| MapInput { pieces: vec![Piece::Strings { start: i, end: i + 1 }] };
                Some(Event::Planned { inputs: (0..self.maps).map(input).collect() })
            }
            Effect::WriteManifest(manifest) => {
                let stored = self.store.manifests.entry(manifest.number).or_insert_with(|| manifest.clone());
                assert_eq!(stored, manifest, "two manifests of one number");
                Some(Event::ManifestWritten { manifest: stored.clone() })
            }
            Effect::Complete(manifest) => Some(self.store.complete(manifest)),
            Effect::Finish => {
                self.store.uploads.clear();
                None
            }
            Effect::Reply { .. } | Effect::Fenced { .. } => unreachable!(),
        };
        match event {
            // done, but nobody is told: it is done again
            _ if lost => self.coordinators[at].io.insert(0, effect),
            Some(event) => self.tell(at, event),
            None => {}
        }
    }

    fn state(&self) -> State {
        self.coordinators[self.latest()].job.state()
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.state() == State::Succeeded {
                break;
            }
            self.step();
        }
        self.faults = false;
        for _ in 0..40_000 {
            if self.state() == State::Succeeded && self.coordinators[self.latest()].io.is_empty() {
                return;
            }
            if !self.coordinators[self.latest()].alive {
                self.start_coordinator();
            }
            self.step();
        }
        panic!("the job does not end: {:?}", self.coordinators[self.latest()].job.progress());
    }

    fn check(&self) {
        let job = &self.coordinators[self.latest()].job;
        let mut facts = Facts::new(self.config.partitions);
        for batch in &self.store.journal {
            if facts.batches == job.facts.batches {
                assert_eq!(facts, job.facts, "the journal says something else than its writer");
            }
            facts.apply(batch);
        }
        self.check_winners();
        let success = self.store.success.as_ref().unwrap();
        assert_eq!(success, &facts.manifest("uid"));
        let all: Vec<u32> = (0..self.maps).collect();
        for partition in 0..self.config.partitions {
            let (upload, maps) = &self.store.objects[&names::part(partition)];
            assert_eq!(maps, &all, "part {partition}");
            assert_eq!(upload, &success.outputs[partition as usize].upload);
        }
        assert_eq!(self.store.objects.len(), self.config.partitions as usize);
        assert!(self.store.uploads.is_empty());
    }

    /// Every task has one winner at a time, and every manifest is of winners.
    fn check_winners(&self) {
        let mut winners: BTreeMap<TaskId, AttemptId> = BTreeMap::new();
        let mut epoch = 0;
        for batch in &self.store.journal {
            assert!(batch.epoch >= epoch, "a deposed coordinator wrote");
            epoch = batch.epoch;
            for entry in &batch.entries {
                if let Some((task, attempt)) = winner(entry) {
                    assert_eq!(winners.insert(task, attempt), None, "{task} has two winners");
                }
                match entry {
                    Entry::MapLost { task, attempt } => {
                        assert_eq!(winners.remove(&TaskId::map(*task)), Some(*attempt));
                    }
                    Entry::ReduceLost { task, attempt } => {
                        assert_eq!(winners.remove(&TaskId::reduce(*task)), Some(*attempt));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn winner(entry: &Entry) -> Option<(TaskId, AttemptId)> {
    match entry {
        Entry::MapFinished { task, attempt, .. } => Some((TaskId::map(*task), *attempt)),
        Entry::ReduceFinished { task, attempt, .. } => Some((TaskId::reduce(*task), *attempt)),
        _ => None,
    }
}

impl Store {
    fn append(&mut self, number: u64, batch: &Batch) -> Event {
        match self.journal.get(number as usize - 1) {
            Some(found) => Event::JournalTaken { number, found: found.clone() },
            None => {
                assert_eq!(number, self.journal.len() as u64 + 1, "a gap in the journal");
                self.journal.push(batch.clone());
                Event::JournalWritten { number }
            }
        }
    }

    fn outcome(&mut self, task: TaskId, attempt: AttemptId, work: &Work, partitions: u32) -> Outcome {
        let counters = Counters { records_in: 1, records_out: 1, ..Counters::default() };
        match work {
            Work::Map { input } => {
                assert_eq!(input.pieces, [Piece::Strings { start: task.index, end: task.index + 1 }]);
                let segment = segment(task, attempt, partitions);
                self.segments.insert(segment.name.clone());
                Outcome::Mapped { segment, counters }
            }
            Work::Reduce { inputs } => {
                if let Some(gone) = inputs.iter().find(|input| !self.segments.contains(&input.segment)) {
                    let message = "gone".to_owned();
                    return Outcome::SegmentLost { map: gone.map, attempt: gone.attempt, message };
                }
                let (name, upload) = (names::part(task.index), format!("upload-{attempt}"));
                self.uploads.insert(upload.clone(), inputs.iter().map(|input| input.map).collect());
                let output = Some(OutputPart { name, attempt, upload, parts: vec![], bytes: 1, records: 1 });
                Outcome::Reduced { output, rows: vec![], counters }
            }
        }
    }

    fn complete(&mut self, manifest: &Manifest) -> Event {
        for (partition, output) in (0..).zip(&manifest.outputs) {
            if let Some(maps) = self.uploads.remove(&output.upload) {
                self.objects.insert(output.name.clone(), (output.upload.clone(), maps));
            } else if self.objects.get(&output.name).is_none_or(|(upload, _)| *upload != output.upload) {
                return Event::OutputLost { partition };
            }
        }
        if let Some(before) = &self.success {
            assert_eq!(before, manifest, "two outputs");
        }
        self.success = Some(manifest.clone());
        Event::Committed
    }
}

/// `TRIBUTARY_SEEDS` asks for another number of histories.
#[test]
fn every_history_ends_with_the_whole_output() {
    let seeds = std::env::var("TRIBUTARY_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    for seed in 0..seeds {
        let mut world = World::new(seed);
        let history = std::panic::AssertUnwindSafe(|| {
            world.run(600);
            world.check();
        });
        if let Err(panic) = std::panic::catch_unwind(history) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
