//! The layout that takes every forest of trees: any depth, any number of thresholds and features, categorical
//! splits, and leaves with one value per output.
//!
//! A row becomes an array of `u32` keys, one per slot: a (feature, what missing does) pair that occurs in the model.
//! A key is an order-preserving image of the value, and says in the same comparison what a missing value does (see
//! [`keys`]). A node takes 8 bytes and its children lie side by side, so a step is: load the node, load the row's
//! key, compare, add. The pairs of children are packed by four into cache lines, each line a piece of a subtree, the
//! heavier child first.
//!
//! All walks of a block (trees times rows) are under way at once: they stand in a list, and each round takes every
//! one of them a step further and closes the gaps that finished walks leave, without a branch. So the processor waits
//! for many nodes of memory at once. A block is 512 trees of one row when there is one row, and 512 rows of one tree,
//! which then stays in the nearest cache, when there are many.
//!
//! Leaf values are kept once each, as they are added: `f32` where sums are `f32`, else `f64`. Their sums are in tree
//! order.
//!
//! Limits: the slots and the nodes of one tree have to share 32 bits; a forest of 60,000 features that are all used,
//! with a tree of over 130,000 nodes, is not taken.

mod build;
mod keys;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::isa::Isa;
use super::lines::{LINE, Lines};
use super::real::Real;
use crate::forest::Forest;
use crate::{MAX_DEPTH, MAX_NODES, MAX_TREES};
use keys::Classes;
use walk::{Categories, Shape, WALKS, Walker};

/// Most bytes of the keys of the rows that are under way at once.
const KEY_BYTES: usize = 512 << 10;

/// A split or a leaf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Node {
    /// Split: the row goes left if its key is less; categorical split: its set. Leaf: the position of its value.
    key: u32,
    /// Position of the pair of children, right one first, in the group, then `slot_bits` bits of the slot; slot 0
    /// is a leaf.
    link: u32,
}

/// A categorical set in the words of all sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
struct Set {
    first: u32,
    len: u32,
}

/// Trees whose links count from one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    n_trees: usize,
    n_nodes: usize,
}

/// What the layout knows besides its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectMeta {
    n_trees: usize,
    /// Edges of the longest walk.
    depth: usize,
    classes: Classes,
    slot_bits: u32,
    groups: Vec<Group>,
    /// Leaves have one value per output.
    vectors: bool,
    /// Values and sums are `f32`.
    f32: bool,
    /// Distinct leaves.
    n_leaves: usize,
    n_sets: usize,
    n_set_words: usize,
}

/// Where the parts lie in the arena, in bytes.
#[derive(Debug, Clone)]
struct Parts {
    nodes: Range<usize>,
    features: Range<usize>,
    roots: Range<usize>,
    /// Output of each tree; empty when leaves are vectors.
    outputs: Range<usize>,
    values: Range<usize>,
    sets: Range<usize>,
    set_words: Range<usize>,
    /// Lines of all of them.
    lines: usize,
}

impl Parts {
    fn new(meta: &DirectMeta, n_outputs: usize) -> Option<Self> {
        let mut at = 0_usize;
        let mut part = |count: usize, size: usize| {
            let start = at;
            let end = start.checked_add(count.checked_mul(size)?)?;
            at = end.checked_next_multiple_of(LINE)?;
            Some(start..end)
        };
        let n_nodes = meta.groups.iter().try_fold(0_usize, |sum, group| sum.checked_add(group.n_nodes))?;
        let width = if meta.vectors { n_outputs } else { 1 };
        Some(Self {
            nodes: part(n_nodes, size_of::<Node>())?,
            features: part(meta.classes.n_slots(), size_of::<u16>())?,
            roots: part(meta.n_trees, size_of::<u32>())?,
            outputs: part(if meta.vectors { 0 } else { meta.n_trees }, size_of::<u16>())?,
            values: part(meta.n_leaves.checked_mul(width)?, if meta.f32 { 4 } else { 8 })?,
            sets: part(meta.n_sets, size_of::<Set>())?,
            set_words: part(meta.n_set_words, size_of::<u32>())?,
            lines: at / LINE,
        })
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Direct {
    meta: DirectMeta,
    arena: Lines,
    parts: Parts,
    n_features: usize,
    n_outputs: usize,
}

impl Direct {
    /// `None` for linear models and for what the limits of the module exclude.
    pub(crate) fn build(forest: &Forest) -> Option<Self> {
        let (meta, arena) = build::lay_out(forest)?;
        Self::from_parts(meta, arena, forest.n_features, forest.n_outputs).ok()
    }

    pub(crate) fn parts(&self) -> (&DirectMeta, &Lines) {
        (&self.meta, &self.arena)
    }

    /// Checks everything that the walk reads without looking.
    pub(crate) fn from_parts(
        meta: DirectMeta,
        arena: Lines,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<Self, String> {
        meta.check()?;
        let parts = Parts::new(&meta, n_outputs).ok_or("a direct layout of more bytes than there are")?;
        if parts.lines != arena.len() {
            return Err(format!("a direct layout of {} lines, expected {}", arena.len(), parts.lines));
        }
        let direct = Self { meta, arena, parts, n_features, n_outputs };
        direct.check_arena()?;
        Ok(direct)
    }

    fn part<T: Pod>(&self, part: &Range<usize>) -> &[T] {
        bytemuck::cast_slice(&self.arena.cast::<u8>()[part.clone()])
    }

    /// Groups with their nodes and the roots of their trees.
    fn groups(&self) -> impl Iterator<Item = (&[Node], &[u32])> {
        let (mut nodes, mut roots) = (self.part(&self.parts.nodes), self.part(&self.parts.roots));
        self.meta.groups.iter().map(move |group| {
            let (own_nodes, own_roots);
            (own_nodes, nodes) = nodes.split_at(group.n_nodes);
            (own_roots, roots) = roots.split_at(group.n_trees);
            (own_nodes, own_roots)
        })
    }

    fn check_arena(&self) -> Result<(), String> {
        let (meta, parts) = (&self.meta, &self.parts);
        let (shape, n_slots) = (self.shape(), meta.classes.n_slots());
        for (nodes, roots) in self.groups() {
            let sound =
                nodes.iter().fold(true, |sound, node| sound & self.is_sound(*node, shape, nodes.len()));
            if !sound || roots.iter().any(|&root| root as usize >= nodes.len()) {
                return Err(format!(
                    "a node that leaves its {} nodes, {n_slots} slots, {} leaves or {} sets",
                    nodes.len(),
                    meta.n_leaves,
                    meta.n_sets
                ));
            }
        }
        let (n_features, n_outputs) = (self.n_features, self.n_outputs);
        if let Some(&feature) =
            self.part(&parts.features).iter().find(|&&f: &&u16| usize::from(f) >= n_features)
        {
            return Err(format!("feature {feature}, must be less than {n_features}"));
        }
        if let Some(&output) = self.part(&parts.outputs).iter().find(|&&o: &&u16| usize::from(o) >= n_outputs)
        {
            return Err(format!("a tree of output {output}, must be less than {n_outputs}"));
        }
        let n_words = meta.n_set_words as u64;
        let mut sets = self.part::<Set>(&parts.sets).iter();
        if let Some(set) = sets.find(|set| u64::from(set.first) + u64::from(set.len) > n_words) {
            return Err(format!("a set of {} words from {}, there are {n_words}", set.len, set.first));
        }
        Ok(())
    }

    /// Whether a step from `node` stays within its group, the slots, the leaves and the sets.
    #[inline]
    fn is_sound(&self, node: Node, shape: Shape, n_nodes: usize) -> bool {
        let (slot, key) = (node.link & shape.slot_mask, node.key as usize);
        let right = 2 * (node.link >> shape.slot_bits) as usize;
        let is_leaf = slot == 0;
        let categorical = slot >= shape.first_category;
        let split = ((slot as usize) < self.meta.classes.n_slots())
            & (right + 1 < n_nodes)
            & (!categorical | (key < self.meta.n_sets));
        (is_leaf & (key < self.meta.n_leaves)) | (!is_leaf & split)
    }

    fn shape(&self) -> Shape {
        let meta = &self.meta;
        Shape {
            slot_bits: meta.slot_bits,
            slot_mask: (1 << meta.slot_bits) - 1,
            n_slots: meta.classes.n_slots(),
            first_category: meta.classes.first_category() as u32,
            first_right_set: meta.classes.first_right_set() as u32,
            depth: meta.depth,
        }
    }

    /// See `Layout::sums`.
    pub(crate) fn sums(&self, forest: &Forest, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        if self.meta.f32 {
            self.sums_in::<f32>(forest, isa, rows, sums);
        } else {
            self.sums_in::<f64>(forest, isa, rows, sums);
        }
    }

    fn sums_in<T: Real>(&self, forest: &Forest, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        let (n_features, n_outputs, n_slots) = (self.n_features, self.n_outputs, self.meta.classes.n_slots());
        let n_rows = rows.len() / n_features;
        let block_rows = block_rows(n_rows, n_slots);
        let starts: Vec<T> = (0..n_outputs).map(|output| T::from_f64(forest.start(output))).collect();
        let mut totals: Vec<T> = Vec::with_capacity(block_rows * n_outputs);
        let mut keys = vec![0_u32; block_rows.min(n_rows) * n_slots];
        let features = self.part(&self.parts.features);
        let blocks = rows.chunks(block_rows * n_features).zip(sums.chunks_mut(block_rows * n_outputs));
        for (rows, sums) in blocks {
            for (row, keys) in rows.chunks_exact(n_features).zip(keys.chunks_exact_mut(n_slots)) {
                self.meta.classes.keys(features, row, keys);
            }
            totals.clear();
            totals.extend(starts.iter().cycle().take(sums.len()));
            self.add_block(isa, block_rows, &keys, &mut totals);
            sums.iter_mut().zip(&totals).for_each(|(sum, total)| *sum = total.to_f64());
        }
    }

    /// Adds all trees' leaves to the totals of a block of rows.
    fn add_block<T: Real>(&self, isa: Isa, block_rows: usize, keys: &[u32], totals: &mut [T]) {
        let values: &[T] = self.part(&self.parts.values);
        let mut outputs: &[u16] = self.part(&self.parts.outputs);
        let n_rows = totals.len() / self.n_outputs;
        let categories =
            Categories { sets: self.part(&self.parts.sets), words: self.part(&self.parts.set_words) };
        let mut walker = Walker::new(self.shape(), keys, categories, block_rows);
        for (nodes, roots) in self.groups() {
            for roots in roots.chunks(WALKS / block_rows) {
                let leaves = walker.walk(isa, nodes, roots, n_rows);
                if self.meta.vectors {
                    add_vectors(leaves, block_rows, values, self.n_outputs, totals);
                } else {
                    let own;
                    (own, outputs) = outputs.split_at(roots.len());
                    add_scalars(leaves, block_rows, values, own, self.n_outputs, totals);
                }
            }
        }
    }
}

/// Adds scalar leaves, tree by tree: `leaves` are positions of values, `block_rows` per tree.
fn add_scalars<T: Real>(
    leaves: &[u32],
    block_rows: usize,
    values: &[T],
    outputs: &[u16],
    n_outputs: usize,
    totals: &mut [T],
) {
    if let ([total], 1) = (&mut *totals, block_rows) {
        // One sum: it stays in a register.
        let mut sum = *total;
        leaves.iter().for_each(|&leaf| sum += values[leaf as usize]);
        *total = sum;
        return;
    }
    for (leaves, &output) in leaves.chunks_exact(block_rows).zip(outputs) {
        let totals = totals.iter_mut().skip(usize::from(output)).step_by(n_outputs);
        totals.zip(leaves).for_each(|(total, &leaf)| *total += values[leaf as usize]);
    }
}

/// Adds leaves of one value per output, tree by tree: `leaves` are positions of vectors, `block_rows` per tree.
fn add_vectors<T: Real>(leaves: &[u32], block_rows: usize, values: &[T], n_outputs: usize, totals: &mut [T]) {
    for leaves in leaves.chunks_exact(block_rows) {
        for (totals, &leaf) in totals.chunks_exact_mut(n_outputs).zip(leaves) {
            let vector = &values[leaf as usize * n_outputs..][..n_outputs];
            totals.iter_mut().zip(vector).for_each(|(total, &value)| *total += value);
        }
    }
}

/// Rows under way at once, a power of two: all that there are, as far as their keys stay near.
fn block_rows(n_rows: usize, n_slots: usize) -> usize {
    let most = (KEY_BYTES / (4 * n_slots)).clamp(1, WALKS);
    n_rows.clamp(1, most).next_power_of_two().min(1 << most.ilog2())
}

impl DirectMeta {
    /// Counts within the crate's limits, and consistent.
    fn check(&self) -> Result<(), String> {
        let limited = [
            ("trees", self.n_trees, MAX_TREES),
            ("edges of a walk", self.depth, MAX_DEPTH),
            ("groups", self.groups.len(), self.n_trees),
            ("distinct leaves", self.n_leaves, MAX_NODES),
            ("sets", self.n_sets, MAX_NODES),
            ("words of sets", self.n_set_words, MAX_NODES),
        ];
        if let Some((what, value, limit)) = limited.into_iter().find(|(_, value, limit)| value > limit) {
            return Err(format!("{value} {what}, the limit is {limit}"));
        }
        let n_slots = self.classes.check()?;
        if !(1..32).contains(&self.slot_bits) || n_slots > 1 << self.slot_bits {
            return Err(format!("{} bits for {n_slots} slots", self.slot_bits));
        }
        let trees = self.groups.iter().try_fold(0_usize, |sum, group| sum.checked_add(group.n_trees));
        if trees != Some(self.n_trees) {
            return Err(format!("groups of {trees:?} trees, there are {}", self.n_trees));
        }
        Ok(())
    }
}
