//! What the kernel for many rows runs on, made from the tops and blocks when it is first needed.
//!
//! Every split of a tree becomes a selection between two bytes, for all rows of a block at once: the byte of a leaf
//! is its number in the tree, the byte of a split that of the child a row goes to. Leaves are numbered from right to
//! left, so that of two children the left one's byte is always greater, and a selection is `max(right, left & mask)`.
//! Splits stand by height, lowest first, those of [`TREES`] trees side by side, so that neighbours do not wait for
//! each other.

use super::row::Place;
use super::{BLOCK_SPLITS, LEVELS, Leafwise, UNIT};
use crate::engine::lines::LINE;

/// Rows of a block.
pub(super) const BLOCK_ROWS: usize = 64;
/// What makes codes and ranks compare as signed bytes.
pub(super) const SIGN: u8 = 0x80;
/// Trees of a group.
pub(super) const TREES: usize = 2;
/// Most splits, and most leaves, of a tree; their numbers are bytes. Above, blocks of rows do not pay.
pub(super) const MAX_SPLITS: usize = 128;
/// Most blocks that are looked at for one tree.
const MAX_BLOCKS: usize = 4 * MAX_SPLITS;

/// A split whose children are two leaves. Ranks and numbers stand in all four bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Lowest {
    /// As the kernel compares it.
    pub(super) rank: i32,
    /// Number of the leaf for rows that go right; the other one is next.
    pub(super) right: i32,
    /// Byte of the slot's codes.
    pub(super) codes: u32,
}

/// Any other split of a group. Operands are bytes of the kernel's buffer: first the numbers of leaves, each for all
/// rows, then the results of the group's splits in their order.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Select {
    /// As the kernel compares it, in all four bytes.
    pub(super) rank: i32,
    /// Byte of the slot's codes.
    pub(super) codes: u16,
    /// Operand for rows that go right.
    pub(super) right: u16,
    /// Operand for rows that go left.
    pub(super) left: u16,
}

/// Trees of one output, side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) n_lowest: usize,
    pub(super) n_selects: usize,
    /// Position of each tree's root among the operands.
    pub(super) roots: [usize; TREES],
    /// Position of each tree's leaves.
    pub(super) leaves: [usize; TREES],
    pub(super) output: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) groups: Vec<Group>,
    /// Splits of all groups.
    pub(super) lowest: Vec<Lowest>,
    pub(super) selects: Vec<Select>,
    /// Leaves of all trees, as they are added, and at the end [`MAX_SPLITS`] more, so that a number of a leaf is in
    /// bounds whatever tree it belongs to.
    pub(super) leaves: Vec<f64>,
}

/// Child of a split, or the root.
#[derive(Debug, Clone, Copy)]
enum Child {
    /// Its number.
    Leaf(usize),
    /// Position among the tree's splits.
    Split(usize),
}

#[derive(Debug, Clone, Copy)]
struct Split {
    slot: u8,
    rank: u8,
    right: Child,
    left: Child,
    height: usize,
}

/// A tree as it was read.
struct Tree {
    splits: Vec<Split>,
    leaves: Vec<f64>,
    root: Child,
}

/// Reads a tree from its top and blocks.
struct Reader<'a> {
    layout: &'a Leafwise,
    place: &'a Place,
    splits: Vec<Split>,
    /// By number.
    leaves: Vec<f64>,
    n_blocks: usize,
}

/// A heap of splits and exits: bytes in the arena.
#[derive(Clone, Copy)]
enum Piece {
    Top(usize),
    Block(usize),
}

impl Piece {
    fn levels(self) -> usize {
        match self {
            Self::Top(_) => LEVELS.0,
            Self::Block(_) => LEVELS.1,
        }
    }

    /// Byte of split or exit `i`.
    fn at(self, i: usize) -> usize {
        match self {
            Self::Top(byte) => byte + 2 * i,
            Self::Block(byte) if i < 8 => byte + BLOCK_SPLITS[i],
            Self::Block(byte) => byte + 4 * (i - 8),
        }
    }
}

impl Reader<'_> {
    /// What stands at `i` of a piece, with what is below it; `None` when the tree is too large.
    fn read(&mut self, mut piece: Piece, mut i: usize) -> Option<Child> {
        let bytes: &[u8] = self.layout.arena.cast();
        loop {
            let [low, high] = [bytes[piece.at(i)], bytes[piece.at(i) + 1]];
            if i >= 1 << piece.levels() {
                let unit = usize::from(u16::from_le_bytes([low, high]));
                if unit < self.place.first_block {
                    let values: &[f64] = self.layout.arena.cast();
                    self.leaves.push(values[(self.place.store + UNIT * unit) / size_of::<f64>()]);
                    return (self.leaves.len() <= MAX_SPLITS).then(|| Child::Leaf(self.leaves.len() - 1));
                }
                self.n_blocks += 1;
                if self.n_blocks > MAX_BLOCKS {
                    return None;
                }
                (piece, i) = (Piece::Block(self.place.store + 32 * (unit / 4)), 1);
            } else if high == 0 {
                // Every row goes right: there is no split here.
                i *= 2;
            } else {
                let right = self.read(piece, 2 * i)?;
                let left = self.read(piece, 2 * i + 1)?;
                let height = 1 + self.height(right).max(self.height(left));
                self.splits.push(Split { slot: low, rank: high, right, left, height });
                return (self.splits.len() < MAX_SPLITS).then(|| Child::Split(self.splits.len() - 1));
            }
        }
    }

    fn height(&self, child: Child) -> usize {
        match child {
            Child::Leaf(_) => 0,
            Child::Split(at) => self.splits[at].height,
        }
    }
}

impl Plan {
    /// `None` when a tree has too many splits or leaves.
    pub(super) fn new(layout: &Leafwise) -> Option<Self> {
        let mut plan = Self::default();
        for (place, chunk) in layout.places.iter().zip(&layout.meta.chunks) {
            let trees: Vec<usize> = (0..chunk.n_trees).collect();
            for trees in trees.chunks(TREES) {
                let mut group = Vec::with_capacity(TREES);
                for tree in trees {
                    let mut reader =
                        Reader { layout, place, splits: Vec::new(), leaves: Vec::new(), n_blocks: 0 };
                    let root = reader.read(Piece::Top(place.top + tree * LINE), 1)?;
                    group.push(Tree { splits: reader.splits, leaves: reader.leaves, root });
                }
                // Adds nothing.
                let nothing = || Tree { splits: Vec::new(), leaves: vec![-0.0], root: Child::Leaf(0) };
                group.resize_with(TREES, nothing);
                plan.push(&group, place.output);
            }
        }
        plan.leaves.extend([0.0; MAX_SPLITS]);
        Some(plan)
    }

    fn push(&mut self, trees: &[Tree], output: usize) {
        let mut order: Vec<(usize, usize)> = (0..trees.len())
            .flat_map(|tree| (0..trees[tree].splits.len()).map(move |split| (tree, split)))
            .collect();
        let split_at = |&(tree, split): &(usize, usize)| trees[tree].splits[split];
        order.sort_by_key(|at| split_at(at).height);
        let n_lowest = order.iter().filter(|at| split_at(at).height == 1).count();
        // Where the result of each split is.
        let mut results: Vec<Vec<usize>> = trees.iter().map(|tree| vec![0; tree.splits.len()]).collect();
        for (i, &(tree, split)) in order.iter().enumerate() {
            results[tree][split] = MAX_SPLITS + i;
        }
        let operand = |tree: usize, child: Child| match child {
            Child::Split(at) => results[tree][at],
            Child::Leaf(number) => number,
        };
        for (i, at) in order.iter().enumerate() {
            let Split { slot, rank, right, left, .. } = split_at(at);
            let (rank, codes) = (i32::from_ne_bytes([rank ^ SIGN; 4]), usize::from(slot) * BLOCK_ROWS);
            let (right, left) = (operand(at.0, right), operand(at.0, left));
            if i < n_lowest {
                // A number below MAX_SPLITS.
                let right = i32::from_ne_bytes([right as u8; 4]);
                self.lowest.push(Lowest { rank, right, codes: codes as u32 });
            } else {
                // At most 64 x 384: they fit.
                let [codes, right, left] =
                    [codes, right * BLOCK_ROWS, left * BLOCK_ROWS].map(|byte| byte as u16);
                self.selects.push(Select { rank, codes, right, left });
            }
        }
        let mut group = Group {
            n_lowest,
            n_selects: order.len() - n_lowest,
            roots: [0; TREES],
            leaves: [0; TREES],
            output,
        };
        for (i, tree) in trees.iter().enumerate() {
            (group.roots[i], group.leaves[i]) = (operand(i, tree.root), self.leaves.len());
            self.leaves.extend(&tree.leaves);
        }
        self.groups.push(group);
    }
}
