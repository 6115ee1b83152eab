//! The names of children: deterministic, within 63 characters, and never the same for two of them.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use tributary_crds::names::MAX_CHILD_NAME;

/// So many hexadecimal digits of the hash of `text`.
pub(crate) fn short_hash(text: &str, digits: usize) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits.min(hex.len())].to_owned()
}

/// Which Job of a flow: the first try of a step's only Job in run 1 is `<flow>-<step>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// The run, counted from 1.
    pub run: i64,
    /// The item of `forEach`.
    pub item: Option<usize>,
    /// Tries before this one.
    pub attempt: u32,
}

impl Which {
    fn suffix(self) -> String {
        let mut suffix = self.item.map(|i| format!("-{i}")).unwrap_or_default();
        if self.run > 1 {
            suffix += &format!("-{}", self.run);
        }
        if self.attempt > 0 {
            suffix += &format!("-t{}", self.attempt);
        }
        suffix
    }
}

/// The name of a Job of a flow. `stem` is whether another step could be taken for one of this step's Jobs (see
/// [`stems`]): a hash then tells them apart.
pub fn flow_job(flow: &str, step: &str, which: Which, stem: bool) -> String {
    let suffix = which.suffix();
    let name = format!("{flow}-{step}{suffix}");
    match stem && !suffix.is_empty() {
        true => bounded(&format!("{name}-{}", short_hash(&format!("{step}/{suffix}"), 5)), &name),
        false => bounded(&name, &name),
    }
}

/// The name of a node's Job: `<daemonjob>-<node>` where that fits.
pub fn node_job(daemon_job: &str, node: &str, run: i64, attempt: u32) -> String {
    let plain = format!("{daemon_job}-{node}");
    if run <= 1 && attempt == 0 {
        return bounded(&plain, &plain);
    }
    // a node may be called as another one with a number behind it
    let identity = format!("{node}/{run}/{attempt}");
    let tail = if attempt == 0 { format!("-{run}") } else { format!("-{run}-t{attempt}") };
    let full = format!("{plain}{tail}-{}", short_hash(&identity, 5));
    bounded(&full, &format!("{daemon_job}-{identity}"))
}

/// `name` if it is short enough, else its beginning and a hash of `identity`.
fn bounded(name: &str, identity: &str) -> String {
    const DIGITS: usize = 8;
    if name.len() <= MAX_CHILD_NAME {
        return name.to_owned();
    }
    let mut end = MAX_CHILD_NAME - DIGITS - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{}", name[..end].trim_end_matches(['-', '.']), short_hash(identity, DIGITS))
}

/// The indices of the names that are another one with a number (or `t` and a number) behind it: `job` beside `job-2`.
pub fn stems<'a>(names: impl IntoIterator<Item = &'a str>) -> HashSet<usize> {
    let index: HashMap<&str, usize> = names.into_iter().enumerate().map(|(i, name)| (name, i)).collect();
    let mut found = HashSet::new();
    for name in index.keys() {
        let mut rest = *name;
        while let Some((before, group)) = rest.rsplit_once('-') {
            let digits = group.strip_prefix('t').unwrap_or(group);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                break;
            }
            found.extend(index.get(before));
            rest = before;
        }
    }
    found
}

/// The name of a run's ControllerRevision.
pub fn revision(owner: &str, run: i64) -> String {
    format!("{owner}-r{run}")
}

/// The name of a mutex's Lease.
pub fn mutex(name: &str) -> String {
    format!("tributary-mutex-{name}")
}

/// The name of the ConfigMap that keeps what came to the nodes of a DaemonJob.
pub fn outcomes(daemon_job: &str) -> String {
    format!("{daemon_job}-outcomes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn which(run: i64, item: Option<usize>, attempt: u32) -> Which {
        Which { run, item, attempt }
    }

    #[test]
    fn the_first_job_has_the_name_that_job_deploy_operator_gives() {
        assert_eq!(flow_job("jobflow-example", "job1", which(1, None, 0), false), "jobflow-example-job1");
        assert_eq!(flow_job("f", "a", which(2, None, 0), false), "f-a-2");
        assert_eq!(flow_job("f", "a", which(1, Some(3), 2), false), "f-a-3-t2");
        assert_eq!(node_job("daemonjob-example", "vm-0-12-centos", 1, 0), "daemonjob-example-vm-0-12-centos");
    }

    #[test]
    fn a_step_that_looks_like_the_run_of_another_has_a_name_of_its_own() {
        let names = ["job", "job-2", "other", "job-t1-7"];
        assert_eq!(stems(names), HashSet::from([0]));
        let run2 = flow_job("f", "job", which(2, None, 0), true);
        assert_ne!(run2, flow_job("f", "job-2", which(1, None, 0), false));
        assert!(run2.starts_with("f-job-2-"));
    }

    #[test]
    fn a_node_of_any_name_gets_a_name_within_limits() {
        let long = format!("{}.example.com", "n".repeat(200));
        let names: Vec<String> =
            [(1, 0), (2, 0), (2, 1), (1, 1)].map(|(run, t)| node_job(&"d".repeat(52), &long, run, t)).into();
        assert!(names.iter().all(|n| n.len() <= 63 && n.ends_with(|c: char| c.is_ascii_alphanumeric())), "{names:?}");
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 4);
        assert_ne!(node_job("d", "n", 2, 0), node_job("d", "n-2", 1, 0));
    }

    proptest! {
        #[test]
        fn no_two_jobs_of_a_run_share_a_name(
            steps in proptest::collection::hash_set("[ab](-(t?[12]|[ab])){0,3}", 2..8), run in 1_i64..3
        ) {
            let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
            let stems = stems(steps.iter().copied());
            let mut seen = HashMap::new();
            for (i, step) in steps.iter().enumerate() {
                for item in [None, Some(1), Some(2)] {
                    for attempt in 0..3 {
                        // a step has items or it has not
                        if item.is_some() != (i % 2 == 0) { continue }
                        let name = flow_job("f", step, which(run, item, attempt), stems.contains(&i));
                        prop_assert!(seen.insert(name.clone(), (step, item, attempt)).is_none(), "{name} twice");
                    }
                }
            }
        }
    }
}
