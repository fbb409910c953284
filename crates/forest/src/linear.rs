//! Linear models: XGBoost's `gblinear`, logistic regression.

use serde::{Deserialize, Serialize};

/// Weights instead of trees. A missing value counts as zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    /// Feature by feature: one weight per output (`n_features x n_outputs`).
    pub(crate) weights: Vec<f64>,
    /// One per output: where the sum starts.
    pub(crate) start: Vec<f64>,
    /// Computed in `f32` (XGBoost, ONNX); weights and start were `f32` in the file.
    pub(crate) single: bool,
}

impl Linear {
    /// Appends one row's margins.
    pub(crate) fn margins(&self, row: &[f32], out: &mut Vec<f64>) {
        let n_outputs = self.start.len();
        out.extend((0..n_outputs).map(|output| {
            let terms = row.iter().zip(self.weights.iter().skip(output).step_by(n_outputs));
            let terms = terms.filter(|(x, _)| !x.is_nan());
            if self.single {
                let start = self.start[output] as f32;
                f64::from(terms.fold(start, |sum, (&x, &w)| sum + x * w as f32))
            } else {
                terms.fold(self.start[output], |sum, (&x, &w)| sum + f64::from(x) * w)
            }
        }));
    }

    /// One row's contributions: weight x value, and where the sum starts; output by output, `n_features + 1` each.
    pub(crate) fn contributions(&self, row: &[f32], out: &mut [f64]) {
        let n_outputs = self.start.len();
        for (output, out) in out.chunks_exact_mut(row.len() + 1).enumerate() {
            for (i, &x) in row.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
                out[i] = f64::from(x) * self.weights[i * n_outputs + output];
            }
            out[row.len()] = self.start[output];
        }
    }
}
