//! The layout for trees of at most eight levels whose leaves are summed in `f32`: perfect heaps of two-byte nodes.
//!
//! A row becomes bytes once ([`Slots`]), and a step of a walk is: load the node's slot and rank, load the row's code
//! of the slot, compare, `i = 2 i + carry`. Every walk takes all levels of the forest's deepest tree (at least three);
//! where a tree's own walk has ended, both ways lead to the same value.
//!
//! Arena: the slots; the *tops*, all but the last three levels of every tree, one tree after the other, so that the
//! tops of a thousand trees are 64 kB to read from front to back; then the *exits*, one cache line for every node
//! of the third level from the bottom, with that node, the two and four nodes below it, and the eight leaves. So a
//! row touches two lines of a tree, and the second can be fetched ahead while other trees' tops are walked.
//!
//! With `e` exits per tree, a top is `e` nodes of two bytes in heap order, the root at 1. In an exit's line, of the
//! levels' heap positions `i` (that of the first level being `e..2e`): node `i` of the first level is at byte
//! `64 i + 12`, of the second at `32 i + 6`, of the third at `16 i + 4`, and leaf `i` at `8 i`, each counted from
//! `64 e` bytes before the tree's first line. So one number is all that a walk carries from the root to the leaf.
//!
//! Trees are in the order of their outputs, and within an output in that of the file, which is that of the sum.
//!
//! Kernels:
//!
//! - `rows`: row by row, several trees side by side; in plain Rust (`portable`), with steps in assembly (`x86`, `aarch64`), with
//!   AVX-512 (`avx512`);
//! - `batch`: 32 rows at once (`avx2`), which then walk one tree after the other.
//!
//! The rule: with AVX2, rows go in blocks of 32, but for the last ones, which go one by one if they are fewer than 20
//! (24 with AVX-512). Without AVX2, all rows go one by one: blocks in plain Rust took a quarter longer.
//!
//! A call of one row goes to the kernel for AVX2, even where there is AVX-512: rows that come alone mostly find the caches
//! empty, as in a function that has slept, and there AVX-512 took 13 to 15 percent longer (a thousand trees of eight
//! levels, and a hundred of six), for it reads more code and more tables. With the model in the cache it is as much
//! faster, which is half a microsecond; and from two rows on it is used.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod assembly;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod batch;
mod build;
mod portable;
mod rows;
#[cfg(target_arch = "x86_64")]
mod tables;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::Isa;
use super::lines::{LINE, Line, Lines};
use super::slots::{CodedSplit, Slots, SlotsMeta};
use crate::MAX_TREES;
use crate::forest::Forest;

/// Levels in the lines of exits.
const EXIT_LEVELS: usize = 3;
/// Most levels of a tree.
const MAX_LEVELS: usize = 8;
/// Trees that are walked side by side; the layout is filled up to a multiple.
const GROUP: usize = 10;

/// What the layout knows besides its lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HeapMeta {
    slots: SlotsMeta,
    /// Lines of the slots.
    slots_lines: usize,
    /// Levels of splits of every tree, 3..=8.
    levels: usize,
    /// Trees of each output.
    trees: Vec<usize>,
}

impl HeapMeta {
    /// Exits of a tree.
    fn exits(&self) -> usize {
        1 << (self.levels - EXIT_LEVELS)
    }

    /// Trees, filled up.
    fn n_heaps(&self) -> usize {
        self.trees.iter().sum::<usize>().next_multiple_of(GROUP)
    }

    /// Lines of the tops, and of the exits.
    fn lines(&self) -> (usize, usize) {
        let exits = self.n_heaps() * self.exits();
        ((exits * size_of::<CodedSplit>()).div_ceil(LINE), exits)
    }

    fn check(&self, n_outputs: usize) -> Result<(), String> {
        if !(EXIT_LEVELS..=MAX_LEVELS).contains(&self.levels) {
            return Err(format!("{} levels, must be in {EXIT_LEVELS}..={MAX_LEVELS}", self.levels));
        }
        if self.trees.len() != n_outputs {
            return Err(format!("trees of {} outputs, expected {n_outputs}", self.trees.len()));
        }
        let n = self.trees.iter().fold(0, |sum: usize, &n| sum.saturating_add(n));
        if n > MAX_TREES {
            return Err(format!("{n} trees, the limit is {MAX_TREES}"));
        }
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Heap {
    meta: HeapMeta,
    arena: Lines,
    slots: Slots,
    tops: Lines,
    exits: Lines,
    /// For many rows; derived when they first come.
    #[cfg(target_arch = "x86_64")]
    tables: OnceLock<tables::Tables>,
    /// For AVX-512; derived when it is first used.
    #[cfg(target_arch = "x86_64")]
    planes: OnceLock<avx512::Planes>,
}

impl Heap {
    /// `None` for trees that are too deep or too sparse, leaves that are vectors or `f64`, and too many slots.
    pub(crate) fn build(forest: &Forest) -> Option<Self> {
        let (meta, arena) = build::lay_out(forest)?;
        Self::from_parts(meta, arena, forest.n_features, forest.n_outputs).ok()
    }

    pub(crate) fn parts(&self) -> (&HeapMeta, &Lines) {
        (&self.meta, &self.arena)
    }

    /// Checks the counts and the slots. The trees need no check: a slot is a byte, and [`Codes`] has more than 256 of
    /// them; and a walk of so many steps from 1 ends at one of the leaves, whatever the nodes say.
    ///
    /// [`Codes`]: super::slots::Codes
    pub(crate) fn from_parts(
        meta: HeapMeta,
        arena: Lines,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<Self, String> {
        meta.check(n_outputs)?;
        let (top_lines, exit_lines) = meta.lines();
        if meta.slots_lines.checked_add(top_lines + exit_lines) != Some(arena.len()) {
            return Err(format!(
                "{} lines, expected {} of slots, {top_lines} of tops, {exit_lines} of exits",
                arena.len(),
                meta.slots_lines
            ));
        }
        let part = |first, count| arena.slice(first, count).ok_or("a part outside of the arena");
        let slots = Slots::from_parts(meta.slots.clone(), part(0, meta.slots_lines)?, n_features)?;
        let tops = part(meta.slots_lines, top_lines)?;
        let exits = part(meta.slots_lines + top_lines, exit_lines)?;
        Ok(Self {
            meta,
            slots,
            tops,
            exits,
            arena,
            #[cfg(target_arch = "x86_64")]
            tables: OnceLock::new(),
            #[cfg(target_arch = "x86_64")]
            planes: OnceLock::new(),
        })
    }

    /// See `Layout::sums`.
    pub(crate) fn sums(&self, forest: &Forest, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        for sums in sums.chunks_exact_mut(forest.n_outputs) {
            sums.iter_mut().enumerate().for_each(|(output, sum)| *sum = forest.start(output));
        }
        #[cfg(target_arch = "x86_64")]
        if matches!(isa, Isa::Avx2 | Isa::Avx512) {
            let n_features = self.slots.n_features();
            let n_rows = block_rows(isa, rows.len() / n_features);
            let (in_blocks, others) = rows.split_at(n_rows * n_features);
            let (block_sums, other_sums) = sums.split_at_mut(n_rows * forest.n_outputs);
            if n_rows > 0 {
                self.add_blocks::<avx2::Avx2>(isa, in_blocks, block_sums);
            }
            if !others.is_empty() {
                self.add_each(isa, others, other_sums);
            }
            return;
        }
        self.add_each(isa, rows, sums);
    }

    /// Row by row.
    fn add_each(&self, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        match self.meta.exits() {
            1 => self.add::<1>(isa, rows, sums),
            2 => self.add::<2>(isa, rows, sums),
            4 => self.add::<4>(isa, rows, sums),
            8 => self.add::<8>(isa, rows, sums),
            16 => self.add::<16>(isa, rows, sums),
            _ => self.add::<32>(isa, rows, sums),
        }
    }

    /// Adds the leaves of all trees of `EXITS` exits.
    fn add<const EXITS: usize>(&self, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if Self::has_avx512(EXITS) => self.add_avx512::<EXITS>(rows, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx512 => self.add_rows::<assembly::Walk, EXITS>(isa, rows, sums),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => self.add_rows::<assembly::Walk, EXITS>(isa, rows, sums),
            _ => self.add_rows::<portable::Walk, EXITS>(isa, rows, sums),
        }
    }

    /// The instructions for a call of so many rows: see the rule above.
    pub(crate) fn isa(best: Isa, n_rows: usize) -> Isa {
        if best == Isa::Avx512 && n_rows == 1 { Isa::Avx2 } else { best }
    }

    fn tops(&self) -> &[CodedSplit] {
        &self.tops.cast()[..self.exits.len()]
    }

    fn exits(&self) -> &[Line] {
        self.exits.as_slice()
    }
}

/// How many of so many rows go to the kernel that takes blocks: all of them, or all but the last ones, if those are too
/// few. A block takes its time whether it is full or not: as long as 20 rows one by one with AVX2, and as 24 with
/// AVX-512 (for a thousand trees of eight levels, and for a hundred of six).
#[cfg(target_arch = "x86_64")]
fn block_rows(isa: Isa, n_rows: usize) -> usize {
    let least = if isa == Isa::Avx512 { 24 } else { 20 };
    let last = n_rows % tile::BLOCK;
    if last < least { n_rows - last } else { n_rows }
}
