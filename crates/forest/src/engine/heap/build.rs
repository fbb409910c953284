//! From the nodes to heaps.

use bytemuck::Zeroable;

use super::{EXIT_LEVELS, HeapMeta, MAX_LEVELS};
use crate::engine::lines::{LINE, Line, Lines, LinesBuilder};
use crate::engine::slots::{CodedSplit, Slots};
use crate::forest::Forest;
use crate::tree::Node;

/// Every row goes right: stands where a walk has ended already.
const NO_SPLIT: CodedSplit = CodedSplit { slot: 0, rank: 0 };

/// See `Heap::build`.
pub(super) fn lay_out(forest: &Forest) -> Option<(HeapMeta, Lines)> {
    let nodes = &forest.trees;
    let fits = nodes.max_depth <= MAX_LEVELS && nodes.vectors.is_empty() && !nodes.roots.is_empty();
    if !fits || !forest.aggregation.is_f32() {
        return None;
    }
    let levels = nodes.max_depth.max(EXIT_LEVELS);
    // A heap of a few nodes that go deep is mostly filling: not more than a line per node.
    if nodes.roots.len() << (levels - EXIT_LEVELS) > nodes.nodes.len() {
        return None;
    }
    let (slots, splits) = Slots::build(forest)?;
    let order = order(forest);
    let meta = HeapMeta {
        slots: slots.meta().clone(),
        slots_lines: slots.arena().len(),
        levels,
        trees: (0..forest.n_outputs)
            .map(|output| order.iter().filter(|&&(o, _)| o == output).count())
            .collect(),
    };
    let mut arena = LinesBuilder::default();
    arena.extend(slots.arena().as_slice());
    let mut exits = Vec::with_capacity(meta.n_heaps() * meta.exits());
    for &(_, tree) in &order {
        let heap = Positions::of(forest, tree, levels, &splits);
        arena.extend(&heap.splits[..meta.exits()]);
        exits.extend((meta.exits()..2 * meta.exits()).map(|exit| heap.line(exit)));
    }
    let filling = meta.n_heaps() - order.len();
    arena.extend(&vec![NO_SPLIT; filling * meta.exits()]);
    arena.align(LINE);
    exits.resize(meta.n_heaps() * meta.exits(), filling_line());
    arena.extend(&exits);
    Some((meta, arena.finish()))
}

/// An exit whose leaves change no sum.
fn filling_line() -> Line {
    let mut line = Line::zeroed();
    line.0
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .for_each(|leaf| leaf[..4].copy_from_slice(&(-0.0_f32).to_ne_bytes()));
    line
}

/// Outputs and trees, by output.
fn order(forest: &Forest) -> Vec<(usize, usize)> {
    let mut order: Vec<_> =
        (0..forest.trees.roots.len()).map(|tree| (forest.output_of(tree), tree)).collect();
    order.sort_unstable();
    order
}

/// One tree as a perfect heap.
struct Positions {
    /// By heap position; the root at 1.
    splits: Vec<CodedSplit>,
    /// Leaves from left to right; the left child is the one at the odd position.
    leaves: Vec<f32>,
}

impl Positions {
    fn of(forest: &Forest, tree: usize, levels: usize, coded: &[CodedSplit]) -> Self {
        let nodes = &forest.trees.nodes;
        let n = 1 << levels;
        let mut at = vec![forest.trees.roots[tree] as usize; 2 * n];
        let mut splits = vec![NO_SPLIT; n];
        for i in 1..n {
            let node = at[i];
            match nodes[node] {
                Node::Leaf { .. } | Node::Vector { .. } => (at[2 * i], at[2 * i + 1]) = (node, node),
                Node::Numeric { right, .. } | Node::Categorical { right, .. } => {
                    (at[2 * i], at[2 * i + 1]) = (right as usize, node + 1);
                    splits[i] = coded[node];
                }
            }
        }
        let leaves = at[n..].iter().map(|&node| match nodes[node] {
            // Exact: leaves are `f32` in the file where sums are.
            Node::Leaf { value } => forest.addend(tree, value) as f32,
            _ => -0.0,
        });
        Self { leaves: leaves.collect(), splits }
    }

    /// The line of an exit; see the module of `Heap`.
    fn line(&self, exit: usize) -> Line {
        let mut line = Line::zeroed();
        for level in 0..EXIT_LEVELS {
            for i in 0..1 << level {
                let split = self.splits[(exit << level) + i];
                line.0[node_offset(level, i)..][..2].copy_from_slice(&[split.slot, split.rank]);
            }
        }
        let first = (exit << EXIT_LEVELS) - self.splits.len();
        for (i, leaf) in self.leaves[first..][..1 << EXIT_LEVELS].iter().enumerate() {
            line.0[8 * i..][..4].copy_from_slice(&leaf.to_ne_bytes());
        }
        line
    }
}

/// Where in its line the node number `i` of an exit's level stands.
pub(super) const fn node_offset(level: usize, i: usize) -> usize {
    [12, 6, 4][level] + (LINE >> level) * i
}
