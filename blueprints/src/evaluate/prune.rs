//! What is ours and not meant any more goes.

use super::child::{Ownership, RETAIN, is_own_topic, label, ownership};
use super::pass::Pass;

impl Pass<'_> {
    /// Deletes children that no component or topic stands for: removed ones, left-out ones, those of former runs. A topic
    /// that is retained is let go instead: it stays, and is not in the inventory any more.
    pub(super) fn prune(&mut self) {
        let world = self.world;
        for (key, child) in world.children.0.iter().filter(|(key, _)| !self.desired.contains(*key)).collect::<Vec<_>>()
        {
            let topic = is_own_topic(&world.pipeline, child) && label(child, RETAIN) == Some("false");
            if topic || ownership(&world.pipeline, child) == Ownership::Ours {
                self.keep(child, key);
                self.delete(child, key);
            }
        }
    }
}
