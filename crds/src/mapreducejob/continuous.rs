//! Continuous MapReduceJobs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A job that never ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Continuous {
    /// How often an epoch is committed, such as `1s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub commit_interval: Option<String>,
    /// The window over event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// ExactlyOnce, or AtLeastOnce with lower latency.
    #[serde(default)]
    pub delivery: Delivery,
}

/// What a record's effect is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Each record counts once.
    #[default]
    ExactlyOnce,
    /// A record may count again after a failure.
    AtLeastOnce,
}

/// A window over event time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Tumbling, Sliding or Session.
    #[serde(rename = "type")]
    pub type_: WindowType,
    /// Length, such as `1m`; of a session, its gap.
    #[schemars(length(max = 32))]
    pub size: String,
    /// Step of a sliding window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub slide: Option<String>,
    /// How late a record may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub allowed_lateness: Option<String>,
}

/// The kind of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WindowType {
    /// Back to back.
    #[default]
    Tumbling,
    /// Overlapping.
    Sliding,
    /// Ended by a gap.
    Session,
}
