//! Leader election by a Lease, as client-go does it: whoever holds it renews it by compare-and-swap; whoever does not
//! takes it once it has seen no change of it for the whole duration, by its own clock. So clocks may differ, two
//! replicas cannot both win one resourceVersion, and a leader that cannot renew steps down before another one may step
//! up. A container that is started again knows that its pod's former process is dead, and frees the lease that it left.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tributary_crds::Timestamp;

use crate::{act::words, metrics::Metrics};

/// How long a lease lasts without renewal.
pub const DURATION: Duration = Duration::from_secs(6);
/// How long a leader goes on without having renewed.
const RENEW_WITHIN: Duration = Duration::from_secs(4);
/// How often the lease is renewed, or looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the lease of a former process is left to replicas whose caches are warm.
const COURTESY: Duration = Duration::from_millis(2_500);

/// A replica's name in the lease.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What the lease says.
    name: String,
    /// What the names of all processes of its pod begin with, one of which lives at a time.
    pod: Option<String>,
}

impl Identity {
    /// Of this process of a pod. Without the pod's uid nothing is known of former processes.
    pub fn new(pod_name: &str, pod_uid: Option<&str>) -> Self {
        let pod = pod_uid.map(|uid| format!("{pod_name}_{uid}_"));
        let process = rand::random::<u32>();
        let name = match &pod {
            Some(pod) => format!("{pod}{process:08x}"),
            None => format!("{pod_name}_{process:08x}"),
        };
        Self { name, pod }
    }

    /// Whether the holder was a former process of this pod.
    fn has_been(&self, holder: &str) -> bool {
        holder != self.name && self.pod.as_ref().is_some_and(|pod| holder.starts_with(pod))
    }
}

/// What to do about the lease.
#[derive(Debug, PartialEq)]
enum Step {
    /// It does not exist.
    Create(LeaseSpec),
    /// Renew it, or take it over.
    Replace(LeaseSpec),
    /// Who has it is dead.
    Free(LeaseSpec),
    /// Somebody else has it.
    Wait,
}

/// What to do about a lease that has stood unchanged for `unchanged`.
fn decide(me: &Identity, lease: Option<&LeaseSpec>, unchanged: Duration, now: Timestamp) -> Step {
    let held = |since: Option<MicroTime>, transitions: i32| LeaseSpec {
        holder_identity: Some(me.name.clone()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: Some(since.unwrap_or(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    };
    let Some(lease) = lease else { return Step::Create(held(None, 0)) };
    let transitions = lease.lease_transitions.unwrap_or_default();
    let seconds = u64::try_from(lease.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
    match lease.holder_identity.as_deref().unwrap_or_default() {
        holder if holder == me.name => Step::Replace(held(lease.acquire_time.clone(), transitions)),
        "" => Step::Replace(held(None, transitions.saturating_add(1))),
        holder if me.has_been(holder) => Step::Free(freed(lease.clone(), now)),
        _ if unchanged > Duration::from_secs(seconds) => Step::Replace(held(None, transitions.saturating_add(1))),
        _ => Step::Wait,
    }
}

/// The lease as anybody may take it at once.
fn freed(lease: LeaseSpec, now: Timestamp) -> LeaseSpec {
    LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(now)), ..lease }
}

/// A replica's part in the election.
pub struct Election {
    api: Api<Lease>,
    name: String,
    me: Identity,
    /// Until then others may take it.
    courtesy: Option<Instant>,
    metrics: Arc<Metrics>,
    leads: watch::Sender<bool>,
    /// The version seen last, and since when.
    seen: Option<(String, Instant)>,
    renewed: Option<Instant>,
}

impl Election {
    /// For the lease `name` in `namespace`, as `me`; the receiver tells whether it leads.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: Identity,
        metrics: Arc<Metrics>,
    ) -> (Self, watch::Receiver<bool>) {
        let (leads, receiver) = watch::channel(false);
        let api = Api::namespaced(client, namespace);
        (Self { api, name: name.into(), me, courtesy: None, metrics, leads, seen: None, renewed: None }, receiver)
    }

    /// Takes part until stopped, then gives the lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let start = Instant::now();
            match tokio::time::timeout(PERIOD.mul_f64(1.5), self.step()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, error = words(&error), "lease"),
                Err(_) => tracing::warn!(lease = self.name, "the apiserver does not answer"),
            }
            if self.renewed.is_some_and(|at| at.elapsed() >= RENEW_WITHIN) {
                self.renewed = None;
            }
            self.tell();
            let _ = stop.run_until_cancelled(tokio::time::sleep_until(start + PERIOD)).await;
        }
        if self.renewed.take().is_some() {
            self.tell();
            if let Err(error) = self.release().await {
                tracing::warn!(lease = self.name, error = words(&error), "the lease was not given back");
            }
        }
    }

    fn tell(&self) {
        let leads = self.renewed.is_some();
        self.metrics.set_leader(leads);
        if self.leads.send_replace(leads) != leads {
            tracing::info!(me = self.me.name, leads, "leadership");
        }
    }

    async fn step(&mut self) -> kube::Result<()> {
        let asked = Instant::now();
        let lease = self.api.get_opt(&self.name).await?;
        let version = lease.as_ref().and_then(|l| l.metadata.resource_version.clone()).unwrap_or_default();
        let unchanged = match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed(),
            _ => {
                self.seen = Some((version.clone(), asked));
                Duration::ZERO
            }
        };
        let spec = lease.as_ref().map(|l| l.spec.clone().unwrap_or_default());
        let params = PostParams::default();
        let result = match decide(&self.me, spec.as_ref(), unchanged, Timestamp::now()) {
            Step::Wait => {
                self.renewed = None;
                return Ok(());
            }
            Step::Replace(_) if self.courtesy.is_some_and(|until| asked < until) => return Ok(()),
            Step::Free(spec) => {
                self.courtesy = Some(asked + COURTESY);
                tracing::info!("freeing the lease of this pod's former process");
                self.api.replace(&self.name, &params, &self.lease(Some(version), spec)).await?;
                return Ok(());
            }
            Step::Create(spec) => self.api.create(&params, &self.lease(None, spec)).await,
            Step::Replace(spec) => self.api.replace(&self.name, &params, &self.lease(Some(version), spec)).await,
        };
        match result {
            Ok(_) => {
                // counted from before the request: the others count from when they see it
                self.renewed = Some(asked);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn release(&self) -> kube::Result<()> {
        let Some(lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() == Some(&self.me.name) {
            let lease = self.lease(lease.metadata.resource_version, freed(spec, Timestamp::now()));
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    fn lease(&self, resource_version: Option<String>, spec: LeaseSpec) -> Lease {
        let metadata = ObjectMeta { name: Some(self.name.clone()), resource_version, ..ObjectMeta::default() };
        Lease { metadata, spec: Some(spec) }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn me() -> Identity {
        Identity { name: "me".into(), pod: None }
    }

    fn lease(holder: Option<&str>) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(Into::into),
            lease_duration_seconds: Some(6),
            lease_transitions: Some(3),
            acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }
    }

    fn replaced(step: Step) -> LeaseSpec {
        match step {
            Step::Replace(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_is_taken_only_when_it_is_free_or_has_stood_still() {
        let now = Timestamp::now();
        let secs = Duration::from_secs;
        assert!(matches!(decide(&me(), None, secs(0), now), Step::Create(_)));
        assert_eq!(decide(&me(), Some(&lease(Some("other"))), secs(6), now), Step::Wait);
        let taken = replaced(decide(&me(), Some(&lease(Some("other"))), secs(7), now));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("me"), Some(4)));
        let free = replaced(decide(&me(), Some(&lease(None)), secs(0), now));
        assert_eq!((free.lease_transitions, free.acquire_time), (Some(4), Some(MicroTime(now))));
    }

    #[test]
    fn a_renewal_is_no_transition() {
        let now = Timestamp::now();
        let spec = replaced(decide(&me(), Some(&lease(Some("me"))), Duration::ZERO, now));
        assert_eq!((spec.lease_transitions, spec.renew_time), (Some(3), Some(MicroTime(now))));
        assert_eq!(spec.acquire_time, Some(MicroTime(Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn a_process_frees_the_lease_of_the_one_before_it_in_its_pod_and_of_no_other() {
        let now = Timestamp::now();
        let [former, me] = [(); 2].map(|()| Identity::new("operator-a", Some("u1")));
        let others = [
            Identity::new("operator-a", Some("u2")),
            Identity::new("operator-b", Some("u1")),
            Identity::new("operator-a", None),
        ];
        match decide(&me, Some(&lease(Some(&former.name))), Duration::ZERO, now) {
            Step::Free(spec) => assert_eq!((spec.holder_identity, spec.lease_transitions), (None, Some(3))),
            other => panic!("{other:?}"),
        }
        for other in others {
            assert_eq!(decide(&me, Some(&lease(Some(&other.name))), Duration::ZERO, now), Step::Wait, "{other:?}");
            assert_eq!(decide(&other, Some(&lease(Some(&me.name))), Duration::ZERO, now), Step::Wait, "{other:?}");
        }
    }
}
