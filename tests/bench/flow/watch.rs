//! When pods end and Jobs come, as a watch shows them.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

type Times = Arc<Mutex<HashMap<String, Instant>>>;

/// Two watches under way.
pub struct Watches {
    children: [Child; 2],
    ended: Times,
    created: Times,
}

/// What they saw, by the Job's name.
pub struct Seen {
    ended: HashMap<String, Instant>,
    created: HashMap<String, Instant>,
}

fn watch(namespace: &str, kind: &str, columns: &str, times: Times, counts: fn(&str) -> bool) -> anyhow::Result<Child> {
    let program = std::env::var("TRIBUTARY_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let columns = format!("custom-columns={columns}");
    let mut child = Command::new(program)
        .args(["-n", namespace, "get", kind, "--watch", "--no-headers", "-o", &columns])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let out = child.stdout.take().ok_or(anyhow::anyhow!("kubectl has no output"))?;
    tokio::spawn(async move {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut words = line.split_whitespace();
            if let (Some(job), Some(state)) = (words.next(), words.next())
                && counts(state)
            {
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                times.entry(job.to_owned()).or_insert_with(Instant::now);
            }
        }
    });
    Ok(child)
}

impl Watches {
    /// Watches a namespace.
    pub fn start(namespace: &str) -> anyhow::Result<Self> {
        let (ended, created) = (Times::default(), Times::default());
        let pods = "JOB:.metadata.labels.job-name,PHASE:.status.phase";
        let pods = watch(namespace, "pods", pods, ended.clone(), |phase| phase == "Succeeded")?;
        let jobs = watch(namespace, "jobs", "JOB:.metadata.name,UID:.metadata.uid", created.clone(), |_| true)?;
        Ok(Self { children: [pods, jobs], ended, created })
    }

    /// Ends them.
    pub async fn stop(self) -> anyhow::Result<Seen> {
        for mut child in self.children {
            child.kill().await?;
        }
        let take = |times: &Times| std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Seen { ended: take(&self.ended), created: take(&self.created) })
    }
}

impl Seen {
    /// Seconds from the end of each step `...-s<n>` to the creation of the Job of `...-s<n + 1>`.
    pub fn latencies(&self) -> Vec<f64> {
        let before = |job: &str| {
            let (stem, number) = job.rsplit_once("-s")?;
            Some(format!("{stem}-s{}", number.parse::<usize>().ok()?.checked_sub(1)?))
        };
        let of = |(job, created): (&String, &Instant)| {
            let ended = self.ended.get(&before(job)?)?;
            Some(created.saturating_duration_since(*ended).as_secs_f64())
        };
        self.created.iter().filter_map(of).collect()
    }
}
