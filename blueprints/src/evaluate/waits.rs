//! What a component waits for before it begins.

use tributary_crds::{ComponentStatus, Health, Reason};

use super::pass::Pass;
use crate::graph::Wait;

impl Pass<'_> {
    /// Why a component may not begin; `None` where it may.
    pub(super) fn blocked(&self, index: usize) -> Option<(Reason, String)> {
        let component = &self.resolved.components[index];
        let mut waiting = Vec::new();
        for edge in &self.edges_to[index] {
            let edge = &self.resolved.graph.edges[*edge];
            let upstream = &self.lines[edge.from];
            match state(edge.wait, upstream) {
                State::Met => {}
                State::Never => {
                    return Some((Reason::DependencyFailed, format!("`{}` has not come off", upstream.name)));
                }
                State::Open => waiting.push(format!("`{}`", upstream.name)),
            }
        }
        if component.finally
            && !self.lines.iter().zip(&self.resolved.components).all(|(l, c)| c.finally || has_ended(l))
        {
            waiting.push("all others".into());
        }
        if !waiting.is_empty() {
            let more = waiting.len().saturating_sub(3);
            waiting.truncate(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            return Some((Reason::DependencyPending, format!("waits for {}{more}", waiting.join(", "))));
        }
        let mut topics =
            component.topics.iter().filter_map(|name| Some(&self.topics[*self.topic_index.get(name.as_str())?]));
        let topic = topics.find(|t| t.status.health != Health::Ready)?;
        let TopicReason(reason, verb) = TopicReason::of(topic.status.health, topic.reason);
        let words = if topic.status.message.is_empty() { "" } else { ": " };
        Some((reason, format!("{verb} topic `{}`{words}{}", topic.status.name, topic.status.message)))
    }
}

struct TopicReason(Reason, &'static str);

impl TopicReason {
    fn of(health: Health, reason: Reason) -> Self {
        match (health, reason) {
            (Health::Failed, _) => Self(Reason::TopicFailed, "cannot have"),
            (_, Reason::KindNotInstalled) => Self(Reason::KindNotInstalled, "waits for"),
            _ => Self(Reason::TopicsPending, "waits for"),
        }
    }
}

/// Whether an edge is met.
enum State {
    Met,
    Open,
    Never,
}

fn state(wait: Wait, upstream: &ComponentStatus) -> State {
    // one that has failed since has begun all the same
    let begun = matches!(upstream.health, Health::Progressing | Health::Ready | Health::Succeeded)
        || (upstream.health == Health::Failed && (upstream.latched || !upstream.uid.is_empty()));
    let met = match (wait, upstream.health) {
        (_, Health::Skipped | Health::Succeeded) => true,
        (Wait::Ready | Wait::Either, Health::Ready) => true,
        (Wait::Started, _) => begun,
        (Wait::Ended, _) => has_ended(upstream),
        _ => false,
    };
    if met {
        State::Met
    } else if upstream.health == Health::Failed || upstream.reason == Reason::DependencyFailed.as_str() {
        State::Never
    } else {
        State::Open
    }
}

/// Whether nothing more will come of a component by itself.
pub(super) fn has_ended(line: &ComponentStatus) -> bool {
    matches!(line.health, Health::Succeeded | Health::Failed | Health::Skipped)
        || (line.health == Health::Pending && line.reason == Reason::DependencyFailed.as_str())
}
