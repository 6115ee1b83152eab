//! Which revision runs, and what keeps it: a new one is kept before anything of it runs.

use tributary_crds::{BlueprintSpec, ConditionType, PipelinePhase, Reason, UpdatePolicy, Wanted, names};

use super::Draft;
use super::pass::refusal;
use crate::object::ObjectKey;
use crate::plan::{Action, Event};
use crate::problem::Problem;
use crate::resolve::resolve_again;
use crate::revision::{Content, Decision, Kept, Revision, TooLarge, decide, gvk};
use crate::world::Verb;

/// Why what the spec says now is not kept.
enum Held {
    /// It is wrong.
    Unsound(Vec<Problem>),
    /// It does not fit.
    TooLarge(TooLarge),
    /// An object of a former Pipeline has the name.
    Former(String),
    /// The apiserver does not take it.
    Refused(Reason, String),
}

/// What a Pipeline runs: the revision that the spec, the policy and the status point to.
pub fn running(world: &super::World) -> Option<std::sync::Arc<Content>> {
    let pipeline = &world.pipeline;
    let now = Content::of(pipeline, world.blueprint.as_ref());
    let Some(kept) = &world.revisions else { return now.map(Into::into) };
    let running = pipeline.status.as_ref().and_then(|s| s.revision);
    decide(pipeline, now.as_ref(), kept, running).content(kept)
}

impl Draft<'_> {
    /// Keeps what the spec says now, and runs the revision whose turn it is.
    pub(super) fn by_revisions(&mut self, kept: &[Kept]) {
        let world = self.world;
        let kind = ObjectKey::new(&gvk(), "", "");
        if let Some((reason, message)) = refusal(world, &kind, Verb::Watch) {
            return self.nothing_to_run(Some(Held::Refused(reason, message)));
        }
        let now = Content::of(&world.pipeline, world.blueprint.as_ref());
        let is_kept = |c: &Content| kept.iter().any(|k| k.content.as_deref() == Some(c));
        let now = now.map(|now| match is_kept(&now) {
            true => now,
            // numbers may lose a digit on their way through JSON
            false => through_json(&now).filter(is_kept).unwrap_or(now),
        });
        let mut decision = decide(&world.pipeline, now.as_ref(), kept, self.old.revision);
        let mut held = None;
        if let Some(new) = decision.create.clone() {
            match self.keep(&new, kept) {
                Ok(()) if decision.runs == Some(new.number) => {
                    // the cache shows it before its children are made
                    self.written = false;
                    return;
                }
                Ok(()) => {}
                Err(reason) => {
                    held = Some(reason);
                    decision = decide(&world.pipeline, None, kept, self.old.revision);
                }
            }
        }
        for number in &decision.delete {
            let surplus = kept.iter().find(|k| k.ours && k.number == *number);
            self.plan.actions.extend(surplus.map(|k| Action::Delete {
                gvk: gvk(),
                key: k.key(&world.pipeline),
                uid: k.uid.clone(),
                resource_version: None,
            }));
        }
        match decision.content(kept) {
            None => self.nothing_to_run(held),
            Some(content) => {
                self.moved_to(decision.runs);
                let (pipeline, referred);
                if now.as_ref() == Some(&*content) {
                    self.blueprint_runs(&world.pipeline, world.blueprint.as_ref());
                } else {
                    (pipeline, referred) = content.at(&world.pipeline);
                    self.blueprint_runs(&pipeline, referred.as_ref());
                }
                let current = self.up_to_date(&decision, held.as_ref(), now.is_some());
                self.announce(&current);
                self.wanted.push(current);
                if let Some(Held::Unsound(problems)) = held {
                    self.invalid(&problems);
                }
            }
        }
    }

    /// Another revision runs from now on.
    fn moved_to(&mut self, runs: Option<i64>) {
        if let (Some(before), Some(runs)) = (self.old.revision, runs)
            && before != runs
        {
            let note = format!("revision {runs} runs from now on; it was {before}");
            self.plan.events.push(Event { warning: false, reason: "Revision".into(), note });
        }
        self.status.revision = runs;
    }

    /// Plans to keep a revision, where it is sound and fits.
    fn keep(&mut self, new: &Revision, kept: &[Kept]) -> Result<(), Held> {
        let pipeline = &self.world.pipeline;
        let (_, referred) = new.content.at(pipeline);
        let blueprint: Option<&BlueprintSpec> = pipeline.spec.blueprint.as_ref().or(referred.as_ref());
        if let Some(blueprint) = blueprint {
            resolve_again(pipeline, blueprint, &self.world.served).map_err(Held::Unsound)?;
        }
        let object = new.object(pipeline).map_err(Held::TooLarge)?;
        let key = ObjectKey::of(&object).unwrap_or_default();
        if kept.iter().any(|k| k.name == key.name) {
            return Err(Held::Former(key.to_string()));
        }
        self.guard();
        self.plan.actions.push(Action::Create(Box::new(object)));
        match refusal(self.world, &key, Verb::Create) {
            Some((reason, message)) => Err(Held::Refused(reason, message)),
            None => Ok(()),
        }
    }

    fn nothing_to_run(&mut self, held: Option<Held>) {
        let (reason, message, failed) = match held {
            Some(Held::Unsound(problems)) => return self.invalid(&problems),
            None => return self.no_blueprint(),
            Some(Held::TooLarge(error)) => (Reason::RevisionTooLarge, error.to_string(), true),
            Some(Held::Refused(reason, message)) => (reason, format!("no revision can be kept: {message}"), true),
            Some(Held::Former(name)) => {
                let message = format!("{name} of a former Pipeline of this name still goes away");
                (Reason::WaitingForChildren, message, false)
            }
        };
        self.wanted.push(Wanted::yes(ConditionType::Verified, Reason::AsExpected, ""));
        self.wanted.push(Wanted::no(ConditionType::UpToDate, reason, &message));
        self.wanted.push(Wanted::no(ConditionType::Ready, reason, &message));
        if failed {
            self.wanted.push(Wanted::yes(ConditionType::Failed, reason, &message));
        }
        self.status.problems.clear();
        self.status.phase = if failed { PipelinePhase::Failed } else { PipelinePhase::Pending };
        self.status.message = message;
    }

    /// Whether what runs is what the spec says now; why not, and what is to be done about it.
    fn up_to_date(&self, decision: &Decision, held: Option<&Held>, there: bool) -> Wanted {
        let spec = &self.world.pipeline.spec;
        let no = |reason, message: String| Wanted::no(ConditionType::UpToDate, reason, message);
        let (runs, newest) = (decision.runs.unwrap_or_default(), decision.newest.unwrap_or_default());
        let goes_on = format!("revision {runs} goes on");
        match held {
            Some(Held::Unsound(problems)) => {
                let first = problems.first().map_or_else(String::new, ToString::to_string);
                return no(Reason::InvalidBlueprint, format!("{first}; {goes_on}"));
            }
            Some(Held::TooLarge(error)) => return no(Reason::RevisionTooLarge, format!("{error}; {goes_on}")),
            Some(Held::Refused(reason, message)) => return no(*reason, format!("{message}; {goes_on}")),
            Some(Held::Former(name)) => {
                return no(Reason::RevisionPending, format!("{name} of a former Pipeline goes away; {goes_on}"));
            }
            None => {}
        }
        if let Some(words) = self.destructive.first() {
            let take = format!("to do it annotate the Pipeline with {}={runs}", names::CONFIRM);
            return no(Reason::DestructiveChange, format!("{words}; {take}"));
        }
        if let Some(words) = &decision.refused {
            return no(Reason::RevisionNotFound, format!("{words}; {goes_on}"));
        }
        if !there {
            let name = spec.blueprint_ref.as_ref().map_or("", |r| r.name.as_str());
            return no(
                Reason::BlueprintNotFound,
                format!("there is no Blueprint `{name}` in this namespace; {goes_on}"),
            );
        }
        if runs == newest {
            return Wanted::yes(ConditionType::UpToDate, Reason::AsExpected, format!("revision {runs}"));
        }
        let take = format!("to run the newest, set spec.revision: {newest}");
        if spec.revision.is_some() {
            let words = format!("revision {runs} runs, as spec.revision says; {take}, or take it away");
            return no(Reason::RevisionPinned, words);
        }
        debug_assert!(spec.effective_update_policy() == UpdatePolicy::Manual);
        let why = match (&spec.update_policy, &spec.service_account_name) {
            (None, Some(account)) => {
                format!(", or updatePolicy: Automatic where all who edit the Blueprint may use {account}")
            }
            _ => String::new(),
        };
        no(Reason::UpdateWaiting, format!("revision {newest} waits and revision {runs} runs; {take}{why}"))
    }

    /// An event where a revision begins to wait.
    fn announce(&mut self, current: &Wanted) {
        let before = self.old.conditions.iter().find(|c| c.type_ == ConditionType::UpToDate.as_str());
        let waits = matches!(current.reason, Reason::UpdateWaiting | Reason::RevisionPinned);
        if waits && before.is_none_or(|b| b.message != current.message) {
            let (reason, note) = (current.reason.as_str().into(), current.message.clone());
            self.plan.events.push(Event { warning: false, reason, note });
        }
    }
}

fn through_json(content: &Content) -> Option<Content> {
    serde_json::from_str(&serde_json::to_string(content).ok()?).ok()
}
