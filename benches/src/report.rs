//! Rows of figures, as a table or as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measure::Sample;

/// What was measured of one contender: medians over the runs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who.
    pub name: String,
    /// Wall clock, seconds.
    pub wall_s: f64,
    /// CPU time, seconds.
    pub cpu_s: f64,
    /// Least and greatest CPU time over the runs.
    pub cpu_spread_s: [f64; 2],
    /// Peak resident memory of the largest process, in units of 10^6 bytes.
    pub rss_mb: f64,
    /// The benchmark's figure.
    pub figure: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Row {
    /// The medians of at least one sample, and work done per CPU-second.
    pub fn per_cpu_second(name: &str, samples: &[Sample], work: f64, unit: &'static str) -> Self {
        let of = |field: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = samples.iter().map(field).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let cpu = of(|s| s.cpu_s);
        let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
        Self {
            name: name.to_owned(),
            wall_s: median(&of(|s| s.wall_s)),
            cpu_s: median(&cpu),
            cpu_spread_s: [cpu.first().copied().unwrap_or(f64::NAN), cpu.last().copied().unwrap_or(f64::NAN)],
            rss_mb: median(&of(|s| s.rss_mb)),
            figure: work / median(&cpu),
            unit,
        }
    }
}

/// What a benchmark found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub bench: &'static str,
    /// Ours first.
    pub rows: Vec<Row>,
    /// Our figure over a peer's; above 1 is better.
    pub ratios: BTreeMap<String, f64>,
    /// Whether all outputs are equal.
    pub checked: bool,
}

impl Report {
    /// Prints it: a table, or one JSON object on the last line.
    ///
    /// # Errors
    /// Figures that JSON cannot express.
    pub fn print(&self, json: bool) -> serde_json::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!(
            "{:<24} {:>8} {:>8} {:>17} {:>8}  figure",
            self.bench, "wall s", "cpu s", "(least, greatest)", "RSS MB"
        );
        for row in &self.rows {
            let [least, greatest] = row.cpu_spread_s;
            let spread = format!("({least:.2}, {greatest:.2})");
            let Row { name, wall_s, cpu_s, rss_mb, figure, unit, .. } = row;
            println!("{name:<24} {wall_s:>8.2} {cpu_s:>8.2} {spread:>17} {rss_mb:>8.0}  {figure:.0} {unit}");
        }
        for (peer, ratio) in &self.ratios {
            println!("{ratio:.1} times {peer}");
        }
        println!("outputs equal: {}", if self.checked { "yes" } else { "NO" });
        Ok(())
    }
}
