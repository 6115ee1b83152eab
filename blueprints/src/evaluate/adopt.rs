//! Objects of somebody else's that have a child's name: taken over where they say so themselves, left alone otherwise.

use kube::core::DynamicObject;
use tributary_crds::{ComponentStatus, Health, Pipeline, Reason, names};

use super::child::{self, annotation};
use super::components::told;
use super::pass::Pass;
use crate::change::{self, Effect};
use crate::object::ObjectKey;
use crate::resolve::{bound, hash};
use crate::world::Verb;

/// Whether an object says that this Pipeline may take it over: `<pipeline>`, or `<namespace>/<pipeline>` from elsewhere.
pub(super) fn is_offered(pipeline: &Pipeline, object: &DynamicObject) -> bool {
    let (name, namespace) = (pipeline.metadata.name.as_deref(), pipeline.metadata.namespace.as_deref());
    let Some(offer) = annotation(object, names::ADOPT_BY) else { return false };
    match offer.split_once('/') {
        Some((of, pipeline)) => Some(of) == namespace && Some(pipeline) == name,
        None => Some(offer) == name && object.metadata.namespace.as_deref() == namespace,
    }
}

impl Pass<'_> {
    /// An object that is not ours: adopted where it is offered, and told otherwise.
    pub(super) fn foreign(
        &mut self,
        index: usize,
        mut line: ComponentStatus,
        child: &DynamicObject,
        key: &ObjectKey,
    ) -> ComponentStatus {
        let taken = |line, message: String| told(line, Health::Failed, Reason::NameTaken.as_str(), message);
        let pipeline = &self.world.pipeline;
        if !is_offered(pipeline, child) {
            let name = pipeline.metadata.name.as_deref().unwrap_or_default();
            let message = format!(
                "{key} exists and does not belong to this Pipeline; delete or rename one of the two, or have it taken \
                 over: annotate it with {}={name}",
                names::ADOPT_BY
            );
            return taken(line, message);
        }
        let owner = child.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        if let Some(owner) = owner {
            let message = format!("{key} cannot be adopted: {} {} controls it", owner.kind, owner.name);
            return taken(line, message);
        }
        if child.metadata.deletion_timestamp.is_some() {
            let message = format!("{key} cannot be adopted: it is being deleted");
            return told(line, Health::Pending, Reason::WaitingForChildren.as_str(), message);
        }
        let component = &self.resolved.components[index];
        let object = if component.is_immutable() {
            // what it has done or is doing counts as this component's
            self.bare(component, &line.template_hash)
        } else {
            let rendered = match self.rendered(component) {
                Ok(rendered) => rendered,
                Err(stop) => return told(line, Health::Pending, Reason::DependencyPending.as_str(), stop.to_string()),
            };
            let change = change::of_object(component, &child.data, &rendered.object);
            let why_not = match change.effect {
                Effect::Replace | Effect::Drain => Some("it would have to be replaced, since "),
                Effect::Refused => Some(""),
                _ => None,
            };
            if let Some(why_not) = why_not {
                return taken(line, format!("{key} cannot be adopted: {why_not}{}", change.reason));
            }
            let hash = hash::whole(&rendered.template, &bound(component, self.resolved));
            self.complete(component, rendered, &hash, child::attempt(child))
        };
        self.apply(object, child);
        self.tell(false, "Adopted", &component.name, &format!("{key} is taken over"));
        self.keep(child, key);
        line.uid = child.metadata.uid.clone().unwrap_or_default();
        let line = told(line, Health::Progressing, "Adopting", "is being taken over");
        self.refused(line, key, Verb::Apply)
    }
}
