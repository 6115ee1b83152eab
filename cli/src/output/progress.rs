//! A run as it goes on: a bar a component on a terminal, a line a step elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tributary_crds::{ComponentStatus, EnginePhase, EngineStatus, Health, PipelineStatus};

use crate::local::Observer;
use crate::output::text::{counted, shown};

/// The longest step that is shown, in characters.
const MAX_STEP: usize = 400;

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
    let running = matches!(component.health, Health::Progressing | Health::Ready);
    let words = match engine.filter(|_| running) {
        Some(engine) => engine_step(engine),
        None => {
            let health = format!("{:?}", component.health).to_lowercase();
            match component.message.as_str() {
                message if message.is_empty() || component.health == Health::Succeeded => health,
                message => format!("{health}: {message}"),
            }
        }
    };
    shown(words.as_bytes(), MAX_STEP)
}

fn engine_step(engine: &EngineStatus) -> String {
    let tasks = |n: u32| counted(n.into(), "task");
    match engine.phase {
        EnginePhase::Planning if engine.message.is_empty() => "planning".into(),
        EnginePhase::Planning => engine.message.clone(),
        EnginePhase::Mapping => format!("mapping, {}", tasks(engine.map.total)),
        EnginePhase::Reducing => format!("reducing, {}", tasks(engine.reduce.total)),
        EnginePhase::Committing => "committing the output".into(),
        EnginePhase::Succeeded => "succeeded".into(),
        EnginePhase::Failed => format!("failed: {}", engine.message),
    }
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
