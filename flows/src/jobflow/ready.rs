//! Whether a step has its turn.

use tributary_blueprints::expr::Stop;

use super::{
    frozen::Part,
    pass::{Mode, Pass},
    scope::byte,
};

/// Whether a step has its turn.
pub(super) enum Ready {
    /// Not yet.
    Wait,
    /// Now.
    Run,
    /// It never will.
    Skip,
    /// This rule of it has no value.
    Stopped(&'static str, Stop),
}

impl Pass<'_> {
    /// Whether step `i`, which has not begun, has its turn.
    pub(super) fn ready(&self, i: usize) -> Ready {
        let step = &self.frozen.steps[i];
        match self.turn_of_part(step.part) {
            Ready::Run => {}
            other => return other,
        }
        let of = |i: &usize| self.lives[*i].byte.get();
        if !step.dependencies.iter().all(|d| self.lives[*d].has_ended()) {
            // one that failed decides at once, where success is asked for
            let lost = step.run_when.is_none()
                && step.dependencies.iter().any(|d| matches!(of(d), byte::FAILED | byte::SKIPPED));
            return if lost { Ready::Skip } else { Ready::Wait };
        }
        match &step.run_when {
            None if step.dependencies.iter().any(|d| of(d) != byte::SUCCEEDED) => return Ready::Skip,
            None => {}
            Some(rule) => match rule.holds(&self.scope(None)) {
                Ok(true) => {}
                Ok(false) => return Ready::Skip,
                Err(Stop::Unknown(_)) => return Ready::Wait,
                Err(stop) => return Ready::Stopped("runWhen", stop),
            },
        }
        if self.is_given_up(i) {
            return Ready::Skip;
        }
        if let Some(rule) = &step.when {
            match rule.holds(&self.scope(None)) {
                Ok(true) => {}
                Ok(false) => return Ready::Skip,
                Err(Stop::Unknown(_)) => return Ready::Wait,
                Err(stop) => return Ready::Stopped("when", stop),
            }
        }
        // what its template names must be known; `runWhen` has had its own say
        let waits = step.run_when.is_none() && !step.named.iter().all(|n| self.lives[*n].has_ended());
        let template_waits = expression_waits(self, i);
        if waits || template_waits { Ready::Wait } else { Ready::Run }
    }

    fn turn_of_part(&self, part: Part) -> Ready {
        let all_ended = |part| self.frozen.parts(part).all(|i| self.lives[i].has_ended());
        match part {
            Part::Flow => Ready::Run,
            Part::ErrorHandler if !all_ended(Part::Flow) => Ready::Wait,
            Part::ErrorHandler if self.has_failed && !self.is_stopped() => Ready::Run,
            Part::ErrorHandler => Ready::Skip,
            Part::Finally if all_ended(Part::Flow) && all_ended(Part::ErrorHandler) => Ready::Run,
            Part::Finally => Ready::Wait,
        }
    }

    fn is_stopped(&self) -> bool {
        use tributary_crds::Reason;
        let by_will = [Reason::Stopped.as_str(), Reason::Replaced.as_str()];
        matches!(&self.mode, Mode::Ending(why) if by_will.contains(&why.reason.as_str()))
    }

    /// After a failure under `failFast`, nothing begins that does not wait for what failed.
    fn is_given_up(&self, i: usize) -> bool {
        let step = &self.frozen.steps[i];
        let failed = |i: usize| self.lives[i].byte.get() == byte::FAILED;
        self.frozen.spec.fail_fast
            && step.part == Part::Flow
            && self.has_failed
            && !step.dependencies.iter().chain(&step.named).any(|d| failed(*d))
    }
}

/// Whether the template of a step names one that has not ended, beside those of `runWhen`.
fn expression_waits(pass: &Pass<'_>, i: usize) -> bool {
    let step = &pass.frozen.steps[i];
    let in_rule = |n: usize| {
        let name = &pass.frozen.steps[n].name;
        let rules = step.run_when.iter().flat_map(|r| r.references());
        rules.into_iter().any(|r| r.root() == name || (r.root() == "steps" && r.name() == Some(name)))
    };
    step.run_when.is_some() && step.named.iter().any(|n| !pass.lives[*n].has_ended() && !in_rule(*n))
}
