//! Ends that children carry. The child of a component says how those ended that it was waiting for, where the status does not say
//! so yet: the status may then be written later, and an outcome outlives its own child all the same.

use tributary_crds::{ComponentStatus, Health};

use super::child::{ENDED_BEFORE, Ownership, annotation, ownership};
use super::pass::Pass;

/// The longest list that a child carries, in bytes; where there is more to say, the status says it at once.
const MAX_CARRIED: usize = 2_048;

impl Pass<'_> {
    /// Whether a line tells an end that the status does not know.
    fn is_news(&self, line: &ComponentStatus) -> bool {
        let known = self.old_lines.get(line.name.as_str()).is_some_and(|old| old.latched && is_of_same(old, line));
        line.latched && !known
    }

    /// What the child of a component that begins now is to carry, as JSON: the lines of those that have just ended well.
    pub(super) fn carry(&mut self, index: usize) -> Option<String> {
        let upstream = self.edges_to[index].iter().map(|edge| self.resolved.graph.edges[*edge].from);
        let ended = |at: &usize| self.lines[*at].health == Health::Succeeded && self.is_news(&self.lines[*at]);
        let ended: Vec<usize> = upstream.filter(ended).collect();
        let lines: Vec<&ComponentStatus> = ended.iter().map(|at| &self.lines[*at]).collect();
        let carried =
            serde_json::to_string(&lines).ok().filter(|text| !lines.is_empty() && text.len() <= MAX_CARRIED)?;
        self.carried_now.extend(ended);
        Some(carried)
    }

    /// The end of a component, as the child of one that waited for it carries it.
    fn carried(&self, index: usize, line: &ComponentStatus) -> Option<ComponentStatus> {
        self.edges_from[index].iter().find_map(|to| {
            let key = self.resolved.components[*to].key(&self.resolved.namespace);
            let child = self.world.children.get(&key)?;
            let ends = annotation(child, ENDED_BEFORE)
                .filter(|_| ownership(&self.world.pipeline, child) == Ownership::Ours)?;
            let ends: Vec<ComponentStatus> = serde_json::from_str(ends).ok()?;
            ends.into_iter().find(|end| end.name == line.name && end.latched && is_of_same(end, line))
        })
    }

    /// The end of a component whose child is gone and of whose end the status does not know; `old` is its line there.
    pub(super) fn ended_before(
        &self,
        index: usize,
        line: &ComponentStatus,
        old: Option<&ComponentStatus>,
    ) -> Option<ComponentStatus> {
        let end = self.carried(index, line)?;
        // another child than the status tells of has ended
        old.is_none_or(|old| old.uid.is_empty() || old.uid == end.uid).then_some(end)
    }

    /// Whether every end that the status does not know is carried by some child, or will be.
    pub(super) fn is_all_carried(&self) -> bool {
        self.lines.iter().enumerate().filter(|(_, line)| self.is_news(line)).all(|(index, line)| {
            self.carried_now.contains(&index) || self.carried(index, line).is_some_and(|end| end.uid == line.uid)
        })
    }
}

/// Whether two lines are about one template in one run.
fn is_of_same(one: &ComponentStatus, other: &ComponentStatus) -> bool {
    one.template_hash == other.template_hash && one.run == other.run
}
