//! The spec of a run, checked and made ready: what every decision of the run goes by.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use serde_json::Value;
use tributary_blueprints::{duration, expr::Expression};
use tributary_crds::{FlowStep, JobFlowSpec, OutputSource, Template};

use super::{
    begin::frozen_spec,
    verify::{self, Found},
};
use crate::{Problem, names, template};

/// The name of the step that `errorHandler` is.
pub(super) const ERROR_HANDLER: &str = "error-handler";
/// The pause before the first retry, and the longest one, where the spec is silent.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// When in a run a step has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// One of `flows`.
    Flow,
    /// When a step failed and all of `flows` have ended.
    ErrorHandler,
    /// When all of that has ended.
    Finally,
}

/// A step, ready to run.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) part: Part,
    /// JobSpec, shared by the steps that refer to one JobTemplate.
    pub(super) template: Arc<Value>,
    /// Hash of all that makes its Jobs.
    pub(super) hash: String,
    /// Steps that must have succeeded, or ended where there is `run_when`.
    pub(super) dependencies: Vec<usize>,
    /// Steps that its expressions name: they must have ended.
    pub(super) named: Vec<usize>,
    pub(super) run_when: Option<Expression>,
    pub(super) when: Option<Expression>,
    pub(super) for_each: Option<Expression>,
    pub(super) max_parallel: usize,
    pub(super) retry: Pauses,
    pub(super) deadline: Option<i64>,
    /// Seconds that a finished Job stays.
    pub(super) ttl: Option<i64>,
    pub(super) mounts: Vec<Template>,
    pub(super) outputs: BTreeMap<String, OutputSource>,
    /// Its Jobs' names could be another step's.
    pub(super) stem: bool,
}

/// How often and after which pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub(crate) limit: u32,
    first: Duration,
    longest: Duration,
}

impl Pauses {
    /// From a spec that was verified.
    pub(crate) fn of(retry: Option<&tributary_crds::Retry>) -> Self {
        let parse = |text: Option<&String>, default| text.and_then(|t| duration::parse(t).ok()).unwrap_or(default);
        Self {
            limit: retry.map_or(0, |r| r.limit),
            first: parse(retry.and_then(|r| r.backoff.as_ref()), FIRST_PAUSE),
            longest: parse(retry.and_then(|r| r.max_backoff.as_ref()), LONGEST_PAUSE),
        }
    }

    /// The pause before the try after this one, counted from 0.
    pub(crate) fn after(&self, attempt: u32) -> Duration {
        self.first.saturating_mul(1 << attempt.min(16)).min(self.longest.max(self.first))
    }
}

/// A spec that was checked and made ready.
#[derive(Debug)]
pub struct Frozen {
    pub(super) spec: JobFlowSpec,
    pub(super) templates: BTreeMap<String, Template>,
    pub(super) steps: Vec<Step>,
    /// Every step after those it waits for.
    pub(super) order: Vec<usize>,
    pub(super) index: HashMap<String, usize>,
    pub(super) parameters: Value,
    /// Whether some step's Job goes some time after its end.
    pub(super) has_ttl: bool,
    /// What is to be said of restartPolicies that have no effect.
    pub(super) forced: Option<String>,
    /// The spec that was last compared with this one, and whether a run of it would be the same: that of a large flow takes
    /// milliseconds.
    compared: Mutex<(Weak<JobFlowSpec>, bool)>,
}

impl Frozen {
    /// Checks a spec with the JobTemplates that it refers to, and makes it ready. Linear in steps and edges.
    ///
    /// # Errors
    /// Every problem.
    pub fn new(flow: &str, spec: JobFlowSpec, templates: BTreeMap<String, Template>) -> Result<Self, Vec<Problem>> {
        let Found { problems, order, dependencies, named } = verify::check(flow, &spec, Some(&templates));
        if !problems.is_empty() {
            return Err(problems);
        }
        let shared: HashMap<&str, Arc<Value>> =
            templates.iter().map(|(name, t)| (name.as_str(), Arc::new(t.to_value()))).collect();
        let all = all_steps(&spec);
        let stems = names::stems(all.iter().map(|(_, s)| s.name.as_str()));
        let mut steps = Vec::with_capacity(all.len());
        for (i, ((part, step), (dependencies, named))) in
            all.into_iter().zip(dependencies.into_iter().zip(named)).enumerate()
        {
            let template = match &step.job_template_ref {
                Some(name) => shared.get(name.as_str()).cloned().unwrap_or_default(),
                None => Arc::new(step.job_template.as_ref().map(Template::to_value).unwrap_or_default()),
            };
            steps.push(ready(&spec, step.as_ref(), part, template, dependencies, named, stems.contains(&i)));
        }
        let index = steps.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        let (has_ttl, forced) = (steps.iter().any(|s| s.ttl.is_some()), ignored_restart_policies(&steps));
        let parameters = spec.parameters.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let (parameters, compared) = (Value::Object(parameters), Mutex::default());
        Ok(Self { steps, order, index, parameters, has_ttl, forced, spec, templates, compared })
    }

    /// Names of the JobTemplates that a spec refers to.
    pub fn references(spec: &JobFlowSpec) -> impl Iterator<Item = &str> {
        let of_steps = spec.flows.iter().chain(&spec.finally).map(|s| &s.job_template_ref);
        of_steps.chain(spec.error_handler.iter().map(|e| &e.job_template_ref)).flatten().map(String::as_str)
    }

    /// Whether a run of this spec would be the same.
    pub(super) fn is_of(&self, now: &Arc<JobFlowSpec>) -> bool {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::ptr::eq(compared.0.as_ptr(), Arc::as_ptr(now)) {
            *compared = (Arc::downgrade(now), frozen_spec(now) == self.spec);
        }
        compared.1
    }

    pub(super) fn parts(&self, part: Part) -> impl Iterator<Item = usize> {
        self.steps.iter().enumerate().filter(move |(_, s)| s.part == part).map(|(i, _)| i)
    }
}

/// restartPolicy is Never for every step; one that says otherwise is told so.
fn ignored_restart_policies(steps: &[Step]) -> Option<String> {
    let mut policies = steps.iter().filter_map(|s| Some((&s.name, template::ignored_restart_policy(&s.template)?)));
    let (name, policy) = policies.next()?;
    let others = policies.count();
    let more = if others > 0 { format!(" (and {others} more steps)") } else { String::new() };
    Some(format!(
        "restartPolicy {policy} of step {name}{more} has no effect: it is Never, and retry says how often a step is tried"
    ))
}

/// The steps in the order of the status: `flows`, `finally`, `errorHandler`.
pub(super) fn all_steps(spec: &JobFlowSpec) -> Vec<(Part, std::borrow::Cow<'_, FlowStep>)> {
    use std::borrow::Cow;
    let handler = spec.error_handler.iter().map(|e| FlowStep {
        name: ERROR_HANDLER.into(),
        job_template: e.job_template.clone(),
        job_template_ref: e.job_template_ref.clone(),
        ..FlowStep::default()
    });
    let flows = spec.flows.iter().map(|s| (Part::Flow, Cow::Borrowed(s)));
    let finally = spec.finally.iter().map(|s| (Part::Finally, Cow::Borrowed(s)));
    flows.chain(finally).chain(handler.map(|s| (Part::ErrorHandler, Cow::Owned(s)))).collect()
}

fn ready(
    spec: &JobFlowSpec,
    step: &FlowStep,
    part: Part,
    template: Arc<Value>,
    dependencies: Vec<usize>,
    named: Vec<usize>,
    stem: bool,
) -> Step {
    let rule = |text: &Option<String>| text.as_ref().and_then(|t| Expression::parse_rule(t).ok());
    let own = serde_json::json!({
        "template": &*template, "globals": &spec.global_params, "strict": spec.strict_compatibility, "step": step,
        "volumes": &spec.share_volumes, "parameters": &spec.parameters,
    });
    Step {
        name: step.name.clone(),
        part,
        hash: names::short_hash(&own.to_string(), 10),
        ttl: template.get("ttlSecondsAfterFinished").and_then(Value::as_i64),
        template,
        dependencies,
        named,
        run_when: rule(&step.run_when),
        when: rule(&step.when),
        for_each: rule(&step.for_each),
        max_parallel: step.max_parallel.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
        retry: Pauses::of(step.retry.as_ref()),
        deadline: step.active_deadline_seconds,
        mounts: step.share_volume_mounts.clone(),
        outputs: step.outputs.clone(),
        stem,
    }
}
