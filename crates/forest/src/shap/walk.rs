//! One row on its way through a tree, at all points of the quadrature at once.
//!
//! On the way down, `products` is the product over the path's features of their factors z (1 - t) + o t, times the
//! point's weight. On the way up, `sums` is the sum over a subtree's leaves of value x the factors of the features
//! that are split on within the subtree. With the product of the features above a split, without its own:
//!
//! ```text
//! sum here           = factor of the edge that the row follows x sum below it + the same of the other edge
//! value of a feature = product x (1 - share of the edge followed) x (sum below it - sum below the other edge)
//! ```
//!
//! The feature of a split may stand on the path already. If the row has left it there (o = 0), its factors are in
//! proportion, and it gains nothing more. If not, its factor above is divided out, and an edge is worth what the
//! feature gains below it less what it gained above.

use std::hint::select_unpredictable;

use super::quadrature::{LANES, Lanes, MAX_BLOCKS, Rule, blocks};
use super::steps::{Child, Step, Steps};
use crate::engine::Isa;
use crate::tree::Nodes;

/// What the path from the root says of one feature.
#[derive(Clone, Copy)]
struct Known {
    /// Share of the training data that follows the path at all splits on the feature.
    zero: f64,
    /// Whether the row follows the path at all of them.
    one: bool,
    /// Whether there is such a split.
    seen: bool,
}

impl Known {
    /// Not on the path.
    const NOTHING: Self = Self { zero: 1.0, one: true, seen: false };
}

/// Buffers for walks through the trees of one forest.
pub(crate) struct Explainer<'a> {
    nodes: &'a Nodes,
    steps: &'a Steps,
    wide: bool,
    known: Vec<Known>,
    /// By feature, point by point.
    values: Vec<Lanes>,
    expected: f64,
    /// By depth, as many lanes per depth as the tree's rule has.
    products: Vec<Lanes>,
    sums: Vec<Lanes>,
}

impl<'a> Explainer<'a> {
    /// For a forest that has covers.
    pub(crate) fn new(nodes: &'a Nodes, n_features: usize, n_outputs: usize) -> Self {
        let levels = vec![[0.0; LANES]; MAX_BLOCKS * (nodes.max_depth + 2)];
        Self {
            nodes,
            steps: nodes.steps(n_outputs),
            wide: Isa::Avx2.is_available(),
            known: vec![Known::NOTHING; n_features],
            values: vec![[0.0; LANES]; n_features],
            expected: 0.0,
            products: levels.clone(),
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
        self.expected += self.steps.expected[tree][component] * weight;
        let Some(root) = self.steps.roots[tree] else { return };
        let rule = Rule::of(blocks(self.nodes.depths[tree], row.len()));
        let walk = Passes { rule, row, root, weight, component };
        match rule.points.len() {
            1 => self.walk::<1>(&walk),
            2 => self.walk::<2>(&walk),
            _ => self.walk::<MAX_BLOCKS>(&walk),
        }
    }

    /// As many passes as it takes with N blocks of points at once: points do not know of each other.
    fn walk<const N: usize>(&mut self, passes: &Passes<'_>) {
        let Passes { rule, row, root, weight, component } = *passes;
        let blocks = |lanes: &'static [Lanes]| lanes.as_chunks::<N>().0;
        let rules = blocks(&rule.points).iter().zip(blocks(&rule.rests)).zip(blocks(&rule.weights));
        for ((points, rests), weights) in rules {
            let products: &mut [[Lanes; N]] = self.products.as_chunks_mut().0;
            products[0] = weights.map(|lanes| lanes.map(|w| w * weight));
            let mut walk = Walk::<N> {
                nodes: self.nodes,
                steps: &self.steps.steps,
                row,
                component,
                points,
                rests,
                known: &mut self.known,
                values: &mut self.values,
                products,
                sums: self.sums.as_chunks_mut().0,
            };
            #[cfg(target_arch = "x86_64")]
            if self.wide {
                wide::visit_from(&mut walk, root);
                continue;
            }
            baseline::visit(&mut walk, root, 0);
        }
    }
}

/// One row through one tree.
struct Passes<'a> {
    rule: &'static Rule,
    row: &'a [f32],
    root: usize,
    weight: f64,
    component: usize,
}

/// One tree's walk; N blocks of lanes.
struct Walk<'a, const N: usize> {
    nodes: &'a Nodes,
    steps: &'a [Step],
    row: &'a [f32],
    component: usize,
    points: &'static [Lanes; N],
    rests: &'static [Lanes; N],
    known: &'a mut [Known],
    values: &'a mut [Lanes],
    products: &'a mut [[Lanes; N]],
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

/// A split on the way, and its two edges: first the one that the row follows.
struct Split {
    feature: usize,
    children: [Child; 2],
    shares: [f64; 2],
}

impl<const N: usize> Walk<'_, N> {
    #[inline(always)]
    fn split(&self, at: usize) -> Split {
        let step = &self.steps[at];
        let (share, rest) = (step.share, 1.0 - step.share);
        let [left, right] = step.children();
        // Selected, not branched on: no processor guesses which way a row goes.
        let goes_left = step.goes_left(self.nodes, self.row);
        let either = |a: f64, b: f64| {
            // As bits: floats would be branched on.
            f64::from_bits(select_unpredictable(goes_left, a.to_bits(), b.to_bits()))
        };
        Split {
            feature: step.feature(),
            children: [
                select_unpredictable(goes_left, left, right),
                select_unpredictable(goes_left, right, left),
            ],
            shares: [either(share, rest), either(rest, share)],
        }
    }

    /// The value of a leaf; `None` at a split.
    #[inline(always)]
    fn leaf(&self, child: Child) -> Option<f64> {
        child.leaf(&self.nodes.vectors, self.component)
    }

    #[inline(always)]
    fn add(&mut self, feature: usize, value: [Lanes; N]) {
        let lanes = &mut self.values[feature];
        for block in value {
            for l in 0..LANES {
                lanes[l] += block[l];
            }
        }
    }
}

/// The recursion, compiled once for every set of instructions: it ends, since a path has at most `max_depth` edges,
/// which parsing bounds.
macro_rules! visits {
    ($(#[$attribute:meta])*) => {
        use super::{Child, Known, Lanes, Split, Walk, points};

        /// The sum of a child: a leaf's value, or what the walk through its split gives.
        $(#[$attribute])*
        #[inline]
        fn sum_of<const N: usize>(walk: &mut Walk<'_, N>, child: Child, depth: usize) -> [Lanes; N] {
            if let Some(value) = walk.leaf(child) {
                return [[value; super::LANES]; N];
            }
            visit(walk, child.step(), depth);
            walk.sums[depth]
        }

        /// The sum of the subtree at `at`, where `products` at `depth` says what the path makes.
        $(#[$attribute])*
        pub(super) fn visit<const N: usize>(walk: &mut Walk<'_, N>, at: usize, depth: usize) {
            let split = walk.split(at);
            let above = walk.known[split.feature];
            walk.sums[depth] = if !above.seen {
                new_feature(walk, &split, depth)
            } else if above.one {
                again(walk, &split, above, depth)
            } else {
                left_before(walk, &split, above, depth)
            };
        }

        /// A feature that is not on the path.
        $(#[$attribute])*
        #[inline]
        fn new_feature<const N: usize>(walk: &mut Walk<'_, N>, split: &Split, depth: usize) -> [Lanes; N] {
            let (t, rest) = (walk.points, walk.rests);
            let product = walk.products[depth];
            let [follows, leaves] = split.shares;
            let factor: [Lanes; N] = points(|i, l| follows * rest[i][l] + t[i][l]);
            if let (Some(a), Some(b)) = (walk.leaf(split.children[0]), walk.leaf(split.children[1])) {
                let worth = leaves * (a - b);
                walk.add(split.feature, points(|i, l| product[i][l] * worth));
                let b = b * leaves;
                return points(|i, l| factor[i][l] * a + rest[i][l] * b);
            }
            walk.products[depth + 1] = points(|i, l| product[i][l] * factor[i][l]);
            walk.known[split.feature] = Known { zero: follows, one: true, seen: true };
            let a = sum_of(walk, split.children[0], depth + 1);
            let mut b = [[0.0; super::LANES]; N];
            // Nothing went there, and neither does the row: its leaves count for nothing.
            if leaves > 0.0 {
                walk.products[depth + 1] = points(|i, l| product[i][l] * (leaves * rest[i][l]));
                walk.known[split.feature] = Known { zero: leaves, one: false, seen: true };
                b = sum_of(walk, split.children[1], depth + 1);
            }
            walk.known[split.feature] = Known::NOTHING;
            walk.add(split.feature, points(|i, l| product[i][l] * leaves * (a[i][l] - b[i][l])));
            points(|i, l| factor[i][l] * a[i][l] + leaves * rest[i][l] * b[i][l])
        }

        /// A feature that is on the path, and that the row has followed.
        $(#[$attribute])*
        fn again<const N: usize>(
            walk: &mut Walk<'_, N>,
            split: &Split,
            above: Known,
            depth: usize,
        ) -> [Lanes; N] {
            let (t, rest) = (walk.points, walk.rests);
            let inverse: [Lanes; N] = points(|i, l| 1.0 / (above.zero * rest[i][l] + t[i][l]));
            let product: [Lanes; N] = points(|i, l| walk.products[depth][i][l] * inverse[i][l]);
            let gain_above: [Lanes; N] = points(|i, l| (1.0 - above.zero) * inverse[i][l]);
            let mut sum = [[0.0; super::LANES]; N];
            for (child, share, one) in
                [(split.children[0], split.shares[0], true), (split.children[1], split.shares[1], false)]
            {
                let zero = above.zero * share;
                if zero == 0.0 && !one {
                    continue;
                }
                let follows = f64::from(u8::from(one));
                let factor: [Lanes; N] = points(|i, l| zero * rest[i][l] + follows * t[i][l]);
                walk.products[depth + 1] = points(|i, l| product[i][l] * factor[i][l]);
                walk.known[split.feature] = Known { zero, one, seen: true };
                let under = sum_of(walk, child, depth + 1);
                let gain = follows - zero;
                walk.add(
                    split.feature,
                    points(|i, l| product[i][l] * under[i][l] * (gain - gain_above[i][l] * factor[i][l])),
                );
                sum = points(|i, l| sum[i][l] + factor[i][l] * inverse[i][l] * under[i][l]);
            }
            walk.known[split.feature] = above;
            sum
        }

        /// A feature that the row has left on the path.
        $(#[$attribute])*
        fn left_before<const N: usize>(
            walk: &mut Walk<'_, N>,
            split: &Split,
            above: Known,
            depth: usize,
        ) -> [Lanes; N] {
            let product = walk.products[depth];
            let mut sum = [[0.0; super::LANES]; N];
            for (child, share) in split.children.into_iter().zip(split.shares) {
                let zero = above.zero * share;
                if zero > 0.0 {
                    walk.products[depth + 1] = points(|i, l| product[i][l] * share);
                    walk.known[split.feature] = Known { zero, one: false, seen: true };
                    let under = sum_of(walk, child, depth + 1);
                    sum = points(|i, l| sum[i][l] + share * under[i][l]);
                }
            }
            walk.known[split.feature] = above;
            sum
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
