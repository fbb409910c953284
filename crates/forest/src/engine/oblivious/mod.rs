//! Oblivious trees: every node of a level asks the same question, as CatBoost grows them (and as any tree of one
//! split is).
//!
//! A row then answers a tree's `depth` questions once, and the answers, written as a number, are the position of its
//! leaf: no walk. Up to [`GROUP`] consecutive trees of an output form a group, and a group's question of one level
//! is one cache line of slots and one of ranks, a byte for each tree:
//!
//! ```text
//! levels   per group, per level: 64 slots, 64 ranks                    (group.depth x 2 lines)
//! leaves   per group, per output, per tree: 2^group.depth values       (filled up to a whole line per group)
//! ```
//!
//! One row: its codes are looked up for 64 trees at once, compared with the ranks, and the bits pushed into 64
//! positions. Many rows: codes by column, one tree's question for 64 rows at once. Either way the position has as
//! many bits as the group has levels, and so cannot leave its tree's leaves. A tree of fewer levels than its group
//! gets levels on top that always answer "right" (rank 0). "Left" is the bit 1, so leaves stand in reverse preorder.
//!
//! Leaves are scalars or vectors, sums are `f32` or `f64`, in tree order. What this does not take: trees of more than
//! [`MAX_DEPTH`] levels, more than 256 slots, and all that is not oblivious.

mod avx2;
mod avx512;
mod batch;
mod build;
mod kernels;
mod leaves;
mod portable;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::Isa;
use super::lines::{LINE, Line, Lines};
use super::real::Real;
use super::slots::{Codes, Slots, SlotsMeta};
use crate::forest::Forest;
use batch::BLOCK;

/// Most levels of a tree.
const MAX_DEPTH: usize = 16;
/// Most trees of a group: the bytes of a line.
const GROUP: usize = LINE;
/// Groups whose positions are computed before their leaves are added: the additions wait for each other, the rest
/// does not.
const AHEAD: usize = 16;
/// Rows that go through the same trees before the next trees: a few kilobytes of codes.
const TILE_ROWS: usize = 4 * BLOCK;

/// What a compiled file keeps besides the lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObliviousMeta {
    slots: SlotsMeta,
    /// Lines of the quantiser; levels and leaves follow.
    slots_lines: usize,
    /// Whether leaves and sums are `f32`.
    single: bool,
    groups: Vec<Group>,
}

/// Trees that are computed side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// 1 to [`GROUP`].
    trees: u8,
    /// Levels of the deepest of them, at most [`MAX_DEPTH`].
    depth: u8,
    /// The first output that the leaves add to.
    output: u16,
    /// Values of a leaf, one for each output from there on.
    outputs: u16,
}

impl Group {
    fn trees(self) -> usize {
        usize::from(self.trees)
    }

    fn depth(self) -> usize {
        usize::from(self.depth)
    }

    fn outputs(self) -> std::ops::Range<usize> {
        usize::from(self.output)..usize::from(self.output) + usize::from(self.outputs)
    }

    fn level_lines(self) -> usize {
        2 * self.depth()
    }

    /// Values of one output's leaves.
    fn leaves(self) -> usize {
        self.trees() << self.depth()
    }

    fn leaf_lines(self, value_bytes: usize) -> usize {
        (usize::from(self.outputs) * self.leaves() * value_bytes).div_ceil(LINE)
    }
}

/// Positions of the leaves that a row reaches in a group's trees.
#[derive(Clone, Copy)]
struct Positions {
    low: Line,
    /// The bits above the low eight, where a group has so many levels.
    high: Line,
}

/// The layout; see the module.
#[derive(Debug)]
pub(crate) struct Oblivious {
    meta: ObliviousMeta,
    arena: Lines,
    slots: Slots,
    levels: Lines,
    leaves: Lines,
}

impl Oblivious {
    /// `None` when the forest is not of this kind.
    pub(crate) fn build(forest: &Forest) -> Option<Self> {
        build::build(forest)
    }

    /// What a compiled file keeps.
    pub(crate) fn parts(&self) -> (&ObliviousMeta, &Lines) {
        (&self.meta, &self.arena)
    }

    /// From what a compiled file holds. The kernels rely on each group's having all its lines, and on outputs that
    /// exist; positions and slots are bounded by their widths.
    pub(crate) fn from_parts(
        meta: ObliviousMeta,
        arena: Lines,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<Self, String> {
        let value_bytes = if meta.single { size_of::<f32>() } else { size_of::<f64>() };
        let (mut level_lines, mut leaf_lines) = (0_usize, 0_usize);
        for (i, group) in meta.groups.iter().enumerate() {
            if !(1..=GROUP).contains(&group.trees()) || group.depth() > MAX_DEPTH {
                let Group { trees, depth, .. } = group;
                return Err(format!("group {i} has {trees} trees of {depth} levels"));
            }
            if group.outputs == 0 || group.outputs().end > n_outputs {
                return Err(format!("group {i} adds to outputs {:?} of {n_outputs}", group.outputs()));
            }
            level_lines += group.level_lines();
            // At most 65,535 x 64 x 65,536 values, and as many groups as a header holds: no overflow of 64 bits.
            leaf_lines = leaf_lines.saturating_add(group.leaf_lines(value_bytes));
        }
        let needed = meta.slots_lines.saturating_add(level_lines).saturating_add(leaf_lines);
        if arena.len() != needed {
            return Err(format!("{} lines, where the groups take {needed}", arena.len()));
        }
        let part = |first, count| arena.slice(first, count).ok_or_else(|| "a part is missing".to_owned());
        let slots = Slots::from_parts(meta.slots.clone(), part(0, meta.slots_lines)?, n_features)?;
        let levels = part(meta.slots_lines, level_lines)?;
        let leaves = part(meta.slots_lines + level_lines, leaf_lines)?;
        Ok(Self { meta, arena, slots, levels, leaves })
    }

    /// See [`super::Layout::sums`].
    pub(crate) fn sums(&self, forest: &Forest, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        sums.chunks_exact_mut(forest.n_outputs).for_each(|sums| {
            sums.iter_mut().enumerate().for_each(|(output, sum)| *sum = forest.start(output));
        });
        let rows = Rows { values: rows, n_features: forest.n_features, n_outputs: forest.n_outputs, isa };
        if self.meta.single { self.add::<f32>(rows, sums) } else { self.add::<f64>(rows, sums) }
    }

    fn add<T: Real>(&self, rows: Rows<'_>, sums: &mut [f64]) {
        let tiles = rows.values.chunks(TILE_ROWS * rows.n_features);
        for (values, sums) in tiles.zip(sums.chunks_mut(TILE_ROWS * rows.n_outputs)) {
            let n = values.len() / rows.n_features;
            // Rows that do not fill a block go one by one, unless they are so many that a block is cheaper.
            let blocks = n / BLOCK + usize::from(n % BLOCK >= kernels::least_block(rows.isa));
            let by_block = n.min(blocks * BLOCK);
            let (first, rest) = values.split_at(by_block * rows.n_features);
            let (first_sums, rest_sums) = sums.split_at_mut(by_block * rows.n_outputs);
            if blocks > 0 {
                self.add_tile::<T>(Rows { values: first, ..rows }, blocks, first_sums);
            }
            let rest = rest.chunks_exact(rows.n_features).zip(rest_sums.chunks_exact_mut(rows.n_outputs));
            rest.for_each(|(row, sums)| self.add_row::<T>(rows.isa, row, sums));
        }
    }

    fn add_row<T: Real>(&self, isa: Isa, row: &[f32], sums: &mut [f64]) {
        let mut codes = Codes::new();
        self.slots.codes(isa, row, &mut codes);
        let mut positions = [Positions { low: Line([0; LINE]), high: Line([0; LINE]) }; AHEAD];
        let (mut levels, mut leaves) = (self.levels.as_slice(), self.leaves.cast::<T>());
        for groups in self.meta.groups.chunks(AHEAD) {
            let lines = groups.iter().map(|group| group.level_lines()).sum();
            kernels::positions(isa, self.slots.n_slots(), groups, &levels[..lines], &codes, &mut positions);
            levels = &levels[lines..];
            for (group, positions) in groups.iter().zip(&positions) {
                for (i, sum) in sums[group.outputs()].iter_mut().enumerate() {
                    let own = &leaves[i * group.leaves()..][..group.leaves()];
                    *sum = leaves::add_row(T::from_f64(*sum), own, *group, positions).to_f64();
                }
                leaves = &leaves[group.leaf_lines(size_of::<T>()) * LINE / size_of::<T>()..];
            }
        }
    }

    fn add_tile<T: Real>(&self, rows: Rows<'_>, blocks: usize, sums: &mut [f64]) {
        let columns = batch::columns(&self.slots, rows, blocks);
        let mut accumulators = batch::load::<T>(sums, rows.n_outputs, blocks);
        let (mut levels, mut leaves) = (self.levels.as_slice(), self.leaves.cast::<T>());
        for group in &self.meta.groups {
            let (first, rest) = levels.split_at(group.level_lines());
            kernels::add_group(rows.isa, *group, first, leaves, &columns, &mut accumulators);
            levels = rest;
            leaves = &leaves[group.leaf_lines(size_of::<T>()) * LINE / size_of::<T>()..];
        }
        batch::store(&accumulators, rows.n_outputs, sums);
    }
}

/// Rows of a call, and how they are computed.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    n_features: usize,
    n_outputs: usize,
    isa: Isa,
}
