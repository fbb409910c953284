//! A model of the benchmark: its files, its rows, and the trainer's answers. `python/models.py` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// What the trainer computes its answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    F64,
}

#[derive(Debug, Deserialize)]
struct Document {
    n_features: usize,
    rows: usize,
    answer: Precision,
    trees: usize,
    nodes: usize,
    files: BTreeMap<String, String>,
    trainer: String,
}

/// A model with its rows and answers.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub n_features: usize,
    pub n_rows: usize,
    pub n_trees: usize,
    pub n_nodes: usize,
    pub precision: Precision,
    /// Name and version of the trainer.
    pub trainer: String,
    /// Row-major, `n_rows x n_features`; `NaN` is a missing value.
    pub rows: Vec<f32>,
    /// The trainer's margins, one per row.
    pub margins: Vec<f64>,
    pub folder: PathBuf,
    files: BTreeMap<String, String>,
}

impl Case {
    /// Reads the folder `root/name`.
    pub fn read(root: &Path, name: &str) -> Result<Self> {
        let folder = root.join(name);
        let text = std::fs::read(folder.join("case.json"))
            .with_context(|| format!("no model {name}: `make bench-forest` trains it"))?;
        let document: Document = serde_json::from_slice(&text)?;
        let rows: Vec<f32> = read(&folder.join("rows.f32"), f32::from_le_bytes)?;
        let margins: Vec<f64> = read(&folder.join("margins.f64"), f64::from_le_bytes)?;
        ensure!(
            rows.len() == document.rows * document.n_features,
            "{name}: rows.f32 has {} values",
            rows.len()
        );
        ensure!(margins.len() == document.rows, "{name}: margins.f64 has {} values", margins.len());
        Ok(Self {
            name: name.to_owned(),
            n_features: document.n_features,
            n_rows: document.rows,
            n_trees: document.trees,
            n_nodes: document.nodes,
            precision: document.answer,
            trainer: document.trainer,
            rows,
            margins,
            folder,
            files: document.files,
        })
    }

    /// The file that `reader` reads, if it reads this model.
    pub fn file(&self, reader: &str) -> Option<PathBuf> {
        self.files.get(reader).map(|name| self.folder.join(name))
    }

    /// Rows `first..first + count`.
    pub fn span(&self, first: usize, count: usize) -> &[f32] {
        &self.rows[first * self.n_features..(first + count) * self.n_features]
    }
}

fn read<T, const N: usize>(path: &Path, value: fn([u8; N]) -> T) -> Result<Vec<T>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect())
}
