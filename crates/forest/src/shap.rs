//! Exact path-dependent TreeSHAP: how much each feature moved one row's margin.
//!
//! For a leaf with value v, let each feature i on its path have `zero` z (the share of training data that
//! follows the path at i's splits) and `one` o (1 if the row follows it there, else 0). The Shapley value of
//! the game "v x product over features of o if known, z if not" is
//!
//! ```text
//! phi_i = v (o_i - z_i) * integral over t in [0, 1] of product over j != i of (z_j (1 - t) + o_j t)
//! ```
//!
//! a polynomial of degree (features on the path - 1), so Gauss-Legendre with half as many points is exact.
//! The product over j != i is the whole product divided by i's own factor, so the leaves of a subtree can be
//! summed first, point by point, and a feature's value is collected on the edges of its splits: time is nodes x
//! points, where leaf by leaf it would be leaves x features x points ([`walk`]). The values sum to v (product of o -
//! product of z) per leaf: the sum over all is margin - expected.
//!
//! What no row changes is computed once per forest: the shares of the splits, and each tree's expected value.
//!
//! Sources: Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
//! 2020 (the game); Owen, "Multilinear extensions of games", 1972 (the integral).

mod build;
mod plan;
mod quadrature;
mod walk;

use crate::error::PredictError;
use crate::forest::{Aggregation, Forest};
pub(crate) use plan::Plan;
use walk::Explainer;

/// What moved one row's margins.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributions {
    /// Output by output, one per feature (`n_outputs x n_features`), in margin space (averaged trees: in
    /// probability space).
    pub values: Vec<f64>,
    /// One per output: the mean margin over the training data; with the output's `values` added it is the row's
    /// margin.
    pub expected: Vec<f64>,
}

impl Forest {
    /// Contributions of every feature to one row's margins.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `row` is not one row; [`PredictError::NoCovers`] when the file holds
    /// no covers.
    pub fn contributions(&self, row: &[f32]) -> Result<Contributions, PredictError> {
        if row.len() != self.n_features {
            return Err(PredictError::RowLength { len: row.len(), n_features: self.n_features });
        }
        let mut all = Vec::new();
        self.contributions_batch(row, &mut all)?;
        let mut contributions = Contributions { values: Vec::new(), expected: Vec::new() };
        for output in all.chunks_exact(self.n_features + 1) {
            contributions.values.extend_from_slice(&output[..self.n_features]);
            contributions.expected.push(output[self.n_features]);
        }
        Ok(contributions)
    }

    /// Contributions to the margins of row-major `rows`, `n x n_outputs x (n_features + 1)`, replacing the contents
    /// of `out`: after an output's features comes its expected margin, as in XGBoost's `pred_contribs`.
    ///
    /// # Errors
    /// As for [`Forest::contributions`]; [`PredictError::RowLength`] when `rows` does not hold whole rows.
    pub fn contributions_batch(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        out.clear();
        let n = self.n_rows(rows)?;
        if !self.has_covers() {
            return Err(PredictError::NoCovers);
        }
        let width = self.n_outputs * (self.n_features + 1);
        out.resize(n * width, 0.0);
        let mut buffer = Vec::new();
        let rows = rows.chunks_exact(self.n_features).zip(out.chunks_exact_mut(width));
        if let Some(linear) = &self.linear {
            rows.for_each(|(row, out)| linear.contributions(self.transformed(row, &mut buffer), out));
            return Ok(());
        }
        let nodes = self.nodes()?;
        let mut explainer = Explainer::new(nodes, self.n_features, self.n_outputs);
        for (row, out) in rows {
            self.explain(self.transformed(row, &mut buffer), &mut explainer, out);
        }
        Ok(())
    }

    /// Adds one row's contributions to `out`, which is all zeros.
    fn explain(&self, row: &[f32], explainer: &mut Explainer<'_>, out: &mut [f64]) {
        let vectors = self.has_vector_leaves();
        explainer.start(row);
        for (output, out) in out.chunks_exact_mut(self.n_features + 1).enumerate() {
            explainer.clear();
            for tree in (0..self.n_trees()).filter(|&tree| vectors || self.output_of(tree) == output) {
                explainer.add(tree, self.weight_of(tree), if vectors { output } else { 0 });
            }
            let expected = explainer.write(out);
            out[self.n_features] = expected + self.offset_of(output);
        }
    }

    /// What a tree's leaves are multiplied with in the margin.
    fn weight_of(&self, tree: usize) -> f64 {
        match &self.aggregation {
            Aggregation::SumF32 { tree_weights: Some(weights), .. } => f64::from(weights[tree]),
            Aggregation::SumF32 { mean: false, .. } => 1.0,
            Aggregation::SumF64 { scale, .. } => *scale,
            Aggregation::SumF32 { mean: true, .. } | Aggregation::Mean => {
                1.0 / self.trees_per_output() as f64
            }
        }
    }

    /// The part of a margin that no tree gives.
    fn offset_of(&self, output: usize) -> f64 {
        match &self.aggregation {
            Aggregation::SumF32 { base, .. } => f64::from(base[output]),
            Aggregation::SumF64 { start, scale, bias, .. } => {
                start[output] * scale + bias.get(output).copied().unwrap_or_default()
            }
            Aggregation::Mean => 0.0,
        }
    }
}
