//! Benchmarks beside peers: the same data, the same machine, one run, the outputs compared.

pub mod measure;
pub mod ours;
pub mod report;
pub mod text;
pub mod verify;
pub mod wordcount;
