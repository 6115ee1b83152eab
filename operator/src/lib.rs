//! The operator: observes the cluster through watches, decides purely, acts.

pub mod act;
pub mod args;
pub mod blueprint;
mod bucket;
pub mod caches;
pub mod controller;
pub mod daemonjob;
mod flows;
pub mod http;
pub mod jobflow;
pub mod jobtemplate;
pub mod lease;
pub mod load;
pub mod manifests;
pub mod mapreducejob;
pub mod metrics;
pub mod pipeline;
pub mod queue;
pub mod run;
pub mod topic;
pub mod webhook;

#[cfg(test)]
mod testing;
