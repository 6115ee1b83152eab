//! The Pipeline as a whole: phase, conditions, counts, times.

use tributary_crds::condition::truncated;
use tributary_crds::{ComponentStatus, ConditionType, Health, PipelinePhase, Reason, Timestamp, Wanted};

use super::pass::Pass;
use super::waits::has_ended;
use crate::drivers::Lifetime;

impl Pass<'_> {
    /// Fills in the status; gives the conditions.
    pub(super) fn summary(&mut self) -> Vec<Wanted> {
        let suspend = self.world.pipeline.spec.suspend;
        let begun = self.lines.iter().any(|l| !l.uid.is_empty() || l.latched || l.reason == Reason::Created.as_str());
        let (phase, reason, message) = self.phase(begun, suspend);
        self.status.phase = phase;
        self.status.message = truncated(&message, 1_024);
        let good = self.lines.iter().filter(|l| is_good(l)).count();
        self.status.ready = format!("{good}/{}", self.lines.len());
        self.status.progress = self.progress();
        self.times(begun, phase);
        self.status.topics = self.topics.iter().map(|t| t.status.clone()).collect();
        self.status.inventory = std::mem::take(&mut self.inventory);
        let wanted = self.conditions(phase, reason, &message);
        self.status.components = std::mem::take(&mut self.lines);
        wanted
    }

    fn phase(&self, begun: bool, suspend: bool) -> (PipelinePhase, Reason, String) {
        if let Some(line) = self.lines.iter().find(|l| l.health == Health::Failed) {
            let reason = reason_of(line).unwrap_or(Reason::ComponentFailed);
            return (PipelinePhase::Failed, reason, quoted(&line.name, "failed", line));
        }
        if let Some(topic) = self.topics.iter().find(|t| t.status.health == Health::Failed) {
            let reason = if topic.reason == Reason::AsExpected { Reason::TopicFailed } else { topic.reason };
            return (PipelinePhase::Failed, reason, format!("topic `{}`: {}", topic.status.name, topic.status.message));
        }
        let waiting = self.waiting();
        if suspend && !self.lines.iter().all(is_good) {
            let running: Vec<&str> = self.running().map(|l| l.name.as_str()).collect();
            return if running.is_empty() {
                (PipelinePhase::Suspended, Reason::SuspendedBySpec, "stopped by spec.suspend".into())
            } else {
                let message = format!("is being suspended; {} still run", running.join(", "));
                (PipelinePhase::Progressing, Reason::SuspendedBySpec, message)
            };
        }
        if self.lines.iter().all(is_good) {
            return if self.has_come_to_an_end() {
                (PipelinePhase::Succeeded, Reason::ComponentsSucceeded, String::new())
            } else {
                (PipelinePhase::Running, Reason::StreamsReady, String::new())
            };
        }
        let (reason, message) = waiting.unwrap_or((Reason::ComponentsRunning, String::new()));
        (if begun { PipelinePhase::Progressing } else { PipelinePhase::Pending }, reason, message)
    }

    /// Whether something was to end, and nothing was to go on. Where only the kinds know what they are, it shows by their ends.
    fn has_come_to_an_end(&self) -> bool {
        let any = |lifetime| self.resolved.components.iter().any(|c| c.lifetime == lifetime);
        let lines = self.lines.iter().zip(&self.resolved.components);
        let mut either = lines.filter(|(_, c)| c.lifetime == Lifetime::Either).map(|(line, _)| line);
        let ended = either.clone().any(|line| line.health == Health::Succeeded) && either.all(has_ended);
        !any(Lifetime::Stream) && (any(Lifetime::Batch) || ended)
    }

    /// What holds the Pipeline up: a topic, else the first component with something to say that is not waiting itself.
    fn waiting(&self) -> Option<(Reason, String)> {
        if let Some(topic) = self.topics.iter().find(|t| t.status.health != Health::Ready) {
            return Some((topic.reason, format!("topic `{}`: {}", topic.status.name, topic.status.message)));
        }
        let open = || self.lines.iter().filter(|l| !is_good(l));
        let line = open().find(|l| l.health != Health::Pending && !l.message.is_empty()).or_else(|| {
            open().find(|l| l.health == Health::Pending && reason_of(l) != Some(Reason::DependencyPending))
        })?;
        Some((reason_of(line).unwrap_or(Reason::ComponentsRunning), quoted(&line.name, "is on its way", line)))
    }

    fn running(&self) -> impl Iterator<Item = &ComponentStatus> {
        self.lines.iter().zip(&self.resolved.components).filter_map(|(line, component)| {
            let child = self.world.children.get(&component.key(&self.resolved.namespace))?;
            let stopped = component.driver().suspended(&child.data) != Some(false);
            (!stopped && !has_ended(line) && line.health != Health::Suspended).then_some(line)
        })
    }

    /// Of the batch components, in percent; empty where there are none.
    fn progress(&self) -> String {
        let mut sum = 0;
        let mut count = 0;
        for (line, component) in self.lines.iter().zip(&self.resolved.components) {
            if component.lifetime == Lifetime::Batch && line.health != Health::Skipped {
                count += 1;
                sum += if line.health == Health::Succeeded { 100 } else { line.percent.unwrap_or(0) };
            }
        }
        if count == 0 { String::new() } else { format!("{}%", sum / count) }
    }

    fn times(&mut self, begun: bool, phase: PipelinePhase) {
        if begun && self.status.start_time.is_none() {
            self.status.start_time = Some(rfc3339(self.now));
        }
        let quiet = self.lines.iter().all(has_ended);
        let ended = quiet && matches!(phase, PipelinePhase::Succeeded | PipelinePhase::Failed);
        if !ended {
            self.status.completion_time = None;
        } else if self.status.completion_time.is_none() {
            self.status.completion_time = Some(rfc3339(self.now));
        }
    }

    fn conditions(&self, phase: PipelinePhase, reason: Reason, message: &str) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if !self.topics.is_empty() {
            wanted.push(self.topics_ready());
        }
        let ready = matches!(phase, PipelinePhase::Succeeded | PipelinePhase::Running);
        wanted.push(Wanted { type_: ConditionType::Ready, status: Some(ready), reason, message: message.into() });
        wanted.push(if phase == PipelinePhase::Failed {
            Wanted::yes(ConditionType::Failed, reason, message)
        } else {
            Wanted::no(ConditionType::Failed, Reason::AsExpected, "")
        });
        if self.world.pipeline.spec.suspend {
            let stopped = self.running().next().is_none();
            let tell = if stopped { "" } else { message };
            wanted.push(Wanted {
                type_: ConditionType::Suspended,
                status: Some(stopped),
                reason: Reason::SuspendedBySpec,
                message: tell.into(),
            });
        }
        wanted
    }

    fn topics_ready(&self) -> Wanted {
        let type_ = ConditionType::TopicsReady;
        let open = |health| self.topics.iter().find(move |t| t.status.health == health);
        let tell = |t: &super::topics::TopicState| format!("topic `{}`: {}", t.status.name, t.status.message);
        if let Some(topic) = open(Health::Failed) {
            let reason = if topic.reason == Reason::AsExpected { Reason::TopicFailed } else { topic.reason };
            return Wanted::no(type_, reason, tell(topic));
        }
        match self.topics.iter().find(|t| t.status.health != Health::Ready) {
            Some(topic) => Wanted::no(type_, topic.reason, tell(topic)),
            None => Wanted::yes(type_, Reason::AsExpected, ""),
        }
    }
}

/// Whether a component is as it should be.
fn is_good(line: &ComponentStatus) -> bool {
    matches!(line.health, Health::Ready | Health::Succeeded | Health::Skipped)
}

/// The reason of our own that a component carries; a child's own is none of ours.
fn reason_of(line: &ComponentStatus) -> Option<Reason> {
    [
        Reason::NameTaken,
        Reason::Forbidden,
        Reason::WatchFailing,
        Reason::Rejected,
        Reason::OutcomeLost,
        Reason::InvalidSpec,
        Reason::KindNotInstalled,
        Reason::DependencyPending,
        Reason::DependencyFailed,
        Reason::TopicsPending,
        Reason::TopicFailed,
        Reason::SuspendedBySpec,
        Reason::WaitingForChildren,
        Reason::WaitingForSchedule,
    ]
    .into_iter()
    .find(|r| r.as_str() == line.reason)
}

/// The component and its own words.
fn quoted(name: &str, what: &str, line: &ComponentStatus) -> String {
    match (line.message.is_empty(), line.reason.is_empty()) {
        (false, _) => format!("component `{name}`: {}", line.message),
        (true, false) => format!("component `{name}` {what}: {}", line.reason),
        (true, true) => format!("component `{name}` {what}"),
    }
}

/// RFC 3339, to the second.
pub(super) fn rfc3339(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
