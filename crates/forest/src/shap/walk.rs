//! One row on its way through a tree, at all points of the quadrature at once.
//!
//! On the way down, `products` is the product over the path's features of their factors z (1 - t) + o t, times the
//! point's weight; on the way up, `sums` is the sum over a subtree's leaves of value x product. An edge adds to its
//! split's feature what the feature is worth below it less what it was worth above:
//!
//! ```text
//! sum x ((o - z) / factor, below the edge)  -  sum x ((o - z) / factor, above it)
//! ```
//!
//! A feature that the row has left once (o = 0) is worth -1 / (1 - t) from there on, whatever its shares: its later
//! splits add nothing to it and scale the product by their share, so only the edge that the row follows costs a
//! division.

use super::Shares;
use super::quadrature::{LANES, Lanes, Rule, blocks};
use crate::engine::Isa;
use crate::tree::{Node, Nodes};

/// What the path from the root says of one feature.
#[derive(Clone, Copy)]
struct Known {
    /// Share of the training data that follows the path at all splits on the feature.
    zero: f64,
    /// Depth at which [`Walk::inverses`] has the inverse of the factor; read only if the row follows.
    inverse: u32,
    /// Whether the row follows the path at all of them.
    one: bool,
}

impl Known {
    /// Not on the path: a factor of 1, whose inverse stands at the root.
    const NOTHING: Self = Self { zero: 1.0, inverse: 0, one: true };
}

/// Buffers for walks through the trees of one forest.
pub(crate) struct Explainer<'a> {
    nodes: &'a Nodes,
    shares: &'a Shares,
    wide: bool,
    known: Vec<Known>,
    /// By feature, point by point.
    values: Vec<Lanes>,
    expected: f64,
    /// By depth, as many lanes per depth as the tree's rule has.
    products: Vec<Lanes>,
    inverses: Vec<Lanes>,
    sums: Vec<Lanes>,
}

impl<'a> Explainer<'a> {
    /// For a forest that has covers.
    pub(crate) fn new(nodes: &'a Nodes, n_features: usize, n_outputs: usize) -> Self {
        let levels = vec![[0.0; LANES]; blocks(nodes.max_depth, n_features) * (nodes.max_depth + 2)];
        Self {
            nodes,
            shares: nodes.shares(n_outputs),
            wide: Isa::Avx2.is_available(),
            known: vec![Known::NOTHING; n_features],
            values: vec![[0.0; LANES]; n_features],
            expected: 0.0,
            products: levels.clone(),
            inverses: levels.clone(),
            sums: levels,
        }
    }

    /// Forgets what was added.
    pub(crate) fn clear(&mut self) {
        self.values.fill([0.0; LANES]);
        self.expected = 0.0;
    }

    /// Writes what was added, one value per feature, and gives the expected value.
    pub(crate) fn write(&self, out: &mut [f64]) -> f64 {
        for (out, lanes) in out.iter_mut().zip(&self.values) {
            *out = lanes.iter().sum();
        }
        self.expected
    }

    /// Adds one tree's contributions; `component` is the value that is explained of leaves that are vectors.
    pub(crate) fn add(&mut self, row: &[f32], tree: usize, weight: f64, component: usize) {
        self.expected += self.shares.expected[tree][component] * weight;
        let root = self.nodes.roots[tree] as usize;
        if let Node::Leaf { .. } | Node::Vector { .. } = self.nodes.nodes[root] {
            return;
        }
        match blocks(self.nodes.depths[tree], row.len()) {
            1 => self.walk::<1>(row, root, weight, component),
            2 => self.walk::<2>(row, root, weight, component),
            3 => self.walk::<3>(row, root, weight, component),
            4 => self.walk::<4>(row, root, weight, component),
            8 => self.walk::<8>(row, root, weight, component),
            16 => self.walk::<16>(row, root, weight, component),
            32 => self.walk::<32>(row, root, weight, component),
            _ => self.walk::<64>(row, root, weight, component),
        }
    }

    fn walk<const N: usize>(&mut self, row: &[f32], root: usize, weight: f64, component: usize) {
        let rule = Rule::of(N);
        for (product, weights) in self.products.iter_mut().zip(&rule.weights) {
            *product = weights.map(|w| w * weight);
        }
        self.inverses[..N].fill([1.0; LANES]);
        let mut walk = Walk::<N> {
            nodes: self.nodes,
            share_left: &self.shares.left,
            row,
            component,
            rule,
            known: &mut self.known,
            values: &mut self.values,
            products: self.products.as_chunks_mut().0,
            inverses: self.inverses.as_chunks_mut().0,
            sums: self.sums.as_chunks_mut().0,
        };
        #[cfg(target_arch = "x86_64")]
        if self.wide {
            return wide::visit_from(&mut walk, root);
        }
        baseline::visit(&mut walk, root, 0);
    }
}

/// One tree's walk; N blocks of lanes.
struct Walk<'a, const N: usize> {
    nodes: &'a Nodes,
    share_left: &'a [f64],
    row: &'a [f32],
    component: usize,
    rule: &'static Rule,
    known: &'a mut [Known],
    values: &'a mut [Lanes],
    products: &'a mut [[Lanes; N]],
    inverses: &'a mut [[Lanes; N]],
    sums: &'a mut [[Lanes; N]],
}

/// Point by point.
#[inline(always)]
fn points<const N: usize>(value: impl Fn(usize, usize) -> f64) -> [Lanes; N] {
    let mut out = [[0.0; LANES]; N];
    for (i, lanes) in out.iter_mut().enumerate() {
        for (l, out) in lanes.iter_mut().enumerate() {
            *out = value(i, l);
        }
    }
    out
}

/// The recursion, compiled once for every set of instructions: it ends, since a path has at most `max_depth` edges,
/// which parsing bounds.
macro_rules! visits {
    ($(#[$attribute:meta])*) => {
        use super::{Known, LANES, Lanes, Walk, points};
        use crate::tree::Node;

        /// Fills `sums` at `depth` from the split at `at`, where `products` says what the path makes.
        $(#[$attribute])*
        pub(super) fn visit<const N: usize>(walk: &mut Walk<'_, N>, at: usize, depth: usize) {
            let node = walk.nodes.nodes[at];
            let (Node::Numeric { feature, right, .. } | Node::Categorical { feature, right, .. }) = node else {
                return;
            };
            let (feature, left, right) = (usize::from(feature), at + 1, right as usize);
            let share = walk.share_left[at];
            let (follows, leaves, s_follows, s_leaves) = match walk.nodes.goes_left(node, walk.row) {
                true => (left, right, share, 1.0 - share),
                false => (right, left, 1.0 - share, share),
            };
            let above = walk.known[feature];
            let product = walk.products[depth];
            let mut sum = [[0.0; LANES]; N];
            if !above.one {
                for (child, share) in [(follows, s_follows), (leaves, s_leaves)] {
                    let zero = above.zero * share;
                    // Nothing went there, and the row has left it: every product below is zero.
                    if zero > 0.0 {
                        walk.products[depth + 1] = points(|i, l| product[i][l] * share);
                        let under = subtree(walk, child, depth + 1, feature, Known { zero, ..above });
                        sum = points(|i, l| sum[i][l] + under[i][l]);
                    }
                }
            } else {
                let rule = walk.rule;
                let (t, rest) = (&rule.points[..N], &rule.rests[..N]);
                let inverse_above = walk.inverses[above.inverse as usize];
                let product: [Lanes; N] = points(|i, l| product[i][l] * inverse_above[i][l]);
                let gain_above = 1.0 - above.zero;

                let zero = above.zero * s_follows;
                let factor: [Lanes; N] = points(|i, l| zero * rest[i][l] + t[i][l]);
                let inverse: [Lanes; N] = points(|i, l| 1.0 / factor[i][l]);
                walk.products[depth + 1] = points(|i, l| product[i][l] * factor[i][l]);
                walk.inverses[depth + 1] = inverse;
                let known = Known { zero, inverse: depth as u32 + 1, one: true };
                sum = subtree(walk, follows, depth + 1, feature, known);
                let gain = 1.0 - zero;
                let mut value: [Lanes; N] =
                    points(|i, l| sum[i][l] * (gain * inverse[i][l] - gain_above * inverse_above[i][l]));

                let zero = above.zero * s_leaves;
                if zero > 0.0 {
                    walk.products[depth + 1] = points(|i, l| product[i][l] * (zero * rest[i][l]));
                    let known = Known { zero, inverse: 0, one: false };
                    let under = subtree(walk, leaves, depth + 1, feature, known);
                    let inverse_rest = &rule.inverse_rests[..N];
                    value = points(|i, l| {
                        value[i][l] - under[i][l] * (inverse_rest[i][l] + gain_above * inverse_above[i][l])
                    });
                    sum = points(|i, l| sum[i][l] + under[i][l]);
                }
                for block in value {
                    let lanes = &mut walk.values[feature];
                    for l in 0..LANES {
                        lanes[l] += block[l];
                    }
                }
            }
            walk.known[feature] = above;
            walk.sums[depth] = sum;
        }

        /// The sum over a child's leaves, under what its edge says of the feature.
        $(#[$attribute])*
        #[inline]
        fn subtree<const N: usize>(
            walk: &mut Walk<'_, N>,
            child: usize,
            depth: usize,
            feature: usize,
            known: Known,
        ) -> [Lanes; N] {
            let value = match walk.nodes.nodes[child] {
                Node::Leaf { value } => value,
                Node::Vector { at } => walk.nodes.vectors[at as usize + walk.component],
                Node::Numeric { .. } | Node::Categorical { .. } => {
                    walk.known[feature] = known;
                    visit(walk, child, depth);
                    return walk.sums[depth];
                }
            };
            let product = &walk.products[depth];
            points(|i, l| value * product[i][l])
        }
    };
}

mod baseline {
    visits!();
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions for AVX2 are called where the processor has it")]
mod wide {
    visits!(#[target_feature(enable = "avx2")]);

    /// As `visit` from the root. Only an [`super::Explainer`] that found AVX2 calls it.
    pub(super) fn visit_from<const N: usize>(walk: &mut Walk<'_, N>, root: usize) {
        // SAFETY: `Explainer::new` set `wide` from `Isa::Avx2.is_available()`.
        unsafe { visit(walk, root, 0) }
    }
}
