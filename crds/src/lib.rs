//! Resource types of the group `tributary.dev/v1alpha1`.
//!
//! Each kind is one module: its spec, its status and the CEL rules that the apiserver enforces. `crdgen` writes the
//! CustomResourceDefinitions to `crds/manifests`, and a test fails where the files and the types differ.

// printcolumn attributes that share a type look duplicated to clippy
#![allow(clippy::duplicated_attributes)]

mod blueprint;
mod common;
pub mod condition;
mod daemonjob;
mod jobflow;
mod jobtemplate;
mod mapreducejob;
pub mod names;
mod pipeline;
pub mod schema;
mod topic;

pub use blueprint::*;
pub use common::*;
pub use condition::{ConditionType, Reason, Wanted, conditions_with};
pub use daemonjob::*;
pub use jobflow::*;
pub use jobtemplate::*;
pub use mapreducejob::*;
pub use pipeline::*;
pub use topic::*;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
/// An instant, UTC, nanosecond resolution.
pub use k8s_openapi::jiff::Timestamp;

/// The API group of every kind here.
pub const GROUP: &str = "tributary.dev";
/// The one version of the group.
pub const VERSION: &str = "v1alpha1";
/// `group/version`, as it stands in `apiVersion`.
pub const API_VERSION: &str = "tributary.dev/v1alpha1";
