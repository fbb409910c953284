//! What happens to a row before any tree sees it.

use serde::{Deserialize, Serialize};

/// LightGBM's `kZeroThreshold`.
const ZERO_THRESHOLD: f32 = 1e-35;

/// One step; the steps of a model are taken in order, in `f32`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum InputStep {
    /// LightGBM: a value of at most 1e-35 in magnitude becomes zero.
    FlushTiny,
    /// ONNX `Scaler`: (x - offset) x scale; one of each per feature, or one for all.
    Scale {
        /// Subtracted.
        offset: Vec<f32>,
        /// Multiplied with.
        scale: Vec<f32>,
    },
    /// ONNX `Normalizer`: divided by the row's norm, unless that is zero.
    Normalize(Norm),
}

/// A norm of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Norm {
    /// Greatest value (not magnitude), as onnxruntime has it.
    Max,
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
}

impl InputStep {
    /// Applies the step to whole rows, in place.
    pub(crate) fn apply(&self, rows: &mut [f32], n_features: usize) {
        match self {
            Self::FlushTiny => {
                rows.iter_mut().for_each(|x| *x = if x.abs() <= ZERO_THRESHOLD { 0.0 } else { *x });
            }
            Self::Scale { offset, scale } => {
                for row in rows.chunks_exact_mut(n_features) {
                    for (i, x) in row.iter_mut().enumerate() {
                        *x = (*x - pick(offset, i)) * pick(scale, i);
                    }
                }
            }
            Self::Normalize(norm) => rows.chunks_exact_mut(n_features).for_each(|row| norm.divide(row)),
        }
    }
}

/// The value of feature `i`, or the one that stands for all.
fn pick(values: &[f32], i: usize) -> f32 {
    values.get(i).or(values.first()).copied().unwrap_or_default()
}

impl Norm {
    fn divide(self, row: &mut [f32]) {
        let norm = match self {
            Self::Max => row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            Self::L1 => row.iter().map(|x| x.abs()).sum(),
            Self::L2 => row.iter().map(|x| x * x).sum::<f32>().sqrt(),
        };
        if norm != 0.0 {
            row.iter_mut().for_each(|x| *x /= norm);
        }
    }
}
