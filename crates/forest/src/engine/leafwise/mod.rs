//! The layout for trees of any shape over at most 256 slots: what grows leaf by leaf, and what is deeper than a heap.
//!
//! A split is two bytes, slot and rank (see [`super::slots`]); a step is `i = 2 i + (codes[slot] < rank)`.
//!
//! - **Tops.** One cache line per tree: its first four levels as a heap (split `i` of 1..16 at byte `2 i`), and the 16
//!   exits at bytes 32..64. Where a walk ends sooner, the splits below send it right, and the exit is repeated.
//! - **Blocks.** Three more levels in 32 bytes: seven splits and eight exits, placed so that each level is found by
//!   shifting `i`.
//! - **Exits** are `u16`, in units of 8 bytes from the start of the chunk's store, where the leaves (`f64`, as they are
//!   added) come first and the blocks behind them: an exit is a leaf exactly if it is below the first block.
//! - **Chunks.** Up to [`CHUNK`] trees of one output, as many as one store has room for.
//!
//! One row: the tops of a chunk, ten trees side by side, while the leaves of the chunk before are added; each exit is
//! prefetched and the unfinished walks are listed without a branch; then the list, a block per walk and round.
//! Many rows, if no tree has over 128 leaves: blocks of 64, see [`batch`]. Sums are in tree order.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod batch;
mod build;
mod plan;
mod row;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::isa::Isa;
use super::lines::{LINE, Lines};
use super::real::Real;
use super::slots::{Codes, Slots, SlotsMeta};
use crate::forest::Forest;
use crate::{MAX_DEPTH, MAX_TREES};
use plan::{BLOCK_ROWS, Plan};
use row::Place;

/// Most trees of a chunk.
const CHUNK: usize = 250;
/// Trees of a chunk are filled up to a multiple of this.
const LANES: usize = 10;
/// Bytes that exits count in.
const UNIT: usize = 8;
/// Units of a line.
const LINE_UNITS: usize = LINE / UNIT;
/// Most lines of a chunk's store.
const MAX_STORE: usize = (1 << 16) / LINE_UNITS;
/// Bytes of a block.
const BLOCK: usize = 32;
/// Byte of the split 1..8 of a block.
const BLOCK_SPLITS: [usize; 8] = [0, 14, 6, 22, 2, 10, 18, 26];
/// From so many rows on, a block that is not full is faster than row after row.
const FEWEST_ROWS: usize = 28;
/// Levels of a top and of a block.
const LEVELS: (usize, usize) = (4, 3);

/// Trees of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chunk {
    n_trees: usize,
    output: usize,
    leaf_lines: usize,
    block_lines: usize,
}

impl Chunk {
    /// Lines of tops.
    fn tops(&self) -> usize {
        self.n_trees.next_multiple_of(LANES)
    }
}

/// What the layout knows besides its lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeafwiseMeta {
    /// Sums are `f32`.
    f32: bool,
    /// Edges of the longest walk.
    depth: usize,
    chunks: Vec<Chunk>,
    slots: SlotsMeta,
    /// Lines of the slots' arena, which is the last part.
    slot_lines: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leafwise {
    meta: LeafwiseMeta,
    arena: Lines,
    slots: Slots,
    places: Vec<Place>,
    plan: OnceLock<Option<Plan>>,
    n_features: usize,
    n_outputs: usize,
}

impl Leafwise {
    /// `None` for linear models, for leaves that are vectors, for more slots than there may be, and when trees are so
    /// large that a chunk has room for few.
    pub(crate) fn build(forest: &Forest) -> Option<Self> {
        let (meta, arena) = build::lay_out(forest)?;
        Self::from_parts(meta, arena, forest.n_features, forest.n_outputs).ok()
    }

    pub(crate) fn parts(&self) -> (&LeafwiseMeta, &Lines) {
        (&self.meta, &self.arena)
    }

    /// Checks what the kernels read without looking: that every exit lies in its chunk's store.
    pub(crate) fn from_parts(
        meta: LeafwiseMeta,
        arena: Lines,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<Self, String> {
        let places = meta.places(arena.len(), n_outputs)?;
        let first = arena.len() - meta.slot_lines;
        let slots = arena.slice(first, meta.slot_lines).ok_or("slots outside of the arena")?;
        let slots = Slots::from_parts(meta.slots.clone(), slots, n_features)?;
        let halves: &[u16] = arena.cast();
        for (chunk, place) in meta.chunks.iter().zip(&places) {
            let tops = &halves[place.top / 2..][..chunk.tops() * LINE / 2];
            let store = &halves[place.store / 2..][..(chunk.leaf_lines + chunk.block_lines) * LINE / 2];
            let greatest_of_tops = tops.chunks_exact(LINE / 2).flat_map(|line| &line[LINE / 4..]).max();
            let blocks = store[chunk.leaf_lines * LINE / 2..].chunks_exact(BLOCK / 2);
            let greatest_of_blocks = blocks.flat_map(|block| block.iter().step_by(2)).max();
            let greatest = greatest_of_tops.max(greatest_of_blocks).map_or(0, |&exit| usize::from(exit));
            let units = store.len() * 2 / UNIT;
            if greatest >= units {
                return Err(format!("exit {greatest} of a store of {units} units"));
            }
        }
        Ok(Self { meta, arena, slots, places, plan: OnceLock::new(), n_features, n_outputs })
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
        let starts: Vec<T> = (0..self.n_outputs).map(|output| T::from_f64(forest.start(output))).collect();
        let (rows, sums) = self.sums_of_blocks(&starts, isa, rows, sums);
        let mut codes = Codes::new();
        let mut totals = starts.clone();
        for (row, sums) in rows.chunks_exact(self.n_features).zip(sums.chunks_exact_mut(self.n_outputs)) {
            self.slots.codes(isa, row, &mut codes);
            totals.copy_from_slice(&starts);
            self.add_row(isa, &codes, &mut totals);
            sums.iter_mut().zip(&totals).for_each(|(sum, total)| *sum = total.to_f64());
        }
    }

    /// Takes what pays in blocks of rows, and gives the rest back.
    #[cfg(target_arch = "x86_64")]
    fn sums_of_blocks<'a, T: Real>(
        &self,
        starts: &[T],
        isa: Isa,
        rows: &'a [f32],
        sums: &'a mut [f64],
    ) -> (&'a [f32], &'a mut [f64]) {
        let n_rows = rows.len() / self.n_features;
        let whole = n_rows / BLOCK_ROWS * BLOCK_ROWS;
        let in_blocks = if n_rows - whole >= FEWEST_ROWS { n_rows } else { whole };
        let vectors = matches!(isa, Isa::Avx2 | Isa::Avx512);
        let plan = if in_blocks > 0 && vectors { self.plan.get_or_init(|| Plan::new(self)) } else { &None };
        let Some(plan) = plan else { return (rows, sums) };
        let (in_rows, rows) = rows.split_at(in_blocks * self.n_features);
        let (in_sums, sums) = sums.split_at_mut(in_blocks * self.n_outputs);
        self.batch(plan, starts, isa, in_rows, in_sums);
        (rows, sums)
    }

    /// Blocks of rows are for AVX2.
    #[cfg(not(target_arch = "x86_64"))]
    fn sums_of_blocks<'a, T: Real>(
        &self,
        _: &[T],
        _: Isa,
        rows: &'a [f32],
        sums: &'a mut [f64],
    ) -> (&'a [f32], &'a mut [f64]) {
        (rows, sums)
    }
}

impl LeafwiseMeta {
    /// Where the chunks lie, if they and the slots fill the arena.
    fn places(&self, arena_lines: usize, n_outputs: usize) -> Result<Vec<Place>, String> {
        if self.depth > MAX_DEPTH || self.chunks.len() > MAX_TREES {
            return Err(format!("{} chunks of trees of {} levels", self.chunks.len(), self.depth));
        }
        for chunk in &self.chunks {
            let store = chunk.leaf_lines.saturating_add(chunk.block_lines);
            if !(1..=CHUNK).contains(&chunk.n_trees)
                || chunk.output >= n_outputs
                || chunk.leaf_lines == 0
                || chunk.block_lines == 0
                || store > MAX_STORE
            {
                return Err(format!(
                    "a chunk of {chunk:?}, the limits are {CHUNK}, {n_outputs}, {MAX_STORE}"
                ));
            }
        }
        // Each count is bounded, so no sum overflows.
        let tops: usize = self.chunks.iter().map(Chunk::tops).sum();
        let stores: usize = self.chunks.iter().map(|chunk| chunk.leaf_lines + chunk.block_lines).sum();
        if tops.checked_add(stores).and_then(|lines| lines.checked_add(self.slot_lines)) != Some(arena_lines)
        {
            let slots = self.slot_lines;
            return Err(format!(
                "{arena_lines} lines, expected {tops} of tops, {stores} of stores, {slots} of slots"
            ));
        }
        let (mut top, mut store) = (0, tops * LINE);
        let places = self.chunks.iter().map(|chunk| {
            let place = Place {
                top,
                store,
                first_block: chunk.leaf_lines * LINE_UNITS,
                n_trees: chunk.tops(),
                output: chunk.output,
            };
            top += chunk.tops() * LINE;
            store += (chunk.leaf_lines + chunk.block_lines) * LINE;
            place
        });
        Ok(places.collect())
    }
}
