//! Ends that children carry. The child of a component says how those ended that it was waiting for, where the status does not say
//! so yet: the status may then be written later, and an outcome outlives its own child all the same.

use std::collections::HashMap;

use tributary_crds::{ComponentStatus, Health};

use super::child::{ENDED_BEFORE, Ownership, annotation, ownership};
use super::pass::Pass;

/// The longest list that a child carries, in bytes; where there is more to say, the status says it at once.
const MAX_CARRIED: usize = 4_096;

impl Pass<'_> {
    /// Whether a line tells an end that the status does not know.
    fn is_news(&self, line: &ComponentStatus) -> bool {
        let known = self.old_lines.get(line.name.as_str()).is_some_and(|old| old.latched && is_of_same(old, line));
        line.latched && !known
    }

    /// What a child that is created now is to carry, as JSON: the lines of all that have ended well so far, since who carried
    /// the first of them may be gone as well.
    pub(super) fn carry(&mut self) -> Option<String> {
        let is_told = |line: &&ComponentStatus| line.health == Health::Succeeded && self.is_news(line);
        let ended: Vec<&ComponentStatus> = self.lines.iter().filter(is_told).collect();
        let text = serde_json::to_string(&ended).ok().filter(|text| !ended.is_empty() && text.len() <= MAX_CARRIED)?;
        self.carried_now = ended.into_iter().map(|line| line.name.clone()).collect();
        Some(text)
    }

    /// The end of a component, as some child carries it.
    fn carried(&self, line: &ComponentStatus) -> Option<&ComponentStatus> {
        let all = self.carried.get_or_init(|| {
            let mut all: HashMap<String, Vec<ComponentStatus>> = HashMap::new();
            for child in self.world.children.0.values() {
                let Some(ends) = annotation(child, ENDED_BEFORE) else { continue };
                if ownership(&self.world.pipeline, child) == Ownership::Ours
                    && let Ok(ends) = serde_json::from_str::<Vec<ComponentStatus>>(ends)
                {
                    ends.into_iter().for_each(|end| all.entry(end.name.clone()).or_default().push(end));
                }
            }
            all
        });
        all.get(&line.name)?.iter().find(|end| end.latched && is_of_same(end, line))
    }

    /// The end of a component whose child is gone and of whose end the status does not know.
    pub(super) fn ended_before(&self, line: &ComponentStatus) -> Option<ComponentStatus> {
        let (end, old) = (self.carried(line)?, self.old_lines.get(line.name.as_str()));
        // otherwise it is the end of another child than the status tells of
        old.is_none_or(|old| old.uid.is_empty() || old.uid == end.uid).then(|| end.clone())
    }

    /// Whether every end that the status does not know is carried by some child, or will be.
    pub(super) fn is_all_carried(&self) -> bool {
        self.lines.iter().filter(|line| self.is_news(line)).all(|line| {
            self.carried_now.contains(&line.name) || self.carried(line).is_some_and(|end| end.uid == line.uid)
        })
    }
}

/// Whether two lines are about one template in one run.
fn is_of_same(one: &ComponentStatus, other: &ComponentStatus) -> bool {
    one.template_hash == other.template_hash && one.run == other.run
}
