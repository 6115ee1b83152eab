//! What begins: as far as there is room, in order.

use std::{collections::BTreeMap, time::Duration};

use kube::core::DynamicObject;
use serde_json::Value;
use tributary_blueprints::{expr::Stop, object::ObjectKey, plan::Action};
use tributary_crds::{Reason, StepStatus, names as keys};

use super::{MOST_CREATED, Mode, Pass, Wanted, key, refused};
use crate::{
    expand,
    jobflow::scope::byte,
    names::{self, Which},
    template::{self, Making},
    unit::Failure,
};

impl Pass<'_> {
    pub(super) fn want(&mut self, i: usize, item: Option<(usize, &Value)>, attempt: u32, before: u8) -> u8 {
        if self.mode != Mode::Held {
            let item = item.map(|(n, v)| (n, v.clone()));
            self.wanted.push(Wanted { step: i, item, attempt });
        }
        before
    }

    /// Lets units begin, in order, as far as there is room.
    pub(super) fn begin(&mut self) {
        let most = self.frozen.spec.max_parallel.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let mut created = 0;
        for wanted in std::mem::take(&mut self.wanted) {
            if self.living >= most {
                break;
            }
            if created == MOST_CREATED {
                self.later(Duration::ZERO);
                break;
            }
            match self.make(&wanted) {
                Ok(job) => {
                    created += 1;
                    self.living += 1;
                    self.create(&wanted, job);
                }
                Err(Stop::Skipped(_)) => self.put(wanted.step, byte::SKIPPED),
                Err(Stop::Unknown(reason) | Stop::Error(reason)) => {
                    self.fail(
                        wanted.step,
                        Failure::new(Reason::InvalidSpec.as_str(), format!("jobTemplate: {reason}")),
                    );
                }
            }
        }
    }

    pub(super) fn create(&mut self, wanted: &Wanted, object: DynamicObject) {
        let step = &self.frozen.steps[wanted.step];
        let number = wanted.item.as_ref().map(|(n, _)| *n);
        let key = key(&step.name, number);
        let refusal = ObjectKey::of(&object).and_then(|k| refused(&self.world.refusals, &k));
        if let Some(refusal) = refusal {
            let failed = Failure::new(refusal.reason.as_str(), refusal.message.clone());
            if refusal.reason == Reason::Rejected {
                self.set(wanted.step, number, byte::FAILED);
                self.failed_note(&key, failed, None);
                return;
            }
            self.note(
                &key,
                true,
                StepStatus { reason: failed.reason, message: failed.message, ..StepStatus::default() },
            );
        } else {
            self.set(wanted.step, number, byte::RUNNING);
            if wanted.attempt > 0 {
                self.tries.insert(key.clone(), wanted.attempt);
            }
            let retries = (wanted.attempt > 0).then_some(wanted.attempt);
            self.note(&key, false, StepStatus { retries, ..StepStatus::default() });
        }
        self.actions.push(Action::Create(Box::new(object)));
    }

    pub(super) fn set(&mut self, i: usize, item: Option<usize>, to: u8) {
        let Some(n) = item else { return self.put(i, to) };
        self.put(i, byte::RUNNING);
        let bytes = self.items.entry(self.frozen.steps[i].name.clone()).or_default();
        if n < bytes.len() && bytes.is_ascii() {
            bytes.replace_range(n..=n, &char::from(to).to_string());
        }
    }

    pub(super) fn make(&self, wanted: &Wanted) -> Result<DynamicObject, Stop> {
        let step = &self.frozen.steps[wanted.step];
        let item = wanted.item.as_ref().map(|(n, v)| (*n, v));
        let mut spec = expand::expand(&step.template, &self.scope(item), step.for_each.is_some())?;
        expand::texts(&mut spec);
        let which = Which { run: self.number, item: item.map(|(n, _)| n), attempt: wanted.attempt };
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut annotations =
            BTreeMap::from([label(keys::TEMPLATE_HASH, &step.hash), label(keys::ATTEMPT, &wanted.attempt.to_string())]);
        annotations.extend(which.item.map(|n| label(keys::ITEM, &n.to_string())));
        let making = Making {
            owner: template::owner_of("JobFlow", &self.world.metadata),
            namespace: self.world.namespace(),
            name: names::flow_job(self.world.name(), &step.name, which, step.stem),
            labels: BTreeMap::from([
                label(keys::FLOW, self.world.name()),
                label(keys::STEP, &step.name),
                label(keys::RUN, &self.number.to_string()),
            ]),
            annotations,
            globals: self.frozen.spec.global_params.as_ref(),
            strict: self.frozen.spec.strict_compatibility,
            volumes: &self.frozen.spec.share_volumes,
            mounts: &step.mounts,
            node: None,
            deadline: step.deadline,
        };
        Ok(template::job(spec, &making))
    }
}
