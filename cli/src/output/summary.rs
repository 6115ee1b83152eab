//! How a run ended.

use std::fmt::Write;
use std::io;
use std::path::Path;

use tributary_crds::{ComponentStatus, EngineStatus, Health, Timestamp};

use crate::local::Outcome;
use crate::output::rows;
use crate::output::text::{counted, shown, table};

/// The longest row that is shown, in characters.
const MAX_SHOWN: usize = 160;

/// A line a component.
pub fn components(outcome: &Outcome) -> String {
    let head = ["COMPONENT", "STATUS", "TASKS", "READ", "WRITTEN", "TIME"].map(String::from).to_vec();
    let lines = outcome.status.components.iter().map(|c| line(c, outcome.engines.get(&c.child)));
    table(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}

fn line(component: &ComponentStatus, engine: Option<&EngineStatus>) -> Vec<String> {
    let mut cells = vec![component.name.clone(), format!("{:?}", component.health)];
    if let Some(engine) = engine {
        cells.push(format!("{} map, {} reduce", engine.map.total, engine.reduce.total));
        cells.push(counted(engine.records_read, "record"));
        cells.push(counted(engine.records_written, "row"));
        cells.extend(seconds(engine).map(|s| format!("{s:.1} s")));
    } else if !component.message.is_empty() {
        cells.push(shown(component.message.as_bytes(), MAX_SHOWN));
    }
    cells
}

fn seconds(engine: &EngineStatus) -> Option<f64> {
    let time = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
    let (start, end) = (time(&engine.first_task_time)?, time(&engine.completion_time)?);
    Some((end.as_millisecond() - start.as_millisecond()) as f64 / 1e3)
}

/// Why the Pipeline failed: its own message, then each failed component with its own words and its last attempts.
pub fn failure(outcome: &Outcome) -> String {
    let mut text = shown(outcome.status.message.as_bytes(), 4_000);
    for component in outcome.status.components.iter().filter(|c| c.health == Health::Failed) {
        if !component.message.is_empty() && !outcome.status.message.contains(&component.message) {
            // writing to a string does not fail
            let _ = write!(text, "\n  component {}: {}", component.name, shown(component.message.as_bytes(), 4_000));
        }
        let failures = outcome.engines.get(&component.child).map(|e| e.failures.as_slice()).unwrap_or_default();
        for attempt in failures.iter().rev().take(3) {
            let _ = write!(
                text,
                "\n  {} attempt {}: {}",
                attempt.task,
                attempt.attempt,
                shown(attempt.message.as_bytes(), 400)
            );
        }
    }
    text
}

/// Where a dataset is, and its first rows.
pub fn dataset(name: &str, dir: &Path, limit: usize, total: Option<i64>) -> io::Result<String> {
    let files = counted(i64::try_from(rows::files(dir)?.len()).unwrap_or(i64::MAX), "file");
    let size = total.map_or(files.clone(), |n| format!("{} in {files}", counted(n, "row")));
    let first = rows::first(dir, limit)?;
    let mut text = format!("{name}: {size}, {}\n", dir.display());
    let cells: Vec<Vec<String>> = first
        .iter()
        .map(|row| shown(row, MAX_SHOWN).split('\t').map(str::to_owned).collect::<Vec<_>>())
        .map(|mut cells| {
            cells[0].insert_str(0, "  ");
            cells
        })
        .collect();
    text += &table(&cells);
    let left = total.map_or(0, |n| n - i64::try_from(first.len()).unwrap_or(i64::MAX));
    if left > 0 {
        let _ = writeln!(text, "  ... and {} more", counted(left, "row"));
    }
    Ok(text)
}

/// The rows that a job kept in its status.
pub fn results(name: &str, engine: &EngineStatus, limit: usize) -> String {
    let cells =
        |row: &tributary_crds::KeyValue| [&row.key, &row.value].map(|text| shown(text.as_bytes(), MAX_SHOWN)).to_vec();
    let rows: Vec<Vec<String>> = engine
        .results
        .iter()
        .take(limit)
        .map(cells)
        .map(|mut cells| {
            cells[0].insert_str(0, "  ");
            cells
        })
        .collect();
    format!("{name}: {}\n{}", counted(engine.records_written, "row"), table(&rows))
}
