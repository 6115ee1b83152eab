//! What /metrics shows.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::caches::{PrimaryKind, Queues};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    verb: &'static str,
    kind: String,
    code: u32,
}

/// Counters and gauges of the operator.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    seconds: Family<ControllerLabels, Histogram>,
    writes: Family<WriteLabels, Counter>,
    depth: Family<ControllerLabels, Gauge>,
    leader: Gauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::with_prefix("tributary");
        let (reconciles, writes, depth, leader) =
            (Family::default(), Family::default(), Family::default(), Gauge::default());
        let seconds: Family<ControllerLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 16)));
        registry.register("reconciles", "Decisions by controller and result", Family::clone(&reconciles));
        registry.register("reconcile_seconds", "Time from observing to the last write", Family::clone(&seconds));
        registry.register("writes", "Requests to the apiserver; code 0 is no answer", Family::clone(&writes));
        registry.register("queue_depth", "Objects that are due", Family::clone(&depth));
        registry.register("leader", "1 on the replica that acts", leader.clone());
        Arc::new(Self { registry, reconciles, seconds, writes, depth, leader })
    }

    /// A decision on an object of this kind ended.
    pub fn reconciled(&self, kind: PrimaryKind, result: &'static str, took: Duration) {
        let controller = kind.as_str();
        self.reconciles.get_or_create(&ReconcileLabels { controller, result }).inc();
        self.seconds.get_or_create(&ControllerLabels { controller }).observe(took.as_secs_f64());
    }

    /// A request to the apiserver was answered with this HTTP status.
    pub fn wrote(&self, verb: &'static str, kind: &str, code: u16) {
        self.writes.get_or_create(&WriteLabels { verb, kind: kind.into(), code: code.into() }).inc();
    }

    /// Whether this replica acts.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// The text that Prometheus reads.
    pub fn text(&self, queues: &Queues) -> String {
        for kind in PrimaryKind::ALL {
            let depth = i64::try_from(queues.of(kind).depth()).unwrap_or(i64::MAX);
            self.depth.get_or_create(&ControllerLabels { controller: kind.as_str() }).set(depth);
        }
        let mut text = String::new();
        // writing to a String cannot fail
        let _ = encode(&mut text, &self.registry);
        text
    }
}
