//! A work queue: a key waits in it once however often it is added, is worked on by one worker at a time, and may be
//! due later.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// The queue of one controller.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// In `ready`, or to be put there once its worker is done with it.
    dirty: HashSet<K>,
    processing: HashSet<K>,
    later: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            processing: HashSet::new(),
            later: BTreeSet::new(),
            due: HashMap::new(),
        };
        Self { state: Mutex::new(state), wake: Notify::new() }
    }
}

impl<K: Clone + Eq + Ord + Hash + fmt::Debug> Queue<K> {
    /// Makes `key` due now.
    pub fn add(&self, key: K) {
        if self.lock().mark(key) {
            self.wake.notify_one();
        }
    }

    /// The next key that is due; nobody else gets it before [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let woken = self.wake.notified();
            let sleep = {
                let mut state = self.lock();
                state.promote(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return key;
                }
                state.later.first().map(|(at, _)| *at)
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
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
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

    /// Keys that are due now and not being worked on.
    pub fn depth(&self) -> usize {
        self.lock().ready.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Ord + Hash> State<K> {
    /// Whether a worker may take the key now that it is marked.
    fn mark(&mut self, key: K) -> bool {
        let new = self.dirty.insert(key.clone()) && !self.processing.contains(&key);
        if new {
            self.ready.push_back(key);
        }
        new
    }

    fn promote(&mut self, now: Instant) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.later.pop_first() {
                self.due.remove(&key);
                self.mark(key);
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
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
        assert!(is_pending(queue.next()));
    }

    #[tokio::test]
    async fn a_key_added_while_it_is_worked_on_comes_again_afterwards_and_not_before() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        assert!(is_pending(queue.next()));
        queue.done(&"a", None);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test]
    async fn the_last_requeue_counts() {
        let queue = Queue::default();
        queue.add("a");
        queue.next().await;
        queue.done(&"a", Some(Duration::from_secs(86_400)));
        queue.add("a");
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
        queue.add("now");
        assert_eq!(worker.await.unwrap(), ("now", "later"));
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
            queue.add(key);
        }
        while taken.load(std::sync::atomic::Ordering::SeqCst) < 1000 {
            tokio::task::yield_now().await;
        }
        assert!(busy.lock().unwrap().is_empty());
    }
}
