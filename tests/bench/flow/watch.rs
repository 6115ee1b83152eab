//! When pods end and Jobs come, as a watch shows them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use kube::core::GroupVersionKind;
use tributary_tests::counting::Watch;

type Times = Arc<Mutex<HashMap<String, Instant>>>;

/// Two watches under way.
pub struct Watches {
    _watches: [Watch; 2],
    ended: Times,
    created: Times,
}

/// What they saw, by the Job's name.
pub struct Seen {
    ended: HashMap<String, Instant>,
    created: HashMap<String, Instant>,
}

fn note(times: &Times, job: Option<&String>) {
    if let Some(job) = job {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.entry(job.clone()).or_insert_with(Instant::now);
    }
}

impl Watches {
    /// Watches a namespace.
    pub async fn start(namespace: &str) -> anyhow::Result<Self> {
        let (ended, created) = (Times::default(), Times::default());
        let (ends, creates) = (ended.clone(), created.clone());
        let of = |group: &str, kind: &str| GroupVersionKind::gvk(group, "v1", kind);
        let pods = Watch::start(namespace, &of("", "Pod"), move |pod| {
            if pod.status.as_ref().is_some_and(|status| status["phase"] == "Succeeded") {
                note(&ends, pod.metadata.labels.as_ref().and_then(|labels| labels.get("job-name")));
            }
        })
        .await?;
        let jobs = Watch::start(namespace, &of("batch", "Job"), move |job| {
            note(&creates, job.metadata.name.as_ref());
        })
        .await?;
        Ok(Self { _watches: [pods, jobs], ended, created })
    }

    /// Ends them.
    pub fn stop(self) -> Seen {
        let take = |times: &Times| std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
        Seen { ended: take(&self.ended), created: take(&self.created) }
    }
}

impl Seen {
    /// Each step `...-s<n + 1>`: when its Job was created, and the seconds from the end of step `...-s<n>` until then; in the order of
    /// creation.
    pub fn latencies(&self) -> Vec<(Instant, f64)> {
        let before = |job: &str| {
            let (stem, number) = job.rsplit_once("-s")?;
            Some(format!("{stem}-s{}", number.parse::<usize>().ok()?.checked_sub(1)?))
        };
        let of = |(job, created): (&String, &Instant)| {
            let ended = self.ended.get(&before(job)?)?;
            Some((*created, created.saturating_duration_since(*ended).as_secs_f64()))
        };
        let mut latencies: Vec<_> = self.created.iter().filter_map(of).collect();
        latencies.sort_by_key(|(created, _)| *created);
        latencies
    }
}
