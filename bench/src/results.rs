//! The file of results.
//!
//! `rows` holds `{"model", "engine", "rows", "cache": "warm"|"evicted", "cpu_us_per_row", "answer": "exact"|ulp}`,
//! medians; `minimum` the same without the answer, minima. `loads` and `contributions` hold milliseconds.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::case::Case;
use crate::engines::Libraries;
use crate::measure::Measured;

/// `"exact"`, or the units in the last place.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Exact(&'static str),
    Ulp(u64),
}

#[derive(Debug, Serialize)]
struct Row {
    model: String,
    engine: String,
    rows: usize,
    cache: &'static str,
    cpu_us_per_row: f64,
    answer: Answer,
}

#[derive(Debug, Serialize)]
struct Minimum {
    model: String,
    engine: String,
    rows: usize,
    cache: &'static str,
    cpu_us_per_row: f64,
}

#[derive(Debug, Serialize)]
struct TaskTime {
    model: String,
    engine: String,
    cpu_ms: f64,
    cpu_ms_minimum: f64,
}

#[derive(Debug, Serialize)]
struct Model {
    name: String,
    trainer: String,
    trees: usize,
    nodes: usize,
    features: usize,
}

/// Everything that a run found.
#[derive(Debug, Serialize)]
pub struct Results {
    processor: String,
    date: String,
    versions: BTreeMap<String, String>,
    /// MiB read through before each evicted row.
    swept_mib: usize,
    models: Vec<Model>,
    rows: Vec<Row>,
    minimum: Vec<Minimum>,
    loads: Vec<TaskTime>,
    contributions: Vec<TaskTime>,
}

impl Results {
    pub fn new(libraries: &Libraries, swept_mib: usize) -> Result<Self> {
        Ok(Self {
            processor: crate::clock::processor(),
            date: jiff::Timestamp::now().to_string().chars().take_while(|&c| c != 'T').collect(),
            versions: versions(libraries)?,
            swept_mib,
            models: Vec::new(),
            rows: Vec::new(),
            minimum: Vec::new(),
            loads: Vec::new(),
            contributions: Vec::new(),
        })
    }

    pub fn model(&mut self, case: &Case) {
        self.models.push(Model {
            name: case.name.clone(),
            trainer: case.trainer.clone(),
            trees: case.n_trees,
            nodes: case.n_nodes,
            features: case.n_features,
        });
    }

    pub fn add(&mut self, case: &Case, measured: &[Measured]) {
        for m in measured {
            let (model, engine) = (case.name.clone(), m.engine.clone());
            let answer = if m.worst_ulp == 0 { Answer::Exact("exact") } else { Answer::Ulp(m.worst_ulp) };
            let (rows, cache) = (m.rows, m.cache.as_str());
            self.minimum.push(Minimum {
                model: model.clone(),
                engine: engine.clone(),
                rows,
                cache,
                cpu_us_per_row: rounded(m.minimum_us),
            });
            self.rows.push(Row { model, engine, rows, cache, cpu_us_per_row: rounded(m.median_us), answer });
        }
    }

    pub fn add_loads(&mut self, case: &Case, times: Vec<(String, f64, f64)>) {
        self.loads.extend(task_times(case, times));
    }

    pub fn add_contributions(&mut self, case: &Case, times: Vec<(String, f64, f64)>) {
        self.contributions.extend(task_times(case, times));
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

fn task_times(case: &Case, times: Vec<(String, f64, f64)>) -> impl Iterator<Item = TaskTime> {
    times.into_iter().map(|(engine, median, minimum)| TaskTime {
        model: case.name.clone(),
        engine,
        cpu_ms: rounded(median),
        cpu_ms_minimum: rounded(minimum),
    })
}

/// Four significant digits: more would be noise.
fn rounded(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - x.log10().floor() as i32);
    (x * scale).round() / scale
}

/// Of the wheels, from the folders that describe them; of the crates, as `Cargo.toml` pins them.
fn versions(libraries: &Libraries) -> Result<BTreeMap<String, String>> {
    let mut versions: BTreeMap<String, String> =
        [("hessboost", "0.4.6"), ("bosk", "0.1.0"), ("ort", "2.0.0-rc.15")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
    for entry in std::fs::read_dir(&libraries.packages)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some((name, version)) = name.strip_suffix(".dist-info").and_then(|name| name.split_once('-'))
        else {
            continue;
        };
        if ["xgboost", "lightgbm", "catboost", "onnxruntime", "scikit_learn"].contains(&name) {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    for (name, variable) in
        [("tribunal", "BENCH_COMMIT"), ("rustc", "BENCH_RUSTC"), ("python", "BENCH_PYTHON")]
    {
        if let Ok(version) = std::env::var(variable) {
            versions.insert(name.to_owned(), version);
        }
    }
    Ok(versions)
}
