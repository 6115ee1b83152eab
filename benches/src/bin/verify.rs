//! `verify`: how the time of a verification grows with the components and the edges of a blueprint.

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use tributary_benches::verify::{SHAPES, measure, report};

/// Verifies generated blueprints: chains, layered diamonds, fans, and one forEach.
#[derive(Parser)]
struct Args {
    /// Components of the largest blueprint.
    #[arg(long, default_value_t = 10_000)]
    components: usize,
    /// How often each is verified; medians are reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// One JSON object on the last line.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What the benchmark has itself do in a process of its own, so that each shape has its own peak of memory.
#[derive(Subcommand)]
enum Verb {
    #[command(hide = true)]
    Measure { shape: String, components: usize, runs: usize },
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Verb::Measure { shape, components, runs }) = args.verb {
        println!("{}", serde_json::to_string(&measure(&shape, components, runs)?)?);
        return Ok(());
    }
    let report = report(SHAPES, args.components, args.runs)?;
    report.print(args.json)?;
    ensure!(report.checked, "a verification found what it should not, or missed what it should");
    Ok(())
}
