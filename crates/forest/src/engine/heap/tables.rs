//! The trees once more, for the kernels that take many rows at once: derived from the layout when such a call first
//! comes, as it takes no time to speak of, and a compiled file need not hold it.
//!
//! A tree's table, in bytes, with `b = 2^BLEND` and `l = 2^LEVELS`:
//! - the nodes of the first `BLEND` levels: `b` ranks of four equal bytes, then `b` offsets of columns, `u16`;
//! - of each level after them, its ranks' slots, then its ranks, a byte each;
//! - `l` leaves, `f32`.
//!
//! Ranks are biased by 128, as codes are in a [`Tile`](super::tile::Tile), for comparisons with a sign.

use super::build::node_offset;
use super::{EXIT_LEVELS, Heap};
use crate::engine::lines::{LINE, Line, Lines};
use crate::engine::slots::CodedSplit;

/// Levels whose nodes are all compared, at most; then only the node that a row comes to.
pub(super) const MAX_BLEND: usize = 5;
/// Bytes of a column: rows of a block.
pub(super) const COLUMN: usize = 32;
/// See the module.
pub(super) const BIAS: u8 = 0x80;

/// Where the parts of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parts {
    blend: usize,
    levels: usize,
}

impl Parts {
    pub(super) const fn new(levels: usize) -> Self {
        Self { blend: if levels < MAX_BLEND { levels } else { MAX_BLEND }, levels }
    }

    /// Offsets of the columns of the first levels' nodes; their ranks are at 0.
    pub(super) const fn columns(self) -> usize {
        4 << self.blend
    }

    /// Slots of a level; its ranks lie `1 << level` bytes behind.
    pub(super) const fn level(self, level: usize) -> usize {
        (6 << self.blend) + 2 * ((1 << level) - (1 << self.blend))
    }

    pub(super) const fn leaves(self) -> usize {
        self.level(self.levels)
    }

    /// Lines of a table.
    pub(super) const fn lines(self) -> usize {
        (self.leaves() + (4 << self.levels)).div_ceil(LINE)
    }
}

/// Tables of all trees.
#[derive(Debug)]
pub(super) struct Tables {
    parts: Parts,
    lines: Lines,
}

impl Tables {
    pub(super) fn new(heap: &Heap) -> Self {
        let parts = Parts::new(heap.meta.levels);
        let n_trees: usize = heap.meta.trees.iter().sum();
        let mut lines: Vec<Line> = bytemuck::zeroed_vec(n_trees * parts.lines());
        for (tree, lines) in lines.chunks_exact_mut(parts.lines()).enumerate() {
            write(heap, tree, parts, bytemuck::cast_slice_mut(lines));
        }
        Self { parts, lines: lines.into() }
    }

    /// The lines of all tables, [`Parts::lines`] for each tree.
    pub(super) fn lines(&self) -> &[Line] {
        self.lines.as_slice()
    }

    pub(super) fn parts(&self) -> Parts {
        self.parts
    }
}

fn write(heap: &Heap, tree: usize, parts: Parts, table: &mut [u8]) {
    for i in 1..1 << parts.blend {
        let split = heap.split(tree, i);
        table[4 * i..][..4].fill(split.rank ^ BIAS);
        let column = u16::from(split.slot) * COLUMN as u16;
        table[parts.columns() + 2 * i..][..2].copy_from_slice(&column.to_ne_bytes());
    }
    for level in parts.blend..parts.levels {
        let (slots, ranks) = table[parts.level(level)..].split_at_mut(1 << level);
        for i in 0..1 << level {
            let split = heap.split(tree, (1 << level) + i);
            (slots[i], ranks[i]) = (split.slot, split.rank ^ BIAS);
        }
    }
    let leaves = table[parts.leaves()..].chunks_exact_mut(4).take(1 << parts.levels);
    leaves.enumerate().for_each(|(i, leaf)| leaf.copy_from_slice(&heap.leaf_bytes(tree, i)));
}

impl Heap {
    /// The node at a heap position.
    fn split(&self, tree: usize, i: usize) -> CodedSplit {
        let exits = self.meta.exits();
        if i < exits {
            return self.tops()[tree * exits + i];
        }
        let level = (i / exits).ilog2() as usize;
        let exit = i >> level;
        let line = &self.exits()[tree * exits + exit - exits].0;
        let at = node_offset(level, i - (exit << level));
        CodedSplit { slot: line[at], rank: line[at + 1] }
    }

    /// A leaf; the one where every node sends its rows right is the first.
    fn leaf_bytes(&self, tree: usize, i: usize) -> [u8; 4] {
        let line = &self.exits()[tree * self.meta.exits() + (i >> EXIT_LEVELS)].0;
        let at = 8 * (i % (1 << EXIT_LEVELS));
        [line[at], line[at + 1], line[at + 2], line[at + 3]]
    }
}

/// A column's offset fits in 16 bits.
const _: () = assert!(255 * COLUMN <= u16::MAX as usize);
