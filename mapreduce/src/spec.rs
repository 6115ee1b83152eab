//! A job's spec, checked and in the terms of the engine.

use std::num::NonZeroU32;

use tributary_crds::{
    Compression, Coordination, Format, IfExists, KafkaInput, MapOperator, MapReduceJobSpec, OutputFormat,
    ReduceOperator, S3Input, S3Location,
};
use tributary_mapreduce_core::commit::names::WORKSPACES;
use tributary_mapreduce_core::job::{Config, Millis};
use tributary_mapreduce_core::kernel::{self, Framing, MapStep, Program, ProgramError, ReduceStep};
use tributary_mapreduce_core::split::Codec;

use crate::store::Use;

/// Memory of a map task's output before it spills, where the spec does not say.
const SORT_MEMORY: usize = 128 << 20;
/// Tasks that a worker is taken to run at once, where the spec does not say.
const SLOTS: u32 = 2;
/// Attempts of a task that may be lost with their workers.
const MAX_LOST: u32 = 10;

/// What keeps a spec from being run.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A part that the engine does not run yet.
    #[error("spec.{field} is not available yet: {instead}")]
    Unsupported {
        /// The part.
        field: &'static str,
        /// The way out.
        instead: &'static str,
    },
    /// The steps.
    #[error("spec.{0}")]
    Program(#[from] ProgramError),
    /// A field.
    #[error("spec.{field}: {message}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// A job, ready to run.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// What map and reduce do.
    pub program: Program,
    /// What its coordination depends on.
    pub config: Config,
    /// What is read.
    pub input: InputSpec,
    /// Where the result goes, besides the status.
    pub output: Option<OutputSpec>,
    /// Where journal and segments are.
    pub workspace: S3Location,
    /// Whose credentials are the workspace's; `None` where the spec names no place at all for it.
    pub workspace_of: Option<Use>,
    /// Bytes of a map task's output before it spills.
    pub sort_memory: usize,
    /// Tasks that can run at once.
    pub slots: u32,
}

/// What is read.
#[derive(Clone, Debug)]
pub enum InputSpec {
    /// Objects.
    Objects(ObjectInput),
    /// A range of a topic.
    Topic(KafkaInput),
    /// Strings, a record each.
    Strings(Vec<String>),
}

/// Objects below a prefix.
#[derive(Clone, Debug)]
pub struct ObjectInput {
    /// Where they are.
    pub location: S3Location,
    /// How records are told apart.
    pub framing: Framing,
    /// How objects are compressed; `None` goes by their names.
    pub codec: Option<Codec>,
    /// Bytes of a map task at most, where the user says so.
    pub split_size: Option<u64>,
}

/// Objects that are written.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// Where they are.
    pub location: S3Location,
    /// How a row is written.
    pub format: kernel::OutputFormat,
    /// What happens where the place is not empty.
    pub if_exists: IfExists,
}

impl JobSpec {
    /// Checks the spec of the job with this UID.
    ///
    /// # Errors
    /// The first part that cannot be run, by its field.
    pub fn new(uid: &str, spec: &MapReduceJobSpec) -> Result<Self, SpecError> {
        supported(spec)?;
        let program = program(spec)?;
        let output = spec.output.s3.as_ref().map(|s3| OutputSpec {
            location: s3.location.clone(),
            format: match s3.format {
                OutputFormat::Lines => kernel::OutputFormat::Lines,
                OutputFormat::JsonLines => kernel::OutputFormat::JsonLines,
            },
            if_exists: s3.if_exists,
        });
        let input = input(spec)?;
        if let (InputSpec::Objects(input), Some(output)) = (&input, &output) {
            apart(&input.location, output)?;
        }
        let (workspace, workspace_of) = workspace(spec);
        let failure = &spec.failure;
        let config = Config {
            job: uid.to_owned(),
            partitions: program.partitions(spec.partitions),
            max_attempts: failure.max_attempts.max(1),
            max_lost: MAX_LOST,
            lease: Millis::seconds(u64::from(failure.lease_seconds.max(1))),
            speculation: failure.speculation,
            skip_bad_records: u64::try_from(failure.skip_bad_records).unwrap_or(0),
            rows: spec.output.results.as_ref().map_or(0, |results| results.limit.min(1_000)),
            deadline: spec.active_deadline_seconds.map(|s| Millis::seconds(u64::try_from(s).unwrap_or(0))),
        };
        let sort_memory = match &spec.workers.sort_memory {
            Some(text) => usize::try_from(quantity("workers.sortMemory", text)?).unwrap_or(usize::MAX),
            None => SORT_MEMORY,
        };
        let slots = spec.workers.replicas.saturating_mul(spec.workers.slots.unwrap_or(SLOTS)).max(1);
        Ok(Self { program, config, input, output, workspace, workspace_of, sort_memory, slots })
    }

    /// How records of the input are told apart.
    pub fn framing(&self) -> Framing {
        match &self.input {
            InputSpec::Objects(objects) => objects.framing,
            InputSpec::Topic(_) | InputSpec::Strings(_) => Framing::Lines,
        }
    }
}

fn supported(spec: &MapReduceJobSpec) -> Result<(), SpecError> {
    let unsupported = |field, instead| Err(SpecError::Unsupported { field, instead });
    if spec.continuous.is_some() {
        return unsupported("continuous", "give input.kafka.end and leave continuous out");
    }
    if spec.coordination == Coordination::Resource {
        return unsupported("coordination: Resource", "use Auto or Coordinator");
    }
    if spec.output.kafka.is_some() {
        return unsupported("output.kafka", "use output.s3 or output.results");
    }
    Ok(())
}

fn program(spec: &MapReduceJobSpec) -> Result<Program, SpecError> {
    let invalid = |field, message: &str| SpecError::Invalid { field, message: message.to_owned() };
    let map = match (&spec.map.operator, &spec.map) {
        (Some(MapOperator::Words), _) => MapStep::Words,
        (Some(MapOperator::Identity), _) => MapStep::Identity,
        (Some(MapOperator::Grep), map) => {
            let pattern = map.pattern.clone().ok_or_else(|| invalid("map.pattern", "operator Grep needs a pattern"))?;
            MapStep::Grep { pattern }
        }
        (None, map) if map.cel.is_some() => MapStep::Cel,
        (None, map) if map.command.is_some() => MapStep::Command,
        (None, map) if map.function.is_some() => MapStep::Function,
        (None, _) => return Err(invalid("map", "exactly one of operator, cel, command and function must be set")),
    };
    let Some(step) = &spec.reduce else { return Ok(Program::compile(&map, None, spec.combine)?) };
    let reduce = match (step.operator, step) {
        (Some(ReduceOperator::Sum), _) => ReduceStep::Sum,
        (Some(ReduceOperator::Count), _) => ReduceStep::Count,
        (Some(ReduceOperator::Min), _) => ReduceStep::Min,
        (Some(ReduceOperator::Max), _) => ReduceStep::Max,
        (Some(ReduceOperator::Mean), _) => ReduceStep::Mean,
        (Some(ReduceOperator::Top), step) => ReduceStep::Top { limit: step.limit.unwrap_or(10) },
        (Some(ReduceOperator::Distinct), _) => ReduceStep::Distinct,
        (Some(ReduceOperator::Identity | ReduceOperator::Sort), _) => ReduceStep::Identity,
        (None, step) if step.command.is_some() => ReduceStep::Command,
        (None, step) if step.function.is_some() => ReduceStep::Function,
        (None, _) => return Err(invalid("reduce", "exactly one of operator, command and function must be set")),
    };
    Ok(Program::compile(&map, Some(reduce), spec.combine)?)
}

fn input(spec: &MapReduceJobSpec) -> Result<InputSpec, SpecError> {
    let input = &spec.input;
    match (&input.s3, &input.kafka, &input.strings) {
        (Some(s3), None, None) => Ok(InputSpec::Objects(objects(s3)?)),
        (None, Some(kafka), None) if kafka.end.is_some() => Ok(InputSpec::Topic(kafka.clone())),
        (None, Some(_), None) => {
            let message = "a job that is not continuous needs it: offsets, timestamp, highWatermark or records";
            Err(SpecError::Invalid { field: "input.kafka.end", message: message.to_owned() })
        }
        (None, None, Some(strings)) => Ok(InputSpec::Strings(strings.clone())),
        _ => {
            let message = "exactly one of s3, kafka and strings must be set".to_owned();
            Err(SpecError::Invalid { field: "input", message })
        }
    }
}

fn objects(input: &S3Input) -> Result<ObjectInput, SpecError> {
    let framing = match (input.format, input.record_length.and_then(NonZeroU32::new)) {
        (Format::Lines | Format::JsonLines, _) => Framing::Lines,
        (Format::WholeObject, _) => Framing::WholeObject,
        (Format::FixedLength, Some(length)) => Framing::FixedLength(length),
        (Format::FixedLength, None) => {
            let message = "format FixedLength needs it".to_owned();
            return Err(SpecError::Invalid { field: "input.s3.recordLength", message });
        }
    };
    let codec = match input.compression {
        Compression::Auto => None,
        Compression::None => Some(Codec::None),
        Compression::Gzip => Some(Codec::Gzip),
        Compression::Zstd => Some(Codec::Zstd),
    };
    let split_size = input.split_size.as_deref().map(|text| quantity("input.s3.splitSize", text)).transpose()?;
    Ok(ObjectInput { location: input.location.clone(), framing, codec, split_size })
}

/// Keeps an output that replaces what is in its place from replacing the input.
fn apart(input: &S3Location, output: &OutputSpec) -> Result<(), SpecError> {
    let directory = |location: &S3Location| format!("{}/", location.uri.trim_end_matches('/'));
    let same = input.connection.endpoint == output.location.connection.endpoint;
    if output.if_exists == IfExists::Replace && same && directory(input).starts_with(&directory(&output.location)) {
        let message = format!("ifExists: Replace would delete the input, {}: give another place", input.uri);
        return Err(SpecError::Invalid { field: "output.s3", message });
    }
    Ok(())
}

/// The workspace, and whose credentials it takes.
fn workspace(spec: &MapReduceJobSpec) -> (S3Location, Option<Use>) {
    let derived = |of: &S3Location| {
        let bucket = of.uri.strip_prefix("s3://").unwrap_or(&of.uri).split('/').next().unwrap_or_default();
        S3Location { uri: format!("s3://{bucket}/{WORKSPACES}"), connection: of.connection.clone() }
    };
    if let Some(own) = &spec.workspace {
        (own.clone(), Some(Use::Workspace))
    } else if let Some(output) = &spec.output.s3 {
        (derived(&output.location), Some(Use::Output))
    } else if let Some(input) = &spec.input.s3 {
        (derived(&input.location), Some(Use::Input))
    } else {
        (S3Location { uri: format!("s3://workspace/{WORKSPACES}"), ..S3Location::default() }, None)
    }
}

/// A number of bytes such as `64Mi`.
fn quantity(field: &'static str, text: &str) -> Result<u64, SpecError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => Some(1),
        "k" => Some(1_000),
        "M" => Some(1_000_000),
        "G" => Some(1_000_000_000),
        "Ki" => Some(1 << 10),
        "Mi" => Some(1 << 20),
        "Gi" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    bytes
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| SpecError::Invalid { field, message: format!("{text:?} is not a number of bytes such as 64Mi") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn check(change: impl Fn(&mut Value)) -> Result<JobSpec, String> {
        let mut spec = json!({
            "input": {"s3": {"uri": "s3://in/texts"}},
            "map": {"operator": "Words"},
            "reduce": {"operator": "Sum"},
            "output": {"s3": {"uri": "s3://out/counts", "secretRef": {"name": "s"}}},
        });
        change(&mut spec);
        JobSpec::new("uid", &serde_json::from_value(spec).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults() {
        let job = check(|_| {}).unwrap();
        assert_eq!((job.workspace.uri.as_str(), job.workspace_of), ("s3://out/.tributary", Some(Use::Output)));
        assert!(job.workspace.connection.secret_ref.is_some());
        assert_eq!((job.config.partitions, job.config.max_attempts, job.slots), (1, 4, 4));
        let job = check(|spec| spec["output"] = json!({"results": {}})).unwrap();
        assert_eq!((job.workspace.uri.as_str(), job.workspace_of), ("s3://in/.tributary", Some(Use::Input)));
        assert_eq!(job.config.rows, 100);
    }

    #[test]
    fn what_cannot_run_names_its_field() {
        type Change = (&'static str, &'static str, Value, &'static str);
        let changes: [Change; 9] = [
            ("/map", "command", json!(["cat"]), "spec.map.command is not available yet: use map.operator"),
            ("", "continuous", json!({}), "spec.continuous is not available yet: give input.kafka.end"),
            ("", "coordination", json!("Resource"), "spec.coordination: Resource is not available yet"),
            ("/input/s3", "splitSize", json!("0"), "spec.input.s3.splitSize: \"0\" is not a number of bytes such as"),
            ("/workers", "sortMemory", json!("1Ti"), "spec.workers.sortMemory: \"1Ti\" is not a number of bytes"),
            ("/input/s3", "format", json!("FixedLength"), "spec.input.s3.recordLength: format FixedLength needs it"),
            ("/input", "strings", json!(["a"]), "spec.input: exactly one of s3, kafka and strings must be set"),
            ("/output", "kafka", json!({"bootstrapServers": "b", "topic": "t"}), "spec.output.kafka is not available"),
            ("/reduce", "function", json!("f"), "spec.reduce.function is not available yet: use reduce.operator"),
        ];
        for (at, field, value, message) in changes {
            let wrong = check(|spec| {
                spec["workers"] = json!({});
                if at == "/map" || at == "/reduce" {
                    *spec.pointer_mut(at).unwrap() = json!({});
                }
                spec.pointer_mut(at).unwrap()[field] = value.clone();
            });
            assert!(wrong.as_ref().is_err_and(|e| e.starts_with(message)), "{message}: {wrong:?}");
        }
        let grep = check(|spec| spec["map"] = json!({"operator": "Grep", "pattern": "("}));
        assert!(grep.as_ref().is_err_and(|e| e.starts_with("spec.map.pattern: ")), "{grep:?}");
    }

    #[test]
    fn an_output_does_not_replace_the_input() {
        let at = |uri: &'static str, if_exists: &'static str| {
            check(move |spec| spec["output"]["s3"] = json!({"uri": uri, "ifExists": if_exists}))
        };
        for uri in ["s3://in/texts", "s3://in/texts/", "s3://in", "s3://in/"] {
            let wrong = at(uri, "Replace");
            assert!(wrong.as_ref().is_err_and(|e| e.contains("would delete the input")), "{uri}: {wrong:?}");
        }
        for uri in ["s3://in/texts/counts", "s3://in/text", "s3://out/texts"] {
            at(uri, "Replace").unwrap();
        }
        at("s3://in", "Fail").unwrap();
    }

    #[test]
    fn top_has_one_partition() {
        let job = check(|spec| {
            spec["reduce"] = json!({"operator": "Top", "limit": 3});
            spec["partitions"] = json!(8);
        });
        assert_eq!(job.unwrap().config.partitions, 1);
    }

    #[test]
    fn quantities() {
        for (text, bytes) in [("1", Some(1)), ("2k", Some(2_000)), ("64Mi", Some(64 << 20)), ("3Gi", Some(3 << 30))] {
            assert_eq!(quantity("f", text).ok(), bytes);
        }
        for text in ["", "Mi", "1.5Mi", "1Xi", "99999999999999999999", "99999999999999G"] {
            assert!(quantity("f", text).is_err(), "{text}");
        }
    }
}
