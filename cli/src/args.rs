//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// One resource for a whole data application: topics, datasets, map-reduce jobs, and what runs beside them.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a Pipeline on this machine: no cluster, the same verification, plan and engine
    #[command(after_long_help = RUN_HELP)]
    Run(RunArgs),
    /// Check manifests, and say everything that is wrong with them
    Verify(VerifyArgs),
    /// Say what an edit comes to: for each component, topic and dataset, what becomes of it, and why
    #[command(after_long_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Show who reads, writes and waits for what
    Graph(GraphArgs),
}

const PLAN_HELP: &str = "\
Without --from and --cluster nothing is there yet, so that everything is made.

Examples:
  tributary plan new/ --from old/
  tributary plan pipeline.yaml --cluster
  tributary plan pipeline.yaml --from pipeline.yaml -p partitions=8";

const RUN_HELP: &str = "\
Datasets are directories here. One that a component writes is below --out, as BUCKET/PREFIX; one that is only read is \
looked for as BUCKET/PREFIX in the directory of the Pipeline's file.

Examples:
  tributary run examples/wordcount
  tributary run examples/wordcount --dataset text=/usr/share/doc
  tributary run examples/topic-wordcount --topic lines=examples/topic-wordcount/lines.txt
  seq 100 | tributary run examples/topic-wordcount --topic lines=- --param records=100

Exit code: 0 if the Pipeline ended well, 1 if it did not, 2 for a wrong command line, 130 after Ctrl-C.";

/// `tributary run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Files or directories of YAML that hold the Pipeline and its Blueprint
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The Pipeline to run, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// The namespace of a Pipeline that names none: it is part of the names of topics
    #[arg(long, short = 'n', value_name = "NAMESPACE", default_value = crate::local::cluster::DEFAULT_NAMESPACE)]
    pub namespace: String,
    /// A parameter's value, as YAML
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = pair)]
    pub parameters: Vec<(String, String)>,
    /// The directory of one dataset
    #[arg(long = "dataset", short = 'd', value_name = "NAME=DIR", value_parser = pair)]
    pub datasets: Vec<(String, String)>,
    /// The directory of a store: it holds the buckets
    #[arg(long = "store", value_name = "NAME=DIR", value_parser = pair)]
    pub stores: Vec<(String, String)>,
    /// Fill a topic with a file's lines before the run; `-` is the standard input
    #[arg(long = "topic", short = 't', value_name = "NAME=FILE", value_parser = pair)]
    pub topics: Vec<(String, String)>,
    /// Go on without a component: it counts as left out
    #[arg(long, value_name = "COMPONENT")]
    pub skip: Vec<String>,
    /// Where written datasets go; the default is tributary-out/PIPELINE
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Tasks at once; the default is one a CPU
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
    /// How many rows of each result are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rows: usize,
    /// Print a report of the run: its status and every object that the plan created
    #[arg(long, short = 'o', value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `tributary verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Files or directories of YAML
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Files or directories of CustomResourceDefinitions: components of their kinds are held against them
    #[arg(long = "crds", value_name = "PATH")]
    pub definitions: Vec<PathBuf>,
    /// Print the problems for a program instead
    #[arg(long, short = 'o', visible_alias = "format", value_name = "FORMAT")]
    pub output: Option<VerifyFormat>,
}

/// A format of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerifyFormat {
    /// A JSON list
    Json,
    /// Annotations that GitHub Actions show beside the line
    Github,
}

/// `tributary plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Files or directories of YAML that hold the Pipeline and its Blueprint as they are to be
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Files or directories that hold them as they are
    #[arg(long, value_name = "PATH", conflicts_with = "cluster")]
    pub from: Vec<PathBuf>,
    /// Compare with what the cluster has, asked for by kubectl
    #[arg(long)]
    pub cluster: bool,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub context: Option<String>,
    /// The Pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// A parameter's value as it is to be, as YAML
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = pair)]
    pub parameters: Vec<(String, String)>,
    /// Print the plan as a JSON list instead
    #[arg(long, short = 'o', value_name = "FORMAT")]
    pub output: Option<Format>,
}

/// `tributary graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// Files or directories of YAML that hold the Pipeline and its Blueprint
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The Pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// How it is shown
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "text")]
    pub output: GraphFormat,
    /// Show how each component and topic is on the cluster, asked for by kubectl
    #[arg(long)]
    pub live: bool,
    /// The kubeconfig's context
    #[arg(long, value_name = "NAME", requires = "live")]
    pub context: Option<String>,
}

/// A format of graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A paragraph a component
    Text,
    /// Boxes and lines
    Ascii,
    /// A Mermaid flowchart
    Mermaid,
    /// A graph for Graphviz
    Dot,
    /// A picture for a document
    Svg,
}

/// A format for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON
    Json,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.into(), value.into())),
        _ => Err("must be NAME=VALUE".into()),
    }
}
