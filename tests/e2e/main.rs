//! What a user does, on a real cluster, and what goes wrong meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod crds;
mod daemonjobs;
mod faults;
mod federation;
mod flows;
mod heavy_spark;
mod life;
mod many;
mod others;
mod same_plan;
mod topics;
mod verification;
mod wordcount;
