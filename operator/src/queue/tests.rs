#![allow(clippy::unwrap_used)]

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
    assert_eq!(begins_within(Duration::ZERO).await, Some((7, Duration::ZERO)), "what takes longer is not waited for");
    assert!(queue.lock().unsettled.len() == 1 && queue.lock().of_late.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_anew_counts_from_then_on() {
    let queue = Queue::default();
    let begin = async || {
        queue.add("a", Lane::New);
        assert_eq!(queue.next().await, "a");
        queue.done(&"a", None);
    };
    begin().await;
    queue.settled(&"a");
    queue.add("b", Lane::New);
    assert_eq!(queue.next().await, "b");
    tokio::time::advance(SETTLES / 2).await;
    begin().await;
    tokio::time::advance(SETTLES / 2).await;
    queue.lock().forget_settled(Instant::now());
    assert!(queue.lock().unsettled.keys().eq(["a"].iter()) && queue.lock().of_late.len() == 1);
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
