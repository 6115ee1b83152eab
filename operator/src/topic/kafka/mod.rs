//! The pollers of Kafka: one task a cluster, which collects what the decisions ask for, does it in batches, and keeps
//! what it sees where `observe` reads it.

mod batch;
mod connection;
mod native;
mod raw;
mod read;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio::{sync::mpsc, task::spawn_blocking};
use tributary_crds::{KafkaConnection, Timestamp};

use super::world::{Failure, KafkaAction, Known, Seen};
use crate::{
    caches::Primary,
    queue::{Lane, Queue},
};
use batch::{Answer, Request, carry_out};
use raw::Admin;

/// How long a request waits for others to go with it.
const LINGER: Duration = Duration::from_millis(20);
/// Requests that go together at most.
const LARGEST_BATCH: usize = 500;
/// The pause after the first failure of a topic; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A Kafka topic of a cluster, as one Topic asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    cluster: String,
    topic: String,
}

impl Place {
    /// The topic of this name. Where the connection needs Secrets, those of another namespace make another cluster.
    pub fn new(namespace: &str, connection: &KafkaConnection, topic: &str) -> Self {
        let secrets = connection.tls.is_some() || connection.sasl.is_some();
        let namespace = if secrets { namespace } else { "" };
        let connection = serde_json::to_string(connection).unwrap_or_default();
        Self { cluster: format!("{namespace} {connection}"), topic: topic.into() }
    }
}

/// All clusters that Topics name.
pub struct Clusters {
    client: Client,
    queue: Arc<Queue<Primary>>,
    clusters: Mutex<HashMap<String, Arc<Cluster>>>,
}

struct Cluster {
    requests: mpsc::UnboundedSender<Request>,
    topics: Mutex<HashMap<String, Entry>>,
}

#[derive(Default)]
struct Entry {
    known: Known,
    /// Who asks for it, and is woken by news.
    by: HashSet<Primary>,
    /// Failures in a row.
    failures: u32,
}

impl Clusters {
    /// None yet; `client` reads the Secrets of connections, news wake Topics by `queue`.
    pub fn new(client: Client, queue: Arc<Queue<Primary>>) -> Self {
        Self { client, queue, clusters: Mutex::default() }
    }

    /// What is known of a topic.
    pub fn known(&self, place: &Place) -> Known {
        let cluster = self.clusters().get(&place.cluster).cloned();
        cluster.and_then(|c| c.topics().get(&place.topic).map(|e| e.known.clone())).unwrap_or_default()
    }

    /// Has the actions done; `by` is woken when it is known how they went.
    pub fn submit(&self, by: &Primary, connection: &KafkaConnection, place: &Place, actions: Vec<KafkaAction>) {
        let cluster = {
            let mut clusters = self.clusters();
            let start = || self.start(by.namespace.clone(), connection.clone());
            clusters.entry(place.cluster.clone()).or_insert_with(start).clone()
        };
        let mut topics = cluster.topics();
        let entry = topics.entry(place.topic.clone()).or_default();
        entry.by.insert(by.clone());
        if !entry.known.busy {
            entry.known.busy = true;
            // the task ends only after this was dropped
            let _ = cluster.requests.send(Request { topic: place.topic.clone(), actions });
        }
    }

    /// `by` asks for nothing any more, except for `kept`; what nobody asks for is forgotten.
    pub fn forget(&self, by: &Primary, kept: Option<&Place>) {
        self.clusters().retain(|name, cluster| {
            let mut topics = cluster.topics();
            topics.retain(|topic, entry| {
                if kept.is_none_or(|k| k.cluster != *name || k.topic != *topic) && entry.by.remove(by) {
                    return !entry.by.is_empty();
                }
                true
            });
            !topics.is_empty()
        });
    }

    fn start(&self, namespace: String, connection: KafkaConnection) -> Arc<Cluster> {
        let (requests, receiver) = mpsc::unbounded_channel();
        let cluster = Arc::new(Cluster { requests, topics: Mutex::default() });
        let poller = Poller {
            client: self.client.clone(),
            queue: self.queue.clone(),
            cluster: Arc::downgrade(&cluster),
            namespace,
            connection,
        };
        tokio::spawn(poller.run(receiver));
        cluster
    }

    fn clusters(&self) -> MutexGuard<'_, HashMap<String, Arc<Cluster>>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Poller {
    client: Client,
    queue: Arc<Queue<Primary>>,
    cluster: std::sync::Weak<Cluster>,
    namespace: String,
    connection: KafkaConnection,
}

impl Poller {
    async fn run(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut admin: Option<Arc<Admin>> = None;
        while let Some(first) = requests.recv().await {
            tokio::time::sleep(LINGER).await;
            let mut batch = vec![first];
            while batch.len() < LARGEST_BATCH
                && let Ok(next) = requests.try_recv()
            {
                batch.push(next);
            }
            let answers = self.answers(&mut admin, batch.clone()).await;
            self.publish(&batch, answers);
        }
    }

    async fn answers(&self, admin: &mut Option<Arc<Admin>>, batch: Vec<Request>) -> HashMap<String, Answer> {
        let failed = |message: String| {
            let answer = Answer { seen: Some(Err(message)), failure: None };
            batch.iter().map(|r| (r.topic.clone(), answer.clone())).collect::<HashMap<_, _>>()
        };
        let connected = match admin.take() {
            Some(connected) => connected,
            None => match connection::connect(&self.client, &self.namespace, &self.connection).await {
                Ok(connected) => Arc::new(connected),
                Err(error) => return failed(error.to_string()),
            },
        };
        let (requests, used) = (batch.clone(), connected.clone());
        match spawn_blocking(move || carry_out(&used, &requests)).await {
            Ok(answers) => {
                // one that cannot reach the cluster is made anew: addresses and Secrets may have changed
                if answers.values().any(|a| !matches!(a.seen, Some(Err(_)))) {
                    *admin = Some(connected);
                }
                answers
            }
            Err(error) => failed(format!("the request failed: {error}")),
        }
    }

    fn publish(&self, batch: &[Request], mut answers: HashMap<String, Answer>) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        let now = Timestamp::now();
        let mut topics = cluster.topics();
        for request in batch {
            let answer = answers.remove(&request.topic).unwrap_or_default();
            let Some(entry) = topics.get_mut(&request.topic) else { continue };
            entry.take(answer, &request.actions, &self.connection.bootstrap_servers, now);
            for by in &entry.by {
                self.queue.add(by.clone(), Lane::Normal);
            }
        }
    }
}

impl Entry {
    /// Takes in how a request went.
    fn take(&mut self, answer: Answer, actions: &[KafkaAction], bootstrap: &str, now: Timestamp) {
        let told = |message: &str| format!("Kafka at {bootstrap}: {message}");
        let unseen = matches!(answer.seen, Some(Err(_)) | None);
        self.failures = if unseen || answer.failure.is_some() { self.failures.saturating_add(1) } else { 0 };
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        let retry_at = now.checked_add(pause).unwrap_or(now);
        let seen = match answer.seen.unwrap_or_else(|| Err("no answer".into())) {
            Ok(None) => Seen::Absent,
            Ok(Some(description)) => Seen::Present(description),
            Err(message) => Seen::Unknown { message: told(&message), retry_at },
        };
        let failure =
            answer.failure.map(|message| Failure { actions: actions.to_vec(), message: told(&message), retry_at });
        self.known = Known { busy: false, seen: Some((seen, now)), failure };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::world::Description;

    #[test]
    fn failures_pause_longer_each_time_and_success_forgets_them() {
        let mut entry = Entry::default();
        let now = Timestamp::UNIX_EPOCH;
        let pause = |entry: &Entry| match &entry.known.seen {
            Some((Seen::Unknown { retry_at, message }, _)) => {
                assert!(message.contains("host:1") && message.contains("down"), "{message}");
                retry_at.duration_since(now).as_secs()
            }
            other => panic!("{other:?}"),
        };
        let down = Answer { seen: Some(Err("down".into())), failure: None };
        let pauses: Vec<i64> = (0..8)
            .map(|_| {
                entry.take(down.clone(), &[KafkaAction::Describe], "host:1", now);
                pause(&entry)
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let up = Answer { seen: Some(Ok(Some(Description::default()))), failure: None };
        entry.take(up, &[KafkaAction::Describe], "host:1", now);
        assert_eq!((entry.failures, entry.known.busy), (0, false));
        entry.take(down, &[KafkaAction::Describe], "host:1", now);
        assert_eq!(pause(&entry), 1);
    }

    #[test]
    fn clusters_are_told_apart_by_address_and_by_whose_secrets_they_need() {
        let plain = KafkaConnection { bootstrap_servers: "a:1".into(), ..KafkaConnection::default() };
        let other = KafkaConnection { bootstrap_servers: "b:1".into(), ..KafkaConnection::default() };
        let tls = KafkaConnection { tls: Some(tributary_crds::KafkaTls::default()), ..plain.clone() };
        assert_eq!(Place::new("x", &plain, "t"), Place::new("y", &plain, "t"));
        assert_ne!(Place::new("x", &plain, "t"), Place::new("x", &other, "t"));
        assert_ne!(Place::new("x", &tls, "t"), Place::new("y", &tls, "t"));
    }
}
