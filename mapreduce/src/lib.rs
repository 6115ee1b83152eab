//! The map-reduce engine around its pure core: stores, inputs, coordinator, workers, and [local] runs.

pub mod input;
pub mod local;
pub mod store;
