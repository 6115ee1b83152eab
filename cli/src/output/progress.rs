//! A run as it goes on: a bar a component on a terminal, a line a step elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tributary_crds::{ComponentStatus, EnginePhase, EngineStatus, Health, PipelineStatus};

use crate::local::Observer;
use crate::output::text::{counted, shown};

/// Shows a run on the standard error.
pub enum Progress {
    /// Bars.
    Terminal(Bars),
    /// Lines.
    Plain(Lines),
}

impl Progress {
    /// As the standard error can take it.
    pub fn new() -> Self {
        if stderr().is_terminal() { Self::Terminal(Bars::default()) } else { Self::Plain(Lines::default()) }
    }

    /// Takes the bars away.
    pub fn clear(&self) {
        if let Self::Terminal(bars) = self {
            // a terminal that is gone needs no clearing
            let _ = bars.all.clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Progress {
    fn changed(&mut self, status: &PipelineStatus, engines: &BTreeMap<String, EngineStatus>) {
        for component in &status.components {
            let engine = engines.get(&component.child);
            match self {
                Self::Terminal(bars) => bars.show(component, engine),
                Self::Plain(lines) => lines.show(component, engine),
            }
        }
    }
}

/// What a component is doing, in a few words.
fn step(component: &ComponentStatus, engine: Option<&EngineStatus>) -> String {
    let tasks = |n: u32| counted(n.into(), "task");
    let ended = !matches!(component.health, Health::Progressing | Health::Ready);
    let words = match engine.filter(|_| !ended).map(|e| (e, e.phase)) {
        Some((_, EnginePhase::Mapping)) if engine.is_some_and(|e| e.map.total == 0) => "mapping".into(),
        Some((e, EnginePhase::Mapping)) => format!("mapping, {}", tasks(e.map.total)),
        Some((e, EnginePhase::Reducing)) => format!("reducing, {}", tasks(e.reduce.total)),
        Some((_, EnginePhase::Committing)) => "committing the output".into(),
        Some((e, EnginePhase::Planning)) if e.message.is_empty() => "planning".into(),
        Some((e, EnginePhase::Planning)) => e.message.clone(),
        _ => match (component.health, component.message.as_str()) {
            (Health::Succeeded, _) => "succeeded".into(),
            (health, "") => format!("{health:?}").to_lowercase(),
            (health, message) => format!("{}: {message}", format!("{health:?}").to_lowercase()),
        },
    };
    shown(words.as_bytes(), 400)
}

/// Lines: one whenever a component's step changes.
#[derive(Default)]
pub struct Lines {
    last: BTreeMap<String, String>,
}

impl Lines {
    fn show(&mut self, component: &ComponentStatus, engine: Option<&EngineStatus>) {
        let step = step(component, engine);
        if self.last.get(&component.name) != Some(&step) {
            // nobody reads what cannot be written
            let _ = writeln!(stderr(), "{}: {step}", component.name);
            self.last.insert(component.name.clone(), step);
        }
    }
}

/// Bars: one a component, over its tasks.
#[derive(Default)]
pub struct Bars {
    all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, component: &ComponentStatus, engine: Option<&EngineStatus>) {
        let all = &self.all;
        let bar = self.bars.entry(component.name.clone()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(0));
            let style = ProgressStyle::with_template("{prefix} {bar:32.cyan/dim} {pos:>4}/{len:<4} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(format!("{:<14}", component.name));
            bar
        });
        if bar.is_finished() {
            return;
        }
        if let Some(engine) = engine {
            bar.set_length(u64::from(engine.map.total) + u64::from(engine.reduce.total));
            bar.set_position(u64::from(engine.map.finished) + u64::from(engine.reduce.finished));
        }
        let message = step(component, engine);
        match component.health {
            Health::Succeeded | Health::Failed | Health::Skipped => bar.abandon_with_message(message),
            _ => bar.set_message(message),
        }
    }
}
