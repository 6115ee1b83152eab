//! A work queue: a key waits in it once however often it is added, is worked on by one worker at a time, and may be
//! due later. What goes on comes before what begins, and does not keep it out; what is new begins as the apiserver has room for it, and
//! as what has just begun settles.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::load::{LONGEST_GAP, Load};

/// Of so many keys handed out while the lanes are in demand, one is not urgent.
const SHARE: usize = 4;
/// And one is new.
const SHARE_OF_NEW: usize = 16;
/// How soon it is looked whether the apiserver has become faster than when the last new key was handed out.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// So long after its start a key counts as settled, whatever is known of it.
const SETTLES: Duration = Duration::from_secs(10);
/// The apiserver counts as busy from this fraction of the gap at the limit on: one of so many.
const BUSY: u32 = 8;
/// Gaps between starts that a key may rest for before it comes again.
const REST: u32 = 4;
/// Gaps between starts that a status which may wait is left to a later pass, and the longest time of that: children that begin and
/// end one after the other take seconds where each write takes a quarter of one.
const PATIENCE: u32 = 200;
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The queue of one controller.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    load: Arc<Load>,
    starts: Starts,
}

/// How what is new begins while the apiserver is busy.
#[derive(Clone, Copy, Debug)]
pub struct Starts {
    /// The time between two new keys where the apiserver's answers take as long as can be borne.
    pub gap_at_limit: Duration,
    /// So many of those that began within ten seconds may be unsettled.
    pub at_once: usize,
}

/// How soon a key is to be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// After those, and as the apiserver has room: what has not begun at all.
    New,
    /// In its turn: what was edited, what is looked at again.
    Normal,
    /// Before all: something happened to what it has begun, such as the end of a step that others wait for.
    Urgent,
}

#[derive(Debug)]
struct State<K> {
    /// Those that wait, by lane; an entry counts if `dirty` has its key in the same lane.
    new: VecDeque<K>,
    normal: VecDeque<K>,
    urgent: VecDeque<K>,
    /// Waiting, or to wait once its worker is done with it.
    dirty: HashMap<K, Lane>,
    processing: HashSet<K>,
    later: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
    /// Urgent keys handed out since the last that was not.
    preferred: usize,
    /// Keys handed out since the last that was new, and when that was.
    begun: usize,
    last_new: Option<Instant>,
    /// Those that were new of late, in the order of their start, and the start of those of them that have not settled.
    of_late: VecDeque<(Instant, K)>,
    unsettled: HashMap<K, Instant>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self::new(Arc::default(), Starts { gap_at_limit: Duration::from_millis(50), at_once: usize::MAX })
    }
}

impl<K> Queue<K> {
    /// An empty one, whose new keys wait for the apiserver.
    pub fn new(load: Arc<Load>, starts: Starts) -> Self {
        let state = State {
            new: VecDeque::new(),
            normal: VecDeque::new(),
            urgent: VecDeque::new(),
            dirty: HashMap::new(),
            processing: HashSet::new(),
            later: BTreeSet::new(),
            due: HashMap::new(),
            preferred: 0,
            begun: 0,
            last_new: None,
            of_late: VecDeque::new(),
            unsettled: HashMap::new(),
        };
        Self { state: Mutex::new(state), wake: Notify::new(), load, starts }
    }
}

impl<K: Clone + Eq + Ord + Hash + fmt::Debug> Queue<K> {
    /// Makes `key` due now. One that waits already may move to a lane before its own, never to one after it.
    pub fn add(&self, key: K, lane: Lane) {
        if self.lock().mark(key, lane) {
            self.wake.notify_one();
        }
    }

    /// The next key that is due; nobody else gets it before [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let woken = self.wake.notified();
            let sleep = {
                let (mut state, now) = (self.lock(), Instant::now());
                state.promote(now);
                let next_new = self.next_new(&mut state, now);
                if let Some(key) = state.take(now, next_new) {
                    if !(state.new.is_empty() && state.normal.is_empty() && state.urgent.is_empty()) {
                        self.wake.notify_one();
                    }
                    return key;
                }
                let new = Some(next_new.min(now + LOOK_AGAIN)).filter(|_| !state.new.is_empty());
                state.later.first().map(|(at, _)| *at).into_iter().chain(new).min()
            };
            match sleep {
                Some(at) => tokio::select! {
                    () = woken => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => woken.await,
            }
        }
    }

    /// The worker is done with `key`. It comes again after `requeue`, sooner if it is added or was meanwhile; an
    /// earlier `requeue` of it is void.
    pub fn done(&self, key: &K, requeue: Option<Duration>) {
        let mut state = self.lock();
        state.processing.remove(key);
        if let Some(lane) = state.dirty.get(key).copied() {
            state.lane(lane).push_back(key.clone());
        }
        if let Some(at) = state.due.remove(key) {
            state.later.remove(&(at, key.clone()));
        }
        if let Some(delay) = requeue {
            let at = Instant::now() + delay;
            state.due.insert(key.clone(), at);
            state.later.insert((at, key.clone()));
        }
        drop(state);
        self.wake.notify_one();
    }

    /// What `key` begins has begun: another one may.
    pub fn settled(&self, key: &K) {
        if self.lock().unsettled.remove(key).is_some() {
            self.wake.notify_one();
        }
    }

    /// Keys that are due now and not being worked on.
    pub fn depth(&self) -> usize {
        let state = self.lock();
        state.dirty.keys().filter(|key| !state.processing.contains(*key)).count()
    }

    /// How long a key is to be left alone after its worker at present: whatever happens meanwhile is one decision and one status.
    pub fn rest(&self, now: Instant) -> Duration {
        (self.gap(now) * REST).min(LONGEST_REST)
    }

    /// How long a status that may wait is to be left to a later pass at present, which may have more to say.
    pub fn patience(&self, now: Instant) -> Duration {
        (self.gap(now) * PATIENCE).min(LONGEST_PATIENCE)
    }

    fn gap(&self, now: Instant) -> Duration {
        self.load.gap(self.starts.gap_at_limit, now)
    }

    /// When the next new key may be handed out, if nothing changes.
    fn next_new(&self, state: &mut State<K>, now: Instant) -> Instant {
        let (Some(last), gap) = (state.last_new, self.gap(now)) else { return now };
        state.forget_settled(now);
        let is_full = state.unsettled.len() >= self.starts.at_once && gap * BUSY >= self.starts.gap_at_limit;
        last + if is_full { LONGEST_GAP } else { gap }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Ord + Hash> State<K> {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<K> {
        match lane {
            Lane::New => &mut self.new,
            Lane::Normal => &mut self.normal,
            Lane::Urgent => &mut self.urgent,
        }
    }

    /// Whether a worker may take the key now that it is marked.
    fn mark(&mut self, key: K, lane: Lane) -> bool {
        if self.dirty.get(&key).is_some_and(|there| *there >= lane) {
            return false;
        }
        self.dirty.insert(key.clone(), lane);
        let free = !self.processing.contains(&key);
        if free {
            self.lane(lane).push_back(key);
        }
        free
    }

    /// The key whose turn it is.
    fn take(&mut self, now: Instant, next_new: Instant) -> Option<K> {
        let mut order = match self.preferred + 1 < SHARE {
            true => [Lane::Urgent, Lane::Normal, Lane::New],
            false => [Lane::Normal, Lane::Urgent, Lane::New],
        };
        if self.begun + 1 >= SHARE_OF_NEW {
            order.rotate_right(1);
        }
        let mut lanes = order.into_iter().filter(|lane| *lane != Lane::New || next_new <= now);
        let (lane, key) = lanes.find_map(|lane| Some((lane, self.pop(lane)?)))?;
        self.preferred = if lane == Lane::Urgent { (self.preferred + 1).min(SHARE) } else { 0 };
        self.begun = (self.begun + 1).min(SHARE_OF_NEW);
        if lane == Lane::New {
            (self.begun, self.last_new) = (0, Some(now));
            self.of_late.push_back((now, key.clone()));
            self.unsettled.insert(key.clone(), now);
        }
        self.dirty.remove(&key);
        self.processing.insert(key.clone());
        Some(key)
    }

    fn pop(&mut self, lane: Lane) -> Option<K> {
        loop {
            let key = self.lane(lane).pop_front()?;
            // one that became urgent was handed out by the other lane, or waits there
            if self.dirty.get(&key) == Some(&lane) && !self.processing.contains(&key) {
                return Some(key);
            }
        }
    }

    fn forget_settled(&mut self, now: Instant) {
        while let Some((at, key)) = self.of_late.front() {
            // one that was deleted may have begun anew
            let is_unsettled = self.unsettled.get(key) == Some(at);
            if is_unsettled && now - *at < SETTLES {
                break;
            }
            if is_unsettled {
                self.unsettled.remove(key);
            }
            self.of_late.pop_front();
        }
    }

    fn promote(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.later.pop_first() {
                self.due.remove(&key);
                self.mark(key, Lane::Normal);
            }
        }
    }
}

#[cfg(test)]
mod tests;
