//! Blueprints: expressions, parameters, verification, graph, component drivers and `evaluate(&World, now) -> Plan`.
//!
//! Pure: no I/O, no clock, no environment, so that the CLI, the webhook and the operator decide alike.

pub mod change;
pub mod claims;
pub mod diagram;
pub mod drivers;
pub mod duration;
pub mod evaluate;
pub mod expr;
pub mod graph;
mod kinds;
pub mod object;
pub mod openapi;
pub mod plan;
pub mod problem;
pub mod records;
pub mod reference;
pub mod resolve;
pub mod revision;
pub mod schedule;
mod topicconfig;
pub mod verify;
pub mod world;

pub use change::changes;
pub use drivers::watched;
pub use evaluate::{evaluate, running};
pub use problem::{Code, Origin, Problem};
pub use resolve::{Outline, Resolved, blueprint_of, expected_children, kinds_of, outline, resolve};
