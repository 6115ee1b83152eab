//! Ends that children carry. A child that is created says how those ended of whose end the status does not tell yet: the status may
//! then be written later, and an outcome outlives its own child all the same. Whatever is written afterwards tells those ends, or
//! has done away with them: what was carried until then is void.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use tributary_crds::{ComponentStatus, Health, Pipeline, PipelineStatus};

use super::child::{ENDED_BEFORE, Ownership, annotation, ownership};
use super::pass::Pass;

/// The longest list that a child carries, in bytes; where there is more to say, the status says it at once.
const MAX_CARRIED: usize = 4_096;

/// What a child carries. `since` comes first: most are told by it from those that count.
#[derive(Serialize, Deserialize)]
struct Ended<Lines> {
    /// The status that does not tell it.
    since: String,
    /// Lines as in `status.components`.
    lines: Lines,
}

/// What a pass knows of carried ends.
#[derive(Default)]
pub(super) struct Carried {
    /// The ends that children carry, by component, once they have been looked at.
    there: OnceCell<HashMap<String, ComponentStatus>>,
    /// The lines of the pass that have been looked at, and those among them that tell an end which is to be carried.
    looked_at: usize,
    news: Vec<usize>,
    /// What children that are created now carry, of so many of them; nothing where it is too long.
    text: (usize, Option<String>),
    /// The components whose end some child carries that is created now.
    now: BTreeSet<String>,
    /// An end was read off a child, and the status does not tell it.
    pub(super) taken: bool,
}

impl Pass<'_> {
    /// Whether a line tells an end that the status does not know.
    fn is_news(&self, line: &ComponentStatus) -> bool {
        let known = self.old_lines.get(line.name.as_str()).is_some_and(|old| old.latched && is_of_same(old, line));
        line.latched && !known
    }

    /// What a child that is created now is to carry: the lines of all that have ended well so far, since who carried the first of
    /// them may be gone as well.
    pub(super) fn carry(&mut self) -> Option<String> {
        for at in self.carried.looked_at..self.lines.len() {
            let line = &self.lines[at];
            if line.health == Health::Succeeded && self.is_news(line) {
                self.carried.news.push(at);
            }
        }
        self.carried.looked_at = self.lines.len();
        let (told, text) = &self.carried.text;
        let is_too_long = *told > 0 && text.is_none();
        if *told < self.carried.news.len() && !is_too_long {
            let lines: Vec<&ComponentStatus> = self.carried.news.iter().map(|at| &self.lines[*at]).collect();
            let names = lines.iter().map(|line| line.name.clone()).collect();
            let ended = Ended { since: stamp(&self.world.pipeline, self.old), lines };
            let text = serde_json::to_string(&ended).ok().filter(|text| text.len() <= MAX_CARRIED);
            if text.is_some() {
                self.carried.now = names;
            }
            self.carried.text = (self.carried.news.len(), text);
        }
        self.carried.text.1.clone()
    }

    /// The end of a component, as some child carries it.
    fn carried(&self, line: &ComponentStatus) -> Option<&ComponentStatus> {
        let there = self.carried.there.get_or_init(|| {
            let since = stamp(&self.world.pipeline, self.old);
            let begin = format!("{{\"since\":\"{since}\",");
            let ours = self.world.children.0.values().filter(|child| {
                annotation(child, ENDED_BEFORE).is_some_and(|text| text.starts_with(&begin))
                    && ownership(&self.world.pipeline, child) == Ownership::Ours
            });
            let read = |text: &str| serde_json::from_str::<Ended<Vec<ComponentStatus>>>(text).ok();
            let ends = ours.filter_map(|child| read(annotation(child, ENDED_BEFORE)?)).flat_map(|ended| ended.lines);
            ends.filter(|end| end.latched).map(|end| (end.name.clone(), end)).collect()
        });
        there.get(&line.name).filter(|end| is_of_same(end, line))
    }

    /// The end of a component whose child is gone and of whose end the status does not tell.
    pub(super) fn ended_before(&mut self, line: &ComponentStatus) -> Option<ComponentStatus> {
        let end = self.carried(line)?.clone();
        self.carried.taken = true;
        Some(end)
    }

    /// Whether every end that the status does not know is carried by some child, or will be.
    pub(super) fn is_all_carried(&self) -> bool {
        self.lines.iter().filter(|line| self.is_news(line)).all(|line| {
            self.carried.now.contains(&line.name) || self.carried(line).is_some_and(|end| end.uid == line.uid)
        })
    }
}

/// Which status of which Pipeline it is.
fn stamp(pipeline: &Pipeline, status: &PipelineStatus) -> String {
    format!("{}/{}", pipeline.metadata.uid.as_deref().unwrap_or_default(), status.sequence.unwrap_or(0))
}

/// Whether two lines are about one template in one run.
fn is_of_same(one: &ComponentStatus, other: &ComponentStatus) -> bool {
    one.template_hash == other.template_hash && one.run == other.run
}
