//! What a job does with its records, checked.

use regex::bytes::Regex;

use super::operators::{Grep, Identity, MapFn};

/// What is done with each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapStep {
    /// Each run of bytes that are not white space (9 to 13 and 32), with the value 1.
    Words,
    /// The record as it is; without a key it is `key TAB value`, or all key.
    Identity,
    /// The records whose value matches, as by `Identity`.
    Grep {
        /// A regular expression over bytes, in the syntax of the crate `regex`.
        pattern: String,
    },
    /// CEL expressions: not available yet.
    Cel,
    /// A program fed on stdin: not available yet.
    Command,
    /// A function of an SDK image: not available yet.
    Function,
}

/// What is done with the values of each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceStep {
    /// The sum of 64-bit integers.
    Sum,
    /// How many values there are.
    Count,
    /// The least 64-bit integer.
    Min,
    /// The greatest 64-bit integer.
    Max,
    /// The mean of decimals, exact up to the last division.
    Mean,
    /// The `limit` keys with the greatest sums, the greatest first, equal ones by key.
    Top {
        /// How many keys; at least 1.
        limit: u32,
    },
    /// Each key once, without a value.
    Distinct,
    /// Every value, ordered by key (also called Sort).
    Identity,
    /// A program fed on stdin: not available yet.
    Command,
    /// A function of an SDK image: not available yet.
    Function,
}

/// Why steps cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A kind of step that the engine does not run yet.
    #[error("{field} is not available yet: use {instead}")]
    Unsupported {
        /// The step's field in the job's spec.
        field: &'static str,
        /// The field that is available.
        instead: &'static str,
    },
    /// Grep's pattern is not a regular expression.
    #[error("map.pattern: {0}")]
    Pattern(#[from] regex::Error),
    /// Top of nothing.
    #[error("reduce.limit must be at least 1")]
    Limit,
}

#[derive(Clone, Debug)]
pub(crate) enum MapOperator {
    Words,
    Identity,
    Grep(Regex),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReduceOperator {
    Sum,
    Count,
    Min,
    Max,
    Mean,
    Top(u32),
    Distinct,
    Identity,
}

/// Map and reduce, ready to run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) map: MapOperator,
    pub(crate) reduce: ReduceOperator,
    pub(crate) combine: bool,
}

impl Program {
    /// Checks the steps. No reduce step means `Identity`. With `combine`, values of a key are combined in the map
    /// task too, where the operator allows it.
    ///
    /// # Errors
    /// A step that is not available, a pattern that is no regular expression, or a limit of 0.
    pub fn compile(map: &MapStep, reduce: Option<ReduceStep>, combine: bool) -> Result<Self, ProgramError> {
        let unsupported = |field, instead| Err(ProgramError::Unsupported { field, instead });
        let map = match map {
            MapStep::Words => MapOperator::Words,
            MapStep::Identity => MapOperator::Identity,
            MapStep::Grep { pattern } => MapOperator::Grep(Regex::new(pattern)?),
            MapStep::Cel => return unsupported("map.cel", "map.operator"),
            MapStep::Command => return unsupported("map.command", "map.operator"),
            MapStep::Function => return unsupported("map.function", "map.operator"),
        };
        let reduce = match reduce {
            Some(ReduceStep::Sum) => ReduceOperator::Sum,
            Some(ReduceStep::Count) => ReduceOperator::Count,
            Some(ReduceStep::Min) => ReduceOperator::Min,
            Some(ReduceStep::Max) => ReduceOperator::Max,
            Some(ReduceStep::Mean) => ReduceOperator::Mean,
            Some(ReduceStep::Top { limit: 0 }) => return Err(ProgramError::Limit),
            Some(ReduceStep::Top { limit }) => ReduceOperator::Top(limit),
            Some(ReduceStep::Distinct) => ReduceOperator::Distinct,
            Some(ReduceStep::Identity) | None => ReduceOperator::Identity,
            Some(ReduceStep::Command) => return unsupported("reduce.command", "reduce.operator"),
            Some(ReduceStep::Function) => return unsupported("reduce.function", "reduce.operator"),
        };
        Ok(Self { map, reduce, combine })
    }

    /// How many partitions, and reduce tasks, a job that asks for `asked` has: 1 for Top, whose result is one list.
    pub fn partitions(&self, asked: u32) -> u32 {
        if matches!(self.reduce, ReduceOperator::Top(_)) { 1 } else { asked.max(1) }
    }

    /// The map function; `None` for Words, which collectors do by themselves.
    pub(crate) fn map_fn(&self) -> Option<Box<dyn MapFn>> {
        match &self.map {
            MapOperator::Words => None,
            MapOperator::Identity => Some(Box::new(Identity)),
            MapOperator::Grep(pattern) => Some(Box::new(Grep::new(pattern.clone()))),
        }
    }
}
