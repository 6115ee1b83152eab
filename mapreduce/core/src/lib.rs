//! The pure core of the map-reduce engine: no I/O, no clock, no environment.

pub mod commit;
pub mod job;
pub mod kernel;
pub mod split;
