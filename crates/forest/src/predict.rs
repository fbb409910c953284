//! From rows to margins and probabilities: the reference engine.
//!
//! Rows are taken in blocks, and every tree is walked for the whole block before the next tree, so that a
//! tree's nodes stay in the nearest cache; within a row the trees are summed in the order of the file, which
//! is what makes the sum exact.

use crate::error::PredictError;
use crate::forest::{Aggregation, Forest, Link};
use crate::tree::{CategoryRule, Missing, Node};

/// Rows walked through one tree before the next tree.
const BLOCK_ROWS: usize = 64;
/// LightGBM's `kZeroThreshold`.
const ZERO_THRESHOLD: f32 = 1e-35;

impl Forest {
    /// Margins of row-major `rows`, one per row, replacing the contents of `out`.
    ///
    /// XGBoost: the raw margin; LightGBM: the raw score; averaged trees: the mean, which is the probability.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `rows` does not hold whole rows.
    pub fn margins(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        out.clear();
        if !rows.len().is_multiple_of(self.n_features) {
            return Err(PredictError::RowLength { len: rows.len(), n_features: self.n_features });
        }
        out.reserve(rows.len() / self.n_features);
        let mut flushed = Vec::new();
        for block in rows.chunks(BLOCK_ROWS * self.n_features) {
            if self.flush_tiny {
                flush_tiny(block, &mut flushed);
                self.block_margins(&flushed, out);
            } else {
                self.block_margins(block, out);
            }
        }
        Ok(())
    }

    /// Probabilities of class 1 of row-major `rows`, one per row, replacing the contents of `out`.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] as for [`Forest::margins`]; [`PredictError::NoProbability`] when the model
    /// is a regression.
    pub fn probabilities(&self, rows: &[f32], out: &mut Vec<f64>) -> Result<(), PredictError> {
        if self.link == Link::Identity {
            out.clear();
            return Err(PredictError::NoProbability { objective: self.objective.clone() });
        }
        self.margins(rows, out)?;
        let Link::Logistic { slope } = self.link else {
            // A mean of leaves that are rounded up may be, too.
            out.iter_mut().for_each(|m| *m = m.min(1.0));
            return Ok(());
        };
        match self.aggregation {
            Aggregation::SumF32 { .. } => out.iter_mut().for_each(|m| *m = sigmoid_f32(*m as f32)),
            Aggregation::SumF64 { averaged: true } => {
                let n = self.trees.roots.len() as f64;
                out.iter_mut().for_each(|m| *m = sigmoid(slope * (*m / n)));
            }
            _ => out.iter_mut().for_each(|m| *m = sigmoid(slope * *m)),
        }
        Ok(())
    }

    fn block_margins(&self, block: &[f32], out: &mut Vec<f64>) {
        match &self.aggregation {
            Aggregation::SumF32 { base, tree_weights } => {
                let mut sums = [*base; BLOCK_ROWS];
                for (tree, &root) in self.trees.roots.iter().enumerate() {
                    let weight = tree_weights.as_ref().and_then(|w| w.get(tree));
                    for (sum, row) in sums.iter_mut().zip(block.chunks_exact(self.n_features)) {
                        // Exact: these leaves were `f32` in the file.
                        let leaf = self.leaf(root, row) as f32;
                        *sum += weight.map_or(leaf, |w| w * leaf);
                    }
                }
                out.extend(sums.iter().take(block.len() / self.n_features).map(|&s| f64::from(s)));
            }
            Aggregation::SumF64 { .. } => self.block_sums(block, 1.0, out),
            Aggregation::Mean => self.block_sums(block, self.trees.roots.len() as f64, out),
        }
    }

    fn block_sums(&self, block: &[f32], divisor: f64, out: &mut Vec<f64>) {
        let mut sums = [0.0_f64; BLOCK_ROWS];
        for &root in &self.trees.roots {
            for (sum, row) in sums.iter_mut().zip(block.chunks_exact(self.n_features)) {
                *sum += self.leaf(root, row);
            }
        }
        out.extend(sums.iter().take(block.len() / self.n_features).map(|s| s / divisor));
    }

    /// The value of the leaf that `row` reaches. The walk ends: children stand behind their parent.
    fn leaf(&self, root: u32, row: &[f32]) -> f64 {
        let mut at = root as usize;
        loop {
            match self.trees.nodes[at] {
                Node::Leaf { value } => return value,
                Node::Numeric { feature, missing, threshold, right } => {
                    let left = numeric_goes_left(row[usize::from(feature)], threshold, missing);
                    at = if left { at + 1 } else { right as usize };
                }
                Node::Categorical { feature, rule, set, right } => {
                    let value = row[usize::from(feature)];
                    let left = category_goes_left(value, &self.trees.sets[set as usize], rule);
                    at = if left { at + 1 } else { right as usize };
                }
            }
        }
    }

    /// Whether `row` goes left at `node`; `false` at a leaf.
    pub(crate) fn goes_left(&self, node: Node, row: &[f32]) -> bool {
        match node {
            Node::Leaf { .. } => false,
            Node::Numeric { feature, missing, threshold, .. } => {
                numeric_goes_left(row[usize::from(feature)], threshold, missing)
            }
            Node::Categorical { feature, rule, set, .. } => {
                category_goes_left(row[usize::from(feature)], &self.trees.sets[set as usize], rule)
            }
        }
    }
}

/// Copies `block` with every value of at most 1e-35 in magnitude replaced by zero.
pub(crate) fn flush_tiny(block: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(block.iter().map(|&x| if x.abs() <= ZERO_THRESHOLD { 0.0 } else { x }));
}

#[inline]
fn numeric_goes_left(x: f32, threshold: f32, missing: Missing) -> bool {
    if x.is_nan() {
        return matches!(missing, Missing::Left | Missing::ZeroLeft);
    }
    match missing {
        Missing::ZeroLeft if x == 0.0 => true,
        Missing::ZeroRight if x == 0.0 => false,
        // Not `x < threshold`: a threshold of `NaN` sends every present value left.
        _ => !matches!(
            x.partial_cmp(&threshold),
            Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
        ),
    }
}

fn category_goes_left(x: f32, set: &[u32], rule: CategoryRule) -> bool {
    // Truncated, as both trainers do; XGBoost looks at the sign before, LightGBM after (-0.5 is its category
    // 0).
    let category = x as i64;
    match rule {
        CategoryRule::Lightgbm => !x.is_nan() && contains(set, category),
        CategoryRule::XgboostMissingLeft if x.is_nan() => true,
        CategoryRule::XgboostMissingRight if x.is_nan() => false,
        CategoryRule::XgboostMissingLeft | CategoryRule::XgboostMissingRight => {
            x < 0.0 || !contains(set, category)
        }
    }
}

fn contains(set: &[u32], category: i64) -> bool {
    let word = usize::try_from(category / 32).ok().and_then(|w| set.get(w));
    category >= 0 && word.is_some_and(|bits| bits >> (category % 32) & 1 == 1)
}

/// LightGBM's logistic function.
fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// XGBoost's logistic function, in `f32`.
fn sigmoid_f32(margin: f32) -> f64 {
    const EPSILON: f32 = 1e-16;
    let negated = (-margin).min(88.7);
    f64::from(1.0 / (negated.exp() + 1.0 + EPSILON))
}
