//! Counts the words of Zipf text: the kernel alone, a local run of a job, mawk, GNU sort, and on demand DuckDB and
//! Polars; each on one CPU.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::measure::{self, Sample};
use crate::report::{Report, Row};

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Our kernel in one thread, without stores and coordination.
    Kernel,
    /// Our engine as `tributary run` uses it, with one thread for tasks.
    Local,
    /// mawk and its associative arrays.
    Mawk,
    /// `tr | sort | uniq -c`.
    Sort,
    /// DuckDB by its Python module.
    Duckdb,
    /// Polars by its Python module.
    Polars,
}

const MAWK: &str = r#"exec mawk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w "\t" n[w] }' "$1""#;

const SORT: &str = r#"tr -s '[:space:]' '\n' < "$1" | LC_ALL=C sort | uniq -c"#;

/// A line is one column: no field separator, no quotes.
const DUCKDB: &str = r#"
import sys, duckdb
duckdb.sql("set threads = 1")
duckdb.sql(f"""copy (
    select word, count(*) from (
        select unnest(string_split(line, ' ')) as word
        from read_csv('{sys.argv[1]}', columns = {{'line': 'varchar'}}, header = false, delim = '\x01', quote = '', escape = '')
    ) where word <> '' group by word order by word
) to '/dev/stdout' (format csv, delimiter '\t', header false)""")
"#;

const POLARS: &str = r#"
import os, sys
os.environ["POLARS_MAX_THREADS"] = "1"
import polars as pl
text = pl.scan_csv(sys.argv[1], has_header=False, new_columns=["line"], separator="\x01", quote_char=None)
words = text.select(pl.col("line").str.split(" ").explode().alias("word")).filter(pl.col("word") != "")
counts = words.group_by("word").len().sort("word").collect(engine="streaming")
counts.write_csv(sys.stdout, include_header=False, separator="\t")
"#;

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Local => "tributary",
            Self::Mawk => "mawk",
            Self::Sort => "sort",
            Self::Duckdb => "duckdb",
            Self::Polars => "polars",
        }
    }

    fn is_ours(self) -> bool {
        matches!(self, Self::Kernel | Self::Local)
    }

    fn command(self, text: &Path, output: &Path) -> Result<Vec<OsString>> {
        let ours = |verb: &str| -> Result<Vec<OsString>> {
            Ok(vec![std::env::current_exe()?.into(), verb.into(), text.into(), output.into()])
        };
        let python =
            |script: &str| -> Vec<OsString> { vec!["python3".into(), "-c".into(), script.into(), text.into()] };
        match self {
            Self::Kernel => ours("count-by-kernel"),
            Self::Local => ours("count-by-job"),
            Self::Mawk => Ok(measure::shell(MAWK, text)),
            Self::Sort => Ok(measure::shell(SORT, text)),
            Self::Duckdb => Ok(python(DUCKDB)),
            Self::Polars => Ok(python(POLARS)),
        }
    }

    /// The counts by word, from the standard output or from what our own verbs wrote.
    fn counts(self, stdout: &Path, output: &Path) -> Result<BTreeMap<Vec<u8>, u64>> {
        let files = if self.is_ours() { parts(output)? } else { vec![stdout.to_owned()] };
        let mut counts = BTreeMap::new();
        for file in files {
            let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
            for line in bytes.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                let mut fields = line.split(|&b| b == b'\t' || b == b' ').filter(|field| !field.is_empty());
                let (Some(first), Some(second), None) = (fields.next(), fields.next(), fields.next()) else {
                    anyhow::bail!("{}: {:?} is no word and count", self.name(), String::from_utf8_lossy(line));
                };
                let (word, count) = if self == Self::Sort { (second, first) } else { (first, second) };
                let known = counts.insert(word.to_vec(), std::str::from_utf8(count)?.parse()?);
                ensure!(known.is_none(), "{} has {:?} twice", self.name(), String::from_utf8_lossy(word));
            }
        }
        Ok(counts)
    }
}

/// The output objects of a job, in order.
fn parts(output: &Path) -> Result<Vec<PathBuf>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(output).with_context(|| output.display().to_string())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-")) {
            parts.push(path);
        }
    }
    parts.sort();
    Ok(parts)
}

/// Has every contender count the words of a text `runs` times, taking turns.
///
/// # Errors
/// A contender that is not there or fails. Outputs that differ are no error: the report says so.
pub fn compare(text: &Path, contenders: &[Contender], runs: usize) -> Result<Report> {
    let scratch = tempfile::tempdir()?;
    let stdout = scratch.path().join("stdout");
    let output = scratch.path().join("output");
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
    let mut expected = None;
    let mut checked = true;
    for run in 0..runs.max(1) {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            let sample = measure::run(&contender.command(text, &output)?, &stdout)?;
            eprintln!("run {} {}: {:.2} s CPU, {:.2} s", run + 1, contender.name(), sample.cpu_s, sample.wall_s);
            samples.push(sample);
            let counts = contender.counts(&stdout, &output)?;
            checked &= *expected.get_or_insert_with(|| counts.clone()) == counts;
            if output.exists() {
                fs::remove_dir_all(&output)?;
            }
        }
    }
    let megabytes = fs::metadata(text)?.len() as f64 / 1e6;
    let row = |(contender, samples): (&Contender, &Vec<Sample>)| {
        Row::per_cpu_second(contender.name(), samples, megabytes, "MB per CPU-second")
    };
    let rows: Vec<Row> = contenders.iter().zip(&samples).map(row).collect();
    // What a user gets counts, if it is there: the job, not the kernel.
    let figure = |wanted: Contender| contenders.iter().position(|&c| c == wanted).map(|at| rows[at].figure);
    let ours = figure(Contender::Local).or(figure(Contender::Kernel)).unwrap_or(f64::NAN);
    let peers = contenders.iter().zip(&rows).filter(|(contender, _)| !contender.is_ours());
    let ratios = peers.map(|(contender, row)| (contender.name().to_owned(), ours / row.figure)).collect();
    Ok(Report { bench: "wordcount", rows, ratios, checked })
}
