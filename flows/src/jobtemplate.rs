//! JobTemplate: says who refers to it and whether it can be a Job.

use kube::core::ObjectMeta;
use tributary_blueprints::{
    plan::{Plan, events_of_change},
    world::Refusal,
};
use tributary_crds::{ConditionType, JobTemplateSpec, JobTemplateStatus, Reason, Timestamp, Wanted, conditions_with};

use crate::{jobflow, problem::listed};

/// Referrers that a status names.
const MOST_NAMED: usize = 20;

/// Everything that a decision about one JobTemplate may know.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec.
    pub spec: JobTemplateSpec,
    /// Its last status.
    pub status: JobTemplateStatus,
    /// Names of the JobFlows of its namespace that refer to it, in order.
    pub used_by: Vec<String>,
    /// Writes that the apiserver refused.
    pub refusals: Vec<Refusal>,
}

/// Decides.
pub fn evaluate(world: &World, now: Timestamp) -> Plan {
    if world.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let before = &world.status;
    let problems = jobflow::template_problems("spec.jobTemplate", &world.spec.job_template);
    let verified = match problems.is_empty() {
        true => Wanted::yes(ConditionType::Verified, Reason::AsExpected, ""),
        false => Wanted::no(ConditionType::Verified, Reason::InvalidSpec, listed(&problems)),
    };
    let after = JobTemplateStatus {
        observed_generation: world.metadata.generation,
        references: i64::try_from(world.used_by.len()).unwrap_or(i64::MAX),
        used_by: world.used_by.iter().take(MOST_NAMED).cloned().collect(),
        conditions: conditions_with(&before.conditions, &[verified], world.metadata.generation, now),
    };
    if after == *before {
        return Plan::default();
    }
    let events = events_of_change("", "", "", &before.conditions, &after.conditions);
    Plan { status: serde_json::to_value(&after).ok(), events, ..Plan::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn referrers_are_visible_and_a_settled_one_is_left_alone() {
        let spec = serde_json::from_value(json!({"jobTemplate": {"template": {"spec": {"containers": []}}}})).unwrap();
        let used_by = (0..30).map(|i| format!("flow-{i:02}")).collect();
        let mut world = World { spec, used_by, ..World::default() };
        world.metadata.generation = Some(3);
        let status: JobTemplateStatus =
            serde_json::from_value(evaluate(&world, Timestamp::UNIX_EPOCH).status.unwrap()).unwrap();
        assert_eq!((status.references, status.used_by.len(), status.observed_generation), (30, 20, Some(3)));
        assert_eq!(status.conditions[0].status, "True");
        world.status = status;
        assert!(evaluate(&world, Timestamp::now()).is_empty());
    }

    #[test]
    fn one_that_is_no_job_is_told() {
        let spec =
            serde_json::from_value(json!({"jobTemplate": {"template": {"spec": {"x": "${parameters.}"}}}})).unwrap();
        let world = World { spec, ..World::default() };
        let status: JobTemplateStatus =
            serde_json::from_value(evaluate(&world, Timestamp::UNIX_EPOCH).status.unwrap()).unwrap();
        assert!(status.conditions[0].message.contains("spec.jobTemplate.template.spec.x"), "{status:?}");
    }
}
