//! One row on its way through a tree, at all points of the quadrature at once.
//!
//! On the way down, `lanes` of a slot is P, the product over the path's features of their factors z (1 - t) + o t, times
//! the point's weight. On the way up it is S, the sum over a subtree's leaves of value x the factors of the features
//! that are split on within the subtree. At a split, let s be the share of its left edge, m be 1 if the row goes left and
//! 0 if not, and r what the left edge makes of P; the right edge makes 1 - r of it:
//!
//! ```text
//! P left             = r P              P right = (1 - r) P
//! S                  = r S left + (1 - r) S right
//! value of a feature = u (m - s) P (S left - S right)
//! r                  = m - (m - s) w
//! ```
//!
//! For a feature that is new on the path, w = 1 - t and u = 1: r is the factor s (1 - t) + m t itself, and m - s is what
//! the feature gains on the left edge, and loses on the right one. For one that was split on further up, where z and o
//! are its zero and one so far, let f = z (1 - t) + o t be its factor there. It is divided out, and an edge is worth
//! what the feature gains below it less what it gained above. This comes to w = z (1 - t) / f and u = o z / f^2: where
//! the row has left the feature's path (o = 0), w = 1, factors are in proportion, and nothing more is gained.

use std::hint::select_unpredictable;

use super::plan::{Part, Plan, Split, Tree};
use super::quadrature::{LANES, Lanes, MAX_BLOCKS, Rule, blocks};
use crate::engine::Isa;
use crate::tree::Nodes;

/// Buffers for walks through the trees of one forest.
pub(crate) struct Explainer<'a> {
    nodes: &'a Nodes,
    plan: &'a Plan,
    wide: bool,
    /// Of the row at hand.
    columns: Vec<f32>,
    /// By feature, point by point.
    values: Vec<Lanes>,
    expected: f64,
    /// By slot, as many lanes as the tree's rule has.
    lanes: Vec<Lanes>,
    /// By slot, 1 if the row goes left there, 0 if it does not.
    lefts: Vec<f64>,
    /// By number of a feature that comes again, w and u, as many lanes each.
    weights: Vec<Lanes>,
    /// Likewise, whether the row follows the path at all splits on the feature further up: 1 or 0.
    ones: Vec<f64>,
}

impl<'a> Explainer<'a> {
    /// For a forest that has covers.
    pub(crate) fn new(nodes: &'a Nodes, n_features: usize, n_outputs: usize) -> Self {
        let plan = nodes.plan(n_features, n_outputs);
        let blocks = blocks(plan.most_features).min(MAX_BLOCKS);
        Self {
            nodes,
            plan,
            wide: Isa::Avx2.is_available(),
            columns: Vec::with_capacity(plan.columns.len()),
            values: vec![[0.0; LANES]; n_features],
            expected: 0.0,
            lanes: vec![[0.0; LANES]; blocks * plan.n_slots],
            lefts: vec![0.0; plan.n_slots],
            weights: vec![[0.0; LANES]; 2 * blocks * plan.n_agains],
            ones: vec![1.0; plan.n_agains],
        }
    }

    /// Takes another row.
    pub(crate) fn start(&mut self, row: &[f32]) {
        self.columns.clear();
        self.columns.extend(self.plan.columns.iter().map(|column| column.value(self.nodes, row)));
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
    pub(crate) fn add(&mut self, tree: usize, weight: f64, component: usize) {
        self.expected += self.plan.expected[tree][component] * weight;
        let Some(tree) = self.plan.trees[tree] else { return };
        match blocks(tree.most_features) {
            1 => self.walk::<1>(tree, weight, component),
            2 => self.walk::<2>(tree, weight, component),
            _ => self.walk::<MAX_BLOCKS>(tree, weight, component),
        }
    }

    /// As many passes as it takes with N blocks of points at once: points do not know of each other.
    fn walk<const N: usize>(&mut self, tree: Tree, weight: f64, component: usize) {
        let rule = Rule::of(blocks(tree.most_features));
        let chunks = |lanes: &'static [Lanes]| lanes.as_chunks::<N>().0;
        let rules = chunks(&rule.points).iter().zip(chunks(&rule.rests)).zip(chunks(&rule.weights));
        for ((points, rests), weights) in rules {
            let lanes: &mut [[Lanes; N]] = self.lanes.as_chunks_mut().0;
            lanes[0] = each(|i, l| weights[i][l] * weight);
            let again: &mut [[[Lanes; N]; 2]] = self.weights.as_chunks_mut().0.as_chunks_mut().0;
            again[0] = [*rests, [[1.0; LANES]; N]];
            let mut walk = Walk::<N> {
                plan: self.plan,
                columns: &self.columns,
                component,
                points,
                rests,
                values: &mut self.values,
                lanes,
                lefts: &mut self.lefts,
                weights: again,
                ones: &mut self.ones,
            };
            #[cfg(target_arch = "x86_64")]
            if self.wide {
                wide::tree(&mut walk, tree);
                continue;
            }
            walk.tree(tree);
        }
    }
}

/// One row's walk.
struct Walk<'a, const N: usize> {
    plan: &'a Plan,
    columns: &'a [f32],
    component: usize,
    points: &'static [Lanes; N],
    rests: &'static [Lanes; N],
    values: &'a mut [Lanes],
    lanes: &'a mut [[Lanes; N]],
    lefts: &'a mut [f64],
    weights: &'a mut [[[Lanes; N]; 2]],
    ones: &'a mut [f64],
}

/// Point by point.
#[inline(always)]
fn each<const N: usize>(value: impl Fn(usize, usize) -> f64) -> [Lanes; N] {
    let mut out = [[0.0; LANES]; N];
    for (i, lanes) in out.iter_mut().enumerate() {
        for (l, out) in lanes.iter_mut().enumerate() {
            *out = value(i, l);
        }
    }
    out
}

// Inlined into one function for every set of instructions.
impl<const N: usize> Walk<'_, N> {
    #[inline(always)]
    fn tree(&mut self, tree: Tree) {
        let parts = &self.plan.parts[tree.first_part..][..tree.n_parts];
        let Some((upper, below)) = parts.split_first() else { return };
        self.down(upper);
        for part in below {
            self.lanes[part.slot] = self.lanes[part.above];
            self.down(part);
            self.up(part);
            self.lanes[part.above] = self.lanes[part.slot];
        }
        self.up(upper);
    }

    /// Which edges the row follows, and the products of all paths; then the sums of twigs and leaves.
    #[inline(always)]
    fn down(&mut self, part: &Part) {
        self.decide(part);
        self.recall(part);
        self.products(part);
        self.sums_of_twigs(part);
        self.sums_of_leaves(part);
    }

    #[inline(always)]
    fn decide(&mut self, part: &Part) {
        let plan = self.plan;
        let (inner, twigs) =
            self.lefts[part.slot..][..part.inner.1 + part.twigs.1].split_at_mut(part.inner.1);
        let left = |split: &Split| {
            let left = self.columns[split.column as usize] < split.threshold;
            // Selected, not branched on: no processor guesses which way a row goes. As bits: floats would be.
            f64::from_bits(select_unpredictable(left, 1.0_f64.to_bits(), 0))
        };
        plan.inner_of(part).iter().zip(inner).for_each(|(inner, out)| *out = left(&inner.split));
        plan.twigs_of(part).iter().zip(twigs).for_each(|(split, out)| *out = left(split));
    }

    /// w and u of the features that come again.
    #[inline(always)]
    fn recall(&mut self, part: &Part) {
        let (t, rest) = (self.points, self.rests);
        let plan = self.plan;
        for (i, again) in plan.agains_of(part).iter().enumerate() {
            let left = self.lefts[(again.edge / 2) as usize];
            let follows = if again.edge % 2 == 0 { left } else { 1.0 - left };
            let one = self.ones[again.before as usize] * follows;
            self.ones[part.again + i] = one;
            let zero = again.zero;
            let inverse: [Lanes; N] = each(|i, l| 1.0 / (zero * rest[i][l] + one * t[i][l]));
            let scaled: [Lanes; N] = each(|i, l| zero * inverse[i][l]);
            self.weights[part.again + i] =
                [each(|i, l| scaled[i][l] * rest[i][l]), each(|i, l| scaled[i][l] * one * inverse[i][l])];
        }
    }

    #[inline(always)]
    fn products(&mut self, part: &Part) {
        let plan = self.plan;
        for (i, inner) in plan.inner_of(part).iter().enumerate() {
            let left = self.lefts[part.slot + i];
            let gain = left - inner.split.share;
            let product = self.lanes[part.slot + i];
            let w = self.weights[inner.split.again as usize][0];
            let r: [Lanes; N] = each(|i, l| left - gain * w[i][l]);
            let below: [[Lanes; N]; 2] =
                [each(|i, l| product[i][l] * r[i][l]), each(|i, l| product[i][l] * (1.0 - r[i][l]))];
            self.lanes[inner.children[0] as usize] = below[0];
            self.lanes[inner.children[1] as usize] = below[1];
        }
    }

    #[inline(always)]
    fn sums_of_twigs(&mut self, part: &Part) {
        let first = part.slot + part.inner.1;
        let (plan, width, component) = (self.plan, self.plan.width, self.component);
        let leaves = &plan.leaves[part.leaves * width..][..2 * part.twigs.1 * width];
        for (i, (split, leaves)) in plan.twigs_of(part).iter().zip(leaves.chunks_exact(2 * width)).enumerate()
        {
            let (a, b) = (leaves[component], leaves[width + component]);
            self.collect(split, first + i, [[[a; LANES]; N], [[b; LANES]; N]]);
        }
    }

    #[inline(always)]
    fn sums_of_leaves(&mut self, part: &Part) {
        let first = part.slot + part.inner.1 + part.twigs.1;
        let width = self.plan.width;
        let leaves = &self.plan.leaves[(part.leaves + 2 * part.twigs.1) * width..];
        let slots = &mut self.lanes[first..][..part.slotted_leaves];
        for (slot, leaf) in slots.iter_mut().zip(leaves.chunks_exact(width)) {
            *slot = [[leaf[self.component]; LANES]; N];
        }
    }

    #[inline(always)]
    fn up(&mut self, part: &Part) {
        let plan = self.plan;
        for (i, inner) in plan.inner_of(part).iter().enumerate().rev() {
            let sums = inner.children.map(|child| self.lanes[child as usize]);
            self.collect(&inner.split, part.slot + i, sums);
        }
    }

    /// From the sums of its children to that of a split, and to the value of its feature.
    #[inline(always)]
    fn collect(&mut self, split: &Split, slot: usize, [a, b]: [[Lanes; N]; 2]) {
        let left = self.lefts[slot];
        let gain = left - split.share;
        let product = self.lanes[slot];
        let [w, u] = &self.weights[split.again as usize];
        let r: [Lanes; N] = each(|i, l| left - gain * w[i][l]);
        let value: [Lanes; N] = each(|i, l| (gain * (a[i][l] - b[i][l])) * (product[i][l] * u[i][l]));
        self.lanes[slot] = each(|i, l| r[i][l] * a[i][l] + (1.0 - r[i][l]) * b[i][l]);
        let lanes = &mut self.values[split.feature as usize];
        for block in value {
            for l in 0..LANES {
                lanes[l] += block[l];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "functions for AVX2 are called where the processor has it")]
mod wide {
    use super::{Tree, Walk};

    #[target_feature(enable = "avx2")]
    fn tree_avx2<const N: usize>(walk: &mut Walk<'_, N>, tree: Tree) {
        walk.tree(tree);
    }

    /// As [`Walk::tree`]. Only an [`super::Explainer`] that found AVX2 calls it.
    pub(super) fn tree<const N: usize>(walk: &mut Walk<'_, N>, tree: Tree) {
        // SAFETY: `Explainer::new` set `wide` from `Isa::Avx2.is_available()`.
        unsafe { tree_avx2(walk, tree) }
    }
}
