//! What a blueprint has under each name, found without going through lists.

use std::collections::{HashMap, HashSet};

use tributary_crds::{BlueprintSpec, Component as Declared};

/// The names of a blueprint. Of a name that stands there twice, the first counts.
#[derive(Default)]
pub(super) struct Index<'a> {
    pub(super) topics: HashMap<&'a str, usize>,
    pub(super) datasets: HashMap<&'a str, usize>,
    pub(super) components: HashMap<&'a str, &'a Declared>,
    pub(super) finals: HashSet<&'a str>,
}

impl<'a> Index<'a> {
    pub(super) fn new(blueprint: &'a BlueprintSpec) -> Self {
        let mut index = Self::default();
        for (i, topic) in blueprint.topics.iter().enumerate() {
            index.topics.entry(&topic.name).or_insert(i);
        }
        for (i, dataset) in blueprint.datasets.iter().enumerate() {
            index.datasets.entry(&dataset.name).or_insert(i);
        }
        for component in blueprint.components.iter().chain(&blueprint.finally) {
            index.components.entry(&component.name).or_insert(component);
        }
        index.finals.extend(blueprint.finally.iter().map(|c| c.name.as_str()));
        index
    }
}
