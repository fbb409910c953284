//! bosk, which reads LightGBM's text and answers with the probability, one row of `f64` at a time.

use std::sync::Arc;

use anyhow::Result;
use bosk::LgbModel;

use super::{Answers, Engine};
use crate::case::Case;

struct Bosk {
    model: LgbModel,
    n_features: usize,
    /// The rows, widened outside the clock.
    rows: Vec<f64>,
    answers: Vec<f64>,
}

impl Engine for Bosk {
    fn name(&self) -> &str {
        "bosk"
    }

    fn predict(&mut self, first: usize, count: usize) -> Result<()> {
        let rows = self.rows[first * self.n_features..].chunks_exact(self.n_features);
        for (row, out) in rows.zip(&mut self.answers[first..first + count]) {
            *out = self.model.predict_unchecked(row);
        }
        Ok(())
    }

    fn answers(&self) -> Answers<'_> {
        Answers::Probability(&self.answers)
    }
}

/// Its one call.
pub fn engines(case: &Arc<Case>) -> Result<Vec<Box<dyn Engine>>> {
    let Some(path) = case.file("lightgbm") else { return Ok(Vec::new()) };
    Ok(vec![Box::new(Bosk {
        model: LgbModel::load(&path)?,
        n_features: case.n_features,
        rows: case.rows.iter().map(|&x| f64::from(x)).collect(),
        answers: vec![f64::NAN; case.n_rows],
    })])
}
