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
//! points, where leaf by leaf it would be leaves x features x points. A feature that is split on twice in one path
//! takes at the second split what it is worth there less what it was worth before.
//! The values sum to v (product of o - product of z) per leaf: the sum over all is margin - expected.
//!
//! Sources: Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
//! 2020 (the game); Owen, "Multilinear extensions of games", 1972 (the integral).

use std::sync::OnceLock;

use crate::MAX_DEPTH;
use crate::error::PredictError;
use crate::forest::{Aggregation, Forest};
use crate::tree::{Node, Nodes};

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

/// What the path from the root says of one feature; its factor at point t is zero (1 - t) + one t, which is above
/// zero within (0, 1) unless both shares are.
#[derive(Clone, Copy)]
struct Known {
    /// Share of the training data that follows the path at all splits on the feature.
    zero: f64,
    /// 1 if the row follows it at all of them, else 0.
    one: f64,
    /// Depth at which [`Walk::inverses`] has the inverse of the factor.
    inverse: usize,
}

impl Known {
    /// Not on the path: a factor of 1, whose inverse stands at the root.
    const NOTHING: Self = Self { zero: 1.0, one: 1.0, inverse: 0 };
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
        let nodes = self.nodes()?;
        let mut walk = Walk::new(nodes, self.n_features);
        for (row, out) in rows.chunks_exact(self.n_features).zip(out.chunks_exact_mut(width)) {
            let row = self.transformed(row, &mut buffer);
            match &self.linear {
                Some(linear) => linear.contributions(row, out),
                None => self.explain(nodes, row, &mut walk, out),
            }
        }
        Ok(())
    }

    /// Adds one row's contributions to `out`, which is all zeros.
    fn explain(&self, nodes: &Nodes, row: &[f32], walk: &mut Walk, out: &mut [f64]) {
        for tree in 0..self.n_trees() {
            let outputs = if self.has_vector_leaves() {
                0..self.n_outputs
            } else {
                let output = self.output_of(tree);
                output..output + 1
            };
            for output in outputs {
                let out = &mut out[output * (self.n_features + 1)..][..self.n_features + 1];
                walk.start(nodes.depths[tree], self.weight_of(tree), output);
                walk.visit(
                    nodes,
                    row,
                    out,
                    At { node: nodes.roots[tree] as usize, depth: 0, unknown: 1.0 },
                );
            }
        }
        for (output, out) in out.chunks_exact_mut(self.n_features + 1).enumerate() {
            out[self.n_features] += self.offset_of(output);
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

impl Nodes {
    /// The share of the training data at a split that went left; a half when none went there at all.
    fn share_left(&self, left: usize, right: usize) -> f64 {
        let (left, right) = (self.covers[left], self.covers[right]);
        let both = left + right;
        if both > 0.0 { left / both } else { 0.5 }
    }
}

/// Points that are computed side by side: a length that the compiler knows makes them one or two registers.
const LANES: usize = 4;
type Lanes = [f64; LANES];

/// Points and weights of a rule with whole lanes of points, whether or not fewer would be exact.
struct Rule {
    points: Vec<Lanes>,
    weights: Vec<Lanes>,
    /// 1 / (1 - t): of a feature that the row does not follow, the inverse of the factor is this over its share.
    inverse_rest: Vec<Lanes>,
}

/// Rows on their way through all trees. Vectors by depth have as many lanes per depth as the tree's rule.
struct Walk {
    /// For the present tree.
    rule: &'static Rule,
    /// Weight of the present tree.
    tree_weight: f64,
    /// The value that is explained, of leaves that are vectors.
    component: usize,
    /// By feature: what the path says of it.
    known: Vec<Known>,
    /// By depth: weight of the point x product of the factors of all features on the path.
    products: Vec<Lanes>,
    /// By depth: inverse of the factor of the feature that leads there.
    inverses: Vec<Lanes>,
    /// By depth: sum over the leaves below of value x product.
    sums: Vec<Lanes>,
}

/// A place on the way: a node, its depth, and the product of the path's zero shares.
#[derive(Clone, Copy)]
struct At {
    node: usize,
    depth: usize,
    unknown: f64,
}

impl Walk {
    fn new(trees: &Nodes, n_features: usize) -> Self {
        let rule = rule(trees.max_depth, n_features);
        let levels = vec![[0.0; LANES]; rule.points.len() * (trees.max_depth + 1)];
        Self {
            rule,
            tree_weight: 1.0,
            component: 0,
            known: vec![Known::NOTHING; n_features],
            products: levels.clone(),
            inverses: levels.clone(),
            sums: levels,
        }
    }

    fn start(&mut self, tree_depth: usize, tree_weight: f64, component: usize) {
        (self.tree_weight, self.component) = (tree_weight, component);
        self.rule = rule(tree_depth, self.known.len());
        let n = self.rule.points.len();
        self.products[..n].copy_from_slice(&self.rule.weights);
        self.inverses[..n].fill([1.0; LANES]);
    }

    /// Fills `sums` at the place's depth from the subtree there, and adds to `out`, which holds the output's features
    /// and then its expected margin. Recursion ends: a path has at most `max_depth` edges, which parsing bounds.
    fn visit(&mut self, nodes: &Nodes, row: &[f32], out: &mut [f64], at: At) {
        let n = self.rule.points.len();
        let here = at.depth * n..(at.depth + 1) * n;
        let node = nodes.nodes[at.node];
        let (feature, right) = match node {
            Node::Numeric { feature, right, .. } | Node::Categorical { feature, right, .. } => {
                (usize::from(feature), right as usize)
            }
            Node::Leaf { value } => return self.leaf(value, out, at),
            Node::Vector { at: first } => {
                return self.leaf(nodes.vectors[first as usize + self.component], out, at);
            }
        };
        self.sums[here].fill([0.0; LANES]);
        let goes_left = nodes.goes_left(node, row);
        let share_left = nodes.share_left(at.node + 1, right);
        for (child, share, follows) in
            [(at.node + 1, share_left, goes_left), (right, 1.0 - share_left, !goes_left)]
        {
            let above = self.known[feature];
            let one = if follows { above.one } else { 0.0 };
            let below = Known { zero: above.zero * share, one, inverse: at.depth + 1 };
            // Both zero: every product below is zero, known or not.
            if below.zero > 0.0 || below.one > 0.0 {
                self.descend(at.depth, above, below);
                self.known[feature] = below;
                let child = At { node: child, depth: at.depth + 1, unknown: at.unknown * share };
                self.visit(nodes, row, out, child);
                self.known[feature] = above;
                out[feature] += self.collect(at.depth, above, below);
            }
        }
    }

    fn leaf(&mut self, value: f64, out: &mut [f64], at: At) {
        let n = self.rule.points.len();
        let here = at.depth * n..(at.depth + 1) * n;
        let value = value * self.tree_weight;
        if let Some(expected) = out.last_mut() {
            *expected += value * at.unknown;
        }
        for (sum, product) in self.sums[here.clone()].iter_mut().zip(&self.products[here]) {
            *sum = product.map(|product| value * product);
        }
    }

    /// Products and the inverse one level down: the feature's factor is replaced.
    fn descend(&mut self, depth: usize, above: Known, below: Known) {
        let rule = self.rule;
        let n = rule.points.len();
        let (old, new) = self.products[depth * n..(depth + 2) * n].split_at_mut(n);
        let (upper, inverses) = self.inverses.split_at_mut(below.inverse * n);
        let above_inverse = &upper[above.inverse * n..][..n];
        let inverse_share = if below.one == 0.0 { 1.0 / below.zero } else { 0.0 };
        for i in 0..n {
            let factor = rule.points[i].map(|t| below.zero * (1.0 - t) + below.one * t);
            for l in 0..LANES {
                new[i][l] = old[i][l] * factor[l] * above_inverse[i][l];
            }
            inverses[i] = if below.one == 0.0 {
                rule.inverse_rest[i].map(|rest| rest * inverse_share)
            } else {
                factor.map(|factor| 1.0 / factor)
            };
        }
    }

    /// Adds the sums one level down to this level's, and gives the part of the feature's value that this edge
    /// makes: what it is worth below less what it was worth above.
    fn collect(&mut self, depth: usize, above: Known, below: Known) -> f64 {
        let n = self.rule.points.len();
        let (here, under) = self.sums[depth * n..(depth + 2) * n].split_at_mut(n);
        let above_inverse = &self.inverses[above.inverse * n..][..n];
        let below_inverse = &self.inverses[below.inverse * n..][..n];
        let (gain_above, gain_below) = (above.one - above.zero, below.one - below.zero);
        let mut value = [0.0; LANES];
        for i in 0..n {
            for l in 0..LANES {
                here[i][l] += under[i][l];
                value[l] +=
                    under[i][l] * (gain_below * below_inverse[i][l] - gain_above * above_inverse[i][l]);
            }
        }
        value.iter().sum()
    }
}

/// The rule that is exact for a tree: a path has no more features than edges, and none twice. Made when first asked
/// for, and kept.
fn rule(tree_depth: usize, n_features: usize) -> &'static Rule {
    static BY_LANES: [OnceLock<Rule>; MAX_DEPTH.div_ceil(2 * LANES)] =
        [const { OnceLock::new() }; MAX_DEPTH.div_ceil(2 * LANES)];
    let lanes = tree_depth.min(n_features).div_ceil(2 * LANES).clamp(1, BY_LANES.len());
    BY_LANES[lanes - 1].get_or_init(|| Rule::new(lanes))
}

impl Rule {
    fn new(lanes: usize) -> Self {
        let (mut points, mut weights) = (vec![[0.0; LANES]; lanes], vec![[0.0; LANES]; lanes]);
        for (i, (point, weight)) in gauss_legendre(lanes * LANES).into_iter().enumerate() {
            (points[i / LANES][i % LANES], weights[i / LANES][i % LANES]) = (point, weight);
        }
        let inverse_rest = points.iter().map(|lane| lane.map(|t| 1.0 / (1.0 - t))).collect();
        Self { points, weights, inverse_rest }
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
        for n in [1, 2, 3, 5, 8, 13, 64, 256] {
            let rule = gauss_legendre(n);
            for power in [0, 1, n, 2 * n - 1] {
                let integral: f64 = rule.iter().map(|(t, w)| w * t.powi(power as i32)).sum();
                let exact = 1.0 / (power as f64 + 1.0);
                assert!((integral - exact).abs() < 1e-13, "{n} points, t^{power}: {integral} for {exact}");
            }
        }
    }
}
