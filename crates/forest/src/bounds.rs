//! How far a row's margin can move when some of its features may have any value.
//!
//! [`Forest::bounds`] answers an interval per row and output, in margin space. Every value of the unknown features is
//! within it: any number, infinities and "missing" included, each feature by itself.
//!
//! # How
//! The features that are known decide most splits, and what they leave of each tree is small ([`residual`]). Of that,
//! the least and the greatest leaf that can be reached are added up. A path asks one feature several times; what is
//! possible of a feature is tracked along it ([`domain`]), so a tree's own ends are exact. Their sums are not, since two
//! trees may need different values of one feature. So the values are cut in two where a tree moves most, and each half
//! is bounded by itself, best half first, up to [`MAX_PIECES`] pieces or [`MAX_VISITS`] nodes a row: the interval is that
//! of all pieces. When every piece that holds an end is a single cell the interval is exact, which with one unknown
//! feature is the usual outcome; else it is wider than the truth, never narrower.
//!
//! # Why it is sound for what the engines compute
//! An engine's margin is a chain of additions in tree order, each rounded, in `f32` or `f64`, a product with a tree's
//! weight, a division by a positive count, a product with a scale. Rounded addition is monotone: from a <= b follows
//! fl(a + c) <= fl(b + c). So the same chain over each tree's least leaf is at most the chain over any leaves, bit for
//! bit, and no margin of safety is added. Weights and scales may be negative: ends are taken after the weight, and
//! swapped after the scale. With no unknown feature both ends are the margin itself.
//!
//! What it does not know: which values are likely, and which values of two features exclude each other. A model that
//! normalises rows has no known feature when one is unknown; a linear model's margin has no bounds when a feature with a
//! weight is unknown.

mod domain;
mod residual;
mod search;
#[cfg(test)]
mod tests;

use crate::error::PredictError;
use crate::forest::Forest;
use crate::input::InputStep;
use domain::Domains;
use search::Search;

/// Most pieces that the values of a row's unknown features are cut into.
const MAX_PIECES: usize = 32;
/// Most nodes that are visited to cut them.
const MAX_VISITS: usize = 1 << 15;

impl Forest {
    /// Least and greatest margin of row-major `rows` over every value of the unknown features, `n x n_outputs`,
    /// replacing the contents of `out`. `unknown` has one entry per feature, or one per value of `rows`; what `rows`
    /// hold there is not read.
    ///
    /// Both ends are the margin where nothing is unknown, and infinite where no bound can be given (a linear model, or
    /// leaves whose sum overflows).
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `rows` does not hold whole rows; [`PredictError::UnknownLength`] when `unknown`
    /// fits neither one row nor all.
    pub fn bounds(
        &self,
        rows: &[f32],
        unknown: &[bool],
        out: &mut Vec<(f64, f64)>,
    ) -> Result<(), PredictError> {
        out.clear();
        self.n_rows(rows)?;
        if unknown.len() != self.n_features && unknown.len() != rows.len() {
            let (len, expected) = (unknown.len(), self.n_features);
            return Err(PredictError::UnknownLength { len, expected });
        }
        let mixed = self.input.iter().any(|step| matches!(step, InputStep::Normalize(_)));
        let mut buffer = Vec::new();
        let mut domains = None;
        for (i, row) in rows.chunks_exact(self.n_features).enumerate() {
            let mut mask = match unknown.get(i * self.n_features..(i + 1) * self.n_features) {
                Some(own) if unknown.len() == rows.len() => own.to_vec(),
                _ => unknown.to_vec(),
            };
            if mixed && mask.contains(&true) {
                mask.fill(true);
            }
            let row = self.transformed(row, &mut buffer);
            if self.linear.is_some() {
                self.linear_bounds(row, &mask, out);
            } else {
                self.tree_bounds(row, mask, &mut domains, out)?;
            }
        }
        Ok(())
    }

    /// Appends the bounds of one row that went through the input steps.
    fn tree_bounds(
        &self,
        row: &[f32],
        mask: Vec<bool>,
        domains: &mut Option<Domains>,
        out: &mut Vec<(f64, f64)>,
    ) -> Result<(), PredictError> {
        let nodes = self.nodes()?;
        // Most rows of a batch lack the same sources.
        if domains.as_ref().is_none_or(|domains| domains.mask() != mask) {
            let flush = self.input.iter().any(|step| matches!(step, InputStep::FlushTiny));
            *domains = Some(Domains::new(nodes, mask, flush));
        }
        let Some(domains) = domains else { return Ok(()) };
        let mut search = Search::new(self, nodes, domains, row);
        out.extend((0..self.n_outputs).map(|output| search.bounds(output)));
        Ok(())
    }

    fn linear_bounds(&self, row: &[f32], mask: &[bool], out: &mut Vec<(f64, f64)>) {
        let Some(linear) = &self.linear else { return };
        let known: Vec<f32> = row.iter().zip(mask).map(|(&x, &u)| if u { f32::NAN } else { x }).collect();
        let mut margins = Vec::new();
        linear.margins(&known, &mut margins);
        out.extend(margins.iter().enumerate().map(|(output, &margin)| {
            let weights = linear.weights.iter().skip(output).step_by(self.n_outputs);
            let moves = weights.zip(mask).any(|(&weight, &unknown)| unknown && weight != 0.0);
            if moves { (f64::NEG_INFINITY, f64::INFINITY) } else { (margin, margin) }
        }));
    }
}
