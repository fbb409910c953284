//! The trees as contributions walk them: one step a split, with what no row changes computed once.

use std::cmp::Ordering;

use crate::tree::{Missing, Node, Nodes};

const LEFT_IS_LEAF: u16 = 1;
const RIGHT_IS_LEAF: u16 = 2;
/// `NaN` goes left.
const MISSING_LEFT: u16 = 4;
/// Categorical, or zero is missing: `condition` is the node's position.
const OTHER: u16 = 8;
/// Leaves are vectors.
const VECTOR: u16 = 16;

/// A split; half a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(crate) struct Step {
    /// Share of the training data at the split that went left; a half when none went there at all.
    pub(crate) share: f64,
    /// The left child and the right one: bits of a leaf's value, position of a vector, or number of a step.
    children: [u64; 2],
    /// Bits of the threshold.
    condition: u32,
    feature: u16,
    flags: u16,
}

/// A child of a split.
#[derive(Clone, Copy)]
pub(crate) struct Child {
    bits: u64,
    /// Not zero if it is a leaf; its bit [`VECTOR`] if the leaf is a vector.
    leaf: u16,
}

impl Child {
    /// The value of a leaf; `None` at a split.
    #[inline(always)]
    pub(crate) fn leaf(self, vectors: &[f64], component: usize) -> Option<f64> {
        match self.leaf {
            0 => None,
            leaf if leaf & VECTOR == 0 => Some(f64::from_bits(self.bits)),
            _ => Some(vectors[self.bits as usize + component]),
        }
    }

    /// Number of the step of a split.
    #[inline(always)]
    pub(crate) fn step(self) -> usize {
        self.bits as usize
    }
}

impl Step {
    #[inline(always)]
    pub(crate) fn feature(&self) -> usize {
        usize::from(self.feature)
    }

    /// The left child and the right one.
    #[inline(always)]
    pub(crate) fn children(&self) -> [Child; 2] {
        [LEFT_IS_LEAF, RIGHT_IS_LEAF].map(|is_leaf| {
            let leaf = if self.flags & is_leaf == 0 { 0 } else { self.flags };
            Child { bits: self.children[usize::from(is_leaf == RIGHT_IS_LEAF)], leaf }
        })
    }

    /// As [`Nodes::goes_left`], without a branch for the usual splits.
    #[inline(always)]
    pub(crate) fn goes_left(&self, nodes: &Nodes, row: &[f32]) -> bool {
        if self.flags & OTHER != 0 {
            return nodes.goes_left(nodes.nodes[self.condition as usize], row);
        }
        let x = row[usize::from(self.feature)];
        let order = x.partial_cmp(&f32::from_bits(self.condition));
        let below = !matches!(order, Some(Ordering::Greater | Ordering::Equal));
        below & (!x.is_nan() | (self.flags & MISSING_LEFT != 0))
    }
}

/// All steps of a forest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    /// In preorder, tree by tree.
    pub(crate) steps: Vec<Step>,
    /// Each tree's first step; `None` when it is a leaf.
    pub(crate) roots: Vec<Option<usize>>,
    /// Of each tree, the mean of its leaves over the training data, one per value of a leaf.
    pub(crate) expected: Vec<Vec<f64>>,
}

impl Nodes {
    /// Made when first asked for. The forest has covers.
    pub(crate) fn steps(&self, n_outputs: usize) -> &Steps {
        self.steps.get_or_init(|| {
            let width = if self.vectors.is_empty() { 1 } else { n_outputs };
            // A split's step has as number the splits before it.
            let mut numbers = Vec::with_capacity(self.nodes.len());
            let mut count = 0_u32;
            for node in &self.nodes {
                numbers.push(count);
                count += u32::from(matches!(node, Node::Numeric { .. } | Node::Categorical { .. }));
            }
            let steps: Vec<Step> = (0..self.nodes.len()).filter_map(|at| self.step(at, &numbers)).collect();
            let roots = self.roots.iter().map(|&root| match self.nodes[root as usize] {
                Node::Leaf { .. } | Node::Vector { .. } => None,
                Node::Numeric { .. } | Node::Categorical { .. } => Some(numbers[root as usize] as usize),
            });
            let expected = self.roots.iter().map(|&root| self.expected(root as usize, width));
            Steps { roots: roots.collect(), expected: expected.collect(), steps }
        })
    }

    /// The step of a split; `None` for a leaf.
    fn step(&self, at: usize, numbers: &[u32]) -> Option<Step> {
        let (feature, right, condition, mut flags) = match self.nodes[at] {
            Node::Leaf { .. } | Node::Vector { .. } => return None,
            Node::Numeric { feature, missing: Missing::Left, threshold, right } => {
                (feature, right, threshold.to_bits(), MISSING_LEFT)
            }
            Node::Numeric { feature, missing: Missing::Right, threshold, right } => {
                (feature, right, threshold.to_bits(), 0)
            }
            Node::Numeric { feature, right, .. } | Node::Categorical { feature, right, .. } => {
                (feature, right, at as u32, OTHER)
            }
        };
        let mut children = [0; 2];
        for (i, child) in [at + 1, right as usize].into_iter().enumerate() {
            let is_leaf = [LEFT_IS_LEAF, RIGHT_IS_LEAF][i];
            children[i] = match self.nodes[child] {
                Node::Leaf { value } => {
                    flags |= is_leaf;
                    value.to_bits()
                }
                Node::Vector { at } => {
                    flags |= is_leaf | VECTOR;
                    u64::from(at)
                }
                Node::Numeric { .. } | Node::Categorical { .. } => u64::from(numbers[child]),
            };
        }
        Some(Step { share: self.share_left(at, right as usize), children, condition, feature, flags })
    }

    fn share_left(&self, at: usize, right: usize) -> f64 {
        let (left, right) = (self.covers[at + 1], self.covers[right]);
        let both = left + right;
        if both > 0.0 { left / both } else { 0.5 }
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
