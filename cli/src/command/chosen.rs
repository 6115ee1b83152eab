//! The Pipeline that a command is about, with its Blueprint.

use std::path::Path;

use serde_json::Value;
use tributary_blueprints::Problem;
use tributary_blueprints::resolve::{Resolved, resolve_against};
use tributary_blueprints::world::Served;
use tributary_crds::{Any, Blueprint, BlueprintSpec, Pipeline};

use super::{known, label, located};
use crate::Failure;
use crate::local::cluster::DEFAULT_NAMESPACE;
use crate::manifest::{Complaint, Loaded, Manifests, yaml};

/// A Pipeline out of files, and what the command line makes of it.
pub struct Chosen<'a> {
    loaded: &'a Loaded<Pipeline>,
    referred: Option<&'a Loaded<Blueprint>>,
    /// The Pipeline as it runs.
    pub pipeline: Pipeline,
    /// The Blueprint that it refers to, as it runs.
    pub blueprint: Option<BlueprintSpec>,
}

impl<'a> Chosen<'a> {
    /// The Pipeline of that name, or the only one.
    pub fn new(manifests: &'a Manifests, wanted: Option<&str>) -> Result<Self, Failure> {
        let name = |p: &Loaded<Pipeline>| p.object.metadata.name.clone().unwrap_or_default();
        let names: Vec<_> = manifests.pipelines.iter().map(name).collect();
        if let Some(wanted) = wanted {
            known("--pipeline", "Pipeline", [wanted], &names)?;
        }
        let mut candidates = manifests.pipelines.iter().filter(|p| wanted.is_none_or(|wanted| name(p) == wanted));
        let loaded = candidates.next().ok_or(Failure::NoPipeline)?;
        if candidates.next().is_some() {
            let names = names.join(", ");
            return Err(Failure::Usage(format!("there are several Pipelines: choose one with --pipeline: {names}")));
        }
        Self::of(manifests, loaded)
    }

    /// This Pipeline.
    pub fn of(manifests: &'a Manifests, loaded: &'a Loaded<Pipeline>) -> Result<Self, Failure> {
        let referred = manifests.blueprint_of(loaded).map_err(|complaint| Failure::Manifests(vec![*complaint]))?;
        let mut pipeline = loaded.object.clone();
        pipeline.metadata.namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.into());
        Ok(Self { loaded, referred, pipeline, blueprint: referred.map(|b| b.object.spec.clone()) })
    }

    /// The Blueprint's file that the Pipeline refers to.
    pub fn referred(&self) -> Option<&'a Loaded<Blueprint>> {
        self.referred
    }

    /// A complaint about what is known of it only beside others.
    pub fn complaint(&self, problem: &Problem) -> Complaint {
        located(problem, Some(self.loaded), self.referred)
    }

    /// The Pipeline's name.
    pub fn name(&self) -> String {
        self.pipeline.metadata.name.clone().unwrap_or_default()
    }

    /// The namespace that the Pipeline's file names.
    pub fn namespace(&self) -> Option<String> {
        self.loaded.object.metadata.namespace.clone()
    }

    /// The directory of the Pipeline's file.
    pub fn directory(&self) -> &'a Path {
        self.loaded.file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Puts a Pipeline that names no namespace into this one.
    pub fn default_namespace(&mut self, namespace: &str) {
        if self.loaded.object.metadata.namespace.is_none() {
            self.pipeline.metadata.namespace = Some(namespace.to_owned());
        }
    }

    /// Sets parameters, each given as YAML.
    pub fn set_parameters(&mut self, given: &[(String, String)]) -> Result<(), Failure> {
        for (name, value) in given {
            let documents =
                yaml::documents(value).map_err(|e| Failure::Usage(format!("--param {name}={value}: {}", e.message)))?;
            let value = documents.first().map_or(Value::Null, yaml::Node::value);
            self.pipeline.spec.parameters.insert(name.clone(), Any(value));
        }
        Ok(())
    }

    /// Leaves components out, in the way that a blueprint itself can: by `when`.
    pub fn skip(&mut self, names: &[String]) -> Result<(), Failure> {
        let Some(spec) = self.pipeline.spec.blueprint.as_mut().or(self.blueprint.as_mut()) else { return Ok(()) };
        let all: Vec<_> = spec.components.iter().chain(&spec.finally).map(|c| c.name.clone()).collect();
        known("--skip", "component", names.iter().map(String::as_str), &all)?;
        for component in spec.components.iter_mut().chain(&mut spec.finally) {
            if names.contains(&component.name) {
                component.when = Some("${false}".into());
            }
        }
        Ok(())
    }

    /// What runs; every problem where there is one.
    pub fn resolved(&self) -> Result<Resolved, Failure> {
        self.resolved_against(None)
    }

    /// What runs, its components held against the kinds that are known.
    pub fn resolved_against(&self, served: Option<&Served>) -> Result<Resolved, Failure> {
        let Some(spec) = self.pipeline.spec.blueprint.as_ref().or(self.blueprint.as_ref()) else {
            let message = "has neither blueprint nor blueprintRef".to_owned();
            let object = label("Pipeline", &self.pipeline.metadata.name);
            return Err(Failure::Manifests(vec![self.loaded.complaint(&object, "spec", "MissingField", message)]));
        };
        resolve_against(&self.pipeline, spec, served).map_err(|problems| {
            Failure::Manifests(problems.iter().map(|p| located(p, Some(self.loaded), self.referred)).collect())
        })
    }
}
