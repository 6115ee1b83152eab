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
/// Without news, a key that was new settles within this time.
const SETTLES: Duration = Duration::from_secs(10);
/// The part of the gap at the limit from which on the apiserver counts as busy.
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
    /// Those that were new of late, in the order of their start, and which of them have not settled.
    of_late: VecDeque<(Instant, K)>,
    unsettled: HashSet<K>,
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
            unsettled: HashSet::new(),
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
        if self.lock().unsettled.remove(key) {
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
            self.unsettled.insert(key.clone());
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
        while let Some((at, key)) = self.of_late.front()
            && (now - *at >= SETTLES || !self.unsettled.contains(key))
        {
            self.unsettled.remove(key);
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn is_pending<F: Future>(future: F) -> bool {
        let mut future = Box::pin(future);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut cx).is_pending()
    }

    #[tokio::test]
    async fn a_key_added_twice_is_handed_out_once() {
        let queue = Queue::default();
        queue.add("a", Lane::Normal);
        queue.add("a", Lane::Normal);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
        assert!(is_pending(queue.next()));
    }

    #[tokio::test]
    async fn a_key_added_while_it_is_worked_on_comes_again_afterwards_and_not_before() {
        let queue = Queue::default();
        queue.add("a", Lane::Normal);
        assert_eq!(queue.next().await, "a");
        queue.add("a", Lane::Normal);
        assert!(is_pending(queue.next()));
        queue.done(&"a", None);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test]
    async fn the_last_requeue_counts() {
        let queue = Queue::default();
        queue.add("a", Lane::Normal);
        queue.next().await;
        queue.done(&"a", Some(Duration::from_secs(86_400)));
        queue.add("a", Lane::Normal);
        queue.next().await;
        queue.done(&"a", Some(Duration::from_millis(5)));
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
        assert!(queue.lock().later.is_empty() && queue.lock().due.is_empty());
    }

    #[tokio::test]
    async fn a_waiting_worker_is_woken_by_an_add_and_by_a_due_key() {
        let queue = std::sync::Arc::new(Queue::default());
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.next().await, queue.next().await) }
        });
        tokio::task::yield_now().await;
        queue.done(&"later", Some(Duration::from_millis(50)));
        queue.add("now", Lane::Normal);
        assert_eq!(worker.await.unwrap(), ("now", "later"));
    }

    #[tokio::test]
    async fn what_goes_on_comes_first_and_does_not_keep_out_what_begins() {
        let queue = Queue::default();
        (0..6).for_each(|key| queue.add(key, Lane::Normal));
        (10..16).for_each(|key| queue.add(key, Lane::Urgent));
        queue.add(5, Lane::Urgent);
        queue.add(10, Lane::Normal);
        assert_eq!(queue.depth(), 12);
        let mut order = Vec::new();
        for _ in 0..12 {
            let key = queue.next().await;
            queue.done(&key, None);
            order.push(key);
        }
        assert_eq!(order, [10, 11, 12, 0, 13, 14, 15, 1, 5, 2, 3, 4]);
        assert_eq!(queue.depth(), 0);
        assert!(is_pending(queue.next()));
        // what became urgent while it was worked on is so afterwards
        queue.add(1, Lane::Normal);
        assert_eq!(queue.next().await, 1);
        queue.add(2, Lane::Normal);
        queue.add(1, Lane::Urgent);
        queue.done(&1, None);
        assert_eq!((queue.next().await, queue.next().await), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_new_waits_for_a_busy_apiserver_and_keeps_nothing_else_waiting() {
        let load = Arc::new(Load::default());
        let queue = Queue::new(load.clone(), Starts { gap_at_limit: Duration::from_millis(50), at_once: usize::MAX });
        let start = Instant::now();
        (0..100).for_each(|_| load.failed(Duration::from_secs(9), start));
        assert_eq!(queue.rest(start), LONGEST_REST);
        (0..3).for_each(|key| queue.add(key, Lane::New));
        assert_eq!(queue.next().await, 0, "the first one begins");
        queue.add(10, Lane::Normal);
        queue.add(2, Lane::Normal);
        assert_eq!((queue.next().await, queue.next().await), (10, 2), "an edit is looked at in its turn");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(queue.next().await, 1);
        assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
        [0, 10, 2, 1].iter().for_each(|key| queue.done(key, None));
        tokio::time::advance(Duration::from_secs(60)).await;
        (20..40).for_each(|key| queue.add(key, Lane::Urgent));
        queue.add(5, Lane::New);
        let mut order = Vec::new();
        for _ in 0..21 {
            order.push(queue.next().await);
        }
        assert!(order.iter().position(|key| *key == 5).is_some_and(|at| at < SHARE_OF_NEW), "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_apiserver_is_busy_few_begin_before_others_have_settled() {
        let load = Arc::new(Load::default());
        let queue = Queue::new(load.clone(), Starts { gap_at_limit: Duration::from_millis(20), at_once: 3 });
        let begins_within = async |limit: Duration| {
            let start = Instant::now();
            let key = tokio::time::timeout(limit, queue.next()).await.ok()?;
            queue.done(&key, None);
            Some((key, start.elapsed()))
        };
        let answers = |millis: u64| {
            (0..50).for_each(|_| load.answered("create", "Job", Duration::from_millis(millis), Instant::now()));
        };
        answers(5);
        (0..20).for_each(|key| queue.add(key, Lane::New));
        for key in 0..5 {
            let (begun, after) = begins_within(Duration::from_millis(5)).await.unwrap();
            assert!(begun == key && after < Duration::from_millis(5), "it is not busy");
        }
        answers(40);
        assert_eq!(begins_within(Duration::from_millis(500)).await, None, "five are unsettled");
        (0..3).for_each(|key| queue.settled(&key));
        let (key, after) = begins_within(Duration::from_millis(500)).await.unwrap();
        assert!(key == 5 && after < Duration::from_millis(20), "two are, and one more may be: {after:?}");
        answers(40);
        assert_eq!(begins_within(Duration::from_millis(500)).await, None);
        answers(40);
        assert_eq!(begins_within(LONGEST_GAP).await.unwrap().0, 6, "something begins at all times");
        tokio::time::advance(SETTLES).await;
        answers(40);
        assert_eq!(
            begins_within(Duration::ZERO).await,
            Some((7, Duration::ZERO)),
            "what takes longer is not waited for"
        );
        assert!(queue.lock().unsettled.len() == 1 && queue.lock().of_late.len() == 1);
    }

    #[tokio::test]
    async fn many_workers_take_every_key_and_never_one_at_the_same_time() {
        let queue = std::sync::Arc::new(Queue::default());
        let busy = std::sync::Arc::new(Mutex::new(HashSet::new()));
        let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..8 {
            let (queue, busy, taken) = (queue.clone(), busy.clone(), taken.clone());
            tokio::spawn(async move {
                loop {
                    let key: u32 = queue.next().await;
                    assert!(busy.lock().unwrap().insert(key));
                    tokio::task::yield_now().await;
                    busy.lock().unwrap().remove(&key);
                    taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    queue.done(&key, None);
                }
            });
        }
        for key in 0..1000 {
            queue.add(key, if key % 3 == 0 { Lane::Urgent } else { Lane::Normal });
        }
        while taken.load(std::sync::atomic::Ordering::SeqCst) < 1000 {
            tokio::task::yield_now().await;
        }
        assert!(busy.lock().unwrap().is_empty());
    }
}
