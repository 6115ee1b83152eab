//! JobFlows and DaemonJobs from their creation to their end, against an apiserver in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod apiserver;
mod cluster;
mod daemonjobs;
mod examples;
mod flaws;
mod random;
#[path = "../../../blueprints/tests/sim/rng.rs"]
mod rng;
mod runs;
mod steps;

/// Worlds a property is tried on; `TRIBUTARY_SIM_SEEDS` sets another number.
fn seeds() -> u64 {
    std::env::var("TRIBUTARY_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(160)
}
