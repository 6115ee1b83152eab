//! Verification: every problem in one pass, in the same words wherever it is asked for.

use tributary_crds::{BlueprintSpec, Pipeline};

use crate::problem::Problem;
use crate::resolve::Analysis;
use crate::world::Served;

/// The problems of a blueprint for itself: what only a Pipeline settles is left open.
pub fn blueprint(spec: &BlueprintSpec, served: Option<&Served>) -> Vec<Problem> {
    Analysis::of_blueprint(spec, served).run().1
}

/// The problems of a Pipeline: those of its blueprint with the values that the Pipeline gives.
pub fn pipeline(pipeline: &Pipeline, blueprint: &BlueprintSpec, served: Option<&Served>) -> Vec<Problem> {
    Analysis::of_pipeline(pipeline, blueprint, served).run().1
}
