//! Many actions on topics of one cluster, in as few requests as there are kinds of actions.

use std::{
    collections::{BTreeMap, HashMap},
    thread::sleep,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::raw::{Admin, ConfigChange, KafkaError, Layout, NewTopic, PerTopic};
use crate::topic::world::{Description, KafkaAction};

/// How long the brokers may take to show what they have accepted.
const SETTLE: Duration = Duration::from_secs(4);

/// What is to be done to one topic.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name.
    pub topic: String,
    /// In order.
    pub actions: Vec<KafkaAction>,
}

/// How it went with one topic.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What it is now: `None` where it does not exist; an error where the cluster does not say.
    pub seen: Option<Result<Option<Description>, String>>,
    /// Why an action failed.
    pub failure: Option<String>,
}

/// Does all of it; blocks. Each topic is in at most one request.
pub fn carry_out(admin: &Admin, requests: &[Request]) -> HashMap<String, Answer> {
    let mut answers: HashMap<String, Answer> = requests.iter().map(|r| (r.topic.clone(), Answer::default())).collect();
    create(admin, requests, &mut answers);
    grow(admin, requests, &mut answers);
    configure(admin, requests, &mut answers);
    delete(admin, requests, &mut answers);
    look(admin, requests, &mut answers);
    answers
}

/// The actions of one kind, of topics that no action has failed on yet.
fn wanted<'a, T>(
    requests: &'a [Request],
    answers: &HashMap<String, Answer>,
    pick: impl Fn(&'a str, &'a KafkaAction) -> Option<T>,
) -> Vec<T> {
    let open = requests.iter().filter(|r| answers.get(&r.topic).is_some_and(|a| a.failure.is_none()));
    open.flat_map(|r| r.actions.iter().map(move |action| (r.topic.as_str(), action)))
        .filter_map(|(topic, action)| pick(topic, action))
        .collect()
}

/// Notes what failed, except with a code that is as good as success.
fn note(
    what: &str,
    topics: Vec<String>,
    result: Result<PerTopic<()>, KafkaError>,
    fine: Option<RDKafkaErrorCode>,
    answers: &mut HashMap<String, Answer>,
) {
    let results = match result {
        Ok(results) => results,
        Err(error) => topics.into_iter().map(|topic| (topic, Err(error.clone()))).collect(),
    };
    for (topic, result) in results {
        if let (Err(error), Some(answer)) = (result, answers.get_mut(&topic))
            && Some(error.code) != fine
        {
            answer.failure = Some(format!("{what} topic {topic}: {error}"));
        }
    }
}

fn create(admin: &Admin, requests: &[Request], answers: &mut HashMap<String, Answer>) {
    let new = wanted(requests, answers, |topic, action| match action {
        KafkaAction::Create { partitions, replicas, config } => Some(NewTopic {
            name: topic.to_owned(),
            partitions: *partitions,
            replicas: *replicas,
            config: config.clone(),
        }),
        _ => None,
    });
    if !new.is_empty() {
        let names = new.iter().map(|t| t.name.clone()).collect();
        note("create", names, admin.create_topics(&new), Some(RDKafkaErrorCode::TopicAlreadyExists), answers);
    }
}

fn grow(admin: &Admin, requests: &[Request], answers: &mut HashMap<String, Answer>) {
    let new = wanted(requests, answers, |topic, action| match action {
        KafkaAction::Grow { partitions } => Some((topic.to_owned(), *partitions)),
        _ => None,
    });
    if !new.is_empty() {
        let names = new.iter().map(|(name, _)| name.clone()).collect();
        note("grow", names, admin.create_partitions(&new), None, answers);
    }
}

fn configure(admin: &Admin, requests: &[Request], answers: &mut HashMap<String, Answer>) {
    let changes = wanted(requests, answers, |topic, action| match action {
        KafkaAction::Configure { set, delete } => {
            Some(ConfigChange { name: topic.to_owned(), set: set.clone(), delete: delete.clone() })
        }
        _ => None,
    });
    if !changes.is_empty() {
        let names = changes.iter().map(|c| c.name.clone()).collect();
        note("configure", names, admin.alter_configs(&changes), None, answers);
    }
}

fn delete(admin: &Admin, requests: &[Request], answers: &mut HashMap<String, Answer>) {
    let gone = wanted(requests, answers, |topic, action| match action {
        KafkaAction::Delete => Some(topic.to_owned()),
        _ => None,
    });
    if !gone.is_empty() {
        let result = admin.delete_topics(&gone);
        note("delete", gone, result, Some(RDKafkaErrorCode::UnknownTopicOrPartition), answers);
    }
}

/// Looks at every topic, again and again until the brokers show what they have accepted.
fn look(admin: &Admin, requests: &[Request], answers: &mut HashMap<String, Answer>) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(20);
    let mut open: Vec<&Request> = requests.iter().collect();
    loop {
        let names: Vec<String> = open.iter().map(|r| r.topic.clone()).collect();
        let mut seen = describe(admin, &names);
        let late = start.elapsed() > SETTLE;
        open.retain(|request| {
            let Some(answer) = answers.get_mut(&request.topic) else { return false };
            let seen = seen.remove(&request.topic).unwrap_or_else(|| Err("Kafka did not say".into()));
            let settled =
                answer.failure.is_some() || seen.as_ref().map_or(true, |s| shows(s.as_ref(), &request.actions));
            if !settled && late {
                answer.failure = Some(format!("topic {}: the brokers do not show what they accepted", request.topic));
            }
            answer.seen = Some(seen);
            !settled && !late
        });
        if open.is_empty() {
            return;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Whether a topic shows the effect of the actions.
fn shows(seen: Option<&Description>, actions: &[KafkaAction]) -> bool {
    actions.iter().all(|action| match (action, seen) {
        (KafkaAction::Describe, _) | (KafkaAction::Delete, None) | (KafkaAction::Create { .. }, Some(_)) => true,
        (KafkaAction::Grow { partitions }, Some(seen)) => seen.partitions() >= *partitions,
        (KafkaAction::Configure { set, delete }, Some(seen)) => {
            set.iter().all(|(key, value)| seen.config.get(key) == Some(value))
                && delete.iter().all(|key| !seen.config.contains_key(key))
        }
        _ => false,
    })
}

fn describe(admin: &Admin, topics: &[String]) -> HashMap<String, Result<Option<Description>, String>> {
    let layouts = match admin.describe_topics(topics) {
        Ok(layouts) => layouts,
        Err(error) => return topics.iter().map(|topic| (topic.clone(), Err(error.to_string()))).collect(),
    };
    let there: Vec<String> = layouts.iter().filter(|(_, r)| r.is_ok()).map(|(name, _)| name.clone()).collect();
    let mut configs = match there.is_empty() {
        true => Ok(HashMap::new()),
        false => admin.describe_configs(&there).map(|all| all.into_iter().collect::<HashMap<_, _>>()),
    };
    let mut config_of = |topic: &str| match &mut configs {
        Ok(configs) => configs.remove(topic).unwrap_or_else(|| Ok(BTreeMap::new())),
        Err(error) => Err(error.clone()),
    };
    layouts
        .into_iter()
        .map(|(topic, layout)| {
            let seen = layout.and_then(|layout| Ok((layout, config_of(&topic)?)));
            let seen = match seen {
                Ok((Layout { id, replicas }, config)) => Ok(Some(Description { id, replicas, config })),
                Err(error) if error.code == RDKafkaErrorCode::UnknownTopicOrPartition => Ok(None),
                Err(error) => Err(format!("topic {topic}: {error}")),
            };
            (topic, seen)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(partitions: i32, config: &[(&str, &str)]) -> Description {
        Description {
            id: "id".into(),
            replicas: (0..partitions).map(|p| (p, 1)).collect(),
            config: config.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        }
    }

    #[test]
    fn an_action_counts_as_done_once_it_shows() {
        let create = KafkaAction::Create { partitions: None, replicas: None, config: BTreeMap::new() };
        let grow = KafkaAction::Grow { partitions: 3 };
        let set = [("a".to_owned(), "1".to_owned())].into();
        let configure = KafkaAction::Configure { set, delete: vec!["b".into()] };
        assert!(!shows(None, std::slice::from_ref(&create)) && shows(Some(&there(1, &[])), &[create]));
        assert!(
            !shows(Some(&there(2, &[])), std::slice::from_ref(&grow))
                && shows(Some(&there(3, &[])), std::slice::from_ref(&grow))
        );
        assert!(!shows(Some(&there(3, &[("a", "1"), ("b", "2")])), &[grow.clone(), configure.clone()]));
        assert!(shows(Some(&there(3, &[("a", "1")])), &[grow, configure]));
        assert!(shows(None, &[KafkaAction::Delete]) && !shows(Some(&there(1, &[])), &[KafkaAction::Delete]));
    }
}
