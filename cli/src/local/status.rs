//! The status of a MapReduceJob, as its controller would write it.

use serde_json::Value;
use tributary_crds::{Condition, ConditionType, EnginePhase, EngineStatus, JobPhase, MapReduceJobStatus};
use tributary_crds::{Reason, Time, Timestamp};

/// The status that says what the engine says; `old` is the one before it.
pub fn of_engine(
    old: Option<&Value>,
    generation: Option<i64>,
    engine: &EngineStatus,
    now: Timestamp,
) -> MapReduceJobStatus {
    let old: MapReduceJobStatus = old.and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default();
    let phase = match engine.phase {
        EnginePhase::Succeeded => JobPhase::Succeeded,
        EnginePhase::Failed => JobPhase::Failed,
        _ => JobPhase::Running,
    };
    let ended = matches!(phase, JobPhase::Succeeded | JobPhase::Failed);
    let (type_, reason) = match phase {
        JobPhase::Succeeded => (ConditionType::Complete, Reason::Succeeded.as_str()),
        _ => (ConditionType::Failed, Reason::TaskFailed.as_str()),
    };
    let conditions = ended.then(|| Condition {
        type_: type_.as_str().into(),
        status: "True".into(),
        reason: if engine.reason.is_empty() { reason.into() } else { engine.reason.clone() },
        message: engine.message.clone(),
        observed_generation: generation,
        last_transition_time: Time(now),
    });
    MapReduceJobStatus {
        observed_generation: generation,
        phase,
        message: engine.message.clone(),
        conditions: conditions.into_iter().collect(),
        start_time: Some(old.start_time.unwrap_or_else(|| now.to_string())),
        completion_time: ended.then(|| old.completion_time.unwrap_or_else(|| now.to_string())),
        engine: Some(engine.clone()),
    }
}
