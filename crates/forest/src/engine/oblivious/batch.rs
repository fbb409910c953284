//! Many rows: blocks of [`BLOCK`] rows, whose codes lie by column, so that one question of one tree is answered for
//! all of them at once.
//!
//! Plain Rust, which becomes vector instructions for whatever the caller is compiled for: see [`super::kernels`].
//! A tile is a few blocks, and goes through [`STEP`] trees before the next ones: their leaves stay in the nearest
//! cache.
#![expect(unsafe_code, reason = "positions are within a tree's leaves by their number of bits")]

use bytemuck::Zeroable;

use super::super::real::Real;
use super::leaves::Position;
use super::{Codes, Group, LINE, Line, Rows, Slots};

/// Rows of a block: the bytes of a line.
pub(super) const BLOCK: usize = LINE;
/// Trees whose leaves are added together, while a row's sum is in a register.
const STEP: usize = 4;

/// Codes of a block of rows: a line per slot. A byte indexes no more than these.
#[derive(Clone)]
pub(super) struct Columns([Line; 256]);

/// The codes of `rows`; rows that are missing in the last block have codes of 0.
pub(super) fn columns(slots: &Slots, rows: Rows<'_>, blocks: usize) -> Vec<Columns> {
    let mut all = vec![Columns([Line::zeroed(); 256]); blocks];
    let mut codes = Codes::new();
    for (i, row) in rows.values.chunks_exact(rows.n_features).enumerate() {
        slots.codes(rows.isa, row, &mut codes);
        let columns = &mut all[i / BLOCK].0[..slots.n_slots()];
        columns.iter_mut().zip(&codes.0).for_each(|(column, &code)| column.0[i % BLOCK] = code);
    }
    all
}

/// Sums of a block's rows, one output.
pub(super) type Accumulator<T> = [T; BLOCK];

/// The sums of the blocks, each block's outputs next to each other.
pub(super) fn load<T: Real>(sums: &[f64], n_outputs: usize, blocks: usize) -> Vec<Accumulator<T>> {
    let mut accumulators = vec![[T::zeroed(); BLOCK]; blocks * n_outputs];
    for (i, sums) in sums.chunks_exact(n_outputs).enumerate() {
        let block = &mut accumulators[i / BLOCK * n_outputs..][..n_outputs];
        block.iter_mut().zip(sums).for_each(|(sum, &start)| sum[i % BLOCK] = T::from_f64(start));
    }
    accumulators
}

/// The way back.
pub(super) fn store<T: Real>(accumulators: &[Accumulator<T>], n_outputs: usize, sums: &mut [f64]) {
    for (i, sums) in sums.chunks_exact_mut(n_outputs).enumerate() {
        let block = &accumulators[i / BLOCK * n_outputs..][..n_outputs];
        sums.iter_mut().zip(block).for_each(|(sum, accumulated)| *sum = accumulated[i % BLOCK].to_f64());
    }
}

/// Adds the leaves of a group's trees for all blocks. `leaves` start with those of the group.
#[inline(always)]
pub(super) fn add_group<T: Real, P: Position>(
    group: Group,
    levels: &[Line],
    leaves: &[T],
    columns: &[Columns],
    accumulators: &mut [Accumulator<T>],
) {
    assert!(levels.len() == 2 * group.depth() && group.depth() <= P::WIDTH);
    let n_outputs = accumulators.len() / columns.len();
    for first in (0..group.trees()).step_by(STEP) {
        let trees = STEP.min(group.trees() - first);
        for (columns, sums) in columns.iter().zip(accumulators.chunks_exact_mut(n_outputs)) {
            let mut positions = [[P::ZERO; BLOCK]; STEP];
            for (tree, positions) in positions[..trees].iter_mut().enumerate() {
                *positions = positions_of(levels, first + tree, columns);
            }
            for (i, sums) in sums[group.outputs()].iter_mut().enumerate() {
                let leaves =
                    &leaves[i * group.leaves() + (first << group.depth())..][..trees << group.depth()];
                if trees == STEP {
                    add(leaves, group.depth(), &positions, sums);
                } else {
                    let trees = leaves.chunks_exact(1 << group.depth()).zip(&positions);
                    trees.for_each(|(leaves, &positions)| add(leaves, group.depth(), &[positions], sums));
                }
            }
        }
    }
}

/// Positions of the leaves that a block's rows reach in one tree: below `2` to the power of the number of levels, as
/// each level pushes one bit.
#[inline(always)]
fn positions_of<P: Position>(levels: &[Line], tree: usize, columns: &Columns) -> [P; BLOCK] {
    let mut positions = [P::ZERO; BLOCK];
    for level in levels.chunks_exact(2) {
        let column = &columns.0[usize::from(level[0].0[tree])];
        let rank = level[1].0[tree];
        for (position, &code) in positions.iter_mut().zip(&column.0) {
            *position = position.push(code < rank);
        }
    }
    positions
}

/// Adds a leaf of each of `N` trees of `depth` levels, whose `positions` [`positions_of`] gave, to each row's sum.
#[inline(always)]
fn add<T: Real, P: Position, const N: usize>(
    leaves: &[T],
    depth: usize,
    positions: &[[P; BLOCK]; N],
    sums: &mut Accumulator<T>,
) {
    assert!(leaves.len() == N << depth);
    for (row, sum) in sums.iter_mut().enumerate() {
        for (tree, positions) in positions.iter().enumerate() {
            let at = (tree << depth) + positions[row].index();
            // SAFETY: `tree < N` and the position is below `1 << depth`, so `at` is below `N << depth`, which the
            // assertion holds against the length.
            *sum += unsafe { *leaves.get_unchecked(at) };
        }
    }
}
