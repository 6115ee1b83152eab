//! The map-reduce engine around its pure core: stores, inputs, coordinator, workers, and [local] runs.

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod coordinator;
pub mod input;
pub mod link;
pub mod local;
pub mod places;
pub mod spec;
pub mod store;
pub mod task;
pub mod worker;
