//! Specs that the engine cannot run.

use tributary_crds::{Coordination, MapReduceJobSpec};

/// What keeps the spec from being run, and the way out.
pub fn unsupported(spec: &MapReduceJobSpec) -> Option<String> {
    let reduce = spec.reduce.as_ref();
    let parts = [
        (spec.continuous.is_some(), "spec.continuous", "give spec.input.kafka.end and leave continuous out"),
        (spec.coordination == Coordination::Resource, "spec.coordination: Resource", "use Auto or Coordinator"),
        (spec.map.cel.is_some(), "spec.map.cel", "use spec.map.operator"),
        (spec.map.command.is_some(), "spec.map.command", "use spec.map.operator"),
        (spec.map.function.is_some(), "spec.map.function", "use spec.map.operator"),
        (reduce.is_some_and(|r| r.command.is_some()), "spec.reduce.command", "use spec.reduce.operator"),
        (reduce.is_some_and(|r| r.function.is_some()), "spec.reduce.function", "use spec.reduce.operator"),
        (spec.output.kafka.is_some(), "spec.output.kafka", "use spec.output.s3 or spec.output.results"),
    ];
    if let Some((_, part, instead)) = parts.into_iter().find(|(used, _, _)| *used) {
        return Some(format!("{part} is not available yet: {instead}"));
    }
    let nowhere = spec.workspace.is_none() && spec.input.s3.is_none() && spec.output.s3.is_none();
    nowhere.then(|| {
        "spec.workspace is missing: with neither input nor output in S3 it must say where segments and the journal live".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_crds::{Continuous, KafkaOutput, MapStep, S3Output};

    #[test]
    fn what_cannot_run_is_named_with_the_way_out() {
        let mut plain = MapReduceJobSpec::default();
        assert!(unsupported(&plain).is_some_and(|m| m.contains("spec.workspace")));
        plain.output.s3 = Some(S3Output::default());
        assert_eq!(unsupported(&plain), None);
        let continuous = MapReduceJobSpec { continuous: Some(Continuous::default()), ..plain.clone() };
        assert!(
            unsupported(&continuous).is_some_and(|m| m.contains("spec.continuous") && m.contains("input.kafka.end"))
        );
        let map = MapStep { command: Some(vec!["cat".into()]), ..MapStep::default() };
        let command = MapReduceJobSpec { map, ..plain.clone() };
        assert!(unsupported(&command).is_some_and(|m| m.contains("spec.map.command")));
        let mut kafka = plain;
        kafka.output.kafka = Some(KafkaOutput::default());
        assert!(unsupported(&kafka).is_some_and(|m| m.contains("spec.output.kafka")));
    }
}
