//! The trees as contributions walk them: what no row changes, computed once per forest.
//!
//! A tree's splits stand parents first, those with a split below them ([`Inner`]) before those with two leaves
//! (twigs), so that a row takes a tree in a few loops without a branch that depends on it ([`super::walk`]). Every
//! split has a slot, and so has every leaf that is a child of an inner split. A tree of more than
//! [`super::build::PART_SPLITS`] splits is cut into parts: its upper splits, and under them subtrees that are walked one
//! after another in the same slots, which so stay in the cache.
//!
//! Where a feature comes again on a path, its split before is known from the tree alone ([`Again`]).

use super::build::Builder;
use crate::tree::{Missing, Node, Nodes};

/// A value that splits compare with their thresholds: less goes left.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// A feature, with infinities for what is missing.
    Feature { feature: u16, missing: Missing },
    /// -1 where the row goes left at a node that does not compare, and 1 elsewhere.
    Node { at: u32 },
}

impl Column {
    /// The value for one row.
    #[inline]
    pub(crate) fn value(self, nodes: &Nodes, row: &[f32]) -> f32 {
        match self {
            Self::Feature { feature, missing } => {
                let x = row[usize::from(feature)];
                let zero = matches!(missing, Missing::ZeroLeft | Missing::ZeroRight) && x == 0.0;
                match missing {
                    _ if !(zero || x.is_nan()) => x,
                    Missing::Left | Missing::ZeroLeft => f32::NEG_INFINITY,
                    Missing::Right | Missing::ZeroRight => f32::INFINITY,
                }
            }
            Self::Node { at } if nodes.goes_left(nodes.nodes[at as usize], row) => -1.0,
            Self::Node { .. } => 1.0,
        }
    }
}

/// What every split has.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Split {
    /// Share of the training data at the split that went left; a half when none went there at all.
    pub(crate) share: f64,
    pub(crate) threshold: f32,
    /// Position in [`Plan::columns`].
    pub(crate) column: u32,
    pub(crate) feature: u32,
    /// Number among the tree's features that come again, from 1; 0 for a feature that is new on the path.
    pub(crate) again: u32,
}

/// A split with a split below it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Inner {
    pub(crate) split: Split,
    /// Slots of the left child and the right one.
    pub(crate) children: [u32; 2],
}

/// A feature that was split on further up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    /// Share of the training data that follows the path at all splits on the feature further up.
    pub(crate) zero: f64,
    /// The edge by which the path leaves the last of them: twice its slot, and 1 if it is the right one.
    pub(crate) edge: u32,
    /// [`Split::again`] of that split.
    pub(crate) before: u32,
}

/// Splits that are walked at once; pairs are a first position and a count. From `slot` stand the slots of inner splits,
/// of twigs, of leaves below inner splits, and in an upper part those of the roots of the parts below.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) slot: usize,
    /// The first of its numbers of features that come again.
    pub(crate) again: usize,
    pub(crate) inner: (usize, usize),
    pub(crate) twigs: (usize, usize),
    pub(crate) agains: (usize, usize),
    /// First value of two leaves a twig, then of those that have slots.
    pub(crate) leaves: usize,
    pub(crate) slotted_leaves: usize,
    /// Slot in the upper part that stands for the root.
    pub(crate) above: usize,
}

impl Part {
    /// The end of the slots of its own.
    pub(crate) fn slots(&self) -> usize {
        self.slot + self.inner.1 + self.twigs.1 + self.slotted_leaves
    }
}

/// A tree: one part, or the upper part and those below.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    pub(crate) first_part: usize,
    pub(crate) n_parts: usize,
    /// Most different features on a path.
    pub(crate) most_features: usize,
}

/// All trees of a forest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<Column>,
    pub(crate) inner: Vec<Inner>,
    pub(crate) twigs: Vec<Split>,
    pub(crate) agains: Vec<Again>,
    /// Values of leaves, `width` each.
    pub(crate) leaves: Vec<f64>,
    pub(crate) width: usize,
    pub(crate) parts: Vec<Part>,
    /// `None` for a tree that is a leaf.
    pub(crate) trees: Vec<Option<Tree>>,
    /// Of each tree, the mean of its leaves over the training data, one per value of a leaf.
    pub(crate) expected: Vec<Vec<f64>>,
    /// Slots that any tree needs, and features that come again, with number 0.
    pub(crate) n_slots: usize,
    pub(crate) n_agains: usize,
    pub(crate) most_features: usize,
}

impl Plan {
    pub(crate) fn inner_of(&self, part: &Part) -> &[Inner] {
        &self.inner[part.inner.0..][..part.inner.1]
    }

    pub(crate) fn twigs_of(&self, part: &Part) -> &[Split] {
        &self.twigs[part.twigs.0..][..part.twigs.1]
    }

    pub(crate) fn agains_of(&self, part: &Part) -> &[Again] {
        &self.agains[part.agains.0..][..part.agains.1]
    }
}

impl Nodes {
    /// Made when first asked for. The forest has covers.
    pub(crate) fn plan(&self, n_features: usize, n_outputs: usize) -> &Plan {
        self.plan.get_or_init(|| {
            let width = if self.vectors.is_empty() { 1 } else { n_outputs };
            let mut builder = Builder::new(self, n_features, width);
            let ends = self.roots.iter().skip(1).copied().chain([self.nodes.len() as u32]);
            for (&root, end) in self.roots.iter().zip(ends) {
                builder.tree(root as usize, end as usize);
                builder.plan.expected.push(self.expected(root as usize, width));
            }
            builder.plan
        })
    }

    pub(super) fn share_left(&self, at: usize, right: usize) -> f64 {
        let (left, right) = (self.covers[at + 1], self.covers[right]);
        let both = left + right;
        if both > 0.0 { left / both } else { 0.5 }
    }

    /// The feature of a split, and its right child; `None` for a leaf.
    pub(super) fn split_at(&self, at: usize) -> Option<(u16, usize)> {
        match self.nodes[at] {
            Node::Leaf { .. } | Node::Vector { .. } => None,
            Node::Numeric { feature, right, .. } | Node::Categorical { feature, right, .. } => {
                Some((feature, right as usize))
            }
        }
    }

    /// A tree's expected values. The stack is no deeper than the tree.
    fn expected(&self, root: usize, width: usize) -> Vec<f64> {
        let mut stack = vec![(root, 1.0)];
        let mut expected = vec![0.0; width];
        while let Some((at, share)) = stack.pop() {
            match self.nodes[at] {
                Node::Leaf { value } => expected[0] += value * share,
                Node::Vector { at } => {
                    let vector = &self.vectors[at as usize..][..width];
                    expected.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value * share);
                }
                Node::Numeric { right, .. } | Node::Categorical { right, .. } => {
                    let left = self.share_left(at, right as usize);
                    stack.push((right as usize, share * (1.0 - left)));
                    stack.push((at + 1, share * left));
                }
            }
        }
        expected
    }
}
