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
//! All terms of the product are positive, so nothing cancels, unlike in the usual extend-and-unwind form.
//! Leaf by leaf the values sum to v (product of o - product of z): the sum over all is margin - expected.
//!
//! Sources: Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
//! 2020 (the game); Owen, "Multilinear extensions of games", 1972 (the integral).

use crate::error::PredictError;
use crate::forest::{Aggregation, Forest};
use crate::predict::flush_tiny;
use crate::tree::Node;

/// What moved one row's margin.
#[derive(Debug, Clone, PartialEq)]
pub struct Contributions {
    /// One per feature, in margin space (averaged trees: in probability space).
    pub values: Vec<f64>,
    /// Mean margin over the training data; with all `values` added it is the row's margin.
    pub expected: f64,
}

/// A feature on the way from the root.
#[derive(Clone, Copy)]
struct Step {
    feature: u16,
    zero: f64,
    one: f64,
}

/// A subtree that is still to be visited.
struct Pending {
    node: usize,
    /// Steps of the path above the parent's split.
    depth: usize,
    /// The split that leads here; `None` at the root.
    step: Option<Step>,
}

impl Forest {
    /// Contributions of every feature to one row's margin.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `row` is not one row; [`PredictError::NoCovers`] when the file holds
    /// no covers.
    pub fn contributions(&self, row: &[f32]) -> Result<Contributions, PredictError> {
        if row.len() != self.n_features {
            return Err(PredictError::RowLength { len: row.len(), n_features: self.n_features });
        }
        if self.trees.covers.is_empty() {
            return Err(PredictError::NoCovers);
        }
        let mut flushed = Vec::new();
        let row = if self.flush_tiny {
            flush_tiny(row, &mut flushed);
            &flushed
        } else {
            row
        };
        let mut out = Contributions { values: vec![0.0; self.n_features], expected: 0.0 };
        let mut scratch = Scratch::default();
        for (tree, &root) in self.trees.roots.iter().enumerate() {
            let weight = match &self.aggregation {
                Aggregation::SumF32 { tree_weights: Some(weights), .. } => {
                    weights.get(tree).map_or(1.0, |&w| f64::from(w))
                }
                Aggregation::Mean => 1.0 / self.trees.roots.len() as f64,
                _ => 1.0,
            };
            self.add_tree(root as usize, row, weight, &mut scratch, &mut out);
        }
        if let Aggregation::SumF32 { base, .. } = &self.aggregation {
            out.expected += f64::from(*base);
        }
        Ok(out)
    }

    fn add_tree(
        &self,
        root: usize,
        row: &[f32],
        weight: f64,
        scratch: &mut Scratch,
        out: &mut Contributions,
    ) {
        // The path as it is walked, a feature standing once for each of its splits.
        let mut path: Vec<Step> = Vec::new();
        let mut stack = vec![Pending { node: root, depth: 0, step: None }];
        while let Some(Pending { node: at, depth, step }) = stack.pop() {
            path.truncate(depth);
            path.extend(step);
            let (feature, right) = match self.trees.nodes[at] {
                Node::Leaf { value } => {
                    scratch.add_leaf(&path, value * weight, out);
                    continue;
                }
                Node::Numeric { feature, right, .. } | Node::Categorical { feature, right, .. } => {
                    (feature, right as usize)
                }
            };
            let goes_left = self.goes_left(self.trees.nodes[at], row);
            let share_left = self.share_left(at + 1, right);
            let depth = path.len();
            for (node, zero, follows) in
                [(right, 1.0 - share_left, !goes_left), (at + 1, share_left, goes_left)]
            {
                let one = if follows { 1.0 } else { 0.0 };
                stack.push(Pending { node, depth, step: Some(Step { feature, zero, one }) });
            }
        }
    }

    /// The share of the training data at a split that went left; a half when none went there at all.
    fn share_left(&self, left: usize, right: usize) -> f64 {
        let (left, right) = (self.trees.covers[left], self.trees.covers[right]);
        let both = left + right;
        if both > 0.0 { left / both } else { 0.5 }
    }
}

/// Memory that is used again for every leaf.
#[derive(Default)]
struct Scratch {
    /// The path with each feature once.
    merged: Vec<Step>,
    /// Products of the factors before position i, at one point.
    before: Vec<f64>,
    /// Integral per position.
    integrals: Vec<f64>,
    rules: Rules,
}

impl Scratch {
    fn add_leaf(&mut self, path: &[Step], value: f64, out: &mut Contributions) {
        self.merge(path);
        let unknown: f64 = self.merged.iter().map(|s| s.zero).product();
        out.expected += value * unknown;
        let n = self.merged.len();
        if n == 0 || value == 0.0 {
            return;
        }
        self.integrals.clear();
        self.integrals.resize(n, 0.0);
        for &(t, weight) in self.rules.of(n.div_ceil(2)) {
            self.before.clear();
            let mut product = weight;
            for step in &self.merged {
                self.before.push(product);
                product *= factor(step, t);
            }
            let mut after = 1.0;
            for i in (0..n).rev() {
                self.integrals[i] += self.before[i] * after;
                after *= factor(&self.merged[i], t);
            }
        }
        for (step, integral) in self.merged.iter().zip(&self.integrals) {
            out.values[usize::from(step.feature)] += value * (step.one - step.zero) * integral;
        }
    }

    /// Splits on the same feature are one condition: shares multiply, and the row follows all of them or not.
    fn merge(&mut self, path: &[Step]) {
        self.merged.clear();
        for step in path {
            match self.merged.iter_mut().find(|m| m.feature == step.feature) {
                Some(merged) => {
                    merged.zero *= step.zero;
                    merged.one *= step.one;
                }
                None => self.merged.push(*step),
            }
        }
    }
}

fn factor(step: &Step, t: f64) -> f64 {
    step.zero * (1.0 - t) + step.one * t
}

/// Gauss-Legendre rules on [0, 1] by number of points, rounded up to a power of two; made when first asked
/// for.
#[derive(Default)]
struct Rules {
    by_log2: Vec<Vec<(f64, f64)>>,
}

impl Rules {
    /// Points and weights, at least `n` of them.
    fn of(&mut self, n: usize) -> &[(f64, f64)] {
        let log2 = n.next_power_of_two().trailing_zeros() as usize;
        while self.by_log2.len() <= log2 {
            self.by_log2.push(gauss_legendre(1 << self.by_log2.len()));
        }
        &self.by_log2[log2]
    }
}

/// Points and weights of the rule with `n` points, exact up to degree 2n - 1: Newton's method on the Legendre
/// polynomial, from Tricomi's estimate of its roots.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let size = n as f64;
    (1..=n)
        .map(|k| {
            let mut x = (std::f64::consts::PI * (k as f64 - 0.25) / (size + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..8 {
                let (value, derivative) = legendre(n, x);
                x -= value / derivative;
                slope = derivative;
            }
            // The weight on [-1, 1] is 2 / ((1 - x^2) p'(x)^2); [0, 1] is half as long.
            ((x + 1.0) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// The Legendre polynomial of degree `n` at `x`, and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut below, mut here) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (below, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * below) / k);
    }
    (here, n as f64 * (x * here - below) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_integrate_their_highest_power() {
        for n in [1, 2, 4, 8, 16, 64, 512] {
            let rule = gauss_legendre(n);
            for power in [0, 1, n, 2 * n - 1] {
                let integral: f64 = rule.iter().map(|(t, w)| w * t.powi(power as i32)).sum();
                let exact = 1.0 / (power as f64 + 1.0);
                assert!((integral - exact).abs() < 1e-13, "{n} points, t^{power}: {integral} for {exact}");
            }
        }
    }
}
