//! What must hold whatever happens.

use proptest::prelude::*;
use serde_json::json;
use tributary_crds::JobPhase;

use super::model::{Model, spec};

#[derive(Clone, Debug)]
enum Step {
    Pass(usize),
    Edit(u8),
    Engine(u8),
    End(u8),
    Lose(u8),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..9).prop_map(Step::Pass),
        1 => (0u8..5).prop_map(Step::Edit),
        1 => (0u8..6).prop_map(Step::Engine),
        1 => (0u8..4).prop_map(Step::End),
        1 => (0u8..6).prop_map(Step::Lose),
        1 => (0u64..100).prop_map(Step::Later),
    ]
}

fn perform(model: &mut Model, step: &Step) {
    match step {
        Step::Pass(writes) => drop(model.pass(*writes)),
        Step::Edit(n) => model.edit(match n {
            0 => json!({"suspend": true}),
            1 => json!({"suspend": false}),
            2 => json!({"workers": {"replicas": 3}}),
            3 => json!({"workers": {"template": {"spec": {"hostname": "x"}}}}),
            _ => json!({"activeDeadlineSeconds": 50}),
        }),
        Step::Engine(n) => {
            let phase = ["Planning", "Mapping", "Mapping", "Reducing", "Succeeded", "Failed"][usize::from(*n)];
            model.engine(json!({"phase": phase}));
        }
        Step::End(n) => {
            let name = ["wc-coordinator", "wc-worker"][usize::from(n % 2)];
            if model.job_slot(name).is_some() {
                model.end(name, ["Complete", "Failed"][usize::from(n / 2)]);
            }
        }
        Step::Lose(n) => {
            let children = &mut model.world.children;
            match n {
                0 => children.service_account = None,
                1 => children.service = None,
                2 => children.coordinator = None,
                3 => children.worker = None,
                4 => children.role = None,
                _ => model.world.secret_made = false,
            }
        }
        Step::Later(seconds) => model.later(*seconds),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens, and whatever writes are lost: it settles, the second plan is empty, and an end is an end.
    #[test]
    fn it_settles_and_an_end_stays(steps in proptest::collection::vec(step(), 0..30)) {
        let mut model = Model::new(spec());
        let mut ended: Option<JobPhase> = None;
        for step in &steps {
            perform(&mut model, step);
            let phase = model.status().phase;
            if let Some(before) = ended {
                prop_assert_eq!(phase, before);
            }
            if matches!(phase, JobPhase::Succeeded | JobPhase::Failed) {
                ended = Some(phase);
            }
        }
        model.settle();
        let status = model.status();
        prop_assert_eq!(status.observed_generation, model.world.job.metadata.generation);
        match status.phase {
            JobPhase::Suspended => prop_assert!(model.is_still()),
            JobPhase::Pending | JobPhase::Running => {
                prop_assert!(model.world.children.coordinator.is_some() && model.world.children.worker.is_some());
                prop_assert!(model.world.secret_made);
            }
            JobPhase::Succeeded | JobPhase::Failed => {
                prop_assert!(status.completion_time.is_some());
                model.later(60);
                model.settle();
                prop_assert!(model.is_still(), "pods outlive their job");
            }
        }
    }
}
