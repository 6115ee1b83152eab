//! What is ours and not meant any more goes.

use tributary_crds::names::{CONFIRM, TOPIC};

use super::child::{Ownership, RETAIN, is_own_topic, label, ownership};
use super::pass::Pass;

impl Pass<'_> {
    /// Whether the changes of the revision that runs may delete data: its number is in the annotation. Where no revisions
    /// are kept, there is nobody to ask.
    pub(super) fn is_confirmed(&self) -> bool {
        let annotations = self.world.pipeline.metadata.annotations.as_ref();
        let confirmed = annotations.and_then(|a| a.get(CONFIRM)?.parse::<i64>().ok());
        self.world.revisions.is_none() || (confirmed.is_some() && confirmed == self.status.revision)
    }

    /// Deletes children that no component or topic stands for: removed ones, left-out ones, those of former runs. A topic
    /// that is retained is let go instead: it stays, and is not in the inventory any more.
    pub(super) fn prune(&mut self) {
        let world = self.world;
        for (key, child) in world.children.0.iter().filter(|(key, _)| !self.desired.contains(*key)).collect::<Vec<_>>()
        {
            let topic = is_own_topic(&world.pipeline, child) && label(child, RETAIN) == Some("false");
            if topic && !self.is_confirmed() {
                self.keep(child, key);
                let name = label(child, TOPIC).unwrap_or_default();
                let words = "is not in the blueprint any more, and is deleted with all its records";
                self.destructive.push(format!("topic `{name}` {words}"));
                continue;
            }
            if topic || ownership(&world.pipeline, child) == Ownership::Ours {
                self.keep(child, key);
                self.delete(child, key);
            }
        }
    }
}
