//! Blueprints: expressions, parameters, verification, graph, component drivers and `evaluate(&World, now) -> Plan`.
//!
//! Pure: no I/O, no clock, no environment, so that the CLI, the webhook and the operator decide alike.

pub mod object;
pub mod plan;
pub mod world;
