//! JobFlow, JobTemplate and DaemonJob: `evaluate(&World, now) -> Plan` for each.
//!
//! Pure: no I/O, no clock, no environment. A run goes by a spec that was frozen when it began; what its Jobs came to is
//! latched in the status before they go, so that a Job which is gone is never run again in silence.

pub mod daemonjob;
mod expand;
mod family;
mod job;
pub mod jobflow;
pub mod jobtemplate;
pub mod names;
mod nodes;
mod pace;
pub mod pods;
mod problem;
mod revision;
mod run;
mod template;
mod unit;

pub use family::{Family, Jobs, Named, Pods};
pub use job::goes_on_as_before;
pub use nodes::Node;
pub use pace::Pace;
pub use problem::Problem;
pub use revision::{Revision, Revisions, thaw};
