//! The engines under comparison, each behind the same few lines.
//!
//! An engine keeps its answers in memory of its own, in the type that it computes them in, at the place of the row: so
//! the timed loop holds nothing but the call, and every timed answer can be compared afterwards.

mod bosk;
mod hessboost;
mod lightgbm;
mod onnx;
mod python;
mod tribunal;
mod xgboost;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::case::Case;
use crate::clock::cpu_time;

/// Where the peers' shared libraries are.
#[derive(Debug, Clone)]
pub struct Libraries {
    /// The Python of the environment that holds the wheels.
    pub python: PathBuf,
    /// Its `site-packages`.
    pub packages: PathBuf,
    /// `bench/python`.
    pub scripts: PathBuf,
}

/// Answers for all rows; those of rows that were not asked for are `NaN`.
pub enum Answers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    /// Probabilities, from an engine that gives no margin.
    Probability(&'a [f64]),
}

/// Which calls to time: call number `i` takes `rows` rows, beginning at row `i x rows`, and starts anew at the end.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub rows: usize,
    pub first_call: usize,
    pub warmup: usize,
    pub calls: usize,
}

impl Round {
    /// First rows of the calls: first those that warm up, then those that are timed.
    fn starts(self, n_rows: usize, timed: bool) -> impl Iterator<Item = usize> {
        let (from, count) = if timed { (self.warmup, self.calls) } else { (0, self.warmup) };
        let distinct = n_rows / self.rows;
        (0..count).map(move |call| (self.first_call + from + call) % distinct * self.rows)
    }

    /// Spans of rows that the timed calls take.
    pub fn spans(self, n_rows: usize) -> impl Iterator<Item = (usize, usize)> {
        self.starts(n_rows, true).map(move |first| (first, self.rows))
    }
}

/// One way to get margins.
pub trait Engine {
    /// As in the results.
    fn name(&self) -> &str;

    /// One call of the library for rows `first..first + count`.
    fn predict(&mut self, first: usize, count: usize) -> Result<()>;

    /// What the calls so far gave.
    fn answers(&self) -> Answers<'_>;

    /// Whether one row after another was evicted from the cache can be timed.
    fn can_evict(&self) -> bool {
        true
    }

    /// CPU time of a round's timed calls.
    fn time(&mut self, round: Round, n_rows: usize) -> Result<Duration> {
        for first in round.starts(n_rows, false) {
            self.predict(first, round.rows)?;
        }
        let start = cpu_time();
        for first in round.starts(n_rows, true) {
            self.predict(first, round.rows)?;
        }
        Ok(cpu_time() - start)
    }
}

/// Something else than margins that is timed: loading, or contributions.
pub struct Task {
    /// As in the results.
    pub engine: String,
    /// Does it once and returns the CPU time.
    pub run: Box<dyn FnMut() -> Result<Duration>>,
}

impl Task {
    fn new(engine: &str, mut action: impl FnMut() -> Result<()> + 'static) -> Self {
        let run = Box::new(move || {
            let start = cpu_time();
            action()?;
            Ok(cpu_time() - start)
        });
        Self { engine: engine.to_owned(), run }
    }
}

/// All engines that read the model and that `wanted` names.
pub fn engines(
    case: &Arc<Case>,
    libraries: &Libraries,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Box<dyn Engine>>> {
    let mut all: Vec<Box<dyn Engine>> = Vec::new();
    if wanted("tribunal") {
        all.extend(tribunal::engines(case).context("tribunal")?);
    }
    if wanted("hessboost") {
        all.extend(hessboost::engines(case).context("hessboost")?);
    }
    if wanted("bosk") {
        all.extend(bosk::engines(case).context("bosk")?);
    }
    if wanted("xgboost c") {
        all.extend(xgboost::engines(case, libraries).context("xgboost")?);
    }
    if wanted("lightgbm c") {
        all.extend(lightgbm::engines(case, libraries).context("lightgbm")?);
    }
    if wanted("onnxruntime") {
        all.extend(onnx::engines(case, libraries).context("onnxruntime")?);
    }
    for (name, file) in [("xgboost python", "xgboost"), ("catboost python", "catboost")] {
        if let (true, Some(path)) = (wanted(name), case.file(file)) {
            all.push(Box::new(python::Worker::start(name, file, &path, case, libraries).context(name)?));
        }
    }
    Ok(all)
}

/// Loading the model file, from the file to a model that answered its first row.
pub fn loads(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let mut tasks = tribunal::loads(case)?;
    tasks.extend(hessboost::loads(case));
    tasks.extend(xgboost::loads(case, libraries)?);
    tasks.extend(lightgbm::loads(case, libraries)?);
    tasks.extend(onnx::loads(case, libraries)?);
    Ok(tasks)
}

/// Contributions (SHAP values) of one row after another.
pub fn contributions(case: &Arc<Case>, libraries: &Libraries) -> Result<Vec<Task>> {
    let mut tasks = tribunal::contributions(case)?;
    tasks.extend(hessboost::contributions(case)?);
    tasks.extend(xgboost::contributions(case, libraries)?);
    Ok(tasks)
}
