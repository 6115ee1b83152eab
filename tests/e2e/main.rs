//! What a user does, on a real cluster, and what goes wrong meanwhile.
//!
//! The tests of the modules `heavy_*` run by name only until each has been seen to pass with the images in the cluster:
//! `cargo xtask test e2e heavy_wordcount`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crds;
#[path = "bad_input.rs"]
mod heavy_bad_input;
#[path = "faults.rs"]
mod heavy_faults;
#[path = "many.rs"]
mod heavy_many;
#[path = "same_plan.rs"]
mod heavy_same_plan;
#[path = "topics.rs"]
mod heavy_topics;
#[path = "wordcount.rs"]
mod heavy_wordcount;
