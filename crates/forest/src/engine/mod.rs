//! From rows to margins: the engines, and which of them takes a call.
//!
//! The reference engine is slow and obviously right. The others give the same bits, faster, each for some shapes of
//! forest and some processors; [`Engine::available`] says which of them can take a forest here.

mod reference;

use crate::error::PredictError;
use crate::forest::Forest;

/// A way to compute margins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// Walks the nodes of the file one by one.
    Reference,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 1] = [Self::Reference];

    /// In reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
        }
    }

    /// The engines that can take `forest` on this processor.
    pub fn available(forest: &Forest) -> Vec<Self> {
        let _ = forest;
        Self::ALL.to_vec()
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The layouts of the fast engines, each made when first needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prepared {}

impl Forest {
    /// Margins of row-major `rows`, `n x n_outputs`, replacing the contents of `out`.
    ///
    /// XGBoost: the raw margin; LightGBM: the raw score; CatBoost: `RawFormulaVal`; averaged trees: the mean, which
    /// is the probability; isolation forest: the mean path length.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `rows` does not hold whole rows.
    pub fn margins(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        self.margins_with(Engine::Reference, rows, out)
    }

    /// As [`Forest::margins`], by one engine.
    ///
    /// # Errors
    /// As for [`Forest::margins`]; [`PredictError::NoEngine`] when the engine cannot take the forest here.
    pub fn margins_with(&self, engine: Engine, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        out.clear();
        self.n_rows(rows)?;
        match engine {
            Engine::Reference => self.reference_margins(rows, out),
        }
        Ok(())
    }

    /// Number of rows in `rows`.
    pub(crate) fn n_rows(&self, rows: &[f32]) -> Result<usize, PredictError> {
        if rows.len().is_multiple_of(self.n_features) {
            Ok(rows.len() / self.n_features)
        } else {
            Err(PredictError::RowLength { len: rows.len(), n_features: self.n_features })
        }
    }

    /// Rows as the trees see them: `rows` themselves, or their image in `buffer`.
    pub(crate) fn transformed<'a>(&self, rows: &'a [f32], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        if self.input.is_empty() {
            return rows;
        }
        buffer.clear();
        buffer.extend_from_slice(rows);
        self.input.iter().for_each(|step| step.apply(buffer, self.n_features));
        buffer
    }
}
