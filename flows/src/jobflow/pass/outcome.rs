//! What a step that succeeded has left.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::{Value, json};
use tributary_crds::{Any, Reason};

use super::{PATIENCE, Pass, key};
use crate::{
    job,
    jobflow::{
        outputs::{self, Missing},
        scope::{Live, byte},
    },
    names::{self, Which},
    unit::Failure,
};

impl Pass<'_> {
    pub(super) fn succeeded(&mut self, i: usize, key: &str, job: &DynamicObject, is_item: bool) -> u8 {
        let step = &self.frozen.steps[i];
        if is_item || step.outputs.is_empty() {
            return byte::SUCCEEDED;
        }
        match outputs::read(&step.outputs, &self.world.pods.of(job)) {
            Ok(found) => self.keep_outputs(i, found),
            Err(missing) => self.no_outputs(key, job, missing),
        }
    }

    pub(super) fn keep_outputs(&mut self, i: usize, found: BTreeMap<String, Any>) -> u8 {
        self.output_bytes += json!(found).to_string().len();
        if self.output_bytes > outputs::MOST_BYTES {
            let message = format!("the outputs of the run have more than {} bytes together", outputs::MOST_BYTES);
            self.failed_note(
                &self.frozen.steps[i].name.clone(),
                Failure::new(Reason::Rejected.as_str(), message),
                None,
            );
            return byte::FAILED;
        }
        self.lives[i].outputs.replace(found);
        byte::SUCCEEDED
    }

    pub(super) fn no_outputs(&mut self, key: &str, job: &DynamicObject, missing: Missing) -> u8 {
        let failed = match missing {
            Missing::Value(message) => Failure::new("OutputMissing", message),
            Missing::Pod => {
                let ended = job::end(job).and_then(|e| e.at).unwrap_or(self.now);
                let end = ended.checked_add(PATIENCE).unwrap_or(ended);
                if let Some(left) = job::until(end, self.now) {
                    self.later(left);
                    self.living += 1;
                    self.is_living(key, self.tries.get(key).copied().unwrap_or(0), job);
                    return byte::RUNNING;
                }
                Failure::new(
                    Reason::OutcomeLost.as_str(),
                    "the Job is complete, but its pod, which had the outputs, is gone",
                )
            }
        };
        self.failed_note(key, failed, None);
        byte::FAILED
    }

    /// A list an output, one value an item.
    #[allow(clippy::type_complexity)]
    pub(super) fn item_outputs(
        &self,
        i: usize,
        items: usize,
    ) -> Result<BTreeMap<String, Any>, (Box<DynamicObject>, Missing)> {
        let step = &self.frozen.steps[i];
        let mut lists: BTreeMap<String, Vec<Value>> = step.outputs.keys().map(|k| (k.clone(), Vec::new())).collect();
        for n in 0..items {
            let last = self.tries.get(&key(&step.name, Some(n))).copied().unwrap_or(0);
            let name = |attempt| {
                names::flow_job(
                    self.world.name(),
                    &step.name,
                    Which { run: self.number, item: Some(n), attempt },
                    step.stem,
                )
            };
            let job = (last..=step.retry.limit).rev().find_map(|t| self.world.jobs.get(&name(t)));
            let Some(job) = job else { continue };
            let found = outputs::read(&step.outputs, &self.world.pods.of(&job));
            for (output, value) in found.map_err(|missing| (Box::new(job.as_ref().clone()), missing))? {
                lists.entry(output).or_default().push(value.0);
            }
        }
        Ok(lists.into_iter().map(|(k, v)| (k, Any(Value::Array(v)))).collect())
    }

    /// The outputs of the run as they go into the status.
    pub(in crate::jobflow) fn outputs(&self) -> BTreeMap<String, BTreeMap<String, Any>> {
        let of = |l: &Live<'_>| (l.name.to_owned(), l.outputs.borrow().clone());
        self.lives.iter().filter(|l| !l.outputs.borrow().is_empty()).map(of).collect()
    }
}
