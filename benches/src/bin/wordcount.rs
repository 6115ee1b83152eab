//! `wordcount`: words of generated text, counted by us and by peers.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tributary_benches::text::Text;
use tributary_benches::wordcount::{Contender, compare};
use tributary_benches::{measure, ours};

/// Counts the words of generated text, beside peers; each on one CPU.
#[derive(Parser)]
struct Args {
    /// Size of the text, in units of 10^6 bytes.
    #[arg(long, default_value_t = 200)]
    size_mb: u64,
    /// Distinct words to draw from, by Zipf's law.
    #[arg(long, default_value_t = 200_000)]
    words: usize,
    /// How often each counts; medians are reported.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Further peers.
    #[arg(long, value_enum)]
    peer: Vec<Contender>,
    /// One JSON object on the last line.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What the benchmark has itself do in a process of its own.
#[derive(Subcommand)]
enum Verb {
    #[command(hide = true)]
    CountByKernel { text: PathBuf, output: PathBuf },
    #[command(hide = true)]
    CountByJob { text: PathBuf, output: PathBuf },
}

fn main() -> Result<()> {
    if measure::child()? {
        return Ok(());
    }
    let args = Args::parse();
    match args.verb {
        Some(Verb::CountByKernel { text, output }) => return ours::count_by_kernel(&text, &output),
        Some(Verb::CountByJob { text, output }) => return ours::count_by_job(&text, &output),
        None => {}
    }
    let home = std::env::var_os("HOME").context("HOME is not set: the text is kept in $HOME/.cache/tributary/bench")?;
    let cache = PathBuf::from(home).join(".cache/tributary/bench");
    let text = Text { megabytes: args.size_mb, words: args.words }.cached(&cache)?;
    let mut contenders = vec![Contender::Kernel, Contender::Local, Contender::Mawk, Contender::Sort];
    for peer in args.peer {
        if !contenders.contains(&peer) {
            contenders.push(peer);
        }
    }
    let report = compare(&text, &contenders, args.runs)?;
    report.print(args.json)?;
    ensure!(report.checked, "the outputs differ");
    Ok(())
}
