//! The file of results: `figures` are what has a target, the other fields what they were read off.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::concurrent::Concurrent;
use crate::dataset::Measured;
use crate::dead::Dying;
use crate::lexical::Lexical;
use crate::machine::Machine;
use crate::spread::rounded;
use crate::{concurrent, dataset, dead, lexical};

/// One figure that has a target.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Whether it is to be at most, or at least, this.
    pub(crate) bound: &'static str,
    pub(crate) target: f64,
    /// Median over the runs.
    pub(crate) value: f64,
    pub(crate) runs: usize,
    pub(crate) met: bool,
}

/// Everything that a run found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) date: String,
    pub(crate) versions: BTreeMap<&'static str, String>,
    pub(crate) figures: Vec<Figure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrent: Option<Concurrent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dataset: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dead: Option<Dying>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lexical: Option<Lexical>,
}

impl Results {
    /// Reads the figures off the measurements.
    pub(crate) fn finish(&mut self, machine: Machine) {
        self.machine = machine;
        self.date = jiff::Timestamp::now().to_string().chars().take_while(|&c| c != 'T').collect();
        for (name, variable) in [("tribunal", "BENCH_COMMIT"), ("rustc", "BENCH_RUSTC")] {
            self.versions.extend(std::env::var(variable).map(|version| (name, version)));
        }
        let figures = [
            self.concurrent.as_ref().map(of_concurrent),
            self.dataset.as_ref().map(of_dataset),
            self.dead.as_ref().map(of_dead),
            self.lexical.as_ref().map(of_lexical),
        ];
        self.figures = figures.into_iter().flatten().flatten().collect();
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

fn at_most(what: String, unit: &'static str, target: f64, value: f64, runs: usize) -> Figure {
    let value = rounded(value);
    Figure { what, unit, bound: "at most", target, value, runs, met: value <= target }
}

fn at_least(what: String, unit: &'static str, target: f64, value: f64, runs: usize) -> Figure {
    let value = rounded(value);
    Figure { what, unit, bound: "at least", target, value, runs, met: value >= target }
}

/// Each way of asking, beyond what the slowest source takes itself; of the batched one the whole time too.
fn of_concurrent(measured: &Concurrent) -> Vec<Figure> {
    let (entities, sources, delay) = (measured.entities, measured.sources, measured.delay_ms);
    let about = format!("{entities} entities, {sources} sources, {delay} ms an answer");
    let beyond = measured.cases.iter().map(|case| {
        let what = match case.mode {
            "batched" => format!("{about}, batched: beyond the slowest source"),
            mode => format!("{about}, {mode}, {} at once: beyond the slowest source", case.concurrency),
        };
        at_most(what, "ms", concurrent::TARGET_MS, case.beyond_ms.median, case.ms.runs)
    });
    let mut figures: Vec<Figure> = beyond.collect();
    if let Some(batched) = measured.cases.iter().find(|case| case.mode == "batched") {
        let what = format!("{about}, batched: altogether");
        let value = batched.ms.median;
        figures.insert(0, at_most(what, "ms", concurrent::TARGET_MS, value, batched.ms.runs));
    }
    figures
}

fn of_dataset(measured: &Measured) -> Vec<Figure> {
    let millions = |count: u64| count as f64 / 1e6;
    let (names, ranges) = (millions(measured.domains), millions(measured.ranges));
    let about = format!("data set of {names:.1} million names and {ranges:.1} million ranges");
    let (load, memory) = (measured.ours.load_ms, measured.ours.memory_bytes);
    let mut figures = vec![
        at_most(format!("{about}: load"), "ms", dataset::TARGET_LOAD_MS, load.median, load.runs),
        at_most(format!("{about}: memory"), "bytes", dataset::TARGET_BYTES, memory.median, memory.runs),
    ];
    if let Some((kind, rate)) = measured.slowest() {
        let what = format!("{about}: lookups, the slowest kind ({kind})");
        figures.push(at_least(what, "per second and core", dataset::TARGET_LOOKUPS, rate.median, rate.runs));
    }
    figures
}

fn of_dead(measured: &Dying) -> Vec<Figure> {
    let about = format!("{} entities, {} dead sources", measured.entities, measured.sources.len());
    let figure = |case: &dead::Case| {
        let what = format!("{about}, budget {} ms: scored, beyond the budget", case.budget_ms);
        at_most(what, "ms", dead::TARGET_MS, case.beyond_ms.median, case.beyond_ms.runs)
    };
    measured.cases.iter().map(figure).collect()
}

fn of_lexical(measured: &Lexical) -> Vec<Figure> {
    let what = format!("lexical extraction, {} features", measured.features);
    let rate = measured.per_second;
    vec![at_least(what, "names per second and core", lexical::TARGET_PER_SECOND, rate.median, rate.runs)]
}
