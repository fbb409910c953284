//! From a forest to the layout.

use std::collections::VecDeque;

use super::{BLOCK, BLOCK_SPLITS, CHUNK, Chunk, LANES, LINE_UNITS, LeafwiseMeta, MAX_STORE, UNIT};
use crate::engine::lines::{LINE, Lines, LinesBuilder};
use crate::engine::slots::{CodedSplit, Slots};
use crate::forest::Forest;
use crate::tree::{Node, Nodes};

/// Blocks of a line.
const LINE_BLOCKS: usize = LINE / BLOCK;
/// With fewer trees to a chunk, too few walks are under way at once.
const FEWEST_TREES: usize = 16;

/// The parts of the layout; `None` when it cannot take the forest.
pub(super) fn lay_out(forest: &Forest) -> Option<(LeafwiseMeta, Lines)> {
    if forest.linear.is_some() || forest.has_vector_leaves() || forest.trees.roots.is_empty() {
        return None;
    }
    let (slots, splits) = Slots::build(forest)?;
    let mut packer =
        Packer { tops: LinesBuilder::default(), stores: LinesBuilder::default(), chunks: Vec::new() };
    let n_trees = forest.trees.roots.len();
    for output in 0..forest.n_outputs {
        let own: Vec<usize> = (0..n_trees).filter(|&tree| forest.output_of(tree) == output).collect();
        packer.push_output(forest, &splits, output, &own)?;
    }
    let full = packer.chunks.len() - forest.n_outputs.min(packer.chunks.len());
    if full > n_trees / FEWEST_TREES {
        return None;
    }
    let meta = LeafwiseMeta {
        f32: forest.aggregation.is_f32(),
        depth: forest.trees.max_depth,
        chunks: packer.chunks,
        slots: slots.meta().clone(),
        slot_lines: slots.arena().len(),
    };
    let mut all = packer.tops;
    all.extend(packer.stores.finish().as_slice());
    all.extend(slots.arena().as_slice());
    Some((meta, all.finish()))
}

/// Where a walk goes from a top or a block.
#[derive(Clone, Copy)]
enum Exit {
    Leaf(u16),
    Block(u16),
}

/// A tree in tops and blocks, its leaves and blocks counted from its first.
#[derive(Default)]
struct Plan {
    top: Piece<16>,
    blocks: Vec<Piece<8>>,
    leaves: Vec<f64>,
}

/// A heap of `N` - 1 splits, the first at 1, and `N` exits.
struct Piece<const N: usize> {
    splits: [CodedSplit; N],
    exits: [Exit; N],
}

impl<const N: usize> Default for Piece<N> {
    fn default() -> Self {
        Self { splits: [CodedSplit::default(); N], exits: [Exit::Leaf(0); N] }
    }
}

/// Plans a tree piece by piece, from the root on.
struct Planner<'a> {
    trees: &'a Nodes,
    splits: &'a [CodedSplit],
    plan: Plan,
    /// Roots of the blocks that are yet to be made, in their order.
    pending: VecDeque<usize>,
    n_blocks: usize,
    addend: &'a dyn Fn(f64) -> f64,
}

impl Planner<'_> {
    /// `None` when the tree is too large for a store.
    fn plan(mut self, root: usize) -> Option<Plan> {
        self.plan.top = self.piece(root)?;
        while let Some(root) = self.pending.pop_front() {
            let block = self.piece(root)?;
            self.plan.blocks.push(block);
        }
        Some(self.plan)
    }

    fn piece<const N: usize>(&mut self, root: usize) -> Option<Piece<N>> {
        let mut piece = Piece::default();
        // Split at each place of the heap; below a leaf, the leaf again.
        let mut heap = vec![root; 2 * N];
        for i in 1..N {
            let at = heap[i];
            let (right, left) = match self.trees.nodes[at] {
                Node::Numeric { right, .. } | Node::Categorical { right, .. } => (right as usize, at + 1),
                Node::Leaf { .. } | Node::Vector { .. } => (at, at),
            };
            piece.splits[i] = if left == right { CodedSplit::default() } else { self.splits[at] };
            (heap[2 * i], heap[2 * i + 1]) = (right, left);
        }
        for i in 0..N {
            // What is repeated stands side by side.
            piece.exits[i] = if i > 0 && heap[N + i] == heap[N + i - 1] {
                piece.exits[i - 1]
            } else {
                self.exit(heap[N + i])?
            };
        }
        Some(piece)
    }

    fn exit(&mut self, at: usize) -> Option<Exit> {
        if let Node::Leaf { value } = self.trees.nodes[at] {
            self.plan.leaves.push((self.addend)(value));
            return Some(Exit::Leaf(u16::try_from(self.plan.leaves.len() - 1).ok()?));
        }
        self.pending.push_back(at);
        self.n_blocks += 1;
        Some(Exit::Block(u16::try_from(self.n_blocks - 1).ok()?))
    }
}

/// Chunks as they are filled.
struct Packer {
    tops: LinesBuilder,
    stores: LinesBuilder,
    chunks: Vec<Chunk>,
}

impl Packer {
    /// Appends the trees of an output; `None` when one of them has no room in a store.
    fn push_output(
        &mut self,
        forest: &Forest,
        splits: &[CodedSplit],
        output: usize,
        trees: &[usize],
    ) -> Option<()> {
        let mut open: Vec<Plan> = Vec::new();
        for &tree in trees {
            let addend = |value: f64| forest.addend(tree, value);
            let planner = Planner {
                trees: &forest.trees,
                splits,
                plan: Plan::default(),
                pending: VecDeque::new(),
                n_blocks: 0,
                addend: &addend,
            };
            let plan = planner.plan(forest.trees.roots[tree] as usize)?;
            open.push(plan);
            let lines = leaf_lines(&open) + block_lines(&open);
            if lines > MAX_STORE || open.len() > CHUNK {
                let last = open.pop()?;
                self.close(&std::mem::replace(&mut open, vec![last]), output)?;
            }
        }
        self.close(&open, output)
    }

    /// Appends a chunk.
    fn close(&mut self, plans: &[Plan], output: usize) -> Option<()> {
        if plans.is_empty() {
            return Some(());
        }
        let (leaf_lines, block_lines) = (leaf_lines(plans), block_lines(plans));
        if leaf_lines + block_lines > MAX_STORE {
            return None;
        }
        let chunk = Chunk { n_trees: plans.len(), output, leaf_lines, block_lines };
        // Nothing is added by what fills up: its exits are this leaf, and those of the first block.
        self.stores.extend(&[-0.0_f64]);
        for plan in plans {
            self.stores.extend(&plan.leaves);
        }
        self.stores.align(LINE);
        self.stores.extend(&[0_u8; BLOCK]);
        let (mut leaf, mut block) = (1, leaf_lines * LINE_UNITS + BLOCK / UNIT);
        for plan in plans {
            // Both are below MAX_STORE lines: they fit.
            let unit = |exit: Exit| match exit {
                Exit::Leaf(i) => (leaf + usize::from(i)) as u16,
                Exit::Block(i) => (block + usize::from(i) * (BLOCK / UNIT)) as u16,
            };
            self.tops.extend(&top_bytes(&plan.top, unit));
            plan.blocks.iter().for_each(|piece| {
                self.stores.extend(&block_bytes(piece, unit));
            });
            leaf += plan.leaves.len();
            block += plan.blocks.len() * (BLOCK / UNIT);
        }
        self.stores.align(LINE);
        self.tops.extend(&vec![0_u8; (plans.len().next_multiple_of(LANES) - plans.len()) * LINE]);
        self.chunks.push(chunk);
        Some(())
    }
}

fn leaf_lines(plans: &[Plan]) -> usize {
    (1 + plans.iter().map(|plan| plan.leaves.len()).sum::<usize>()).div_ceil(LINE_UNITS)
}

fn block_lines(plans: &[Plan]) -> usize {
    (1 + plans.iter().map(|plan| plan.blocks.len()).sum::<usize>()).div_ceil(LINE_BLOCKS)
}

fn top_bytes(piece: &Piece<16>, unit: impl Fn(Exit) -> u16) -> [u8; LINE] {
    let mut bytes = [0; LINE];
    for i in 0..16 {
        bytes[2 * i] = piece.splits[i].slot;
        bytes[2 * i + 1] = piece.splits[i].rank;
        bytes[32 + 2 * i..][..2].copy_from_slice(&unit(piece.exits[i]).to_le_bytes());
    }
    bytes
}

fn block_bytes(piece: &Piece<8>, unit: impl Fn(Exit) -> u16) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    for i in 1..8 {
        bytes[BLOCK_SPLITS[i]] = piece.splits[i].slot;
        bytes[BLOCK_SPLITS[i] + 1] = piece.splits[i].rank;
    }
    for (i, &exit) in piece.exits.iter().enumerate() {
        bytes[4 * i..][..2].copy_from_slice(&unit(exit).to_le_bytes());
    }
    bytes
}
